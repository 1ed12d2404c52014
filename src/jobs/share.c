/* share.c - links to batches. The token stands in the database as it is: whoever reads that has the songs as well. */
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "jobs/jobs_inner.h"

static ace_status make_token(char out[JOBS_SHARE], ace_error *err) {
  unsigned char b[(JOBS_SHARE - 1) / 2];
  if (!random_bytes(b, sizeof b)) return ace_fail_errno(err, "jobs: no random numbers");
  for (size_t i = 0; i < sizeof b; i++) snprintf(out + 2 * i, 3, "%02x", b[i]);
  return ACE_OK;
}

/* Its token, "" when it has none; ACE_EINVAL when it is no batch. */
static ace_status token_of(db *d, int64_t seq, char out[JOBS_SHARE], ace_error *err) {
  db_rows r = db_query(d, err, "SELECT COALESCE(share, '') FROM jobs WHERE seq = ? AND batch IS NOT NULL", "i", seq);
  bool found = db_next(&r, err);
  if (found) snprintf(out, JOBS_SHARE, "%s", db_text(&r, 0));
  ace_status status = db_done(&r);
  if (status == ACE_OK && !found) status = ace_fail(err, ACE_EINVAL, "job: only batches can be shared");
  return status;
}

static ace_status set_token(db *d, int64_t seq, const char *token, ace_error *err) {
  return db_run(d, err, "UPDATE jobs SET share = ? WHERE seq = ?", "ti", token, seq);
}

ace_status jobs_share(jobs *q, const char *id, char token[JOBS_SHARE], ace_error *err) {
  int64_t seq;
  job_state state;
  pthread_mutex_lock(&q->lock);
  ace_status status = store_find(q->store, id, &seq, &state, err);
  if (status == ACE_OK && state <= JOB_RUNNING)
    status = ace_fail(err, ACE_EINVAL, "job %.64s: it has not ended; share it then", id);
  if (status == ACE_OK) status = token_of(q->store, seq, token, err);
  if (status == ACE_OK && !*token) {
    status = make_token(token, err);
    if (status == ACE_OK) status = set_token(q->store, seq, token, err);
  }
  pthread_mutex_unlock(&q->lock);
  return status;
}

ace_status jobs_unshare(jobs *q, const char *id, ace_error *err) {
  int64_t seq;
  job_state state;
  pthread_mutex_lock(&q->lock);
  ace_status status = store_find(q->store, id, &seq, &state, err);
  if (status == ACE_OK) status = set_token(q->store, seq, NULL, err);
  pthread_mutex_unlock(&q->lock);
  return status;
}

json_t *jobs_shared(jobs *q, const char *token, ace_error *err) {
  json_t *job = NULL;
  pthread_mutex_lock(&q->lock);
  db_rows r = db_query(q->store, err, "SELECT seq FROM jobs WHERE share = ? AND removed IS NULL", "t", token);
  int64_t seq = db_next(&r, err) ? db_int(&r, 0) : 0;
  ace_status status = db_done(&r);
  if (status == ACE_OK && seq) job = jobs_describe(q, seq, true, err);
  else if (status == ACE_OK) ace_fail(err, ACE_ENOTFOUND, "there is no such link");
  pthread_mutex_unlock(&q->lock);
  return job;
}
