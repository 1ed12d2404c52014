/* worker.c - takes the next job, lets it run, writes down how it ended; and what a running job may say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "jobs/jobs_inner.h"

/* ---- what a running job may say ---------------------------------------------------------------------------------- */

const char *job_id(const job_running *j) {
  return j->work.id;
}

const char *job_session(const job_running *j) {
  return j->work.session;
}

const char *job_kind(const job_running *j) {
  return j->work.kind;
}

const json_t *job_request(const job_running *j) {
  return j->work.request;
}

const json_t *job_note(const job_running *j) {
  return j->work.note;
}

const char *job_folder(const job_running *j) {
  return j->folder;
}

bool job_cancelled(const job_running *j) {
  return atomic_load(&j->stop);
}

void job_gives_way(job_running *j) {
  pthread_mutex_lock(&j->queue->lock);
  j->gives_way = true;
  pthread_mutex_unlock(&j->queue->lock);
}

bool job_in_the_way(const job_running *j) {
  return atomic_load(&j->in_the_way);
}

void job_progress(job_running *j, const ace_progress *p) {
  const double pause = 0.2; /* seconds between messages of one stage */
  jobs *q = j->queue;
  pthread_mutex_lock(&q->lock);
  bool changed = strncmp(j->stage, p->stage, sizeof j->stage - 1) != 0;
  if (changed) jobs_count_stage(q);
  snprintf(j->stage, sizeof j->stage, "%s", p->stage);
  j->fraction = p->fraction > j->fraction ? p->fraction : j->fraction;
  j->seconds_left = p->seconds_left;
  j->step = p->step, j->steps = p->steps;
  jobs_count_step(q, p->step);
  double now = clock_seconds();
  if (changed || now - j->told >= pause) {
    j->told = now;
    jobs_tell(q, j->work.session, j->work.id, j->seq);
  }
  pthread_mutex_unlock(&q->lock);
}

ace_status job_sample(job_running *j, int item, const char *file, const json_t *about, ace_error *err) {
  jobs *q = j->queue;
  pthread_mutex_lock(&q->lock);
  ace_status status = store_sample(q->store, j->seq, item, file, about, err);
  if (status == ACE_OK) {
    json_t *data = json_pack("{s:s, s:i, s:s, s:O}", "id", j->work.id, "item", item, "file", file, "about", about);
    if (data) events_publish(q->events, j->work.session, j->work.id, "sample", data);
    json_decref(data);
  }
  pthread_mutex_unlock(&q->lock);
  return status;
}

ace_status job_sample_more(job_running *j, int item, const json_t *about, ace_error *err) {
  jobs *q = j->queue;
  pthread_mutex_lock(&q->lock);
  ace_status status = store_annotate(q->store, j->seq, item, about, err);
  json_t *data = json_pack("{s:s, s:i, s:O}", "id", j->work.id, "item", item, "about", about);
  if (status == ACE_OK && data) events_publish(q->events, j->work.session, j->work.id, "sample", data);
  json_decref(data);
  pthread_mutex_unlock(&q->lock);
  return status;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Makes `seq` the running job; false: it waits on, its description could not be read. The lock is held. */
static bool take(jobs *q, int64_t seq) {
  job_running *j = &q->running;
  if (store_start(q->store, seq, &j->work, NULL) != ACE_OK) return false;
  j->seq = seq;
  j->cancelled = j->gives_way = false;
  atomic_store(&j->stop, false);
  atomic_store(&j->in_the_way, false);
  snprintf(j->stage, sizeof j->stage, "start");
  j->fraction = 0, j->seconds_left = j->work.estimate > 0 ? j->work.estimate : -1;
  j->step = j->steps = 0;
  j->told = j->since = clock_seconds();
  j->counted = 0;
  jobs_tell(q, j->work.session, j->work.id, seq);
  return true;
}

/* Gives the running job its folder. */
static ace_status make_folder(jobs *q, ace_error *err) {
  job_running *j = &q->running;
  j->folder = jobs_folder(q, j->work.id);
  return j->folder ? file_make_directory(j->folder, err) : ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
}

/* Until the end is on disk nobody is told of it, and nothing else is started: a full disk can be mended. */
static void settle(jobs *q, job_state state, const json_t *result, const ace_error *why) {
  const job_running *j = &q->running;
  while (store_end(q->store, j->seq, state, result, why, NULL) != ACE_OK && !q->draining) {
    struct timespec later = clock_after(1);
    pthread_cond_timedwait(&q->work, &q->lock, &later);
  }
  q->meter.ended[state]++;
  jobs_tell_end(q, j->work.session, j->work.id, state, why);
}

/* It waits again in its old place, and whoever watches it knows. */
static void give_way(jobs *q) {
  job_running *j = &q->running;
  int64_t seq = j->seq;
  store_put_back(q->store, seq, NULL);
  j->seq = 0; /* it is described as one that waits */
  jobs_tell(q, j->work.session, j->work.id, seq);
}

static void finish(jobs *q, const json_t *result, const ace_error *why) {
  job_running *j = &q->running;
  jobs_count_stage(q);
  if (result) settle(q, JOB_SUCCEEDED, result, why);
  else if (j->cancelled) settle(q, JOB_CANCELLED, NULL, why);
  else if (atomic_load(&j->stop)) store_put_back(q->store, j->seq, NULL);
  else if (atomic_load(&j->in_the_way) && why->status == ACE_EBUSY) give_way(q);
  else settle(q, JOB_FAILED, NULL, why);
  j->seq = 0;
  store_work_free(&j->work);
  free(j->folder);
  j->folder = NULL;
  pthread_cond_broadcast(&q->ended);
}

void *jobs_worker(void *queue) {
  jobs *q = queue;
  pthread_mutex_lock(&q->lock);
  while (!q->draining) {
    int64_t seq = 0;
    ace_error err = {0};
    if (store_first(q->store, &seq, NULL) != ACE_OK || seq == 0 || !take(q, seq)) {
      struct timespec later = clock_after(60); /* also after a failure: the disk may be back */
      pthread_cond_timedwait(&q->work, &q->lock, &later);
      continue;
    }
    json_t *result = NULL;
    if (make_folder(q, &err) == ACE_OK) {
      pthread_mutex_unlock(&q->lock);
      result = q->options.run(q->options.user, &q->running, &err);
      pthread_mutex_lock(&q->lock);
    }
    finish(q, result, &err);
    json_decref(result);
  }
  pthread_cond_broadcast(&q->ended);
  pthread_mutex_unlock(&q->lock);
  return NULL;
}
