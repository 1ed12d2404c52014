#include "jobs/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"

/* Never change a step that has been released: add one. */
static const char *const steps[] = {
    "CREATE TABLE jobs("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, kind TEXT NOT NULL,"
    "  class INTEGER NOT NULL, turn INTEGER NOT NULL, state INTEGER NOT NULL, batch INTEGER, attempts INTEGER NOT NULL "
    "DEFAULT 0,"
    "  estimate REAL, submitted INTEGER NOT NULL, started INTEGER, finished INTEGER,"
    "  request TEXT NOT NULL, note TEXT NOT NULL, error TEXT, result TEXT);"
    "CREATE INDEX jobs_by_state ON jobs(state, class, turn, seq);"
    "CREATE INDEX jobs_by_session ON jobs(session, seq);"
    "CREATE INDEX jobs_by_start ON jobs(started) WHERE started IS NOT NULL;"
    "CREATE INDEX jobs_by_end ON jobs(finished) WHERE finished IS NOT NULL;"
    "CREATE TABLE samples("
    "  job INTEGER NOT NULL REFERENCES jobs(seq) ON DELETE CASCADE, item INTEGER NOT NULL, file TEXT NOT NULL,"
    "  about TEXT NOT NULL, favourite INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(job, item)) WITHOUT ROWID;",
    "ALTER TABLE jobs ADD COLUMN removed INTEGER;"
    "CREATE INDEX jobs_by_removal ON jobs(removed) WHERE removed IS NOT NULL;"
    "CREATE TABLE kept("
    "  session TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, used INTEGER NOT NULL,"
    "  PRIMARY KEY(session, kind, name)) WITHOUT ROWID;"
    "CREATE INDEX kept_by_use ON kept(kind, used);",
    ("ALTER TABLE jobs ADD COLUMN share TEXT;"
     "CREATE UNIQUE INDEX jobs_by_share ON jobs(share) WHERE share IS NOT NULL;"),
};

/* Waiting jobs in their order. Turns are dealt out at submission, as in start-time fair queueing (Goyal et al. 1996): a
 * session's next job takes the turn after its last one, but none that has already been reached. */
#define WAITING "SELECT seq, estimate, ROW_NUMBER() OVER (ORDER BY class, turn, seq) AS place FROM jobs WHERE state = 0"
#define NEXT_TURN                                                                                                \
  "MAX((SELECT COALESCE(MAX(turn), 0) + 1 FROM jobs WHERE session = ?2), COALESCE((SELECT turn FROM jobs WHERE " \
  "started"                                                                                                      \
  " IS NOT NULL ORDER BY started DESC, seq DESC LIMIT 1), 0))"

_Static_assert(JOB_QUEUED == 0 && JOB_RUNNING == 1, "the statements name states by number");

int64_t store_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static ace_status settle(db *d, ace_error *err) {
  ace_error why;
  ace_fail(&why, ACE_EINTERNAL,
           "the program ended %d times while this job ran; try it with less: shorter, a smaller batch, a smaller model",
           JOBS_ATTEMPTS);
  int64_t seq = 0;
  do {
    db_rows r =
        db_query(d, err, "SELECT seq FROM jobs WHERE state = 1 AND attempts >= ? LIMIT 1", "i", (int64_t)JOBS_ATTEMPTS);
    seq = db_next(&r, err) ? db_int(&r, 0) : 0;
    ace_status status = db_done(&r);
    if (status == ACE_OK && seq) status = store_end(d, seq, JOB_FAILED, NULL, &why, err);
    if (status != ACE_OK) return status;
  } while (seq);
  return db_run(d, err, "UPDATE jobs SET state = 0, started = NULL WHERE state = 1", "");
}

db *store_open(const char *folder, ace_error *err) {
  char *path = file_join(folder, "acestep.db");
  db *d = NULL;
  if (!path) ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  else d = db_open(path, steps, sizeof steps / sizeof *steps, err);
  free(path);
  if (d && settle(d, err) != ACE_OK) {
    db_close(d);
    d = NULL;
  }
  return d;
}

/* ---- the queue --------------------------------------------------------------------------------------------------- */

static char *as_text(const json_t *json, ace_error *err) {
  char *text = json_dumps(json, JSON_COMPACT);
  if (!text) ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
  return text;
}

