/* The trainer on a task that is small enough to know by heart. Hours of training depend on this: a stop or a death must cost
 * nothing, and a resumed training must not be another one. */
#include "toy_task.h"

#include <pthread.h>

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_learns(void **state) {
  fixture *f = *state;
  f->s.epochs = 60;
  result r = run_ok(f, -1);
  assert_int_equal(r.step, 60 * SAMPLES);
  if (!(r.loss < 0.4)) fail_msg("loss %g after 60 epochs", r.loss); /* it starts at about 1 */
  char path[256];
  snprintf(path, sizeof path, "%s/final/values.safetensors", f->output);
  assert_true(file_exists(path));
  snprintf(path, sizeof path, "%s/run_config.json", f->output);
  assert_true(file_exists(path));
}

/* Losses of a log, without the clock. */
static void strip_times(char *log) {
  for (char *at = log; (at = strstr(at, ", \"sec\"")); at++)
    for (char *p = at; *p && *p != '}'; p++) *p = ' ';
}

/* Three epochs, a program's end, three more: the bits of six. */
static void test_resume(void **state) {
  fixture *f = *state;
  set(f, "scheduler", "constant"); /* and one step of ramp: the only parts that know how long a training will be */
  set(f, "warmup_steps", "1");
  result whole = run_ok(f, -1);
  char *log = log_of(f);
  strip_times(log);
  f->s.save_every = 3;
  file_remove_tree(f->output, NULL);
  f->s.epochs = 3;
  run_ok(f, -1);
  f->s.epochs = 6;
  set(f, "resume", f->output);
  result rest = run_ok(f, -1);
  char *log2 = log_of(f);
  strip_times(log2);
  same(&whole, &rest);
  assert_string_equal(log, log2);
  free(log), free(log2);
}

/* A stop in the middle of an epoch, even of an accumulated step, and the cosine schedule. */
static void test_stop(void **state) {
  fixture *f = *state;
  f->s.gradient_accumulation = 3;
  set(f, "val_split", "0.2");
  result whole = run_ok(f, -1);
  for (int runs = 5; runs < 40; runs += 9) {
    file_remove_tree(f->output, NULL);
    set(f, "resume", "");
    result part = run_ok(f, runs);
    assert_true(part.stopped);
    assert_true(part.step < whole.step);
    set(f, "resume", f->output);
    result rest = run_ok(f, -1);
    assert_false(rest.stopped);
    same(&whole, &rest);
  }
}

/* Four samples at once, or one after the other: the same gradients but for rounding. */
static void test_accumulation(void **state) {
  fixture *f = *state;
  f->s.batch_size = 4;
  result batched = run_ok(f, -1);
  f->s.batch_size = 1, f->s.gradient_accumulation = 4;
  result accumulated = run_ok(f, -1);
  assert_int_equal(batched.step, 6 * 2); /* 4 and 3 samples: the rest is a step of its own */
  assert_int_equal(accumulated.step, 6 * 2);
  for (int i = 0; i < COUNT; i++) assert_true(fabs((double)(batched.values[i] - accumulated.values[i])) < 1e-5);
}

/* The program dies between two renames, or in the middle of writing: the last checkpoint is there. */
static void test_killed_while_saving(void **state) {
  fixture *f = *state;
  char last[200], old[200], junk[200];
  snprintf(last, sizeof last, "%s/checkpoints/last", f->output);
  snprintf(old, sizeof old, "%s/checkpoints/.old-last", f->output);
  snprintf(junk, sizeof junk, "%s/checkpoints/.tmp-last", f->output);
  toy t;
  toy_open(&t);
  t.values[0] = 5;
  train_state s;
  json_t *about = json_object();
  assert_int_equal(train_state_open(&s, COUNT, NULL), ACE_OK);
  s.step = 12, s.epoch = 2, s.next = 3, s.m[1] = 0.25f, s.v[2] = 0.125f, s.ema = 0.1;
  assert_int_equal(checkpoint_write(f->output, "last", &t.task, &s, about, NULL), ACE_OK);
  assert_int_equal(rename(last, old), 0);
  assert_int_equal(mkdir(junk, 0700), 0);
  t.values[0] = 0;
  char *found = checkpoint_find(f->output, NULL);
  assert_non_null(found);
  assert_string_equal(found, last);
  train_state read;
  bool warm;
  assert_int_equal(train_state_open(&read, COUNT, NULL), ACE_OK);
  assert_int_equal(checkpoint_read(found, &t.task, &read, &warm, NULL), ACE_OK);
  assert_false(warm);
  assert_true(t.values[0] == 5 && read.step == 12 && read.epoch == 2 && read.next == 3 && read.ema == 0.1);
  assert_true(read.m[1] == 0.25f && read.v[2] == 0.125f && isnan(read.best));
  assert_int_equal(checkpoint_write(f->output, "last", &t.task, &s, about, NULL), ACE_OK); /* over the junk */
  assert_false(file_exists(junk));
  free(found);
  train_state_free(&read);
  train_state_free(&s);
  json_decref(about);
}

