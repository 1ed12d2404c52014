/* jobs.c - opening and closing the queue, and what callers ask of it. */
#include "jobs/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "jobs/jobs_inner.h"

enum { MOST_WAITING = 200, WINDOW = 50 };

const char *job_state_name(job_state state) {
  static const char *const names[] = {"queued", "running", "succeeded", "failed", "cancelled"};
  return names[state];
}

/* ---- opening, closing -------------------------------------------------------------------------------------------- */

jobs *jobs_open(const jobs_options *options, ace_error *err) {
  jobs *q = calloc(1, sizeof *q);
  if (!q) {
    ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
    return NULL;
  }
  pthread_mutex_init(&q->lock, NULL);
  clock_condition(&q->work), clock_condition(&q->ended);
  q->options = *options;
  q->options.folder = NULL; /* the caller's; ours is below */
  if (q->options.most_waiting <= 0) q->options.most_waiting = MOST_WAITING;
  if (q->options.window <= 0) q->options.window = WINDOW;
  if (!(q->options.average > 0)) q->options.average = 5;
  q->running.queue = q;
  q->folder = strdup(options->folder), q->outputs = file_join(options->folder, "outputs");
  bool ok = q->folder && q->outputs;
  if (!ok) ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
  ok = ok && file_make_directory(q->outputs, err) == ACE_OK && (q->store = store_open(q->folder, err)) &&
       (q->events = events_new(err));
  if (ok && options->opened) *options->opened = q;
  if (ok && pthread_create(&q->thread, NULL, jobs_worker, q) != 0)
    ok = ace_fail(err, ACE_ENOMEM, "jobs: the system would not start a thread") == ACE_OK;
  q->started = ok;
  if (ok) return q;
  if (options->opened) *options->opened = NULL;
  jobs_close(q, 0);
  return NULL;
}

void jobs_drain(jobs *q) {
  pthread_mutex_lock(&q->lock);
  q->draining = true;
  pthread_cond_broadcast(&q->work);
  pthread_mutex_unlock(&q->lock);
}

bool jobs_draining(jobs *q) {
  pthread_mutex_lock(&q->lock);
  bool draining = q->draining;
  pthread_mutex_unlock(&q->lock);
  return draining;
}

bool jobs_idle(jobs *q) {
  pthread_mutex_lock(&q->lock);
  bool idle = q->running.seq == 0;
  pthread_mutex_unlock(&q->lock);
  return idle;
}

void jobs_close(jobs *q, double patience) {
  if (!q) return;
  jobs_drain(q);
  pthread_mutex_lock(&q->lock);
  struct timespec deadline = clock_after(patience);
  while (q->running.seq && pthread_cond_timedwait(&q->ended, &q->lock, &deadline) == 0) continue;
  atomic_store(&q->running.stop, true);
  pthread_mutex_unlock(&q->lock);
  if (q->started) pthread_join(q->thread, NULL);
  db_close(q->store);
  events_free(q->events);
  pthread_cond_destroy(&q->work), pthread_cond_destroy(&q->ended);
  pthread_mutex_destroy(&q->lock);
  free(q->folder), free(q->outputs);
  free(q);
}

events *jobs_events(jobs *q) {
  return q->events;
}

const char *jobs_outputs(const jobs *q) {
  return q->outputs;
}

char *jobs_folder(const jobs *q, const char *id) {
  return file_join(q->outputs, id);
}

double jobs_average(jobs *q) {
  return store_average(q->store, q->options.window, q->options.average);
}

/* ---- describing -------------------------------------------------------------------------------------------------- */

static json_t *left(double seconds) {
  return seconds >= 0 ? json_real(seconds) : json_null();
}

static json_t *progress_of(const job_running *j) {
  return json_pack("{s:s, s:f, s:i, s:i}", "stage", j->stage, "fraction", j->fraction, "step", j->step, "steps",
                   j->steps);
}

/* Seconds that the running job keeps the others waiting: those of the foreground not, if it gives way. The lock is held. */
static double rest_of_running(const jobs *q, bool foreground, double average) {
  const job_running *j = &q->running;
  if (!j->seq || (j->gives_way && foreground)) return 0;
  return j->seconds_left >= 0 ? j->seconds_left : average;
}

