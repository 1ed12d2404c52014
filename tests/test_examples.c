/* The bundled examples: a newcomer's first throw of the dice must fill the page with something that can be generated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/embed.h"
#include "request/params.h"
#include "service/examples.h"

extern const embedded examples_files[];

enum { LEAST = 60, LEAST_LANGUAGES = 6 };

static json_t *example(examples_kind kind, int i) {
  ace_error err;
  json_t *e = examples_random(kind, (uint64_t)i, &err);
  if (!e) fail_msg("example %d: %s", i, err.message);
  return e;
}

static const char *text(const json_t *e, const char *field) {
  const char *s = json_string_value(json_object_get(e, field));
  if (!s) fail_msg("%s is no text", field);
  if (s && !*s) fail_msg("%s is empty", field);
  return s;
}

static void expect_range(const json_t *e, const char *field) {
  const req_param *p = req_param_find(field);
  const json_t *v = json_object_get(e, field);
  assert_true(json_is_integer(v));
  json_int_t n = json_integer_value(v);
  if (n < p->lo || n > p->hi) fail_msg("%s %lld in \"%s\"", field, (long long)n, text(e, "caption"));
}

static bool known_language(const char *code) {
  for (const char *const *known = req_languages(); *known; known++)
    if (strcmp(*known, code) == 0) return true;
  return false;
}

static bool is_key(const char *s) {
  if (!*s || !strchr("ABCDEFG", *s++)) return false;
  if (*s == '#' || *s == 'b') s++;
  return strcmp(s, " major") == 0 || strcmp(s, " minor") == 0;
}

/* One line of words at least, and the first line a tag. */
static bool has_words(const char *lyrics) {
  if (*lyrics != '[') return false;
  for (const char *line = lyrics; line; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (*line && *line != '[' && *line != '\n') return true;
  }
  return false;
}

/* Enough of them, in enough languages, voices and instrumentals, and none twice: by the text under `what`. */
static void expect_variety(examples_kind kind, const char *what, const char *language) {
  int n = examples_count(kind), instrumental = 0;
  assert_true(n >= LEAST);
  json_t *texts = json_object(), *languages = json_object();
  for (int i = 0; i < n; i++) {
    json_t *e = example(kind, i);
    if (json_object_get(texts, text(e, what))) fail_msg("twice: %s", text(e, what));
    json_object_set_new(texts, text(e, what), json_true());
    const char *code = text(e, language);
    if (!known_language(code)) fail_msg("language \"%s\"", code);
    if (strcmp(code, "unknown") == 0) instrumental++;
    else json_object_set_new(languages, code, json_true());
    json_decref(e);
  }
  assert_true(json_object_size(languages) >= LEAST_LANGUAGES);
  assert_true(instrumental > 0 && instrumental < n / 2);
  json_decref(texts);
  json_decref(languages);
}

static void test_descriptions(void **state) {
  (void)state;
  expect_variety(EXAMPLES_SIMPLE, "description", "vocal_language");
  for (int i = 0; i < examples_count(EXAMPLES_SIMPLE); i++) {
    json_t *e = example(EXAMPLES_SIMPLE, i);
    const json_t *instrumental = json_object_get(e, "instrumental");
    assert_int_equal(json_object_size(e), 3);
    assert_true(json_is_boolean(instrumental));
    /* a voice has a language */
    assert_int_equal(json_is_true(instrumental), strcmp(text(e, "vocal_language"), "unknown") == 0);
    json_decref(e);
  }
}

static void test_songs(void **state) {
  (void)state;
  expect_variety(EXAMPLES_CUSTOM, "caption", "language");
  for (int i = 0; i < examples_count(EXAMPLES_CUSTOM); i++) {
    json_t *e = example(EXAMPLES_CUSTOM, i);
    assert_int_equal(json_object_size(e), 8);
    assert_true(json_is_boolean(json_object_get(e, "think")));
    expect_range(e, "bpm");
    expect_range(e, "duration");
    if (!is_key(text(e, "keyscale"))) fail_msg("keyscale \"%s\"", text(e, "keyscale"));
    const char *meter = text(e, "timesignature");
    assert_true(strlen(meter) == 1 && strchr("2346", *meter));
    const char *lyrics = text(e, "lyrics");
    if (strcmp(text(e, "language"), "unknown") == 0) assert_string_equal(lyrics, "[Instrumental]");
    else if (!has_words(lyrics)) fail_msg("no words in \"%s\"", text(e, "caption"));
    json_decref(e);
  }
}

/* No lyrics are sung twice under two captions. */
static void test_lyrics_differ(void **state) {
  (void)state;
  json_t *seen = json_object();
  for (int i = 0; i < examples_count(EXAMPLES_CUSTOM); i++) {
    json_t *e = example(EXAMPLES_CUSTOM, i);
    const char *lyrics = text(e, "lyrics");
    if (strcmp(lyrics, "[Instrumental]") != 0) {
      if (json_object_get(seen, lyrics)) fail_msg("the lyrics of \"%s\" come twice", text(e, "caption"));
      json_object_set_new(seen, lyrics, json_true());
    }
    json_decref(e);
  }
  json_decref(seen);
}

/* Any random number is good, and counting wraps around. */
static void test_any_number(void **state) {
  (void)state;
  int n = examples_count(EXAMPLES_SIMPLE);
  ace_error err;
  json_t *a = example(EXAMPLES_SIMPLE, 1), *b = example(EXAMPLES_SIMPLE, 1 + n);
  assert_true(json_equal(a, b));
  json_t *c = examples_random(EXAMPLES_SIMPLE, UINT64_MAX, &err);
  assert_true(json_is_object(c));
  json_decref(a), json_decref(b), json_decref(c);
}

/* What is built in is the file, byte for byte, with a zero behind it. */
static void test_embedded_bytes(void **state) {
  (void)state;
  int files = 0;
  for (const embedded *f = examples_files; f->name; f++, files++) {
    char path[1024];
    snprintf(path, sizeof path, "%s/src/service/%s", ACE_SOURCE_DIR, f->name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    unsigned char *bytes = malloc(f->size + 1);
    assert_int_equal(fread(bytes, 1, f->size + 1, in), f->size);
    assert_memory_equal(bytes, f->data, f->size);
    assert_int_equal(f->data[f->size], 0);
    free(bytes);
    fclose(in);
    assert_ptr_equal(embedded_find(examples_files, f->name), f);
  }
  assert_int_equal(files, 2);
  assert_null(embedded_find(examples_files, "examples/none.json"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_descriptions), cmocka_unit_test(test_songs),          cmocka_unit_test(test_lyrics_differ),
      cmocka_unit_test(test_any_number),   cmocka_unit_test(test_embedded_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
