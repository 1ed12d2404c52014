/* How a training ends when it does not end well: with a checkpoint that lacks nothing, and with the right one found again.
 * A task that is small enough to know by heart (toy_task.h) shows every sample that is lost or looked at twice. */
#include "toy_task.h"

#include <fcntl.h>

/* Wherever the stop falls in two epochs, in their validation too: what goes on ends with the bits of one run. */
static void test_stop_anywhere(void **state) {
  fixture *f = *state;
  f->s.epochs = 3;
  set(f, "val_split", "0.3");
  result whole = run_ok(f, -1);
  for (int runs = 1; runs <= 2 * SAMPLES + 1; runs++) {
    file_remove_tree(f->output, NULL);
    set(f, "resume", "");
    assert_true(run_ok(f, runs).stopped);
    set(f, "resume", f->output);
    result rest = run_ok(f, -1);
    same(&whole, &rest);
  }
}

static bool has_folder(const fixture *f, const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", f->output, name);
  return file_is_directory(path);
}

/* A checkpoint that could not be written is none: the stop that follows writes what it lacks. */
static void test_an_unwritten_checkpoint_is_not_saved(void **state) {
  fixture *f = *state;
  toy t;
  result part;
  f->s.save_every = 1;
  result whole = run_ok(f, -1);
  file_remove_tree(f->output, NULL);
  toy_open(&t);
  t.full_at = "epoch_2_loss", t.runs_most = 2 * SAMPLES;
  assert_int_equal(run_with(f, &t, &part, NULL), ACE_OK);
  assert_true(part.stopped);
  assert_int_equal(part.step, 2 * SAMPLES);
  assert_true(has_folder(f, "checkpoints/epoch_2_step_14_stopped"));
  set(f, "resume", f->output);
  result rest = run_ok(f, -1);
  same(&whole, &rest);
}

/* All epochs are done and the end cannot be written: they are in a checkpoint, and going on needs the end alone. */
static void test_an_end_that_fails(void **state) {
  fixture *f = *state;
  toy t;
  result r;
  ace_error err = {0};
  result whole = run_ok(f, -1);
  file_remove_tree(f->output, NULL);
  toy_open(&t);
  t.full_at = "final";
  assert_int_equal(run_with(f, &t, &r, &err), ACE_EIO);
  assert_false(has_folder(f, "final"));
  set(f, "resume", f->output);
  toy_open(&t);
  if (run_with(f, &t, &r, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(t.runs, 0);
  same(&whole, &r);
  assert_true(has_folder(f, "final"));
  assert_int_equal(run_with(f, &t, &r, &err), ACE_EINVAL); /* now there is nothing left */
}

static void written_at(const fixture *f, const char *name, int64_t step, time_t when) {
  char path[256];
  toy t;
  train_state s;
  json_t *about = json_object();
  toy_open(&t);
  assert_int_equal(train_state_open(&s, COUNT, NULL), ACE_OK);
  s.step = step;
  assert_int_equal(checkpoint_write(f->output, name, &t.task, &s, about, NULL), ACE_OK);
  snprintf(path, sizeof path, "%s/checkpoints/%s/" CHECKPOINT_STATE, f->output, name);
  struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
  train_state_free(&s);
  json_decref(about);
}

static void expect_found(const fixture *f, const char *name) {
  char *found = checkpoint_find(f->output, NULL);
  assert_non_null(found);
  assert_string_equal(strrchr(found, '/') + 1, name);
  free(found);
}

/* The newest is the one that was written last, though an older and longer training lies beside it. */
static void test_newest(void **state) {
  fixture *f = *state;
  written_at(f, "epoch_900_loss_0.5000", 9000, 1000);
  written_at(f, "last", 12, 2000);
  expect_found(f, "last");
  written_at(f, "epoch_3_loss_0.7000", 21, 2000); /* of two at once the one with more steps */
  expect_found(f, "epoch_3_loss_0.7000");
  written_at(f, "best", 20, 2001);
  expect_found(f, "best");
}

static void move(const fixture *f, const char *from, const char *to) {
  char a[256], b[256];
  snprintf(a, sizeof a, "%s/%s", f->output, from);
  snprintf(b, sizeof b, "%s/%s", f->output, to);
  assert_int_equal(rename(a, b), 0);
}

/* Whatever a death hid is put back, the end of a training too; what has been replaced meanwhile goes. */
static void test_what_a_death_hid(void **state) {
  fixture *f = *state;
  f->s.epochs = 2, f->s.save_every = 1;
  run_ok(f, -1);
  written_at(f, "last", 1, 1000);
  written_at(f, "epoch_7_loss_0.1000", 1, 1000);
  move(f, "final", ".old-final");
  move(f, "checkpoints/epoch_7_loss_0.1000", "checkpoints/.old-epoch_7_loss_0.1000");
  move(f, "checkpoints/last", "checkpoints/.old-last");
  written_at(f, "last", 2, 1000);
  checkpoint_recover(f->output);
  assert_true(has_folder(f, "final") && !has_folder(f, ".old-final"));
  assert_true(has_folder(f, "checkpoints/epoch_7_loss_0.1000"));
  assert_true(has_folder(f, "checkpoints/last") && !has_folder(f, "checkpoints/.old-last"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_stop_anywhere),     TEST(test_an_unwritten_checkpoint_is_not_saved),
      TEST(test_an_end_that_fails), TEST(test_newest),
      TEST(test_what_a_death_hid),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
