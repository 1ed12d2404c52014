/* opening.h - the flags of every command that opens models, and what an engine is to be opened with.
 *
 *   static const cli_flag flags[] = {OPENING_MODELS, ..., OPENING_MACHINE, {0}};
 *   if (opening_plan(&o, a, request, false, r, &err) == ACE_OK) engine = ace_engine_open(o.models, &o.options, &err);
 *   ace_engine_close(engine), opening_free(&o);
 */
#ifndef ACE_CLI_OPENING_H
#define ACE_CLI_OPENING_H

#include "cli/args.h"
#include "cli/report.h"

/* clang-format off */
#define OPENING_MODELS \
  {"models", 0, "DIR", "Folder of models (else $ACESTEP_CHECKPOINTS_DIR, the data folder's models, ./checkpoints)"}, \
  {"vae", 0, "NAME", "Autoencoder folder in there, or an absolute path (default: vae)"}, \
  {"download", 0, NULL, "Fetch published models that are needed and missing, without asking (see acestep download)"}
#define OPENING_BACKEND \
  {"lm-backend", 0, "NAME", "vllm: plans a batch together (default); pt: one song at a time, with less memory"}
#define OPENING_MACHINE \
  {"threads", 0, "N", "Threads to compute with (default: all CPUs); the result does not depend on it"}, \
  {"memory", 0, "SIZE", "Working memory to stay within, such as 6G (default: most of what is free)"}, \
  {"int8", 0, NULL, "Diffusion model and text encoder as int8: half the memory, made at each start (see convert)"}, \
  {"lm-int8", 0, NULL, "The language model as int8"}
/* Of commands in which the language model works. */
#define OPENING_SERVER \
  {"lm-url", 0, "URL", "A vLLM server does the language model's work, such as http://host:8000 (else $ACESTEP_LM_URL)"}, \
  {"lm-url-model", 0, "NAME", "Which of that server's models (default: the first)"}, \
  {"lm-key-file", 0, "FILE", "File with the key for that server (else $ACESTEP_LM_KEY)"}, \
  {"lm-fallback", 0, NULL, "If that server cannot be used, the language model in the folder does the work"}
/* clang-format on */

typedef struct opening {
  char *models, *cache, *key; /* key: of the language model server */
  ace_engine_options options;
} opening;

/* Reads the flags, and finds the folder of models (with --download: after what is missing was fetched; `asks`: the
 * language model too). The options point into `o`, `a` and `request`. */
ace_status opening_plan(opening *o, const args *a, const ace_request *request, bool asks, report *r, ace_error *err);
void opening_free(opening *o);
/* Only the language model server of it: OPENING_SERVER and the environment. */
ace_status opening_read_server(opening *o, const args *a, ace_error *err);

#endif
