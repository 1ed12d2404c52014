/* Files of settings: what a user wrote is what counts, and what he got wrong is named. */
#include "temp.h"

#include "cli/env_file.h"

typedef struct found {
  char text[1000]; /* "KEY=VALUE|" of each */
} found;

static void add(void *user, const char *key, const char *value) {
  found *f = user;
  size_t n = strlen(f->text);
  snprintf(f->text + n, sizeof f->text - n, "%s=%s|", key, value);
}

static void expect(const char *text, const char *want) {
  found f = {""};
  ace_error err;
  if (env_file_parse(text, strlen(text), add, &f, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_string_equal(f.text, want);
}

static void test_what_is_written_counts(void **state) {
  expect("", "");
  expect("A=1", "A=1|");
  expect("# nothing\n\n  A = x y  # behind\r\nexport B=c#d\nC=\n", "A=x y|B=c#d|C=|");
  expect("A=\"x # y\\n\\\"z\\\\\"\nB='it\\n' # so\n", "A=x # y\n\"z\\|B=it\\n|");
  expect("exported=1\n", "exported=1|");
}

static void refuse(const char *text, const char *line) {
  found f = {""};
  ace_error err = {0};
  assert_int_equal(env_file_parse(text, strlen(text), add, &f, &err), ACE_EFORMAT);
  expect_error(&err, ACE_EFORMAT, line, "line");
}

static void test_mistakes_are_named(void **state) {
  refuse("A=1\nB\n", "line 2");
  refuse("=x\n", "line 1");
  refuse("A=\"x\n", "line 1");
  refuse("A='x' y\n", "line 1");
  ace_error err;
  assert_int_equal(env_file_parse("A=\0", 3, add, &(found){""}, &err), ACE_EFORMAT);
}

/* The environment wins, and a file cannot set what belongs to other programs. */
static void test_the_environment_wins(void **state) {
  static const char text[] = "ACESTEP_TEST_A=file\nACESTEP_TEST_B=file\nLD_PRELOAD_TEST=x\n";
  temp t = temp_open();
  temp_put(&t, "settings", text, sizeof text - 1);
  ace_error err;
  setenv("ACESTEP_TEST_A", "set", 1);
  assert_int_equal(env_file_load(temp_path(&t, "settings"), &err), ACE_OK);
  assert_string_equal(getenv("ACESTEP_TEST_A"), "set");
  assert_string_equal(getenv("ACESTEP_TEST_B"), "file");
  assert_null(getenv("LD_PRELOAD_TEST"));
  assert_int_equal(env_file_load(temp_path(&t, "no-such"), &err), ACE_ENOTFOUND);
  temp_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_is_written_counts),
      cmocka_unit_test(test_mistakes_are_named),
      cmocka_unit_test(test_the_environment_wins),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