/* What a waiting job waits for: the rest of the running one, those before it, and itself. */
static ace_status add_place(jobs *q, json_t *job, int64_t seq, bool foreground, ace_error *err) {
  int position;
  double ahead, average = jobs_average(q), own = json_real_value(json_object_get(job, "estimate"));
  ace_status status = store_position(q->store, seq, average, &position, &ahead, err);
  if (status != ACE_OK) return status;
  double now = rest_of_running(q, foreground, average);
  json_object_set_new(job, "position", json_integer(position));
  json_object_set_new(job, "seconds_left", json_real(now + ahead + (own > 0 ? own : average)));
  return ACE_OK;
}

static bool is_foreground(const json_t *job) {
  return strcmp(json_text(job, "class"), "background") != 0;
}

json_t *jobs_describe(jobs *q, int64_t seq, bool whole, ace_error *err) {
  json_t *job = store_get(q->store, seq, whole, err);
  if (!job) return NULL;
  ace_status status = ACE_OK;
  if (seq == q->running.seq) {
    json_object_set_new(job, "progress", progress_of(&q->running));
    json_object_set_new(job, "seconds_left", left(q->running.seconds_left));
  } else if (strcmp(json_string_value(json_object_get(job, "state")), "queued") == 0) {
    status = add_place(q, job, seq, is_foreground(job), err);
  }
  if (status == ACE_OK) return job;
  json_decref(job);
  return NULL;
}

int jobs_tell(jobs *q, const char *session, const char *id, int64_t seq) {
  json_t *data = json_pack("{s:s}", "id", id);
  if (!data) return 0;
  if (seq == q->running.seq) {
    json_object_set_new(data, "state", json_string("running"));
    json_object_set_new(data, "progress", progress_of(&q->running));
    json_object_set_new(data, "seconds_left", left(q->running.seconds_left));
  } else {
    json_object_set_new(data, "state", json_string("queued"));
    json_t *job = store_get(q->store, seq, false, NULL);
    add_place(q, data, seq, is_foreground(job), NULL);
    json_decref(job);
  }
  events_publish(q->events, session, id, "progress", data);
  int place = (int)json_integer_value(json_object_get(data, "position"));
  json_decref(data);
  return place;
}

void jobs_tell_end(jobs *q, const char *session, const char *id, job_state state, const ace_error *why) {
  json_t *data = json_pack("{s:s, s:s}", "id", id, "state", job_state_name(state));
  if (!data) return;
  if (state == JOB_FAILED)
    json_object_set_new(data, "error",
                        json_pack("{s:s, s:s}", "status", ace_status_name(why->status), "message", why->message));
  events_publish(q->events, session, id, state == JOB_FAILED ? "failed" : "done", data);
  json_decref(data);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* A random UUID (RFC 4122, version 4). */
static ace_status new_id(char out[JOBS_ID], ace_error *err) {
  uint8_t b[16];
  if (!random_bytes(b, sizeof b)) return ace_fail_errno(err, "jobs: no random numbers");
  b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
  b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
  char *at = out;
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
    at += snprintf(at, 3, "%02x", b[i]);
  }
  return ACE_OK;
}

static ace_status check_room(jobs *q, ace_error *err) {
  int waiting;
  if (q->draining) return ace_fail(err, ACE_EBUSY, "jobs: the program is ending; try again when it is back");
  ace_status status = store_waiting(q->store, &waiting, err);
  if (status == ACE_OK && waiting >= q->options.most_waiting)
    status = ace_fail(err, ACE_EBUSY, "jobs: the queue is full (%d wait); try again in a moment", waiting);
  return status;
}

ace_status jobs_submit(jobs *q, const job_new *j, char id[JOBS_ID], int *position, ace_error *err) {
  ace_status status = new_id(id, err);
  if (status != ACE_OK) return status;
  pthread_mutex_lock(&q->lock);
  int64_t seq = 0;
  int place = 0;
  status = check_room(q, err);
  if (status == ACE_OK) status = store_add(q->store, j, id, &seq, err);
  if (status == ACE_OK) {
    if (j->class == JOB_FOREGROUND) atomic_store(&q->running.in_the_way, true);
    place = jobs_tell(q, j->session, id, seq);
    pthread_cond_broadcast(&q->work);
  }
  pthread_mutex_unlock(&q->lock);
  if (position) *position = place;
  return status;
}

json_t *jobs_get(jobs *q, const char *id, ace_error *err) {
  int64_t seq;
  job_state state;
  pthread_mutex_lock(&q->lock);
  json_t *job = store_find(q->store, id, &seq, &state, err) == ACE_OK ? jobs_describe(q, seq, true, err) : NULL;
  pthread_mutex_unlock(&q->lock);
  return job;
}

