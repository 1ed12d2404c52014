/* Wrong levels of noise make a model sing out of tune: the schedule must be the one that it was trained on. */
#include "render/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"

static void expect_levels(const char *what, const float *got, int n, const float *want, int64_t count) {
  if (n != count) fail_msg("%s: %d levels instead of %lld", what, n, (long long)count);
  double d = golden_difference(got, want, count);
  if (!(d <= 1e-7)) fail_msg("%s: differs by %g", what, d);
}

/* ---- rules that a lone clone can check --------------------------------------------------------------------------- */

static void test_turbo_tables(void **state) {
  static const float three[] = {1, 0.95454545f, 0.9f, 0.83333333f, 0.75f, 0.64285714f, 0.5f, 0.3f};
  static const float two[] = {1, 0.93333333f, 0.85714286f, 0.76923077f, 0.66666667f, 0.54545455f, 0.4f, 0.22222222f};
  static const float one[] = {1, 0.875f, 0.75f, 0.625f, 0.5f, 0.375f, 0.25f, 0.125f};
  static const struct {
    double shift;
    const float *want;
  } tables[] = {{1, one},   {1.4, one},   {1.5, one}, {2, two},  {2.4, two},
                {2.5, two}, {2.6, three}, {3, three}, {5, three}};
  float t[SCHEDULE_TURBO_STEPS];
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    int n = schedule_turbo(t, SCHEDULE_TURBO_STEPS, tables[i].shift, 0, NULL, 0);
    expect_levels("table", t, n, tables[i].want, 8);
  }
  for (int shift = 1; shift <= 3; shift++) { /* asking for eight steps gives the same as not asking */
    float u[SCHEDULE_TURBO_STEPS];
    int n = schedule_turbo(t, SCHEDULE_TURBO_STEPS, shift, 8, NULL, 0);
    assert_int_equal(n, schedule_turbo(u, SCHEDULE_TURBO_STEPS, shift, 0, NULL, 0));
    assert_memory_equal(t, u, 8 * sizeof *t);
  }
}

static void test_turbo_custom_levels_snap_to_trained_ones(void **state) {
  static const float mine[] = {0.97f, 0.76f, 0.615f, 0.5f, 0.395f, 0.28f, 0.18f, 0.085f, 0, 0};
  static const float want[] = {0.95454545f, 0.76923077f, 0.625f, 0.5f, 0.4f, 0.3f, 0.22222222f, 0.125f};
  static const float zeros[] = {0, 0}, tie[] = {0.9375f, 0.1875f};
  float t[SCHEDULE_CAPACITY], many[30];
  int n = schedule_turbo(t, SCHEDULE_CAPACITY, 3, 8, mine, 10);
  expect_levels("custom", t, n, want, 8);
  assert_int_equal(schedule_turbo(t, SCHEDULE_CAPACITY, 1, 4, zeros, 2), 4); /* nothing left: the list is ignored */
  assert_int_equal(schedule_turbo(t, SCHEDULE_CAPACITY, 1, 4, tie, 2), 2);
  for (int i = 0; i < 30; i++) many[i] = 0.5f;
  assert_int_equal(schedule_turbo(t, SCHEDULE_CAPACITY, 1, 4, many, 30), SCHEDULE_TURBO_STEPS);
}

static void test_every_schedule_falls(void **state) {
  static const double shifts[] = {0.5, 1, 1.7, 3, 5};
  float t[SCHEDULE_CAPACITY];
  for (size_t s = 0; s < sizeof shifts / sizeof shifts[0]; s++)
    for (int steps = 1; steps <= 200; steps++) {
      int n = schedule_base(t, SCHEDULE_CAPACITY, shifts[s], steps, NULL, 0);
      assert_int_equal(n, steps + 1);
      assert_true(t[0] == 1 && t[steps] == 0);
      for (int i = 1; i < n; i++) assert_true(t[i] < t[i - 1]);
      n = schedule_turbo(t, SCHEDULE_CAPACITY, shifts[s], steps, NULL, 0);
      assert_int_equal(n, steps < 20 ? steps : 20);
      assert_true(t[0] == 1 && t[n - 1] > 0);
      for (int i = 1; i < n; i++) assert_true(t[i] < t[i - 1]);
    }
}