static ace_status insert(db *d, const job_new *j, const char *id, const char *request, const char *note,
                         ace_error *err) {
  static const char sql[] =
      "INSERT INTO jobs(id, session, kind, class, turn, state, batch, estimate, submitted, request, note) VALUES(?1, "
      "?2,"
      " ?3, ?4, " NEXT_TURN
      ", 0, CASE ?5 WHEN 1 THEN (SELECT COALESCE(MAX(batch), 0) + 1 FROM jobs WHERE session = ?2) END, NULLIF(?6, 0.0)"
      ", ?7, ?8, ?9)";
  return db_run(d, err, sql, "tttiiditt", id, j->session, j->kind, (int64_t)j->class, (int64_t)j->history, j->estimate,
                store_now(), request, note);
}

ace_status store_add(db *d, const job_new *j, const char *id, int64_t *seq, ace_error *err) {
  ace_status status = ACE_ENOMEM;
  char *request = as_text(j->request, err), *note = j->note ? as_text(j->note, err) : strdup("{}");
  if (request && note) status = insert(d, j, id, request, note, err);
  if (status == ACE_OK) *seq = db_inserted(d);
  free(request), free(note);
  return status;
}

ace_status store_find(db *d, const char *id, int64_t *seq, job_state *state, ace_error *err) {
  db_rows r = db_query(d, err, "SELECT seq, state FROM jobs WHERE id = ? AND removed IS NULL", "t", id);
  bool found = db_next(&r, err);
  if (found) *seq = db_int(&r, 0), *state = (job_state)db_int(&r, 1);
  ace_status status = db_done(&r);
  if (status == ACE_OK && !found) status = ace_fail(err, ACE_ENOTFOUND, "job %.64s: there is none", id);
  return status;
}

/* The first column of the first row; 0 without one. */
static ace_status one_number(db_rows r, int64_t *out, ace_error *err) {
  *out = db_next(&r, err) ? db_int(&r, 0) : 0;
  return db_done(&r);
}

ace_status store_first(db *d, int64_t *seq, ace_error *err) {
  return one_number(db_query(d, err, "SELECT seq FROM (" WAITING ") ORDER BY place LIMIT 1", ""), seq, err);
}

ace_status store_waiting(db *d, int *n, ace_error *err) {
  int64_t count;
  ace_status status = one_number(db_query(d, err, "SELECT COUNT(*) FROM jobs WHERE state = 0", ""), &count, err);
  *n = (int)count;
  return status;
}

double store_ahead(db *d, double average) {
  db_rows r =
      db_query(d, NULL, "SELECT TOTAL(COALESCE(estimate, ?)) FROM jobs WHERE state = 0 AND class = 0", "d", average);
  double ahead = db_next(&r, NULL) ? db_real(&r, 0) : 0;
  db_done(&r);
  return ahead;
}

ace_status store_position(db *d, int64_t seq, double average, int *position, double *ahead, ace_error *err) {
  static const char sql[] = "WITH waiting AS (" WAITING
                            ") SELECT mine.place, (SELECT TOTAL(COALESCE(w.estimate, ?2)) FROM waiting w WHERE "
                            "w.place < mine.place) FROM waiting mine WHERE mine.seq = ?1";
  *position = 0, *ahead = 0;
  db_rows r = db_query(d, err, sql, "id", seq, average);
  if (db_next(&r, err)) *position = (int)db_int(&r, 0), *ahead = db_real(&r, 1);
  return db_done(&r);
}

static json_t *parsed(const char *text) {
  return text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
}

static ace_status read_work(db *d, int64_t seq, store_work *out, ace_error *err) {
  db_rows r = db_query(d, err, "SELECT id, session, kind, request, note, estimate FROM jobs WHERE seq = ?", "i", seq);
  if (db_next(&r, err)) {
    snprintf(out->id, sizeof out->id, "%s", db_text(&r, 0));
    out->session = strdup(db_text(&r, 1)), out->kind = strdup(db_text(&r, 2));
    out->request = parsed(db_text(&r, 3)), out->note = parsed(db_text(&r, 4));
    out->estimate = db_real(&r, 5);
  }
  ace_status status = db_done(&r);
  if (status == ACE_OK && !(out->session && out->kind && out->request && out->note))
    status = ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
  return status;
}

