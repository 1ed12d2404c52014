/* jobs.h - work that survives: a queue, its results and their history, in one SQLite database.
 *
 *   jobs *q = jobs_open(&(jobs_options){.folder = data, .run = run, .user = service}, &err);
 *   char id[JOBS_ID];
 *   jobs_submit(q, &(job_new){.session = who, .kind = "generate", .request = json}, id, &position, &err);
 *   ... on the worker's thread: run(service, job, &err) calls job_progress, job_sample, job_cancelled ...
 *   json_t *now = jobs_get(q, id, &err);          // state, position, progress, samples, result
 *   jobs_close(q, 30);                            // gives the running job 30 seconds; what is left goes on next time
 *
 * States: queued -> running -> succeeded | failed | cancelled. Every change is on disk before anybody is told of it. A
 * job that was running when the program died is queued again, in its old place; after JOBS_ATTEMPTS such deaths it has
 * failed. A request must therefore hold all that decides its result, seeds included: run again it makes the same files.
 *
 * Order. Foreground before background; among each, a session's second job waits behind every other session's first; then
 * first come, first served. One worker runs one job at a time.
 *
 * Files of job ID lie in FOLDER/outputs/ID. Every function may be called from any thread but where it says otherwise.
 */
#ifndef ACE_JOBS_H
#define ACE_JOBS_H

#include "jobs/events.h"

enum {
  JOBS_ID = 37,     /* characters of an id, its NUL included: a random UUID */
  JOBS_SHARE = 33,  /* of a share link's token, its NUL included: 32 hexadecimal digits, 128 random bits */
  JOBS_ATTEMPTS = 2 /* starts of one job before it counts as the cause of the program's death */
};

typedef struct jobs jobs;
/* The job that `run` is running. */
typedef struct job_running job_running;

typedef enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED } job_state;
/* "queued", "running", "succeeded", "failed", "cancelled" */
const char *job_state_name(job_state state);

typedef enum job_class { JOB_FOREGROUND, JOB_BACKGROUND } job_class;

/* Runs one job; returns its result, a new reference to an object (a song's may be empty: its samples are the result),
 * or NULL with `err`: ACE_ECANCELED when it stopped because job_cancelled said so. */
typedef json_t *(*jobs_run)(void *user, job_running *j, ace_error *err);

typedef struct jobs_options {
  const char *folder; /* the data folder; made when missing */
  int most_waiting;   /* queued jobs; more are refused with ACE_EBUSY. 0: 200 */
  int window;         /* finished jobs that the average time is made of; 0: 50 */
  double average;     /* seconds that a job takes as long as none has finished; 0: 5 */
  jobs_run run;
  void *user;
  jobs **opened; /* gets the queue before the first job runs; may be NULL */
} jobs_options;

/* Opens or makes the database, settles what an earlier start left behind, starts the worker. NULL on failure. */
jobs *jobs_open(const jobs_options *options, ace_error *err);
/* Takes no more work, lets the running job go on for up to `patience` seconds, then stops it and queues it again. No
 * other call may be under way. */
void jobs_close(jobs *q, double patience);
/* Begins that without waiting: from now on submissions are refused and no job is started. */
void jobs_drain(jobs *q);
/* It has begun. */
bool jobs_draining(jobs *q);
/* No job is running. */
bool jobs_idle(jobs *q);

/* What happens, see below. Lives as long as the queue. */
events *jobs_events(jobs *q);

typedef struct job_new {
  const char *session; /* whose; any text that stays the same */
  const char *kind;    /* "generate", "format", ...: for `run` and for lists */
  job_class class;
  double estimate;       /* seconds that it will take; 0: unknown */
  bool history;          /* it gets the next number in its session's history of batches */
  const json_t *request; /* an object; see above */
  const json_t *note;    /* an object or NULL: what the submitter wants to find again */
} job_new;

/* `position` (may be NULL): jobs that wait, this one included, up to this one. */
ace_status jobs_submit(jobs *q, const job_new *j, char id[JOBS_ID], int *position, ace_error *err);

