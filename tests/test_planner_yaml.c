/* The language model reads metadata as YAML and answers in it: other quotes or line ends than it was trained on are
 * other tokens, and an answer that is misread is a song in the wrong tempo, key or language. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h needs those above */
#include <cmocka.h>
#include <unistd.h>

#include "golden_planner.h"
#include "planner/span.h"
#include "planner/yaml_types.h"

#define GOLDEN ACE_SOURCE_DIR "/../shared/golden/text/cot_yaml.json"

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void emits_bytes(plan_field field, const char *text, size_t length, const char *want) {
  plan_metadata m = {0};
  assert_int_equal(plan_set_text(&m, field, text, length, NULL), ACE_OK);
  char *got = plan_yaml(&m, NULL);
  assert_non_null(got);
  if (strcmp(got, want) != 0) fail_msg("\"%s\"\n--- is\n%s\n--- not\n%s", text, got, want);
  free(got);
  plan_metadata_free(&m);
}

static void emits(plan_field field, const char *text, const char *want) {
  emits_bytes(field, text, strlen(text), want);
}

static void test_order_and_presence(void **state) {
  plan_metadata m = {0};
  char *text = plan_yaml(&m, NULL);
  assert_string_equal(text, "");
  free(text);
  plan_set_text(&m, PLAN_TIMESIGNATURE, "6/8", 3, NULL);
  plan_set_text(&m, PLAN_LANGUAGE, "ja", 2, NULL);
  plan_set_text(&m, PLAN_GENRES, "pop", 3, NULL); /* never part of it */
  plan_set_number(&m, PLAN_BPM, 99);
  plan_set_number(&m, PLAN_BPM, 72); /* the last one counts */
  text = plan_yaml(&m, NULL);
  assert_string_equal(text, "bpm: 72\nlanguage: ja\ntimesignature: 6/8");
  free(text);
  plan_metadata_free(&m);
  assert_true(plan_is_empty(&m));
}

static void test_numbers_and_metres(void **state) {
  emits(PLAN_BPM, "072", "bpm: 72");
  emits(PLAN_BPM, "000", "bpm: 0");
  emits(PLAN_BPM, "N/A", "bpm: N/A");
  emits(PLAN_BPM, "123456789012345678901234567890", "bpm: 123456789012345678901234567890");
  emits(PLAN_TIMESIGNATURE, "4/4", "timesignature: 4");
  emits(PLAN_TIMESIGNATURE, "12/8", "timesignature: 12/8");
  emits(PLAN_KEYSCALE, "4/4", "keyscale: 4/4");               /* a metre only where a metre stands */
  emits(PLAN_TIMESIGNATURE, "4\xc2\xa0", "timesignature: 4"); /* Unicode's blanks end no prompt line */
}

/* The Norwegian problem and its relatives: bare, these would read as something other than text. */
static void test_text_that_looks_typed(void **state) {
  static const char *const typed[] = {"no",
                                      "Yes",
                                      "OFF",
                                      "true",
                                      "~",
                                      "Null",
                                      "<<",
                                      "=",
                                      "-1",
                                      "1_000",
                                      "0x1F",
                                      "0b_",
                                      "12:30",
                                      "1.5",
                                      ".5",
                                      "1.",
                                      "1.0e+3",
                                      "-.INF",
                                      ".nan",
                                      "1:2.5",
                                      "190:20",
                                      "0_7",
                                      "2024-01-31",
                                      "2024-1-1 1:02:03",
                                      "2024-01-31T10:00:00.5Z",
                                      "2024-01-31 10:00:00 +01:30"};
  static const char *const bare[] = {"nO",
                                     "y",
                                     "nullify",
                                     "1e3",
                                     "1e+3",
                                     "08x",
                                     "09:30x",
                                     "0x",
                                     "1:75",
                                     "12:3:",
                                     "+",
                                     "-",
                                     "-.5",
                                     "._",
                                     "1.0e3",
                                     ".Nan",
                                     "2024-1-1",
                                     "2024-01-31 10:00",
                                     "2024-01-31 10:00:00 ",
                                     "31-01-2024"};
  char want[64];
  for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
    snprintf(want, sizeof want, "language: '%s'", typed[i]);
    emits(PLAN_LANGUAGE, typed[i], want);
  }
  for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) assert_false(plan_yaml_is_typed(plan_span_of(bare[i])));
}

