/* flow_task.h - training an adapter of a diffusion model on a folder of prepared samples, as a task of the trainer.
 *
 *   flow_task *f = flow_task_open(dit, &(flow_options){.settings = &s, .threads = pool, .room = bytes}, &err);
 *   train_run(&(train_job){.settings = &s, .task = flow_task_of(f), ...}, &out, &err);
 *   flow_task_close(f);                     // the model is plain again
 *
 * Opening reads every sample once, so that a broken file ends the training before it starts, and keeps them in memory
 * where that fits; it also finds out by planning how much memory a step takes, and whether layers have to be computed
 * twice for it.
 */
#ifndef ACE_TRAIN_FLOW_TASK_H
#define ACE_TRAIN_FLOW_TASK_H

#include "models/acestep_dit.h"
#include "train/settings.h"
#include "train/task.h"
#include "train/timestep.h"

typedef struct flow_options {
  const train_settings *settings;
  pool *threads;        /* may be NULL */
  size_t room;          /* bytes that the training may take beside the model's weights */
  const char *model;    /* the model's name, for the adapter's configuration; NULL: unknown */
  double fixed_time;    /* above 0: every sample at this time of the flow, with the noise of epoch 0 and no dropout: can
                           the model learn at all? */
  ace_callbacks notify; /* log while opening; cancelled, also during steps */
} flow_options;

/* What a training takes. */
typedef struct flow_estimate {
  size_t step, parameters, samples; /* bytes: activations and scratch of a step; values, gradients and moments; samples
                                       kept in memory */
  size_t total;
  bool recompute; /* layers are computed twice */
  int64_t frames; /* latent frames of all samples */
  double longest; /* seconds of sound of the longest sample */
} flow_estimate;

typedef struct flow_task flow_task;

/* ACE_ENOMEM with numbers when it does not fit `room`. */
flow_task *flow_task_open(acestep_dit *m, const flow_options *options, ace_error *err);
/* NULL is fine. */
void flow_task_close(flow_task *f);

train_task *flow_task_of(flow_task *f);
const flow_estimate *flow_task_estimate(const flow_task *f);
/* How times are drawn, and the share of samples without condition: what `auto` became. */
timesteps flow_task_times(const flow_task *f, double *cfg_ratio);
/* The caption of the first sample; "" when it has none. */
const char *flow_task_caption(const flow_task *f);
/* Seconds of one pass over all samples, from the time that the loss of the shortest one takes without gradients. Below 0:
 * stopped, or failed. */
double flow_task_epoch_seconds(flow_task *f);

#endif