/* The job as an object, a new reference; NULL with ACE_ENOTFOUND for an unknown id:
 *   {"id", "session", "kind", "class": "foreground" | "background", "state", "submitted", "started", "finished" (ms since
 *    1970 or null), "attempts", "batch" (number in the history or null), "estimate" (seconds or null),
 *    "position" (when queued), "seconds_left" (until it is done, or null),
 *    "progress": {"stage", "fraction", "step", "steps"}, "error": {"status", "message"} or null,
 *    "share" (the token of its link or null), "request", "note", "result",
 *    "samples": [{"item", "file", "favourite", "about"}]}
 * `file` is relative to the job's folder. */
json_t *jobs_get(jobs *q, const char *id, ace_error *err);

typedef struct jobs_filter {
  const char *session; /* NULL: every session's */
  const char *kind;    /* NULL: every kind */
  bool history;        /* only those with a number in the history */
  bool unfinished;     /* only those that wait or run */
  int64_t before;      /* only numbers of batches below this one; 0: all */
  bool whole;          /* with request and result */
  int limit;           /* 0: 100 */
} jobs_filter;
/* The newest first, as jobs_get gives them; without request and result unless they are whole. A new reference to an
 * array. */
json_t *jobs_list(jobs *q, const jobs_filter *filter, ace_error *err);

/* Seconds until a foreground job that is submitted now would start; a running job that gives way takes none of them. */
double jobs_wait_ahead(jobs *q);

/* Waits until the job has ended or `seconds` have passed, then as jobs_get. */
json_t *jobs_wait(jobs *q, const char *id, double seconds, ace_error *err);

/* A waiting job is cancelled at once, a running one is asked to stop; one that has ended stays as it is. */
ace_status jobs_cancel(jobs *q, const char *id, ace_error *err);
/* Batches in the history of a session. */
ace_status jobs_history(jobs *q, const char *session, int *n, ace_error *err);
/* Removes a job that has ended, with its files. */
ace_status jobs_delete(jobs *q, const char *id, ace_error *err);
/* The same with second thoughts: it is found no more, but its files stay until jobs_purge. */
ace_status jobs_hide(jobs *q, const char *id, ace_error *err);
/* Brings it back; of another session's it says that there is none. */
ace_status jobs_unhide(jobs *q, const char *session, const char *id, ace_error *err);
/* Removes what was hidden over `age` seconds ago. */
ace_status jobs_purge(jobs *q, double age, ace_error *err);
/* Removes one sample of an ended job with the files that are named after it, "1.*" for item 0. */
ace_status jobs_delete_sample(jobs *q, const char *id, int item, ace_error *err);
ace_status jobs_favourite(jobs *q, const char *id, int item, bool on, ace_error *err);
/* What is to be remembered of an ended job's sample: `about` is updated with the keys of the object. */
ace_status jobs_annotate(jobs *q, const char *id, int item, const json_t *about, ace_error *err);

/* A link by which a batch that has ended is found by whoever has its token; the same one as long as it lasts. It ends with
 * jobs_unshare and when the batch is hidden or removed, and does not come back. ACE_EINVAL: not ended, or no batch. */
ace_status jobs_share(jobs *q, const char *id, char token[JOBS_SHARE], ace_error *err);
/* ACE_OK also when it was not shared. */
ace_status jobs_unshare(jobs *q, const char *id, ace_error *err);
/* As jobs_get, by the token; ACE_ENOTFOUND for every text that is no token now. */
json_t *jobs_shared(jobs *q, const char *token, ace_error *err);

/* {"total", "queued", "running", "succeeded", "failed", "cancelled", "average_seconds", "most_waiting"}, and what waits
 * in "foreground" and "background". A new reference. */
json_t *jobs_counts(jobs *q, ace_error *err);

/* What this program has done since it started; a plain value. */
enum { JOBS_STAGES = 16 };
typedef struct jobs_meter {
  uint64_t ended[JOB_CANCELLED + 1]; /* jobs by their last state */
  int stages;                        /* entries of: */
  struct {
    char name[32];  /* as in ace_progress */
    double seconds; /* spent in it */
    uint64_t steps; /* done in it; of thinking, tokens */
  } stage[JOBS_STAGES];
} jobs_meter;
void jobs_read_meter(jobs *q, jobs_meter *out);

