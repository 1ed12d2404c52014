/* Audio codes are pasted, edited and shared as text: what is read back must be what was written, and nothing else. */
#include "text/codes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka.h needs the two above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"

static void expect_codes(const char *s, size_t length, const int32_t *want, size_t n_want, size_t clamped_want) {
  int32_t *codes;
  size_t n, clamped;
  ace_error err = {0};
  if (codes_parse(s, length, 63999, &codes, &n, &clamped, &err) != ACE_OK) fail_msg("%s", err.message);
  if (n != n_want) fail_msg("\"%s\": %zu codes, expected %zu", s, n, n_want);
  for (size_t i = 0; i < n; i++)
    if (codes[i] != want[i]) fail_msg("\"%s\": code %zu is %d, expected %d", s, i, (int)codes[i], (int)want[i]);
  if (clamped != clamped_want) fail_msg("\"%s\": %zu clamped, expected %zu", s, clamped, clamped_want);
  if (n == 0) assert_null(codes);
  free(codes);
}

#define CODES(s, clamped, ...)                                                      \
  do {                                                                              \
    const int32_t want_[] = {__VA_ARGS__};                                          \
    expect_codes(s, sizeof(s) - 1, want_, sizeof want_ / sizeof want_[0], clamped); \
  } while (0)

static void test_parse(void **state) {
  CODES("<|audio_code_5|> , <|audio_code_007|>\n<|audio_code_63999|>.", 0, 5, 7, 63999);
  CODES("<|audio_code_64000|><|audio_code_1|><|audio_code_2147483648|>", 2, 63999, 1, 63999);
  CODES("<|audio_code_99999999999999999999999999999999999999|>", 1, 63999);
  CODES("<|audio_code_<|audio_code_2|>|>", 0, 2);
  CODES("a\0<|audio_code_3|>", 0, 3); /* a NUL does not end the text */
  static const char *const none[] = {"",
                                     "<",
                                     "<|audio_code_|>",
                                     "<|audio_code_-1|>",
                                     "<|audio_code_1.5|>",
                                     "<|AUDIO_CODE_1|>",
                                     "<|audio_code_1|",
                                     "<|audio_code_1",
                                     "<|audio_code_1>",
                                     "<|audio_code_\u0661|>",
                                     "1,2,3"};
  for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) expect_codes(none[i], strlen(none[i]), NULL, 0, 0);
}

static void test_no_byte_behind_the_end_is_read(void **state) {
  static const char whole[] = "<|audio_code_12|>";
  for (size_t n = 0; n < sizeof whole - 1; n++) {
    char *copy = malloc(n + (n == 0)); /* the address sanitizer watches its end */
    memcpy(copy, whole, n);
    size_t cursor = 0;
    codes_match match;
    assert_false(codes_next(copy, n, &cursor, &match));
    free(copy);
  }
}

static void test_there_and_back(void **state) {
  static const int32_t codes[] = {0, 7, 63999, 10, 2147483647, 99999};
  enum { N = sizeof codes / sizeof codes[0] };
  size_t length, n;
  char *s = codes_format(codes, N, &length);
  assert_string_equal(s,
                      "<|audio_code_0|><|audio_code_7|><|audio_code_63999|><|audio_code_10|>"
                      "<|audio_code_2147483647|><|audio_code_99999|>");
  assert_int_equal(strlen(s), length);
  int32_t *back;
  assert_int_equal(codes_parse(s, length, INT32_MAX, &back, &n, NULL, NULL), ACE_OK);
  assert_int_equal(n, N);
  assert_memory_equal(back, codes, sizeof codes);
  free(back);
  free(s);
  s = codes_format(NULL, 0, NULL);
  assert_string_equal(s, "");
  free(s);
}

/* ---- golden cases ------------------------------------------------------------------------------------------------ */

#define GOLDEN ACE_SOURCE_DIR "/../shared/golden/text/codes.json"

static json_t *golden_open(void) {
  if (access(GOLDEN, R_OK) != 0) {
    print_message("golden audio code strings: absent\n");
    skip();
  }
  ace_error err = {0};
  json_t *json = json_parse_file(GOLDEN, 1 << 24, &err);
  if (!json) fail_msg("%s", err.message);
  return json;
}

/* A list of integers as a heap array. */
static int32_t *integers(const json_t *list) {
  int32_t *values = malloc((json_array_size(list) + 1) * sizeof *values);
  for (size_t i = 0; i < json_array_size(list); i++) values[i] = (int32_t)json_integer_value(json_array_get(list, i));
  return values;
}

static void test_golden_parse(void **state) {
  json_t *json = golden_open(), *one;
  size_t i;
  json_array_foreach(json_object_get(json, "parse"), i, one) {
    const json_t *s = json_object_get(one, "text"), *out = json_object_get(one, "out");
    const json_t *list = json_object_get(out, "codes"), *serialized = json_object_get(out, "serialized");
    const char *from = json_string_value(s);
    int32_t *want = integers(list);
    char *joined = malloc(json_string_length(s) + 1);
    size_t used = 0, count = 0, over = 0, cursor = 0;
    codes_match match;
    while (codes_next(from, json_string_length(s), &cursor, &match)) {
      memcpy(joined + used, from + match.at, match.length);
      used += match.length;
      count++;
      over += match.value > 63999;
    }
    assert_int_equal(count, json_integer_value(json_object_get(out, "count")));
    assert_int_equal(used, json_string_length(serialized));
    assert_memory_equal(joined, json_string_value(serialized), used);
    expect_codes(from, json_string_length(s), want, json_array_size(list), over);
    free(joined);
    free(want);
  }
  assert_int_equal(i, 24);
  json_decref(json);
}

static void test_golden_format(void **state) {
  json_t *json = golden_open(), *one;
  size_t i;
  json_array_foreach(json_object_get(json, "format"), i, one) {
    const json_t *list = json_object_get(one, "codes");
    int32_t *codes = integers(list);
    char *s = codes_format(codes, json_array_size(list), NULL);
    assert_string_equal(s, json_string_value(json_object_get(one, "out")));
    free(s);
    free(codes);
  }
  assert_int_equal(i, 6);
  json_decref(json);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parse),          cmocka_unit_test(test_no_byte_behind_the_end_is_read),
      cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_golden_parse),
      cmocka_unit_test(test_golden_format),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
