/* remote.h - the language model's work done by a vLLM server: the same prompts, the same grammar, the same reading of
 * what was written; only the choice among the tokens that the grammar allows is made elsewhere.
 *
 *   plan_remote *remote = plan_remote_open(&(plan_remote_options){.url = "http://gpu-box:8000"}, stop, job, &err);
 *   plan_lm lm = {.tokenizer = ..., .grammar = ..., .remote = remote};          // plan_lm_run asks the server
 *   plan_remote_close(remote);
 *
 * How it is exact without access to the server's logits:
 * - what the grammar forces (names of fields, values that the user gave) is written here and never asked for;
 * - where few tokens are possible (digits, keys, languages, audio codes), allowed_token_ids names them;
 * - free text comes in stretches of any tokens. Each is checked here; the first that the grammar forbids is thrown away
 *   with all behind it, and asked for again among those allowed: rejection sampling, which leaves the distribution as it
 *   is. Whether a text goes on behind a line feed is decided by the likeliest token, which logprobs tell.
 * Seeds of the stretches are derived from the item's seed, the phase and the place, so that none repeats another's draws.
 * Guidance is not possible this way (there is no unconditional row): plan_lm_run keeps such jobs here or refuses them.
 */
#ifndef ACE_PLANNER_REMOTE_H
#define ACE_PLANNER_REMOTE_H

#include "planner/lm.h"

typedef struct plan_remote plan_remote;

typedef struct plan_remote_options {
  const char *url;   /* of the server, with or without /v1 */
  const char *key;   /* NULL: none */
  const char *model; /* as the server calls it; NULL: the first that it lists */
  int seconds;       /* for one answer; 0: 120 */
} plan_remote_options;

/* Asks the server what it offers. Nothing of the options is kept but copies. */
plan_remote *plan_remote_open(const plan_remote_options *options, bool (*cancelled)(void *user), void *user,
                              ace_error *err);
void plan_remote_close(plan_remote *r);

/* Tokens that a row of its model holds; 0: it does not tell. */
int plan_remote_positions(const plan_remote *r);
/* How messages call it. */
const char *plan_remote_host(const plan_remote *r);

/* plan_lm_run for jobs without guidance that fit its positions; `prompt` is encoded, most > 0. Of `how` threads, memory and cache are not
 * used. out->passes counts answers. */
ace_status plan_remote_run(const plan_remote *r, const plan_grammar *g, const plan_job *job, const bpe_ids *prompt,
                           const plan_how *how, plan_output *out, ace_error *err);

#endif
