/* random.h - models of the published sizes with random weights, in memory: to measure the real work, and the memory that
 * it takes, without a download. What they sing is noise.
 *
 *   random_models r = {.threads = pool, .seed = 1};
 *   ckpt *k = random_checkpoint(&r, "acestep-v15-turbo", &err);     // 4.8 GB in a few seconds
 *   qwen3 *text = qwen3_from(k, &err);                             // or vae_from, acestep_dit_from
 *
 * Weights are BF16 (also of the larger models, which are published as F32), scaled like those of the miniature. The
 * same name and seed give the same numbers on any number of threads.
 */
#ifndef ACE_ENGINE_RANDOM_H
#define ACE_ENGINE_RANDOM_H

#include "engine/published.h"

/* The name that stands for the sizes of the miniature instead of published ones. */
#define RANDOM_TINY "tiny"

typedef struct random_models {
  pool *threads;
  uint64_t seed;
  bool tiny, int8;             /* int8: large matrices as TENS_I8 (ckpt_use_int8) */
  bool heavy;                  /* rows of matrices and channels of norms with log-normal scales, a thousandth of all
                                  values 30 times as large, as in trained models */
  const ace_callbacks *notify; /* progress of filling, stage "make"; may be NULL */
} random_models;

/* `name`: any of published.h. ACE_EINVAL with the known names for another one. */
ckpt *random_checkpoint(const random_models *r, const char *name, ace_error *err);
/* A diffusion model of that name. */
acestep_dit *random_dit(const random_models *r, const char *name, ace_error *err);
/* The next number of SplitMix64. */
uint64_t random_word(uint64_t *state);
/* The miniature's tokenizer, with as many audio codes behind it as asked for; 0: a text encoder's. */
bpe *random_tokenizer(int codes, ace_error *err);
/* A language model of that name with its tokenizer and 64000 codes (the miniature: as many as it has). */
plan_lm *random_lm(const random_models *r, const char *name, ace_error *err);

/* An engine whose models are all random: `model` is a published diffusion model or "tiny", the language model comes
 * when it is needed. options->model and ->vae do not count. */
ace_engine *engine_open_random(const char *model, uint64_t seed, const ace_engine_options *options, ace_error *err);
/* The language model of such an engine. */
ace_status engine_random_lm(ace_engine *e, ace_error *err);

#endif