static void pause_for(long microseconds) {
  nanosleep(&(struct timespec){.tv_nsec = 1000 * microseconds}, NULL);
}

/* A process that writes one checkpoint after the other under the same name is killed at any moment: one of them is there,
 * whole. */
static void test_kill(void **state) {
  fixture *f = *state;
  for (int round = 0; round < 8; round++) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      toy t;
      train_state s;
      json_t *about = json_object();
      toy_open(&t);
      if (train_state_open(&s, COUNT, NULL) != ACE_OK) _exit(1);
      for (s.step = 1;; s.step++) {
        for (int i = 0; i < COUNT; i++) t.values[i] = s.m[i] = (float)s.step;
        checkpoint_write(f->output, "last", &t.task, &s, about, NULL);
      }
    }
    char last[200], *found;
    snprintf(last, sizeof last, "%s/checkpoints/last", f->output);
    for (int i = 0; i < 2000 && !file_is_directory(last); i++) pause_for(1000); /* for the first one */
    pause_for(1700 * round);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    toy t;
    train_state s;
    bool warm = true;
    ace_error err = {0};
    toy_open(&t);
    assert_int_equal(train_state_open(&s, COUNT, NULL), ACE_OK);
    found = checkpoint_find(f->output, &err);
    if (!found || checkpoint_read(found, &t.task, &s, &warm, &err) != ACE_OK) fail_msg("%s", err.message);
    assert_false(warm);
    assert_true(t.values[0] == (float)s.step && s.m[COUNT - 1] == (float)s.step);
    free(found);
    train_state_free(&s);
  }
}

/* A state that does not belong to these parameters is refused, not trained on. */
static void test_wrong_state(void **state) {
  fixture *f = *state;
  toy t;
  train_state s;
  bool warm;
  ace_error err = {0};
  json_t *about = json_object();
  toy_open(&t);
  assert_int_equal(train_state_open(&s, COUNT, NULL), ACE_OK);
  s.m[3] = INFINITY;
  assert_int_equal(checkpoint_write(f->output, "a", &t.task, &s, about, NULL), ACE_OK);
  char *found = checkpoint_find(f->output, NULL);
  assert_int_equal(checkpoint_read(found, &t.task, &s, &warm, &err), ACE_EFORMAT);
  assert_non_null(strstr(err.message, "not finite"));
  strcpy(t.tensor.name, "other");
  assert_int_equal(checkpoint_read(found, &t.task, &s, &warm, &err), ACE_EFORMAT);
  assert_non_null(strstr(err.message, "exp_avg/other"));
  free(found);
  assert_null(checkpoint_find("/nowhere/at/all", &err));
  assert_int_equal(err.status, ACE_ENOTFOUND);
  train_state_free(&s);
  json_decref(about);
}

/* A given path without a checkpoint is an error: never a silent start from nothing. */
static void test_resume_refusals(void **state) {
  fixture *f = *state;
  toy t;
  result r;
  ace_error err = {0};
  toy_open(&t);
  set(f, "resume", f->folder);
  assert_int_equal(run_with(f, &t, &r, &err), ACE_ENOTFOUND);
  assert_int_equal(t.runs, 0);
  set(f, "resume", "");
  f->s.epochs = 2, f->s.save_every = 1;
  run_ok(f, -1);
  set(f, "resume", f->output);
  assert_int_equal(run_with(f, &t, &r, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "already complete"));
}

/* A full disk in the middle costs a checkpoint, not the training; at the end it is an error. */
static void test_full_disk(void **state) {
  fixture *f = *state;
  toy t;
  result r;
  ace_error err = {0};
  f->s.save_every = 1;
  toy_open(&t);
  t.full = true;
  assert_int_equal(run_with(f, &t, &r, &err), ACE_EIO);
  assert_int_equal(r.step, 6 * SAMPLES);
  assert_int_equal(t.saves, 0);
  char path[200];
  snprintf(path, sizeof path, "%s/final", f->output);
  assert_false(file_exists(path));
}

static void test_not_finite(void **state) {
  fixture *f = *state;
  toy t;
  result r;
  ace_error err = {0};
  toy_open(&t);
  t.broken = true;
  assert_int_equal(run_with(f, &t, &r, &err), ACE_EINVAL);
  assert_int_equal(r.step, 0);
  assert_int_equal(t.runs, 20);
  assert_non_null(strstr(err.message, "first of all in w"));
  for (int i = 0; i < COUNT; i++) assert_true(t.values[i] == 0); /* nothing was spoiled */
}

/* Validation keeps the best, previews come when asked for, and their failure is no matter. */
static void test_best_and_previews(void **state) {
  fixture *f = *state;
  toy t;
  result r;
  toy_open(&t);
  set(f, "val_split", "0.3");
  f->s.sample_every = 2;
  assert_int_equal(run_with(f, &t, &r, NULL), ACE_OK);
  assert_int_equal(r.step, 6 * 5);
  assert_int_equal(t.previews, 3);
  char path[200];
  snprintf(path, sizeof path, "%s/checkpoints/best", f->output);
  assert_true(file_is_directory(path));
}

