/* lm.h - the 5 Hz language model at work: prompts in, token sequences out, under a grammar.
 *
 *   plan_lm *lm = plan_lm_from(bpe_open(folder, &err), qwen3_open(folder, &err), 64000, &err);
 *   plan_job job = {.prompt = &prompt, .settings = &settings, .items = 1, .seeds = seeds,
 *                   .sampling = {.temperature = 0.85, .top_p = 0.9}, .most = 3500};
 *   plan_output out;
 *   if (plan_lm_run(lm, &job, &how, &out, &err) == ACE_OK) { ... out.item[0] ... plan_output_free(&out); }
 *
 * All items of a job share a prompt; its keys and values are computed and stored once. Items are decoded together, each
 * under its own grammar state and its own random numbers, and leave when they end. With guidance a second row for each
 * item follows the unconditional prompt: logits = u + scale (c - u). Runs of tokens without a choice take one pass.
 */
#ifndef ACE_PLANNER_LM_H
#define ACE_PLANNER_LM_H

#include "base/pool.h"
#include "models/qwen3_cached.h"
#include "planner/grammar.h"
#include "planner/prompts.h"
#include "planner/sample.h"

enum { PLAN_MOST_ITEMS = 8 };

struct plan_remote;

typedef struct plan_lm {
  qwen3 *model; /* NULL: words only, all work is remote */
  bpe *tokenizer;
  plan_grammar *grammar;
  const struct plan_remote *remote; /* a server that does what needs no guidance (remote.h); borrowed; NULL: none */
} plan_lm;

/* Of parts that are open, which it takes over, also when it fails; NULL when one of them is NULL. codes: how many audio
 * codes are valid (the product of the quantiser's levels of the diffusion checkpoint). */
plan_lm *plan_lm_from(bpe *tokenizer, qwen3 *model, int codes, ace_error *err);
/* Tokenizer and grammar without the weights, for a server that has them. */
plan_lm *plan_lm_open_words(const char *folder, int codes, ace_error *err);
void plan_lm_close(plan_lm *lm);
/* Whether a job with this guidance goes to the server. */
bool plan_lm_is_remote(const plan_lm *lm, double guidance);
/* ACE_EUNSUPPORTED when neither the server nor this machine can do a job with this guidance. */
ace_status plan_lm_can(const plan_lm *lm, double guidance, ace_error *err);

typedef struct plan_job {
  const plan_prompt *prompt;
  const plan_prompt *unconditional;  /* NULL: no guidance */
  double guidance;                   /* scale; at or below 1: no guidance */
  const plan_settings *settings;     /* of the grammar */
  const plan_grammar_limits *limits; /* may be NULL */
  plan_sampling sampling;
  int items;             /* 1..PLAN_MOST_ITEMS */
  const uint32_t *seeds; /* [items] */
  int most;              /* tokens of an item; the model's own limit of positions also holds */
} plan_job;

/* Where and under whose eyes. */
typedef struct plan_how {
  pool *threads;
  size_t memory;    /* bytes of working memory allowed */
  tens_dtype cache; /* of keys and values: TENS_BF16 or TENS_F32 */
  bool (*cancelled)(void *user);
  /* After each pass: tokens of the longest item so far, and how many are expected (0: unknown). May be NULL. */
  void (*step)(void *user, int tokens, int expected);
  void *user;
} plan_how;

typedef struct plan_output {
  int items;
  bpe_ids item[PLAN_MOST_ITEMS]; /* without the end token */
  int passes;                    /* of the model, prompts included */
} plan_output;

/* On failure `out` is empty. */
ace_status plan_lm_run(const plan_lm *lm, const plan_job *job, const plan_how *how, plan_output *out, ace_error *err);
void plan_output_free(plan_output *out);

/* Bytes that a job of prompts this long takes. SIZE_MAX if it cannot be planned. */
size_t plan_lm_memory(const plan_lm *lm, tens_dtype cache, int items, bool guided, size_t prompt, size_t unconditional,
                      int most);

#endif
