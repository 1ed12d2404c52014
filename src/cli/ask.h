/* ask.h - what plan, format and understand share: a request, an engine, and an answer that goes to standard output and,
 * if asked, to a file.
 *
 *   static ace_status work(asking *k, ace_error *err) {
 *     ace_status status = words_request(k->args, &k->request, err);
 *     if (status == ACE_OK) status = ask_open(k, err);
 *     ...
 *   }
 *   static int run(const args *a, report *r) { return ask_run(a, r, work); }
 */
#ifndef ACE_CLI_ASK_H
#define ACE_CLI_ASK_H

#include "base/json.h"
#include "cli/opening.h"
#include "cli/trail.h"

/* clang-format off */
#define ASK_FLAGS \
  {"output", 'o', "FILE", "Also write the JSON to this file, for acestep generate --from FILE"}, \
  OPENING_MODELS, \
  {"lm", 0, "NAME", "Folder of the language model in there (default: acestep-5Hz-lm-1.7B, else the first)"}, \
  OPENING_BACKEND, \
  OPENING_SERVER, \
  OPENING_MACHINE, \
  {"json", 0, NULL, "As one JSON object"}, \
  {"quiet", 'q', NULL, "No progress"}
/* What the language model draws its answer with. */
#define ASK_PARAMETERS \
  "model", "seed", "lm_temperature", "lm_top_k", "lm_top_p", "use_constrained_decoding", "constrained_decoding_debug"
/* clang-format on */

/* One question; everything but args and report is owned. */
typedef struct asking {
  const args *args;
  report *report;
  ace_request *request;
  opening open;
  ace_engine *engine;
  trail trail;
} asking;

/* Runs `work` so that Ctrl-C ends it, and returns the exit code. */
int ask_run(const args *a, report *r, ace_status (*work)(asking *k, ace_error *err));

/* Can -o be written? */
ace_status ask_check(const asking *k, ace_error *err);
/* The same, then opens the models. */
ace_status ask_open(asking *k, ace_error *err);
/* Prints the answer, as JSON or for people, and writes the file. Takes the reference; NULL: out of memory. */
ace_status ask_deliver(asking *k, json_t *answer, ace_error *err);
/* The same with other words for people. */
ace_status ask_deliver_as(asking *k, json_t *answer, const char *words, ace_error *err);
/* The answer of the library, which it takes; NULL when there is none. */
json_t *ask_parse(char *text);

#endif
