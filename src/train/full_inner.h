/* full_inner.h - what the parts that full_task.h trains have in common. */
#ifndef ACE_TRAIN_FULL_INNER_H
#define ACE_TRAIN_FULL_INNER_H

#include "train/full_task.h"
#include "train/parameters.h"
#include "train/piece.h"

/* What is looked at. */
typedef struct full_sample {
  int index;
  uint32_t epoch; /* 0 in validation */
  bool learn;
} full_sample;

/* One part. `open` makes f->p, opens models on it, and sets f->state, which `close` frees, models included. `prepare` does
 * the host's work of a look, `largest` prepares one as large as there can be, of which only sizes count; `loss` computes
 * it: [1], of what was prepared last, and calls full_record where gradients begin. */
typedef struct full_part {
  const char *name;
  ace_status (*open)(full_task *f, ace_error *err);
  ace_status (*prepare)(full_task *f, full_sample s, ace_error *err);
  ace_status (*largest)(full_task *f, ace_error *err);
  tens *(*loss)(tens_ctx *c, full_task *f);
  void (*close)(full_task *f);
} full_part;

extern const full_part full_flow, full_codes, full_words;

struct full_task {
  train_task task;
  full_options o;
  const train_settings *s;
  const full_part *part;
  piece *piece; /* [pieces] */
  int pieces;
  int64_t *lengths, longest; /* frames */
  parameters *p;
  void *state;
  acestep_dit *dit;
  qwen3 *text;
  tens_ctx *c;
  bool learn; /* the loss under way wants gradients */
  int others; /* evaluations of other models as large in a loss */
  full_estimate estimate;
};

/* Notes are taken from here on, if gradients are wanted. */
void full_record(tens_ctx *c, full_task *f);
/* The parameters of so many models, opened; sets f->p. */
ace_status full_parameters(full_task *f, const parameters_part *part, int n, ace_error *err);

#endif
