/* remote_wire.h - questions to a vLLM server and its answers, as JSON: fields that are documented for vLLM 0.15.0 alone
 * (its OpenAI-compatible server, Completions API: the OpenAI fields, sampling parameters and extra parameters).
 *
 *   POST /v1/completions
 *   {"model": "acestep-5Hz-lm-1.7B", "prompt": [151644, 8948, ...], "max_tokens": 64, "temperature": 0.85, "top_p": 0.9,
 *    "top_k": 0, "repetition_penalty": 1.0, "seed": 7, "stop_token_ids": [151645], "return_token_ids": true,
 *    "logprobs": 1, "return_tokens_as_token_ids": true,                       where the likeliest token matters
 *    "allowed_token_ids": [...], "min_tokens": 64}                            where only some may come
 *   {"choices": [{"token_ids": [...],                                              the end token included
 *                 "logprobs": {"top_logprobs": [{"token_id:198": -0.1, ...}, ...]}}]}
 *
 *   GET /v1/models
 *   {"data": [{"id": "acestep-5Hz-lm-1.7B", "max_model_len": 4096}]}
 */
#ifndef ACE_PLANNER_REMOTE_WIRE_H
#define ACE_PLANNER_REMOTE_WIRE_H

#include "planner/grammar.h"
#include "planner/sample.h"

typedef struct wire_question {
  const char *model;
  const int32_t *prompt, *more; /* the tokens of the prompt, and those that were written since */
  size_t n_prompt, n_more;
  int most; /* tokens to write */
  bool all; /* exactly that many: the end may not come before */
  plan_sampling sampling;
  uint32_t seed;
  int32_t end;
  const plan_allowed *allowed; /* PLAN_ALLOW_FEW, _BEST, _CODES, _WIDE: only these; NULL: any */
  bool best;                   /* tell the likeliest token of each place */
} wire_question;

/* The body. free() it; NULL when out of memory. */
char *wire_ask(const wire_question *q, size_t *length);

typedef struct wire_answer {
  int32_t *id, *best; /* [n]; best: -1 where it is not told */
  size_t n;
} wire_answer;

/* `most`: tokens that were asked for. Fails for anything that is no answer to a question of this kind, and leaves
 * nothing to free then. `where` stands in messages. */
ace_status wire_read_answer(const char *text, size_t length, int most, const char *where, wire_answer *out,
                            ace_error *err);
void wire_answer_free(wire_answer *a);

enum { WIRE_NAME_SIZE = 200 };
/* The model `wanted` (NULL: the first) among those that the server offers; most: tokens that it holds, 0: not told. */
ace_status wire_read_models(const char *text, size_t length, const char *wanted, const char *where,
                            char name[WIRE_NAME_SIZE], int *most, ace_error *err);
/* What the server says about a failure, as far as it is fit to be shown; "" when there is nothing. */
void wire_read_failure(const char *text, char out[WIRE_NAME_SIZE]);

#endif