static void test_quotes(void **state) {
  static const char *const quoted[] = {"a: b", "end:", "a #b",  "#a",  "- a", "-",   "? a",     ": a", "[a]",
                                       "{a}",  "*a",   "&a",    "!a",  "|",   "> a", "\"a\" b", "%a",  "@a",
                                       "`a`",  ", a",  "--- a", "...", " a",  "a ",  "",        " "};
  static const char *const bare[] = {
      "a:b",       "a#b",  "-a", "?a",  ":a",           "a, [b] {c}",        "a \"b\" 'c'",
      "50% a & b", "a\\b", "--", "..a", "\xe2\x99\xad", "\xc3\xa9t\xc3\xa9", "\xf0\x9f\x8e\xb9 a"};
  char want[64];
  for (size_t i = 0; i < sizeof quoted / sizeof *quoted; i++) {
    snprintf(want, sizeof want, "caption: '%s'", quoted[i]);
    emits(PLAN_CAPTION, quoted[i], want);
  }
  for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) {
    snprintf(want, sizeof want, "caption: %s", bare[i]);
    emits(PLAN_CAPTION, bare[i], want);
  }
  emits(PLAN_CAPTION, "it's: 'so'", "caption: 'it''s: ''so'''");
}

static void test_line_ends_inside(void **state) {
  emits(PLAN_CAPTION, "one\ntwo", "caption: 'one\n\n  two'");
  emits(PLAN_CAPTION, "one\n\ntwo\n", "caption: 'one\n\n\n  two\n\n  '");
  emits(PLAN_CAPTION, "one\xe2\x80\xa8two", "caption: 'one\xe2\x80\xa8  two'");
  emits(PLAN_CAPTION, "one \ntwo", "caption: \"one \\ntwo\"");
}

static void test_characters_that_need_escapes(void **state) {
  static const char odd[] = "a\0\t\x1b\x7f\"\\ \xc2\x9f \xef\xbb\xbf \xf0\x9f\x8e\xb9";
  emits_bytes(PLAN_KEYSCALE, odd, sizeof odd - 1, "keyscale: \"a\\0\\t\\e\\x7F\\\"\\\\ \\x9F \\uFEFF \\U0001F3B9\"");
  emits_bytes(PLAN_CAPTION, odd, sizeof odd - 1, "caption: a \"\\   \xf0\x9f\x8e\xb9"); /* captions lose them */
  emits(PLAN_CAPTION, "\tlead and\ttrail\t", "caption: ' lead and trail '");
  emits(PLAN_KEYSCALE, "a\xff\xc3(\xe4\xb8", "keyscale: a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd"); /* broken UTF-8 */
}

/* A line ends at its first lone blank behind column 80, counted in characters, and nowhere else. */
static void test_folding(void **state) {
  static const struct {
    const char *tail, *want;
  } cases[] = {{"a b c", "a b\n  c"},   /* 80 columns before the first blank: not yet */
               {"aa b c", "aa\n  b c"}, /* 81 */
               {"aa  b c", "aa  b\n  c"},
               {"aa ", "aa "},
               {"aa bbbbbbbbbbbbbbbbbbbb c", "aa\n  bbbbbbbbbbbbbbbbbbbb c"}};
  char front[128] = "x", text[256], want[256];
  for (int i = 0; i < 7; i++) strcat(front, "\xe4\xb8\xad 34567 9 "); /* 70 characters in all */
  front[strlen(front) - 1] = '\0';
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bool quoted = i == 3; /* the blank at the end; a quote is a column too */
    snprintf(text, sizeof text, "%s%s", front + quoted, cases[i].tail);
    snprintf(want, sizeof want, quoted ? "caption: '%s%s'" : "caption: %s%s", front + quoted, cases[i].want);
    emits(PLAN_CAPTION, text, want);
  }
}

static uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 16;
}

/* Whatever the words, taking the folds out again gives the text back. */
static void test_folds_lose_nothing(void **state) {
  static const char *const words[] = {"a",  "it's", "guitar", "\xe4\xb8\xad\xe6\x96\x87", "\xf0\x9f\x8e\xb5",
                                      "  ", "x:y"};
  uint32_t random = 7;
  for (int round = 0; round < 300; round++) {
    char text[1024] = "w", back[2048];
    for (uint32_t n = next_random(&random) % 60; n > 0; n--) {
      strcat(text, " ");
      strcat(text, words[next_random(&random) % (sizeof words / sizeof *words)]);
    }
    strcat(text, " z");
    plan_metadata m = {0};
    plan_set_text(&m, PLAN_CAPTION, text, strlen(text), NULL);
    char *yaml = plan_yaml(&m, NULL);
    assert_non_null(yaml);
    size_t used = 0;
    for (const char *s = yaml + strlen("caption: "); *s; s++) {
      bool fold = *s == '\n';
      if (fold) assert_int_equal(strncmp(s, "\n  ", 3), 0);
      if (fold) s += 2;
      back[used++] = fold ? ' ' : *s;
    }
    back[used] = '\0';
    assert_string_equal(back, text);
    free(yaml);
    plan_metadata_free(&m);
  }
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static plan_answer parse_bytes(const char *text, size_t length) {
  plan_answer a;
  ace_error err;
  if (plan_answer_parse(&a, text, length, &err) != ACE_OK) fail_msg("%s", err.message);
  return a;
}

static plan_answer parse(const char *text) {
  return parse_bytes(text, strlen(text));
}

static void text_is(const plan_answer *a, plan_field field, const char *want) {
  const plan_value *v = &a->metadata.field[field];
  if (!want) assert_int_equal(v->kind, PLAN_ABSENT);
  else if (v->kind != PLAN_TEXT || strcmp(v->text, want) != 0)
    fail_msg("%s is \"%s\", not \"%s\"", plan_field_name(field), v->text ? v->text : "(no text)", want);
}

static void number_is(const plan_answer *a, plan_field field, int64_t want) {
  assert_int_equal(a->metadata.field[field].kind, PLAN_NUMBER);
  assert_int_equal(a->metadata.field[field].number, want);
}

static void test_a_whole_answer(void **state) {
  plan_answer a = parse(
      "<think>\nbpm: 120\ncaption: Soft.\n  More.\n\n\t more still\nduration: 60\ngenres: pop, rock\nkeyscale: C "
      "major\n"
      "language: en\ntimesignature: 4\n</think>\n\n# Lyric\n[Intro]\n\nLa\n<|im_end|>");
  number_is(&a, PLAN_BPM, 120);
  text_is(&a, PLAN_CAPTION, "Soft. More. more still");
  number_is(&a, PLAN_DURATION, 60);
  text_is(&a, PLAN_GENRES, "pop, rock");
  text_is(&a, PLAN_KEYSCALE, "C major");
  text_is(&a, PLAN_LANGUAGE, "en");
  text_is(&a, PLAN_TIMESIGNATURE, "4");
  assert_string_equal(a.lyrics, "[Intro]\n\nLa");
  assert_string_equal(a.codes, "");
  plan_answer_free(&a);
  assert_null(a.lyrics);
}

static void test_codes_and_open_ends(void **state) {
  plan_answer a =
      parse("<think>\nbpm: 90\n</think>\n\n<|audio_code_5|> x<|audio_code_007|><|audio_code_|><|audio_code_8");
  number_is(&a, PLAN_BPM, 90);
  assert_string_equal(a.codes, "<|audio_code_5|><|audio_code_007|>");
  plan_answer_free(&a);
  a = parse("<think>\nbpm: 90\nlanguage: no\n<|im_end|>"); /* no </think>: the usual end of metadata */
  number_is(&a, PLAN_BPM, 90);
  text_is(&a, PLAN_LANGUAGE, "no");
  assert_string_equal(a.lyrics, "");
  plan_answer_free(&a);
  a = parse("bpm: 54\n<|audio_code_1|>\nduration: 20");
  number_is(&a, PLAN_BPM, 54);
  text_is(&a, PLAN_DURATION, NULL);
  plan_answer_free(&a);
}

static void test_odd_metadata(void **state) {
  plan_answer a = parse(
      "<think>\nBPM : N/A\nduration: 99999999999999999999\n: nothing\nmood: lost\n  lost too\nCaption: A: B\nnot "
      "indented\n"
      "keyscale:\nlanguage:  \n  en\n</think>");
  text_is(&a, PLAN_BPM, "N/A");
  text_is(&a, PLAN_DURATION, "99999999999999999999");
  text_is(&a, PLAN_CAPTION, "A: B");
  text_is(&a, PLAN_KEYSCALE, NULL);
  text_is(&a, PLAN_LANGUAGE, "en");
  assert_string_equal(a.lyrics, "");
  plan_answer_free(&a);
  a = parse("<think>\nbpm: +7\nbpm: -8 \n</think>");
  number_is(&a, PLAN_BPM, -8);
  plan_answer_free(&a);
}

static void test_quoted_captions(void **state) {
  static const char *const pairs[][2] = {{"'It''s warm: very'", "It's warm: very"},
                                         {"\"a \\\"b\\\" \\\\ c\\td\"", "a \"b\" \\ c d"},
                                         {"''", ""},
                                         {"''''", "'"},
                                         {"'", "'"},
                                         {"'''", "'''"},
                                         {"'half", "'half"},
                                         {"'a' and 'b'", "'a' and 'b'"},
                                         {"\"a\" and \"b\"", "\"a\" and \"b\""},
                                         {"\"a\\q\"", "\"a\\q\""},
                                         {"\"a\\\"", "\"a\\\""}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    char text[128];
    snprintf(text, sizeof text, "caption: %s\nlanguage: 'no'", pairs[i][0]);
    plan_answer a = parse(text);
    text_is(&a, PLAN_CAPTION, pairs[i][1]);
    text_is(&a, PLAN_LANGUAGE, "'no'");
    plan_answer_free(&a);
  }
}

static void test_lyric_headings(void **state) {
  static const char *const pairs[][2] = {{"\n\n# Lyric\nLa", "La"},
                                         {"#lyrics \n\n[A]\n", "[A]"},
                                         {"# LYRI\nLa", "La"},
                                         {"# Languages\nen\n\n# Lyric\nLa", "La"},
                                         {"# Lyric", ""},
                                         {"# Lyrical\nLa", "# Lyrical\nLa"},
                                         {"# Lyric of old\nLa", "# Lyric of old\nLa"},
                                         {"La\n<|im_end|>\n", "La"},
                                         {"La <|im_end|> la", "La <|im_end|> la"},
                                         {"  <|im_end|>", ""}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    char text[256];
    snprintf(text, sizeof text, "<think>\nbpm: 60\n</think>%s", pairs[i][0]);
    plan_answer a = parse(text);
    if (strcmp(a.lyrics, pairs[i][1]) != 0) fail_msg("\"%s\" gives \"%s\"", pairs[i][0], a.lyrics);
    plan_answer_free(&a);
  }
  char text[256] = "</think>";
  for (int i = 0; i < 64; i++) strcat(text, "x");
  strcat(text, "\n# Lyric\nLa"); /* too late for a heading: part of the song */
  plan_answer a = parse(text);
  assert_string_equal(a.lyrics, text + strlen("</think>"));
  plan_answer_free(&a);
}

static void test_any_bytes(void **state) {
  static const char bytes[] = "<think>\nbpm: 1\0002\ncaption: \xff\xc3\n</think>l\0a";
  plan_answer a = parse_bytes(bytes, sizeof bytes - 1);
  number_is(&a, PLAN_BPM, 12);
  text_is(&a, PLAN_CAPTION, "\xff\xc3");
  assert_string_equal(a.lyrics, "la");
  plan_answer_free(&a);
  for (size_t n = 0; n < sizeof bytes; n++) { /* the address sanitizer watches the end of each */
    char *copy = malloc(n + (n == 0));
    memcpy(copy, bytes, n);
    a = parse_bytes(copy, n);
    plan_answer_free(&a);
    free(copy);
  }
}

/* What was written is read back. */
static void test_there_and_back(void **state) {
  static const char *const captions[] = {
      "Soft piano.",  "don't: it's",
      "[Verse] x",    "yes",
      "trail: # 'x'", "a long description of a song with so many words that it is folded at least once: 'so'"};
  for (size_t i = 0; i < sizeof captions / sizeof *captions; i++) {
    plan_metadata m = {0};
    plan_set_text(&m, PLAN_CAPTION, captions[i], strlen(captions[i]), NULL);
    plan_set_text(&m, PLAN_TIMESIGNATURE, "3/4", 3, NULL);
    char *yaml = plan_yaml(&m, NULL);
    plan_answer a = parse(yaml);
    text_is(&a, PLAN_CAPTION, captions[i]);
    text_is(&a, PLAN_TIMESIGNATURE, "3");
    plan_answer_free(&a);
    free(yaml);
    plan_metadata_free(&m);
  }
}

/* ---- golden data ------------------------------------------------------------------------------------------------- */

static void run_golden(const char *list, size_t count, bool (*matches)(const json_t *c, char *why)) {
  char why[PLANNER_WHY] = "";
  ace_error err = {0};
  if (access(GOLDEN, R_OK) != 0) {
    print_message("golden metadata text, %s: absent\n", list);
    skip();
  }
  json_t *json = json_parse_file(GOLDEN, 1 << 24, &err), *c;
  if (!json) fail_msg("%s", err.message);
  size_t i;
  json_array_foreach(json_object_get(json, list), i, c) {
    if (!matches(c, why)) fail_msg("%s: %s", planner_text(c, "id"), why);
  }
  assert_int_equal(i, count);
  json_decref(json);
}

static void test_golden_emit(void **state) {
  run_golden("emit", 163, planner_emit_case);
}

static void test_golden_targets(void **state) {
  run_golden("scoring_target", 17, planner_target_case);
}

static void test_golden_parse(void **state) {
  run_golden("parse", 69, planner_parse_case);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order_and_presence),
      cmocka_unit_test(test_numbers_and_metres),
      cmocka_unit_test(test_text_that_looks_typed),
      cmocka_unit_test(test_quotes),
      cmocka_unit_test(test_line_ends_inside),
      cmocka_unit_test(test_characters_that_need_escapes),
      cmocka_unit_test(test_folding),
      cmocka_unit_test(test_folds_lose_nothing),
      cmocka_unit_test(test_a_whole_answer),
      cmocka_unit_test(test_codes_and_open_ends),
      cmocka_unit_test(test_odd_metadata),
      cmocka_unit_test(test_quoted_captions),
      cmocka_unit_test(test_lyric_headings),
      cmocka_unit_test(test_any_bytes),
      cmocka_unit_test(test_there_and_back),
      cmocka_unit_test(test_golden_emit),
      cmocka_unit_test(test_golden_targets),
      cmocka_unit_test(test_golden_parse),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
