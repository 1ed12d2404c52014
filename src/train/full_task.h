/* full_task.h - training all weights of a part of the system on a folder of prepared pieces (piece.h), as a task of the
 * trainer.
 *
 *   full_task *f = full_task_open(&(full_options){.settings = &s, .dit = {folder, name}, ...}, &err);
 *   train_run(&(train_job){.settings = &s, .task = full_task_of(f), ...}, &out, &err);
 *   full_task_close(f);
 *
 *   part        learns                                          loss
 *   dit         decoder, condition encoder, null condition,     flow matching (loss.h) over all tasks mixed (look.h);
 *               text encoder and audio tokenizer where they     or the steps of a teacher (teacher.h)
 *               are asked for
 *   tokenizer   audio tokenizer and detokenizer                 mean square between latents and what comes back of them;
 *                                                               the rounding of codes counts as the identity
 *   lm          language model                                  cross-entropy of plans, codes, understanding and
 *                                                               formatting (lm_text.h), questions not counted
 *
 * Checkpoints are folders in the published layout, one for each model that learns.
 */
#ifndef ACE_TRAIN_FULL_TASK_H
#define ACE_TRAIN_FULL_TASK_H

#include "models/acestep_dit.h"
#include "models/qwen3.h"
#include "text/bpe.h"
#include "train/settings.h"
#include "train/task.h"

/* A model's folder and what it is called. */
typedef struct full_folder {
  const char *folder, *name;
} full_folder;

typedef struct full_options {
  const train_settings *settings;
  pool *threads; /* may be NULL */
  size_t room;   /* bytes that the training may take */
  full_folder dit, text, lm;
  full_folder teacher;         /* where the settings name one */
  const bpe *words, *lm_words; /* tokenizers of the text encoder and of the language model */
  ace_callbacks notify;        /* log while opening; cancelled, also during steps */
} full_options;

typedef struct full_estimate {
  size_t step, parameters, total; /* bytes: activations and scratch of a step; values, gradients and moments */
  size_t teacher;                 /* and its weights; part of the total */
  bool recompute;                 /* layers are computed twice */
  int64_t frames;                 /* latent frames of all pieces */
} full_estimate;

typedef struct full_task full_task;

/* ACE_ENOMEM with numbers when it does not fit `room`. */
full_task *full_task_open(const full_options *options, ace_error *err);
/* NULL is fine. */
void full_task_close(full_task *f);

train_task *full_task_of(full_task *f);
const full_estimate *full_task_estimate(const full_task *f);
/* Seconds of one pass over all pieces, from the time of one loss without gradients. Below 0: stopped, or failed. */
double full_task_epoch_seconds(full_task *f);
/* The models under training, to sing with; NULL where the part has none. */
acestep_dit *full_task_dit(const full_task *f);
qwen3 *full_task_text(const full_task *f);
/* The caption of the first piece; "" when it has none. */
const char *full_task_caption(const full_task *f);

#endif
