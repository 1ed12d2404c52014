/* Messages: what a listener would miss or see that is not his. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "jobs/events.h"

static void say(events *e, const char *session, const char *job, int n) {
  json_t *data = json_pack("{s:i}", "n", n);
  events_publish(e, session, job, "progress", data);
  json_decref(data);
}

/* The number in the next message, -1 without one. */
static int hear(events *e, uint64_t *cursor, const char *session, const char *job, bool *gap) {
  event *x = events_next(e, cursor, session, job, gap);
  int n = -1;
  if (x) assert_int_equal(sscanf(x->data, "{\"n\":%d}", &n), 1);
  event_free(x);
  return n;
}

static void test_each_hears_his_own(void **state) {
  events *e = events_new(NULL);
  uint64_t a = events_newest(e), b = a, one = a;
  bool gap;
  say(e, "anna", "x", 1);
  say(e, "bert", "y", 2);
  say(e, "", "", 3);
  say(e, "anna", "z", 4);
  assert_int_equal(hear(e, &a, "anna", NULL, &gap), 1);
  assert_false(gap);
  assert_int_equal(hear(e, &a, "anna", NULL, &gap), 3);
  assert_int_equal(hear(e, &a, "anna", NULL, &gap), 4);
  assert_int_equal(hear(e, &a, "anna", NULL, &gap), -1);
  assert_false(gap);
  assert_int_equal(hear(e, &b, "bert", NULL, &gap), 2);
  assert_int_equal(hear(e, &b, "bert", NULL, &gap), 3);
  assert_int_equal(hear(e, &b, "bert", NULL, &gap), -1);
  assert_int_equal(hear(e, &one, "anna", "z", &gap), 3);
  assert_int_equal(hear(e, &one, "anna", "z", &gap), 4);
  events_free(e);
}

/* Who comes back after a while gets all that was said since, or is told that it is too much. */
static void test_coming_back(void **state) {
  events *e = events_new(NULL);
  bool gap;
  uint64_t cursor = events_newest(e);
  for (int i = 0; i < 100; i++) say(e, "anna", "x", i);
  uint64_t left = cursor + 60; /* message 59 was the last one seen */
  for (int i = 60; i < 100; i++) {
    assert_int_equal(hear(e, &left, "anna", NULL, &gap), i);
    assert_false(gap);
  }
  assert_int_equal(hear(e, &left, "anna", NULL, &gap), -1);
  for (int i = 0; i < 10000; i++) say(e, "anna", "x", i);
  assert_int_equal(hear(e, &left, "anna", NULL, &gap), 10000 - 4096);
  assert_true(gap);
  for (int i = 10000 - 4095; i < 10000; i++) assert_int_equal(hear(e, &left, "anna", NULL, &gap), i);
  assert_int_equal(hear(e, &left, "anna", NULL, &gap), -1);
  /* Numbers that this start has never given: another start's, or nonsense. */
  uint64_t none = 0, future = UINT64_MAX - 1;
  assert_int_equal(hear(e, &none, "anna", NULL, &gap), 10000 - 4096);
  assert_true(gap);
  assert_int_equal(hear(e, &future, "anna", NULL, &gap), 10000 - 4096);
  assert_true(gap);
  events_free(e);
}

/* Numbers grow over a restart, so that an old one is never taken for a new one. */
static void test_numbers_grow_over_a_restart(void **state) {
  events *e = events_new(NULL);
  for (int i = 0; i < 50; i++) say(e, "", "", i);
  uint64_t last = events_newest(e);
  events_free(e);
  nanosleep(&(struct timespec){0, 2000000}, NULL); /* a program does not start again within a millisecond */
  e = events_new(NULL);
  say(e, "", "", 7);
  bool gap;
  assert_int_equal(hear(e, &last, "anna", NULL, &gap), 7);
  assert_true(gap);
  events_free(e);
}

static void count(void *user) {
  ++*(int *)user;
}

static void test_watchers_are_woken(void **state) {
  events *e = events_new(NULL);
  int woken = 0;
  assert_true(events_watch(e, count, &woken));
  say(e, "anna", "", 1);
  say(e, "anna", "", 2);
  events_unwatch(e, count, &woken);
  say(e, "anna", "", 3);
  assert_int_equal(woken, 2);
  events_free(e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_hears_his_own),
      cmocka_unit_test(test_coming_back),
      cmocka_unit_test(test_numbers_grow_over_a_restart),
      cmocka_unit_test(test_watchers_are_woken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
