/* keep.c - small objects that a session keeps beside its jobs. */
#include <stdlib.h>
#include <string.h>

#include "jobs/jobs_inner.h"

static ace_status check_room(db *d, const char *session, const char *kind, const char *name, int most, ace_error *err) {
  db_rows r = db_query(d, err, "SELECT COUNT(*) FROM kept WHERE session = ? AND kind = ? AND name <> ?", "ttt", session,
                       kind, name);
  int64_t n = db_next(&r, err) ? db_int(&r, 0) : 0;
  ace_status status = db_done(&r);
  if (status == ACE_OK && n >= most)
    status = ace_fail(err, ACE_EBUSY, "%s: there are %d already; remove one first", kind, most);
  return status;
}

static ace_status put(db *d, const char *session, const char *kind, const char *name, const char *text,
                      ace_error *err) {
  return db_run(d, err,
                "INSERT INTO kept(session, kind, name, value, used) VALUES(?, ?, ?, ?, ?)"
                " ON CONFLICT(session, kind, name) DO UPDATE SET value = excluded.value, used = excluded.used",
                "tttti", session, kind, name, text, store_now());
}

ace_status jobs_keep(jobs *q, const char *session, const char *kind, const char *name, const json_t *value, int most,
                     ace_error *err) {
  char *text = json_dumps(value, JSON_COMPACT);
  if (!text) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", kind);
  pthread_mutex_lock(&q->lock);
  ace_status status = check_room(q->store, session, kind, name, most, err);
  if (status == ACE_OK) status = put(q->store, session, kind, name, text, err);
  pthread_mutex_unlock(&q->lock);
  free(text);
  return status;
}

static json_t *recall(db *d, const char *session, const char *kind, const char *name, ace_error *err) {
  db_rows r = db_query(d, err, "SELECT value FROM kept WHERE session = ? AND kind = ? AND name = ?", "ttt", session,
                       kind, name);
  bool found = db_next(&r, err);
  json_t *value = found ? json_loads(db_text(&r, 0), JSON_ALLOW_NUL, NULL) : NULL;
  ace_status status = db_done(&r);
  if (status == ACE_OK && !value)
    ace_fail(err, found ? ACE_ENOMEM : ACE_ENOTFOUND, "%s %.64s: %s", kind, name,
             found ? "out of memory" : "there is none");
  return value;
}

json_t *jobs_recall(jobs *q, const char *session, const char *kind, const char *name, bool use, ace_error *err) {
  pthread_mutex_lock(&q->lock);
  json_t *value = recall(q->store, session, kind, name, err);
  if (value && use)
    db_run(q->store, NULL, "UPDATE kept SET used = ? WHERE session = ? AND kind = ? AND name = ?", "ittt", store_now(),
           session, kind, name);
  pthread_mutex_unlock(&q->lock);
  return value;
}

ace_status jobs_forget(jobs *q, const char *session, const char *kind, const char *name, ace_error *err) {
  pthread_mutex_lock(&q->lock);
  ace_status status =
      db_run(q->store, err, "DELETE FROM kept WHERE session = ? AND kind = ? AND name = ?", "ttt", session, kind, name);
  if (status == ACE_OK && db_changed(q->store) == 0)
    status = ace_fail(err, ACE_ENOTFOUND, "%s %.64s: there is none", kind, name);
  pthread_mutex_unlock(&q->lock);
  return status;
}

json_t *jobs_recall_all(jobs *q, const char *session, const char *kind, ace_error *err) {
  json_t *all = json_object();
  pthread_mutex_lock(&q->lock);
  db_rows r = db_query(q->store, err, "SELECT name, value FROM kept WHERE session = ? AND kind = ? ORDER BY name", "tt",
                       session, kind);
  while (db_next(&r, err)) json_object_set_new(all, db_text(&r, 0), json_loads(db_text(&r, 1), JSON_ALLOW_NUL, NULL));
  ace_status status = db_done(&r);
  pthread_mutex_unlock(&q->lock);
  if (status == ACE_OK) return all;
  json_decref(all);
  return NULL;
}

bool jobs_is_kept(jobs *q, const char *kind, const char *name) {
  pthread_mutex_lock(&q->lock);
  db_rows r = db_query(q->store, NULL, "SELECT 1 FROM kept WHERE kind = ? AND name = ?", "tt", kind, name);
  bool found = db_next(&r, NULL);
  bool known = db_done(&r) == ACE_OK;
  pthread_mutex_unlock(&q->lock);
  return found || !known;
}

bool jobs_oldest_kept(jobs *q, const char *kind, double age, jobs_kept *out) {
  *out = (jobs_kept){0};
  pthread_mutex_lock(&q->lock);
  db_rows r = db_query(q->store, NULL,
                       "SELECT session, name, value, used FROM kept WHERE kind = ? AND used <= ? ORDER BY used LIMIT 1",
                       "ti", kind, store_now() - (int64_t)(age * 1000));
  if (db_next(&r, NULL))
    *out = (jobs_kept){strdup(db_text(&r, 0)), strdup(db_text(&r, 1)), json_loads(db_text(&r, 2), JSON_ALLOW_NUL, NULL),
                       db_int(&r, 3)};
  db_done(&r);
  pthread_mutex_unlock(&q->lock);
  if (out->session && out->name && out->value) return true;
  free(out->session), free(out->name);
  json_decref(out->value);
  *out = (jobs_kept){0};
  return false;
}

bool jobs_mention(jobs *q, const char *text) {
  pthread_mutex_lock(&q->lock);
  db_rows r =
      db_query(q->store, NULL, "SELECT COUNT(*) FROM jobs WHERE state < 2 AND instr(request, ?) > 0", "t", text);
  int64_t n = db_next(&r, NULL) ? db_int(&r, 0) : 1;
  db_done(&r);
  pthread_mutex_unlock(&q->lock);
  return n > 0;
}