/* Removes ended jobs, the oldest first: all that ended over `age` seconds ago, 0: none for their age; then those that
 * take the outputs over `bytes`, 0: no limit. Jobs with a favourite stay. Reports how many went in *removed. */
ace_status jobs_prune(jobs *q, double age, uint64_t bytes, int *removed, ace_error *err);

/* FOLDER/outputs, and the folder of one job: free() it, NULL when out of memory. */
const char *jobs_outputs(const jobs *q);
char *jobs_folder(const jobs *q, const char *id);

/* ---- what a session keeps ---------------------------------------------------------------------------------------- */

/* Small objects by kind and name, beside the jobs: presets, what is known of uploads. Kept until they are forgotten. */
typedef struct jobs_kept {
  char *session, *name; /* owned */
  json_t *value;        /* owned */
  int64_t used;         /* ms since 1970 */
} jobs_kept;

/* Adds it or takes the place of the one of that name; also says that it is in use now. ACE_EBUSY: the session has `most`
 * of that kind already. */
ace_status jobs_keep(jobs *q, const char *session, const char *kind, const char *name, const json_t *value, int most,
                     ace_error *err);
/* A new reference; NULL with ACE_ENOTFOUND when there is none. `use`: it counts as used now. */
json_t *jobs_recall(jobs *q, const char *session, const char *kind, const char *name, bool use, ace_error *err);
ace_status jobs_forget(jobs *q, const char *session, const char *kind, const char *name, ace_error *err);
/* {"name": value, ...} of a session, by name. A new reference. */
json_t *jobs_recall_all(jobs *q, const char *session, const char *kind, ace_error *err);
/* Whether any session has one of that name. */
bool jobs_is_kept(jobs *q, const char *kind, const char *name);
/* Whether a job that waits or runs has this text in its request; also true when there is no telling. */
bool jobs_mention(jobs *q, const char *text);
/* Of any session, the one that was not used for the longest time, if for `age` seconds; false: there is none. Free its
 * members. */
bool jobs_oldest_kept(jobs *q, const char *kind, double age, jobs_kept *out);

/* ---- for `run` and only there ------------------------------------------------------------------------------------ */

const char *job_id(const job_running *j);
const char *job_session(const job_running *j);
const char *job_kind(const job_running *j);
const json_t *job_request(const job_running *j); /* borrowed */
const json_t *job_note(const job_running *j);    /* borrowed; an object, maybe empty */
/* The job's folder, there and writable. */
const char *job_folder(const job_running *j);

/* True once somebody cancelled the job or the program wants to end. Cheap: may be polled at will. */
bool job_cancelled(const job_running *j);
/* For a long job of the background that can go on from where it was. It says once that it gives way: nobody counts its
 * remaining time as his own then. As soon as job_in_the_way is true, because somebody's job of the foreground waits, it
 * stops and returns NULL with ACE_EBUSY: it is queued again, as if it had not been started. */
void job_gives_way(job_running *j);
bool job_in_the_way(const job_running *j);
void job_progress(job_running *j, const ace_progress *p);
/* A sample is finished: its file (relative to the folder, flushed to disk by the caller) and what is known of it become
 * part of the job at once. An item that is given again is replaced. */
ace_status job_sample(job_running *j, int item, const char *file, const json_t *about, ace_error *err);
/* More is known of a sample that was given before: these keys join the others. */
ace_status job_sample_more(job_running *j, int item, const json_t *about, ace_error *err);

/* ---- messages ---------------------------------------------------------------------------------------------------- */
/* "progress": {"id", "state", "position", "progress", "seconds_left"}   (at most five a second, and each change of state)
 * "sample":   {"id", "item", "file", "about"}; {"id", "item", "about": what is new} when more became known
 * "done":     {"id", "state": "succeeded" | "cancelled"}
 * "failed":   {"id", "state": "failed", "error": {...}}
 * Messages for everyone ("service") come from whoever owns the queue, through jobs_events. */

#endif