/* ---- several processes, as threads ------------------------------------------------------------------------------- */

enum { RANKS = 2 };

typedef struct meeting {
  pthread_mutex_t lock;
  pthread_cond_t change;
  const float *floats[RANKS];
  const double *doubles[RANKS];
  int arrived, left;
  int64_t round;
} meeting;

typedef struct member {
  meeting *m;
  train_group group;
  toy t;
  const fixture *f;
  result r;
  ace_status status;
} member;

/* Waits until all have come here as often as this one. */
static void meet(meeting *m) {
  pthread_mutex_lock(&m->lock);
  int64_t round = m->round;
  if (++m->arrived == RANKS) {
    m->arrived = 0;
    m->round++;
    pthread_cond_broadcast(&m->change);
  }
  while (m->round == round) pthread_cond_wait(&m->change, &m->lock);
  pthread_mutex_unlock(&m->lock);
}

static ace_status sum_floats(void *user, float *x, int64_t n, ace_error *err) {
  member *own = user;
  float *sum = calloc((size_t)n, sizeof *sum);
  own->m->floats[own->group.rank] = x;
  meet(own->m);
  for (int r = 0; r < RANKS; r++)
    for (int64_t i = 0; i < n; i++) sum[i] += own->m->floats[r][i];
  meet(own->m);
  memcpy(x, sum, (size_t)n * sizeof *sum);
  free(sum);
  return ACE_OK;
}

static ace_status sum_doubles(void *user, double *x, int n, ace_error *err) {
  member *own = user;
  double sum[8] = {0};
  own->m->doubles[own->group.rank] = x;
  meet(own->m);
  for (int r = 0; r < RANKS; r++)
    for (int i = 0; i < n; i++) sum[i] += own->m->doubles[r][i];
  meet(own->m);
  memcpy(x, sum, (size_t)n * sizeof *sum);
  return ACE_OK;
}

static void *run_member(void *arg) {
  member *own = arg;
  train_outcome out;
  train_job job = {.settings = &own->f->s,
                   .task = &own->t.task,
                   .group = &own->group,
                   .events = {.cancelled = stop_toy, .user = &own->t}};
  own->status = train_run(&job, &out, NULL);
  own->r = (result){.step = out.step, .epoch = out.epoch, .stopped = out.stopped, .loss = out.loss};
  memcpy(own->r.values, own->t.values, sizeof own->r.values);
  train_outcome_free(&out);
  return NULL;
}

/* Two of them on the training of the fixture; the second one's user says stop after so many looks at samples. */
static void run_together(const fixture *f, member own[RANKS], int runs_most, float spoiled) {
  meeting m = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
  pthread_t thread[RANKS];
  for (int i = 0; i < RANKS; i++) {
    own[i] = (member){.m = &m, .f = f};
    own[i].group = (train_group){i, RANKS, sum_floats, sum_doubles, &own[i]};
    toy_open(&own[i].t);
    if (i) own[i].t.runs_most = runs_most, own[i].t.values[0] = spoiled;
    assert_int_equal(pthread_create(&thread[i], NULL, run_member, &own[i]), 0);
  }
  for (int i = 0; i < RANKS; i++) pthread_join(thread[i], NULL);
}

/* Two processes are one with twice the accumulation, but for rounding; both end with the same bits; a stop of one stops
 * both, and what was stopped goes on. */
static void test_group(void **state) {
  fixture *f = *state;
  member own[RANKS];
  set(f, "val_split", "0.2");
  f->s.gradient_accumulation = 2;
  result whole = run_ok(f, -1);
  f->s.gradient_accumulation = 1;
  run_together(f, own, -1, 0);
  for (int i = 0; i < RANKS; i++) assert_int_equal(own[i].status, ACE_OK);
  same(&own[0].r, &own[1].r);
  assert_int_equal(own[0].r.step, whole.step);
  for (int i = 0; i < COUNT; i++) assert_true(fabs((double)(own[0].r.values[i] - whole.values[i])) < 1e-5);
  result straight = own[0].r;
  file_remove_tree(f->output, NULL);
  run_together(f, own, 7, 0);
  assert_true(own[0].r.stopped && own[1].r.stopped && own[0].r.step < whole.step);
  same(&own[0].r, &own[1].r);
  set(f, "resume", f->output);
  run_together(f, own, -1, 0);
  same(&straight, &own[0].r);
}

/* Processes that were started unlike each other do not train. */
static void test_unlike(void **state) {
  member own[RANKS];
  run_together(*state, own, -1, 0.5f);
  for (int i = 0; i < RANKS; i++) assert_int_equal(own[i].status, ACE_EINTERNAL);
  assert_int_equal(own[0].t.runs, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_learns),
      TEST(test_resume),
      TEST(test_stop),
      TEST(test_accumulation),
      TEST(test_killed_while_saving),
      TEST(test_kill),
      TEST(test_wrong_state),
      TEST(test_resume_refusals),
      TEST(test_full_disk),
      TEST(test_not_finite),
      TEST(test_best_and_previews),
      TEST(test_group),
      TEST(test_unlike),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
