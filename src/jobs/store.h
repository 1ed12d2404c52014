/* store.h - the tables of jobs.h and the questions that are asked of them. The caller holds the lock of the queue. */
#ifndef ACE_JOBS_STORE_H
#define ACE_JOBS_STORE_H

#include "jobs/db.h"
#include "jobs/jobs.h"

/* Opens FOLDER/acestep.db. Jobs that an earlier start left running are queued again, or have failed. */
db *store_open(const char *folder, ace_error *err);

/* A new job with this id; *seq is its number in the order of submission. */
ace_status store_add(db *d, const job_new *j, const char *id, int64_t *seq, ace_error *err);
/* The number of a job; ACE_ENOTFOUND names the id. */
ace_status store_find(db *d, const char *id, int64_t *seq, job_state *state, ace_error *err);
/* The waiting job whose turn it is; 0: none waits. */
ace_status store_first(db *d, int64_t *seq, ace_error *err);
/* Jobs that wait up to this one, itself included, and the seconds that those before it will take (`average` where
 * nobody has estimated). 0 when it does not wait. */
ace_status store_position(db *d, int64_t seq, double average, int *position, double *ahead, ace_error *err);
/* Seconds that the waiting foreground jobs will take. */
double store_ahead(db *d, double average);
ace_status store_waiting(db *d, int *n, ace_error *err);

/* What a worker needs of a job; the members are owned. */
typedef struct store_work {
  char id[JOBS_ID];
  char *session, *kind;
  json_t *request, *note;
  double estimate;
} store_work;
/* queued -> running, one more attempt; after a failure it is queued as before and `out` holds nothing. */
ace_status store_start(db *d, int64_t seq, store_work *out, ace_error *err);
void store_work_free(store_work *w);
/* running or queued -> an end. `result` may be NULL, `why` is read when the state is JOB_FAILED. */
ace_status store_end(db *d, int64_t seq, job_state state, const json_t *result, const ace_error *why, ace_error *err);
/* running -> queued, as if it had not been started. */
ace_status store_put_back(db *d, int64_t seq, ace_error *err);
/* Seconds that the last `window` jobs ran on average; `fallback` when none has. */
double store_average(db *d, int window, double fallback);

ace_status store_sample(db *d, int64_t seq, int item, const char *file, const json_t *about, ace_error *err);
ace_status store_favourite(db *d, int64_t seq, int item, bool on, ace_error *err);
ace_status store_annotate(db *d, int64_t seq, int item, const json_t *about, ace_error *err);

/* As jobs_get but for what only the queue knows: position, seconds_left, progress. */
json_t *store_get(db *d, int64_t seq, bool whole, ace_error *err);
/* The numbers of the jobs that pass the filter, the newest first; free() them. -1 on failure. */
int store_list(db *d, const jobs_filter *filter, int64_t **seqs, ace_error *err);
/* {"queued": n, ...} by state, and "foreground" and "background" of those that wait. */
json_t *store_counts(db *d, ace_error *err);

/* The oldest ended job without a favourite that ended before `before` (ms; 0: at any time); 0: none. */
ace_status store_oldest(db *d, int64_t before, int64_t *seq, char id[JOBS_ID], ace_error *err);
ace_status store_remove(db *d, int64_t seq, ace_error *err);
/* A job that is hidden is found and listed no more, until it is shown again by its id, or removed. Its share link ends. */
ace_status store_hide(db *d, int64_t seq, ace_error *err);
ace_status store_unhide(db *d, const char *id, ace_error *err);
ace_status store_session_of_hidden(db *d, const char *id, char *out, size_t size, ace_error *err);
/* The one that was hidden first, if that was before `before` (ms); 0: none. */
ace_status store_hidden(db *d, int64_t before, int64_t *seq, char id[JOBS_ID], ace_error *err);
ace_status store_forget_sample(db *d, int64_t seq, int item, ace_error *err);
/* Batches in the history of a session. */
ace_status store_history(db *d, const char *session, int *n, ace_error *err);

/* ms since 1970 */
int64_t store_now(void);

#endif
