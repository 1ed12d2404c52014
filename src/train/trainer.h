/* trainer.h - a training from start, or from a checkpoint, to the end, or to the moment when the caller says stop.
 *
 *   train_job job = {.settings = &s, .task = &task, .threads = pool, .events = {...}};
 *   train_outcome out;
 *   ace_status status = train_run(&job, &out, &err);
 *   train_outcome_free(&out);
 *
 * A step averages over batch size x accumulation x processes samples, the rest of an epoch included: gradients are a mean
 * over as many samples as there were. Whatever is left to chance is a function of seed, epoch and sample (stream.h). So a training
 * that was stopped, or died, and was resumed gives the same bits as one that ran through.
 *
 * A stop throws the step that is under way away, and writes a checkpoint. A failure writes one too if it can. A
 * checkpoint that cannot be written in the middle of a training, because the disk is full, say, is told and the training
 * goes on; only the end needs the disk.
 */
#ifndef ACE_TRAIN_TRAINER_H
#define ACE_TRAIN_TRAINER_H

#include "base/pool.h"
#include "train/group.h"
#include "train/settings.h"
#include "train/task.h"

typedef struct train_step {
  int epoch, epochs;    /* 1-based: of the running epoch */
  int64_t step, steps;  /* updates made; of the whole training */
  double loss, ema;     /* mean over the step's samples; smoothed */
  double rate, norm;    /* learning rate; length of the gradient before it was shortened */
  double seconds, left; /* since the start; until the end, negative while unknown */
} train_step;

/* All members may be NULL; they are called on the thread of train_run. */
typedef struct train_events {
  void (*log)(void *user, const char *line); /* for people */
  void (*step)(void *user, const train_step *s);
  void (*validated)(void *user, int epoch, double loss, bool best);
  void (*saved)(void *user, const char *folder);
  /* Makes a song with the adapter as it is now. A failure is told and the training goes on. */
  ace_status (*preview)(void *user, int epoch, ace_error *err);
  bool (*cancelled)(void *user);
  bool (*pausing)(void *user); /* asked when it was cancelled: it will go on soon, so checkpoint "last" is enough */
  void *user;
} train_events;

typedef struct train_job {
  const train_settings *settings;
  train_task *task;
  pool *threads;            /* may be NULL */
  const train_group *group; /* processes that train together; NULL: this one alone */
  const json_t *about; /* goes into run_config.json beside the settings: hashes of model and samples; NULL: nothing */
  train_events events;
} train_job;

typedef struct train_outcome {
  bool stopped; /* the caller asked for it: `folder` is the checkpoint to resume from */
  char *folder; /* OUTPUT/final, or that checkpoint; owned; NULL: nothing could be written */
  int epoch;    /* complete ones */
  int64_t step;
  double loss; /* smoothed */
} train_outcome;

/* A stop is ACE_OK with out->stopped. `out` is set in any case. */
ace_status train_run(const train_job *job, train_outcome *out, ace_error *err);
void train_outcome_free(train_outcome *out);

/* Updates of a whole training over n samples by so many processes. */
int64_t train_steps(const train_settings *s, int n, int processes);

/* "42s", "3m 5s", "2h 10m" */
enum { TRAIN_TIME_SIZE = 32 };
const char *train_time(double seconds, char out[TRAIN_TIME_SIZE]);

#endif