static void test_refusals_write_nothing(void **state) {
  static const float list[] = {1, 0.5f, 0};
  float t[2] = {-1, -1};
  assert_int_equal(schedule_turbo(t, 2, 1, 8, NULL, 0), 0);
  assert_int_equal(schedule_base(t, 2, 1, 2, NULL, 0), 0);
  assert_int_equal(schedule_base(t, 2, 1, 0, NULL, 0), 0);
  assert_int_equal(schedule_base(t, 2, 1, -5, NULL, 0), 0);
  assert_int_equal(schedule_base(t, 2, 1, 0, list, 3), 0);
  assert_true(t[0] == -1 && t[1] == -1);
  assert_int_equal(schedule_base(t, 2, NAN, 1, NULL, 0), 2); /* a shift that means nothing counts as 1 */
  assert_true(t[0] == 1 && t[1] == 0);
}

static void test_cover_start(void **state) {
  static const float closed[] = {1, 0.75f, 0.5f, 0.25f, 0};
  float start = -1;
  assert_int_equal(schedule_truncate_for_cover(closed, 5, true, 0, &start), 0);
  assert_true(start == 1); /* noise alone */
  assert_int_equal(schedule_truncate_for_cover(closed, 5, true, 0.5, &start), 2);
  assert_true(start == 0.5f);
  assert_int_equal(schedule_truncate_for_cover(closed, 5, true, 0.125, &start), 0); /* a tie: the earlier */
  assert_true(start == 1);
  assert_int_equal(schedule_truncate_for_cover(closed, 5, true, 1, &start),
                   3); /* never the final 0: one step is left */
  assert_true(start == 0.25f);
  assert_int_equal(schedule_truncate_for_cover(closed, 4, false, 1, NULL), 3);
}

/* ---- golden data ------------------------------------------------------------------------------------------------- */

/* The number behind `key` in a tensor name such as "base.steps30.shift1.0". */
static double name_number(const char *name, const char *key, double fallback) {
  const char *at = strstr(name, key);
  return at ? strtod(at + strlen(key), NULL) : fallback;
}

/* The case file records what the model was given: base lists end in the 0 that only schedules of `steps` carry. */
static void check_golden(const st_file *f, const st_tensor *w) {
  bool turbo = strncmp(w->name, "turbo.", 6) == 0;
  int steps = (int)name_number(w->name, "steps", 0), n_custom = 0;
  double shift = name_number(w->name, "shift", 1), cover = name_number(w->name, "covernoise", 0);
  const float *custom = NULL;
  const char *at = strstr(w->name, "custom");
  if (at) {
    char name[32];
    int64_t count;
    snprintf(name, sizeof name, "in.%s", at);
    custom = golden_f32(f, name, &count);
    n_custom = (int)count;
  }
  float t[SCHEDULE_CAPACITY], start;
  if (!turbo && cover > 0) steps = 20;
  int n = turbo ? schedule_turbo(t, SCHEDULE_CAPACITY, shift, steps, custom, n_custom)
                : schedule_base(t, SCHEDULE_CAPACITY, shift, steps, custom, n_custom);
  int drop = schedule_truncate_for_cover(t, n, !turbo, cover, &start);
  int64_t want = w->count + (!turbo && !strstr(w->name, "steps"));
  if (n - drop != want) fail_msg("%s: %d levels", w->name, n - drop);
  assert_true(cover <= 0 || start == t[drop]);
  expect_levels(w->name, t + drop, (int)w->count, w->data, w->count);
}

static void test_golden_schedules(void **state) {
  st_file *f = golden_open("schedules");
  int checked = 0;
  for (int i = 0; i < st_count(f); i++) {
    const st_tensor *w = st_at(f, i);
    if (strncmp(w->name, "in.", 3) == 0) continue;
    check_golden(f, w);
    checked++;
  }
  assert_int_equal(checked, 115);
  st_close(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_turbo_tables),         cmocka_unit_test(test_turbo_custom_levels_snap_to_trained_ones),
      cmocka_unit_test(test_every_schedule_falls), cmocka_unit_test(test_refusals_write_nothing),
      cmocka_unit_test(test_cover_start),          cmocka_unit_test(test_golden_schedules),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
