/* toy_task.h - a training that is small enough to know by heart: a linear map learned from noisy pairs, with a random mask
 * and random noise in every look at a sample, so that a wrong epoch, sample or moment shows in the last bit.
 *
 *   #define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)   // *state is a fixture
 *   result r = run_ok(f, -1);                                                    // from start to end
 */
#ifndef ACE_TESTS_TOY_TASK_H
#define ACE_TESTS_TOY_TASK_H

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h needs the standard headers */
#include <cmocka.h>

#include "base/file.h"
#include "formats/safetensors.h"
#include "train/checkpoint.h"
#include "train/stream.h"
#include "train/trainer.h"

/* ---- the task ---------------------------------------------------------------------------------------------------- */

enum { ROWS = 3, COLUMNS = 5, SAMPLES = 7, COUNT = ROWS * COLUMNS };

typedef struct toy {
  train_task task;
  train_tensor tensor;
  float values[COUNT], grads[COUNT];
  int64_t lengths[SAMPLES];
  int runs, runs_most; /* then the caller wants to stop */
  bool broken;         /* gradients are not numbers */
  bool full;           /* nothing can be written */
  const char *full_at; /* folders with this in their name cannot be written; NULL: all can */
  int previews, saves;
  char last_log[1024];
} toy;

/* loss = mean over rows of (W (mask x) - y)^2. */
static inline ace_status toy_run(void *user, const train_batch *b, double *loss, ace_error *err) {
  toy *t = user;
  t->runs++;
  for (int i = 0; i < b->n; i++) {
    uint32_t sample = (uint32_t)b->sample[i], epoch = b->learn ? b->epoch : 0;
    float x[COLUMNS], y[ROWS], mask[COLUMNS];
    stream data = stream_of(99, STREAM_NOISE, 0, 0, sample), noise = stream_of(1, STREAM_TIME, 0, epoch, sample);
    stream drop = stream_of(1, STREAM_DROPOUT, 0, epoch, sample);
    stream_normal(&data, 0, COLUMNS, x);
    stream_normal(&noise, 0, ROWS, y);
    stream_mask(&drop, b->learn ? 0.2f : 0, 0, COLUMNS, mask);
    loss[i] = 0;
    for (int r = 0; r < ROWS; r++) {
      float sum = -0.1f * y[r] - x[r];
      for (int c = 0; c < COLUMNS; c++) sum += t->values[r * COLUMNS + c] * mask[c] * x[c];
      loss[i] += (double)sum * sum / ROWS;
      double d = b->weight / b->n * 2 * (double)sum / ROWS;
      for (int c = 0; c < COLUMNS && b->learn; c++) t->grads[r * COLUMNS + c] += (float)(d * (double)(mask[c] * x[c]));
    }
  }
  if (t->broken) t->grads[4] = NAN;
  return ACE_OK;
}

static inline ace_status toy_write(void *user, const char *folder, ace_error *err) {
  toy *t = user;
  if (t->full || (t->full_at && strstr(folder, t->full_at))) return ace_fail(err, ACE_EIO, "no space left");
  char path[512];
  snprintf(path, sizeof path, "%s/values.safetensors", folder);
  st_tensor tensor = {.name = "w",
                      .dtype = ST_F32,
                      .rank = 2,
                      .dim = {ROWS, COLUMNS},
                      .count = COUNT,
                      .data = t->values,
                      .size = sizeof t->values};
  return st_write(path, &tensor, 1, NULL, 0, err);
}

static inline ace_status toy_read(void *user, const char *folder, ace_error *err) {
  toy *t = user;
  char path[512];
  snprintf(path, sizeof path, "%s/values.safetensors", folder);
  st_file *f = st_open(path, err);
  const st_tensor *w = f ? st_find(f, "w") : NULL;
  if (w) memcpy(t->values, w->data, sizeof t->values);
  st_close(f);
  return w ? ACE_OK : ACE_EINVAL;
}

static inline bool toy_idle(void *user) {
  return false;
}

static inline void toy_open(toy *t) {
  *t = (toy){.runs_most = -1, .tensor = {"w", ROWS, COLUMNS, 0}};
  for (int i = 0; i < SAMPLES; i++) t->lengths[i] = i % 3;
  t->task = (train_task){.samples = SAMPLES,
                         .lengths = t->lengths,
                         .tensor = &t->tensor,
                         .tensors = 1,
                         .count = COUNT,
                         .decaying = COUNT,
                         .values = t->values,
                         .grads = t->grads,
                         .run = toy_run,
                         .write = toy_write,
                         .read = toy_read,
                         .idle = toy_idle,
                         .user = t};
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

typedef struct result {
  float values[COUNT];
  int64_t step;
  int epoch;
  bool stopped;
  double loss;
} result;

static inline bool stop_toy(void *user) {
  toy *t = user;
  return t->runs_most >= 0 && t->runs >= t->runs_most;
}

static inline ace_status preview_toy(void *user, int epoch, ace_error *err) {
  ((toy *)user)->previews++;
  return ace_fail(err, ACE_EIO, "no song today");
}

static inline void saved_toy(void *user, const char *folder) {
  ((toy *)user)->saves++;
}

static inline void log_toy(void *user, const char *line) {
  snprintf(((toy *)user)->last_log, sizeof((toy *)user)->last_log, "%s", line);
}

typedef struct fixture {
  char folder[64], output[128];
  train_settings s;
} fixture;

static inline int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  strcpy(f->folder, "/tmp/ace_trainer_XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->output, sizeof f->output, "%s/out", f->folder);
  assert_int_equal(train_settings_init(&f->s, TRAIN_SURFACE_GUIDE, TRAIN_LORA, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&f->s, "output_dir", f->output, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&f->s, "learning_rate", "0.05", NULL), ACE_OK);
  f->s.epochs = 6;
  f->s.log_every = 1;
  *state = f;
  return 0;
}

static inline int teardown(void **state) {
  fixture *f = *state;
  file_remove_tree(f->folder, NULL);
  train_settings_free(&f->s);
  free(f);
  return 0;
}

static inline ace_status run_with(const fixture *f, toy *t, result *r, ace_error *err) {
  train_job job = {
      .settings = &f->s,
      .task = &t->task,
      .events = {.cancelled = stop_toy, .preview = preview_toy, .saved = saved_toy, .log = log_toy, .user = t}};
  train_outcome out;
  ace_status status = train_run(&job, &out, err);
  *r = (result){.step = out.step, .epoch = out.epoch, .stopped = out.stopped, .loss = out.loss};
  memcpy(r->values, t->values, sizeof r->values);
  train_outcome_free(&out);
  return status;
}

static inline result run_ok(const fixture *f, int runs_most) {
  toy t;
  result r;
  ace_error err = {0};
  toy_open(&t);
  t.runs_most = runs_most;
  if (run_with(f, &t, &r, &err) != ACE_OK) fail_msg("%s", err.message);
  return r;
}

static inline void set(fixture *f, const char *name, const char *value) {
  assert_int_equal(train_settings_set(&f->s, name, value, NULL), ACE_OK);
}

static inline void same(const result *a, const result *b) {
  assert_int_equal(a->step, b->step);
  assert_memory_equal(a->values, b->values, sizeof a->values);
  assert_true(a->loss == b->loss);
}

static inline char *log_of(const fixture *f) {
  char path[256];
  snprintf(path, sizeof path, "%s/train_log.jsonl", f->output);
  return file_read(path, 1 << 20, NULL, NULL);
}

#endif