ace_status store_start(db *d, int64_t seq, store_work *out, ace_error *err) {
  *out = (store_work){.estimate = 0};
  ace_status status = db_begin(d, err);
  if (status != ACE_OK) return status;
  status = db_run(d, err, "UPDATE jobs SET state = 1, attempts = attempts + 1, started = ? WHERE seq = ?", "ii",
                  store_now(), seq);
  if (status == ACE_OK) status = read_work(d, seq, out, err);
  ace_status ended = db_end(d, status == ACE_OK, err);
  if (status == ACE_OK) status = ended;
  if (status != ACE_OK) store_work_free(out);
  return status;
}

void store_work_free(store_work *w) {
  free(w->session), free(w->kind);
  json_decref(w->request), json_decref(w->note);
}

static ace_status end_with(db *d, int64_t seq, job_state state, const char *result, const char *error, ace_error *err) {
  return db_run(d, err, "UPDATE jobs SET state = ?, finished = ?, result = ?, error = ? WHERE seq = ?", "iitti",
                (int64_t)state, store_now(), result, error, seq);
}

ace_status store_end(db *d, int64_t seq, job_state state, const json_t *result, const ace_error *why, ace_error *err) {
  json_t *error = NULL;
  if (state == JOB_FAILED)
    error = json_pack("{s:s, s:s}", "status", ace_status_name(why->status), "message", why->message);
  char *result_text = result ? json_dumps(result, JSON_COMPACT) : NULL;
  char *error_text = error ? json_dumps(error, JSON_COMPACT) : NULL;
  ace_status status = (result && !result_text) || (state == JOB_FAILED && !error_text)
                          ? ace_fail(err, ACE_ENOMEM, "jobs: out of memory")
                          : end_with(d, seq, state, result_text, error_text, err);
  json_decref(error);
  free(result_text), free(error_text);
  return status;
}

ace_status store_put_back(db *d, int64_t seq, ace_error *err) {
  return db_run(d, err, "UPDATE jobs SET state = 0, attempts = attempts - 1, started = NULL WHERE seq = ?", "i", seq);
}

