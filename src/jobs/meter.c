/* meter.c - counts what jobs take: seconds and steps of each stage, for those who watch the program. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "jobs/jobs_inner.h"

/* The stage's place in the meter; the last one takes what has no room. */
static int place_of(jobs_meter *m, const char *name) {
  for (int i = 0; i < m->stages; i++)
    if (strcmp(m->stage[i].name, name) == 0) return i;
  if (m->stages == JOBS_STAGES) return JOBS_STAGES - 1;
  snprintf(m->stage[m->stages].name, sizeof m->stage[0].name, "%s", name);
  return m->stages++;
}

void jobs_count_step(jobs *q, int step) {
  job_running *j = &q->running;
  /* A count that begins again, as each sample of a batch has its own, is counted from nothing. */
  int done = step > j->counted ? step - j->counted : step < j->counted ? step : 0;
  q->meter.stage[place_of(&q->meter, j->stage)].steps += (uint64_t)(done > 0 ? done : 0);
  j->counted = step;
}

void jobs_count_stage(jobs *q) {
  job_running *j = &q->running;
  double now = clock_seconds();
  q->meter.stage[place_of(&q->meter, j->stage)].seconds += now - j->since;
  j->since = now;
  j->counted = 0;
}

void jobs_read_meter(jobs *q, jobs_meter *out) {
  pthread_mutex_lock(&q->lock);
  *out = q->meter;
  if (q->running.seq) out->stage[place_of(out, q->running.stage)].seconds += clock_seconds() - q->running.since;
  pthread_mutex_unlock(&q->lock);
}
