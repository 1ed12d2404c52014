/* bench.h - how fast the models run on this machine, beside what the machine could do at best, stage by stage.
 *
 *   bench_options o = {.random = "acestep-v15-turbo", .duration = 30, .batch = 1, .repeat = 3};
 *   json_t *found = bench_run(&o, NULL, &err);
 *
 * {"ceilings": {"multiply_add": flop/s, "tiles": flop/s or null, "read": bytes/s},
 *  "stages": {"text_encoder" | "condition_encoder" | "dit_step" | "linear" | "vae_encode" | "vae_decode":
 *               {"seconds", "flops", "fraction_of_peak"},
 *             "dit_step_plain": the same without the adapter, "lora_switch": {"seconds"} to take one up in place of
 *             another, both with an adapter only,
 *             "train_step": {the same, "forward_seconds", "ratio", "recompute"},
 *             "lm_prefill": {the same, "tokens"},
 *             "lm_decode": {"seconds" of a token, "tokens_per_second", "fraction_of_bandwidth", "step_bytes"}},
 *  "memory": {"planned_bytes", "peak_bytes"},
 *  "machine": {"processor", "isa", "threads", "cpus", "foreign_load", "calm"},
 *  "job": {what was measured}}
 *
 * Numbers are medians. Before each measurement the run waits a while for others to leave the machine alone; measurements
 * that they disturbed count only where there are no others. Ceilings are measured in between.
 */
#ifndef ACE_ENGINE_BENCH_H
#define ACE_ENGINE_BENCH_H

#include "engine/engine.h"

typedef struct bench_options {
  const char *random;     /* a model of random.h; NULL: `models` */
  const char *models;     /* a folder of checkpoints */
  const char *model, *lm; /* in that folder; lm: only the language model is measured; NULL: none */
  double duration;        /* seconds of the song */
  int batch, repeat;      /* repeat 0: one pass through everything, for its memory */
  unsigned stages;        /* bits 1 << song_stage of those to measure, without that pass; 0: all */
  double patience;        /* seconds to wait for a calm machine before each measurement */
  int threads;            /* 0: all */
  uint64_t memory;        /* as in ace_engine_options */
  int codes;              /* that the language model writes */
  bool int8;              /* weights as int8 */
  int lora_rank;          /* steps with a random LoRA adapter on all attention, and without it; 0: none. Of the adapter
                             that train_step trains; 0: the default of a training */
  bool train_step;        /* instead: one step of training a LoRA adapter on one song of `duration` */
  bool guided;            /* language model: two rows an item */
} bench_options;

enum { BENCH_REPEAT_MOST = 100, BENCH_RANK_MOST = 512, BENCH_CODES_MOST = 3000 };

/* A new reference; NULL on failure or when cancelled. Progress comes as stages "make" and "measure". */
json_t *bench_run(const bench_options *o, const ace_callbacks *notify, ace_error *err);

/* ---- shared by bench.c, bench_lm.c, bench_lora.c and bench_train.c ------------------------------------------------ */

/* Values of one kind; those that nobody disturbed count. */
typedef struct bench_samples {
  double calm[BENCH_REPEAT_MOST], all[BENCH_REPEAT_MOST];
  int n_calm, n_all;
} bench_samples;

/* The machine under measurement. */
typedef struct bench_machine {
  pool *threads;
  const ace_callbacks *notify;
  uint8_t *memory; /* to read from */
  bench_samples multiply_add, tiles, read;
  double foreign; /* the highest share of others while something was measured */
  bool calm;      /* every wait for a calm machine ended well */
  double patience;
  int done, total; /* measurements, for progress */
} bench_machine;

double bench_median(const bench_samples *s);
/* Waits for a calm machine, then runs `what`, which gives its value. ACE_ECANCELED when the caller wants to stop. */
ace_status bench_measure(bench_machine *m, ace_status (*what)(void *arg, double *value, ace_error *err), void *arg,
                         bench_samples *s, ace_error *err);
/* Measures all ceilings once more; tiles only where kernels use them. */
ace_status bench_ceilings(bench_machine *m, ace_error *err);
/* How many measurements that is. */
int bench_ceiling_count(void);
/* The best arithmetic of the instruction set in use, flop/s. */
double bench_peak(const bench_machine *m);

/* A random adapter on the engine's model, and the file that it comes from. */
typedef struct bench_lora {
  adapters *set;
  uint8_t *file;
  size_t size;
} bench_lora;

/* It is on from here on. bench_lora_close also after a failure. */
ace_status bench_lora_open(bench_lora *l, ace_engine *e, int rank, ace_error *err);
void bench_lora_close(bench_lora *l);
/* For bench_measure, with a bench_lora: drops the adapter, if it is on, and loads it. */
ace_status bench_lora_load(void *arg, double *seconds, ace_error *err);
/* Adds train_step to `stages`, what was measured to `job`, "memory" to `found`. */
ace_status bench_train(bench_machine *m, const bench_options *o, json_t *stages, json_t *job, json_t *found,
                       ace_error *err);
/* Adds lm_prefill and lm_decode to `stages`, what was measured to `job`. */
ace_status bench_lm(bench_machine *m, const bench_options *o, json_t *stages, json_t *job, ace_error *err);

#endif
