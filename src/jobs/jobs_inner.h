/* jobs_inner.h - what the files of jobs.h share: the queue itself and its one running job. */
#ifndef ACE_JOBS_INNER_H
#define ACE_JOBS_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "jobs/store.h"

struct job_running {
  jobs *queue;
  int64_t seq; /* 0: no job runs */
  store_work work;
  char *folder;
  atomic_bool stop; /* asked to end */
  atomic_bool in_the_way;
  bool gives_way; /* see job_gives_way */
  bool cancelled; /* somebody cancelled it; else it is stopped to be queued again */
  char stage[32]; /* of the last progress, as are these */
  double fraction, seconds_left;
  int step, steps;
  double told;  /* monotonic seconds of the last message */
  double since; /* what was counted last of the stage, as is this: */
  int counted;  /* steps */
};

struct jobs {
  jobs_options options;
  char *folder, *outputs;
  pthread_mutex_t lock; /* of everything below */
  pthread_cond_t work;  /* something waits, or the end is near */
  pthread_cond_t ended; /* a job has ended */
  pthread_t thread;
  bool started; /* the thread */
  bool draining;
  db *store;
  events *events;
  job_running running;
  jobs_meter meter;
};

double jobs_average(jobs *q);
/* The job as jobs_get describes it; `whole` with request and result. The lock is held. */
json_t *jobs_describe(jobs *q, int64_t seq, bool whole, ace_error *err);
/* A message that describes how far the job is; its place among those that wait, 0 when it does not. The lock is held. */
int jobs_tell(jobs *q, const char *session, const char *id, int64_t seq);
/* And one that says how it ended. */
void jobs_tell_end(jobs *q, const char *session, const char *id, job_state state, const ace_error *why);

/* ---- meter.c ---- */
/* The running job stands at this step of its stage. The lock is held, also below. */
void jobs_count_step(jobs *q, int step);
/* What its stage has taken until now is counted; another one may begin. */
void jobs_count_stage(jobs *q);

/* The worker's thread; `queue` is a jobs. */
void *jobs_worker(void *queue);

#endif
