/* training.h - what is known of the latest training: one at a time, for all sessions, as the page and the REST API know it.
 *
 *   service_training *t = service_training_lock(s);
 *   ... t->step ...
 *   service_training_unlock(s);
 *
 * Whether it still waits or runs stands in its job. Any thread may call; nothing slow belongs between lock and unlock.
 */
#ifndef ACE_SERVICE_TRAINING_H
#define ACE_SERVICE_TRAINING_H

#include "service/service.h"

typedef struct service_training {
  char job[JOBS_ID]; /* "": there was none since the program started */
  json_t *settings;  /* owned; as train_settings_json */
  bool stopping;     /* somebody wants it to stop */
  double started;    /* seconds since 1970; 0: not yet */
  int epoch, epochs;
  int64_t step, steps; /* updates made; of the whole training */
  double loss, rate;   /* smoothed; updates a second; 0: not known */
  double left;         /* seconds; negative: not known */
  json_t *history;     /* [{"step", "loss"}], the latest */
  json_t *log;         /* lines, the latest */
} service_training;

service_training *service_training_lock(service *s);
void service_training_unlock(service *s);
/* A new one takes the place of what was known; `settings` is taken over. Under the lock. */
void service_training_begin(service_training *t, const char *job, json_t *settings);
/* Forgets numbers, course and log. Under the lock. */
void service_training_clear(service_training *t);

#endif