json_t *jobs_wait(jobs *q, const char *id, double seconds, ace_error *err) {
  int64_t seq;
  job_state state;
  json_t *job = NULL;
  bool late = false;
  struct timespec deadline = clock_after(seconds);
  pthread_mutex_lock(&q->lock);
  while (store_find(q->store, id, &seq, &state, err) == ACE_OK) {
    if (state <= JOB_RUNNING && !late) {
      late = pthread_cond_timedwait(&q->ended, &q->lock, &deadline) != 0;
      continue;
    }
    job = jobs_describe(q, seq, true, err);
    break;
  }
  pthread_mutex_unlock(&q->lock);
  return job;
}

json_t *jobs_list(jobs *q, const jobs_filter *filter, ace_error *err) {
  int64_t *seqs;
  json_t *list = json_array();
  pthread_mutex_lock(&q->lock);
  int n = store_list(q->store, filter, &seqs, err);
  bool ok = n >= 0;
  for (int i = 0; ok && i < n; i++) {
    json_t *job = jobs_describe(q, seqs[i], filter->whole, err);
    ok = job && json_array_append_new(list, job) == 0;
  }
  pthread_mutex_unlock(&q->lock);
  if (n >= 0) free(seqs);
  if (ok) return list;
  json_decref(list);
  return NULL;
}

ace_status jobs_history(jobs *q, const char *session, int *n, ace_error *err) {
  pthread_mutex_lock(&q->lock);
  ace_status status = store_history(q->store, session, n, err);
  pthread_mutex_unlock(&q->lock);
  return status;
}

double jobs_wait_ahead(jobs *q) {
  pthread_mutex_lock(&q->lock);
  double average = jobs_average(q), ahead = store_ahead(q->store, average);
  ahead += rest_of_running(q, true, average);
  pthread_mutex_unlock(&q->lock);
  return ahead;
}

json_t *jobs_counts(jobs *q, ace_error *err) {
  pthread_mutex_lock(&q->lock);
  json_t *counts = store_counts(q->store, err);
  double average = jobs_average(q);
  pthread_mutex_unlock(&q->lock);
  if (!counts) return NULL;
  json_object_set_new(counts, "average_seconds", json_real(average));
  json_object_set_new(counts, "most_waiting", json_integer(q->options.most_waiting));
  return counts;
}

static ace_status cancel(jobs *q, const char *id, ace_error *err) {
  int64_t seq;
  job_state state;
  ace_status status = store_find(q->store, id, &seq, &state, err);
  if (status != ACE_OK || state > JOB_RUNNING) return status;
  if (seq == q->running.seq) {
    q->running.cancelled = true;
    atomic_store(&q->running.stop, true);
    return ACE_OK;
  }
  json_t *job = store_get(q->store, seq, false, err);
  if (!job) return err ? err->status : ACE_EIO;
  status = store_end(q->store, seq, JOB_CANCELLED, NULL, NULL, err);
  if (status == ACE_OK) {
    q->meter.ended[JOB_CANCELLED]++;
    jobs_tell_end(q, json_string_value(json_object_get(job, "session")), id, JOB_CANCELLED, NULL);
    pthread_cond_broadcast(&q->ended);
  }
  json_decref(job);
  return status;
}

ace_status jobs_cancel(jobs *q, const char *id, ace_error *err) {
  pthread_mutex_lock(&q->lock);
  ace_status status = cancel(q, id, err);
  pthread_mutex_unlock(&q->lock);
  return status;
}

ace_status jobs_favourite(jobs *q, const char *id, int item, bool on, ace_error *err) {
  int64_t seq;
  job_state state;
  pthread_mutex_lock(&q->lock);
  ace_status status = store_find(q->store, id, &seq, &state, err);
  if (status == ACE_OK) status = store_favourite(q->store, seq, item, on, err);
  pthread_mutex_unlock(&q->lock);
  return status;
}

ace_status jobs_annotate(jobs *q, const char *id, int item, const json_t *about, ace_error *err) {
  int64_t seq;
  job_state state;
  pthread_mutex_lock(&q->lock);
  ace_status status = store_find(q->store, id, &seq, &state, err);
  if (status == ACE_OK) status = store_annotate(q->store, seq, item, about, err);
  pthread_mutex_unlock(&q->lock);
  return status;
}
