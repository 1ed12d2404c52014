/* train_inner.h - what trainings of adapters and of whole models have in common: what they say, sample songs, and the run. */
#ifndef ACE_ENGINE_TRAIN_INNER_H
#define ACE_ENGINE_TRAIN_INNER_H

#include "engine/train.h"
#include "train/flow_task.h"
#include "train/full_task.h"

typedef struct training {
  ace_engine *e;
  const train_settings *s;
  const train_events *events;
  flow_task *flow; /* one of them; NULL */
  full_task *full;
  const char *caption; /* of the first sample */
  bool *sang;          /* of each loaded adapter: it was on; NULL: none is loaded */
} training;

void training_say(const training *t, const char *format, ...) ACE_PRINTF(2, 3);
ace_callbacks training_callbacks(training *t);
/* Memory and time, before anything starts. epoch_seconds below 0: not known. */
void training_say_estimate(const training *t, size_t total, size_t step, size_t parameters, size_t samples,
                           double epoch_seconds);
/* Runs the task. about: for run_config.json; taken over. */
ace_status training_run(training *t, train_task *task, const train_group *group, json_t *about, train_outcome *out,
                        ace_error *err);

/* ---- whole models (train_full.c) ---- */

json_t *training_full_estimate(training *t, ace_error *err);
ace_status training_full(training *t, const train_group *group, train_outcome *out, ace_error *err);

#endif