double store_average(db *d, int window, double fallback) {
  double average = fallback;
  db_rows r =
      db_query(d, NULL,
               "SELECT AVG(seconds) FROM (SELECT (finished - started) / 1000.0 AS seconds FROM jobs WHERE class = 0"
               " AND finished IS NOT NULL AND started IS NOT NULL ORDER BY finished DESC LIMIT ?)",
               "i", (int64_t)window);
  if (db_next(&r, NULL) && !db_is_null(&r, 0)) average = db_real(&r, 0);
  db_done(&r);
  return average;
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

ace_status store_sample(db *d, int64_t seq, int item, const char *file, const json_t *about, ace_error *err) {
  char *text = as_text(about, err);
  ace_status status = ACE_ENOMEM;
  if (text)
    status = db_run(d, err,
                    "INSERT INTO samples(job, item, file, about) VALUES(?, ?, ?, ?)"
                    " ON CONFLICT(job, item) DO UPDATE SET file = excluded.file, about = excluded.about",
                    "iitt", seq, (int64_t)item, file, text);
  free(text);
  return status;
}

static ace_status changed_one(db *d, ace_status status, int item, ace_error *err) {
  if (status == ACE_OK && db_changed(d) == 0)
    return ace_fail(err, ACE_ENOTFOUND, "sample %d: the job has none of that number", item);
  return status;
}

ace_status store_favourite(db *d, int64_t seq, int item, bool on, ace_error *err) {
  return changed_one(d,
                     db_run(d, err, "UPDATE samples SET favourite = ? WHERE job = ? AND item = ?", "iii", (int64_t)on,
                            seq, (int64_t)item),
                     item, err);
}

ace_status store_annotate(db *d, int64_t seq, int item, const json_t *about, ace_error *err) {
  db_rows r = db_query(d, err, "SELECT about FROM samples WHERE job = ? AND item = ?", "ii", seq, (int64_t)item);
  json_t *now = db_next(&r, err) ? parsed(db_text(&r, 0)) : NULL;
  ace_status status = db_done(&r);
  if (status == ACE_OK && !now)
    status = ace_fail(err, ACE_ENOTFOUND, "sample %d: the job has none of that number", item);
  char *text = NULL;
  if (status == ACE_OK && (json_object_update(now, (json_t *)about) != 0 || !(text = as_text(now, err))))
    status = ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
  if (status == ACE_OK)
    status = db_run(d, err, "UPDATE samples SET about = ? WHERE job = ? AND item = ?", "tii", text, seq, (int64_t)item);
  json_decref(now);
  free(text);
  return status;
}

static json_t *samples_of(db *d, int64_t seq, ace_error *err) {
  json_t *all = json_array();
  db_rows r =
      db_query(d, err, "SELECT item, file, favourite, about FROM samples WHERE job = ? ORDER BY item", "i", seq);
  while (db_next(&r, err))
    json_array_append_new(
        all, json_pack("{s:I, s:s, s:b, s:o}", "item", (json_int_t)db_int(&r, 0), "file", db_text(&r, 1), "favourite",
                       (int)db_int(&r, 2), "about", parsed(db_text(&r, 3))));
  if (db_done(&r) == ACE_OK) return all;
  json_decref(all);
  return NULL;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static json_t *number_or_null(const db_rows *r, int column) {
  return db_is_null(r, column) ? json_null() : json_integer(db_int(r, column));
}

static json_t *json_or_null(const db_rows *r, int column) {
  json_t *value = parsed(db_text(r, column));
  return value ? value : json_null();
}

static json_t *described(const db_rows *r, bool whole) {
  job_class class = (job_class)db_int(r, 3);
  json_t *job = json_pack(
      "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s?}", "id", db_text(r, 0), "session",
      db_text(r, 1), "kind", db_text(r, 2), "class", class == JOB_BACKGROUND ? "background" : "foreground", "state",
      job_state_name((job_state)db_int(r, 4)), "batch", number_or_null(r, 5), "attempts", number_or_null(r, 6),
      "estimate", db_is_null(r, 7) ? json_null() : json_real(db_real(r, 7)), "submitted", number_or_null(r, 8),
      "started", number_or_null(r, 9), "finished", number_or_null(r, 10), "error", json_or_null(r, 11), "note",
      json_or_null(r, 12), "share", db_text(r, 13));
  if (job && whole) {
    json_object_set_new(job, "request", json_or_null(r, 14));
    json_object_set_new(job, "result", json_or_null(r, 15));
  }
  return job;
}

json_t *store_get(db *d, int64_t seq, bool whole, ace_error *err) {
  db_rows r =
      db_query(d, err,
               "SELECT id, session, kind, class, state, batch, attempts, estimate, submitted, started, finished,"
               " error, note, share, request, result FROM jobs WHERE seq = ?",
               "i", seq);
  bool found = db_next(&r, err);
  json_t *job = found ? described(&r, whole) : NULL;
  ace_status status = db_done(&r);
  json_t *samples = status == ACE_OK && job ? samples_of(d, seq, err) : NULL;
  if (samples && json_object_set_new(job, "samples", samples) == 0) return job;
  if (status == ACE_OK && !found) ace_fail(err, ACE_ENOTFOUND, "job: it is gone");
  else if (status == ACE_OK && !job) ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
  json_decref(job);
  return NULL;
}

int store_list(db *d, const jobs_filter *f, int64_t **seqs, ace_error *err) {
  int limit = f->limit > 0 ? f->limit : 100, n = 0;
  *seqs = calloc((size_t)limit, sizeof **seqs);
  if (!*seqs) {
    ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
    return -1;
  }
  db_rows r = db_query(
      d, err,
      "SELECT seq FROM jobs WHERE (?1 IS NULL OR session = ?1) AND (?2 IS NULL OR kind = ?2) AND (?3 = 0 OR "
      "batch IS NOT "
      "NULL) AND (?4 = 0 OR state < 2) AND (?5 = 0 OR batch < ?5) AND removed IS NULL ORDER BY seq DESC LIMIT ?6",
      "ttiiii", f->session, f->kind, (int64_t)f->history, (int64_t)f->unfinished, f->before, (int64_t)limit);
  while (db_next(&r, err)) (*seqs)[n++] = db_int(&r, 0);
  if (db_done(&r) == ACE_OK) return n;
  free(*seqs);
  *seqs = NULL;
  return -1;
}

json_t *store_counts(db *d, ace_error *err) {
  json_t *counts = json_object();
  for (int s = JOB_QUEUED; s <= JOB_CANCELLED; s++)
    json_object_set_new(counts, job_state_name((job_state)s), json_integer(0));
  json_object_set_new(counts, "foreground", json_integer(0));
  json_object_set_new(counts, "background", json_integer(0));
  int64_t total = 0;
  db_rows r = db_query(d, err, "SELECT state, COUNT(*), SUM(class) FROM jobs GROUP BY state", "");
  while (db_next(&r, err)) {
    job_state state = (job_state)db_int(&r, 0);
    int64_t n = db_int(&r, 1), background = db_int(&r, 2);
    json_object_set_new(counts, job_state_name(state), json_integer(n));
    total += n;
    if (state != JOB_QUEUED) continue;
    json_object_set_new(counts, "foreground", json_integer(n - background));
    json_object_set_new(counts, "background", json_integer(background));
  }
  json_object_set_new(counts, "total", json_integer(total));
  if (db_done(&r) == ACE_OK) return counts;
  json_decref(counts);
  return NULL;
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

ace_status store_oldest(db *d, int64_t before, int64_t *seq, char id[JOBS_ID], ace_error *err) {
  db_rows r =
      db_query(d, err,
               "SELECT seq, id FROM jobs WHERE finished IS NOT NULL AND (?1 = 0 OR finished < ?1) AND NOT EXISTS"
               " (SELECT 1 FROM samples WHERE job = seq AND favourite) ORDER BY finished, seq LIMIT 1",
               "i", before);
  *seq = 0;
  if (db_next(&r, err)) {
    *seq = db_int(&r, 0);
    snprintf(id, JOBS_ID, "%s", db_text(&r, 1));
  }
  return db_done(&r);
}

ace_status store_remove(db *d, int64_t seq, ace_error *err) {
  return db_run(d, err, "DELETE FROM jobs WHERE seq = ?", "i", seq);
}

ace_status store_hide(db *d, int64_t seq, ace_error *err) {
  return db_run(d, err, "UPDATE jobs SET removed = ?, share = NULL WHERE seq = ?", "ii", store_now(), seq);
}

ace_status store_unhide(db *d, const char *id, ace_error *err) {
  ace_status status = db_run(d, err, "UPDATE jobs SET removed = NULL WHERE id = ? AND removed IS NOT NULL", "t", id);
  if (status == ACE_OK && db_changed(d) == 0)
    status = ace_fail(err, ACE_ENOTFOUND, "job %.64s: it was not removed, or is gone for good", id);
  return status;
}

ace_status store_hidden(db *d, int64_t before, int64_t *seq, char id[JOBS_ID], ace_error *err) {
  db_rows r = db_query(d, err, "SELECT seq, id FROM jobs WHERE removed <= ? ORDER BY removed LIMIT 1", "i", before);
  *seq = 0;
  if (db_next(&r, err)) {
    *seq = db_int(&r, 0);
    snprintf(id, JOBS_ID, "%s", db_text(&r, 1));
  }
  return db_done(&r);
}

ace_status store_session_of_hidden(db *d, const char *id, char *out, size_t size, ace_error *err) {
  db_rows r = db_query(d, err, "SELECT session FROM jobs WHERE id = ? AND removed IS NOT NULL", "t", id);
  bool found = db_next(&r, err);
  if (found) snprintf(out, size, "%s", db_text(&r, 0));
  ace_status status = db_done(&r);
  if (status == ACE_OK && !found)
    status = ace_fail(err, ACE_ENOTFOUND, "job %.64s: it was not removed, or is gone for good", id);
  return status;
}

ace_status store_forget_sample(db *d, int64_t seq, int item, ace_error *err) {
  return changed_one(d, db_run(d, err, "DELETE FROM samples WHERE job = ? AND item = ?", "ii", seq, (int64_t)item),
                     item, err);
}

ace_status store_history(db *d, const char *session, int *n, ace_error *err) {
  int64_t count;
  ace_status status = one_number(
      db_query(d, err, "SELECT COUNT(*) FROM jobs WHERE session = ? AND batch IS NOT NULL AND removed IS NULL", "t",
               session),
      &count, err);
  *n = (int)count;
  return status;
}
