/* What a model reads is what the tokenizer makes of a prompt: one wrong id and caption, lyrics or audio codes mean
 * something else. A tiny tokenizer built here pins the rules; the published vocabulary is checked where the golden data
 * is present. */
#include "text/bpe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka.h needs the two above */
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

/* ---- a tiny tokenizer: id of a byte = its value, then these rules, then a few added tokens ----------------------- */

static const struct {
  const char *left, *right;
} rules[] = {
    {"h", "e"},                                 /* 256 */
    {"l", "l"},                                 /* 257 */
    {"he", "ll"},                               /* 258 */
    {"hell", "o"},        {"\u0120", "w"},      /* 260 */
    {"o", "r"},           {"\u0120w", "or"},    /* 262 */
    {"l", "d"},           {"\u0120wor", "ld"},  /* 264 */
    {"1", "2"},           {"a", "a"},           /* 266 */
    {"aa", "aa"},         {"\u00c3", "\u00a9"}, /* 268: the bytes of U+00E9 */
    {"'", "s"},           {"\u0120", "\u0120"}, /* 270 */
    {"\u0120", "\u00e1"},                       /* 271: a blank and the first byte of U+180E */
    {"\u0120", "\u00e2"},                       /* 272: a blank and the first byte of U+2003 */
    {"\u0120", "\u00c2"},                       /* 273: a blank and the first byte of U+0085 */
};
enum { RULES = sizeof rules / sizeof rules[0], FIRST_ADDED = 300 };

static const char added_json[] =
    "[{\"id\":300,\"content\":\"<|end|>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
    "\"special\":true},{\"id\":301,\"content\":\"<think>\",\"special\":false},"
    "{\"id\":302,\"content\":\"<think>x\",\"special\":false},"
    "{\"id\":303,\"content\":\"<|audio_code_0|>\",\"special\":true},"
    "{\"id\":304,\"content\":\"<|audio_code_1|>\",\"special\":true},"
    "{\"id\":305,\"content\":\"<|audio_code_2|>\",\"special\":true},"
    "{\"id\":310,\"content\":\"<|audio_code_3|>\",\"special\":true},"
    "{\"id\":311,\"content\":\"\u00f1ormal\",\"normalized\":true}]";

static const char pattern_json[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*"
    "|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+";

static const char template_json[] =
    "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},{\"type\":\"TemplateProcessing\","
    "\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"<|end|>\",\"type_id\":0}}],"
    "\"special_tokens\":{\"<|end|>\":{\"id\":\"<|end|>\",\"ids\":[300],\"tokens\":[\"<|end|>\"]}}}]}";

/* A string that grows. */
typedef struct text {
  char *s;
  size_t n;
} text;

ACE_PRINTF(2, 3) static void add(text *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  t->s = realloc(t->s, t->n + (size_t)n + 1);
  va_start(args, format);
  vsnprintf(t->s + t->n, (size_t)n + 1, format, args);
  va_end(args);
  t->n += (size_t)n;
}

/* The byte alphabet, written down a second time: counted up as the spec says, not by ranges as the room does it. */
static void add_spelled(text *t, int byte) {
  int rank = 0;
  for (int b = 0; b <= byte; b++) {
    bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    int c = itself ? b : 0x100 + rank++;
    if (b < byte) continue;
    if (c == '"' || c == '\\') add(t, "\\%c", c);
    else if (c < 0x80) add(t, "%c", c);
    else add(t, "%c%c", 0xC0 | c >> 6, 0x80 | (c & 0x3F));
  }
}

static void add_vocab(text *t) {
  add(t, "{");
  for (int b = 0; b < 256; b++) {
    add(t, b ? ",\"" : "\"");
    add_spelled(t, b);
    add(t, "\":%d", b);
  }
  for (int i = 0; i < RULES; i++) add(t, ",\"%s%s\":%d", rules[i].left, rules[i].right, 256 + i);
  add(t, "}");
}

static char *tiny_json(bool pairs, const char *post) {
  text t = {0};
  add(&t,
      "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":%s,\"normalizer\":{\"type\":\"NFC\"},"
      "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},"
      "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
      "\"trim_offsets\":false,\"use_regex\":false}]},\"post_processor\":%s,\"decoder\":{\"type\":\"ByteLevel\"},"
      "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"ignore_merges\":false,\"vocab\":",
      added_json, pattern_json, post);
  add_vocab(&t);
  add(&t, ",\"merges\":[");
  for (int i = 0; i < RULES; i++)
    add(&t, pairs ? "%s[\"%s\",\"%s\"]" : "%s\"%s %s\"", i ? "," : "", rules[i].left, rules[i].right);
  add(&t, "]}}");
  return t.s;
}

static bpe *open_text(const char *json) {
  ace_error err = {0};
  bpe *t = bpe_open_json(json, strlen(json), "tiny", &err);
  if (!t) fail_msg("%s", err.message);
  return t;
}

static bpe *tiny(void) {
  char *json = tiny_json(true, "{\"type\":\"ByteLevel\"}");
  bpe *t = open_text(json);
  free(json);
  return t;
}

/* The JSON with the first `from` replaced. */
static char *replaced(const char *json, const char *from, const char *to) {
  const char *at = strstr(json, from);
  assert_non_null(at);
  text t = {0};
  add(&t, "%.*s%s%s", (int)(at - json), json, to, at + strlen(from));
  return t.s;
}

static void expect_ids(const bpe *t, const char *s, size_t n, int flags, const int32_t *want, size_t n_want,
                       const char *what) {
  bpe_ids ids = {0};
  ace_error err = {0};
  if (bpe_encode(t, s, n, flags, &ids, &err) != ACE_OK) fail_msg("%s: %s", what, err.message);
  if (ids.n != n_want) fail_msg("%s: %zu ids, expected %zu", what, ids.n, n_want);
  for (size_t i = 0; i < n_want; i++)
    if (ids.id[i] != want[i]) fail_msg("%s: id %zu is %d, expected %d", what, i, (int)ids.id[i], (int)want[i]);
  bpe_ids_free(&ids);
}

#define IDS(t, s, flags, ...)                                                         \
  do {                                                                                \
    const int32_t want_[] = {__VA_ARGS__};                                            \
    expect_ids(t, s, sizeof(s) - 1, flags, want_, sizeof want_ / sizeof want_[0], s); \
  } while (0)

static void test_words(void **state) {
  bpe *t = tiny();
  IDS(t, "hello world", 0, 259, 264);
  IDS(t, "hell he", 0, 258, ' ', 256);
  IDS(t, "aaa", 0, 266, 'a'); /* equal ranks: from the left */
  IDS(t, "aaaaa", 0, 267, 'a');
  IDS(t, "12", 0, '1', '2'); /* digits stand alone, whatever the rules say */
  IDS(t, "'sabc", 0, 269, 'a', 'b', 'c');
  IDS(t, "'world", 0, '\'', 'w', 261, 263);
  IDS(t, "a\0b", 0, 'a', 0, 'b');
  expect_ids(t, NULL, 0, BPE_ADDED | BPE_POST, NULL, 0, "nothing");
  bpe_close(t);
}

static void test_white_space(void **state) {
  bpe *t = tiny();
  IDS(t, "a   b", 0, 'a', 270, ' ', 'b'); /* the last blank belongs to the word */
  IDS(t, "a  ", 0, 'a', 270);
  IDS(t, "a \n b", 0, 'a', ' ', '\n', ' ', 'b');
  IDS(t, "x \u180e", 0, 'x', 271, 0xA0, 0x8E); /* no white space: one piece with the blank before it */
  IDS(t, "x \u2003y", 0, 'x', ' ', 0xE2, 0x80, 0x83, 'y');
  IDS(t, "x \xC2\x85y", 0, 'x', ' ', 0xC2, 0x85, 'y');
  IDS(t, "x \xC2\x85", 0, 'x', 273, 0x85); /* both white: one run */
  bpe_close(t);
}

static void test_normalisation(void **state) {
  bpe *t = tiny();
  IDS(t, "\u00e9", 0, 268);
  IDS(t, "e\u0301", 0, 268);
  IDS(t, "e\u0323\u0301", 0, 0xE1, 0xBA, 0xB9, 0xCC, 0x81);      /* U+1EB9 U+0301 */
  IDS(t, "e\u0301\u0323", 0, 0xE1, 0xBA, 0xB9, 0xCC, 0x81);      /* marks are put in order first */
  IDS(t, "\u1100\u1161", 0, 0xEA, 0xB0, 0x80);                   /* Hangul */
  IDS(t, "\uac00\u11a7", 0, 0xEA, 0xB0, 0x80, 0xE1, 0x86, 0xA7); /* no final: nothing to compose, nothing to lose */
  IDS(t, "e<think>\u0301", BPE_ADDED, 'e', 301, 0xCC, 0x81);
  IDS(t, "n\u0303ormal", BPE_ADDED, 311); /* an added token that is looked for after normalisation */
  IDS(t, "\u00f1orma", BPE_ADDED, 0xC3, 0xB1, 261, 'm', 'a');
  bpe_close(t);
  char *json = tiny_json(true, "null"), *none = replaced(json, "{\"type\":\"NFC\"}", "null");
  t = open_text(none);
  IDS(t, "e\u0301", 0, 'e', 0xCC, 0x81);
  bpe_close(t);
  free(none), free(json);
}

static void test_added_tokens(void **state) {
  bpe *t = tiny();
  IDS(t, "a<|end|>b", BPE_ADDED, 'a', 300, 'b');
  IDS(t, "<think>x<think>", BPE_ADDED, 302, 301); /* the longest wins */
  IDS(t, "<<think><|audio_code_2|><|audio_code_3|>", BPE_ADDED, '<', 301, 305, 310);
  IDS(t, "<|end|", BPE_ADDED, '<', '|', 'e', 'n', 'd', '|');
  IDS(t, "<think>", 0, '<', 't', 'h', 'i', 'n', 'k', '>');
  int32_t first;
  assert_int_equal(bpe_audio_codes(t, &first), 3); /* 303..305, then a gap */
  assert_int_equal(first, 303);
  assert_int_equal(bpe_vocab_size(t), 312);
  assert_int_equal(bpe_find(t, "<|end|>"), 300);
  assert_int_equal(bpe_find(t, "\u0120wor"), 262);
  assert_int_equal(bpe_find(t, " wor"), 262);
  assert_int_equal(bpe_find(t, "\n"), '\n');
  assert_int_equal(bpe_find(t, "<|end"), -1);
  assert_int_equal(bpe_find(t, ""), -1);
  assert_true(bpe_is_special(t, 300));
  assert_false(bpe_is_special(t, 301));
  assert_false(bpe_is_special(t, -1));
  assert_false(bpe_is_special(t, 100000));
  bpe_close(t);
}

static void test_post_processor(void **state) {
  char *json = tiny_json(false, template_json);
  bpe *t = open_text(json), *plain = tiny();
  IDS(t, "hello", BPE_POST, 259, 300);
  IDS(t, "", BPE_POST, 300);
  IDS(t, "hello", 0, 259);
  IDS(plain, "hello", BPE_POST, 259);
  assert_true(bpe_appends_eot(t));
  assert_false(bpe_appends_eot(plain));
  assert_false(bpe_post_unknown(t));
  bpe_close(t), bpe_close(plain);
  free(json);
}

static void expect_text(const bpe *t, const int32_t *ids, size_t n, int flags, const char *want, size_t n_want) {
  size_t length = 0;
  char *got = bpe_decode(t, ids, n, flags, &length);
  assert_non_null(got);
  assert_int_equal(length, n_want);
  assert_memory_equal(got, want, n_want + 1);
  free(got);
}

#define TEXT(t, flags, s, ...)                                                   \
  do {                                                                           \
    const int32_t ids_[] = {__VA_ARGS__};                                        \
    expect_text(t, ids_, sizeof ids_ / sizeof ids_[0], flags, s, sizeof(s) - 1); \
  } while (0)

static void test_decode(void **state) {
  bpe *t = tiny();
  TEXT(t, 0, "hello world", 259, 264);
  TEXT(t, 0, "a\0b", 'a', 0, 'b');
  TEXT(t, 0, "a<|end|><think>", 'a', 300, 301);
  TEXT(t, BPE_SKIP_SPECIAL, "a<think>", 'a', 300, 301);
  TEXT(t, 0, "ab", 'a', -1, 306, 99999, INT32_MIN, INT32_MAX, 'b');
  TEXT(t, 0, "\ufffd", 0xE4, 0xB8); /* cut short: one mark */
  TEXT(t, 0, "\ufffd<think>", 0xE4, 0xB8, 301);
  TEXT(t, 0, "\ufffd\ufffd", 0xC0, 0xAF);
  TEXT(t, 0, "\ufffd\ufffd\ufffd", 0xED, 0xA0, 0x80); /* a surrogate: no byte belongs to anything */
  TEXT(t, 0, "\ufffda", 0xF0, 0x90, 0x80, 'a');
  TEXT(t, 0, "\ufffd\u00e9", 0xF4, 0xC3, 0xA9);
  TEXT(t, 0, "\ufffd\ufffd\ufffd\ufffd", 0xF4, 0x90, 0x80, 0x80);
  TEXT(t, 0, "\U0010ffff", 0xF4, 0x8F, 0xBF, 0xBF);
  bpe_close(t);
}

static void test_stream(void **state) {
  static const struct {
    int32_t id;
    const char *piece;
  } steps[] = {{'a', "a"}, {0xE4, ""}, {0xB8, ""}, {0xAD, "\u4e2d"}, {0xE4, ""}, {301, "\ufffd<think>"},
               {0xF0, ""}, {300, ""},  {306, ""},  {0x9F, ""},       {0x8E, ""}, {0xB5, "\U0001f3b5"},
               {0xC3, ""}};
  bpe *t = tiny();
  bpe_stream s = {.tokenizer = t, .flags = BPE_SKIP_SPECIAL};
  char *out = NULL;
  size_t n = 0;
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
    size_t before = n;
    assert_int_equal(bpe_stream_push(&s, steps[i].id, &out, &n), ACE_OK);
    assert_string_equal(out + before, steps[i].piece);
  }
  size_t before = n;
  assert_int_equal(bpe_stream_flush(&s, &out, &n), ACE_OK);
  assert_string_equal(out + before, "\ufffd");
  assert_int_equal(strlen(out), n);
  free(out);
  bpe_close(t);
}

static void test_bad_text(void **state) {
  bpe *t = tiny();
  bpe_ids ids = {0};
  ace_error err = {0};
  assert_int_equal(bpe_encode(t, "ok", 2, 0, &ids, &err), ACE_OK);
  assert_int_equal(bpe_encode(t, "abc\xC3(", 5, BPE_ADDED, &ids, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "byte 3"));
  assert_int_equal(ids.n, 2); /* what was there before stays */
  assert_int_equal(bpe_encode(t, "\xE4\xB8", 2, 0, &ids, NULL), ACE_EINVAL);
  bpe_ids_free(&ids);
  bpe_close(t);
}

/* ---- merging against the plain rule: again and again the lowest-ranked pair, the leftmost first ------------------ */

static size_t merge_slowly(const bpe *t, int32_t *id, size_t n) {
  for (;;) {
    size_t best = RULES, at = 0;
    for (size_t i = 0; i + 1 < n; i++)
      for (size_t r = 0; r < best; r++)
        if (bpe_find(t, rules[r].left) == id[i] && bpe_find(t, rules[r].right) == id[i + 1]) best = r, at = i;
    if (best == RULES) return n;
    id[at] = 256 + (int32_t)best;
    memmove(id + at + 1, id + at + 2, (--n - at - 1) * sizeof *id);
  }
}

static void test_merging_agrees_with_the_slow_way(void **state) {
  bpe *t = tiny();
  uint32_t random = 1;
  for (int round = 0; round < 300; round++) {
    char word[24];
    int32_t want[24];
    size_t n = 1 + (size_t)round % sizeof word;
    for (size_t i = 0; i < n; i++) {
      random = random * 1664525 + 1013904223;
      word[i] = "hello wrdaaa"[random >> 24 & 3 ? random >> 16 & 3 : 7 + (random >> 16) % 5]; /* letters only */
      want[i] = word[i];
    }
    expect_ids(t, word, n, 0, want, merge_slowly(t, want, n), "a random word");
  }
  bpe_close(t);
}

static void test_long_texts(void **state) {
  enum { LONG = 1 << 20 };
  bpe *t = tiny();
  char *s = malloc(LONG);
  for (int kind = 0; kind < 4; kind++) {
    for (size_t i = 0; i < LONG; i++) s[i] = kind == 0 ? 'a' : kind == 1 ? ' ' : kind == 2 ? '<' : "\xCC\xA3"[i % 2];
    if (kind == 3) s[0] = s[1] = 'e'; /* half a million marks on one letter */
    bpe_ids ids = {0};
    ace_error err = {0};
    if (bpe_encode(t, s, LONG, BPE_ADDED, &ids, &err) != ACE_OK) fail_msg("%s", err.message);
    if (kind == 0) assert_int_equal(ids.n, LONG / 4);
    if (kind == 1) assert_int_equal(ids.n, LONG / 2);
    if (kind == 2) assert_int_equal(ids.n, LONG);
    if (kind == 3) assert_int_equal(ids.n, LONG); /* e and U+1EB9 for the second e and its first mark */
    bpe_ids_free(&ids);
  }
  free(s);
  bpe_close(t);
}

/* ---- one tokenizer, many threads ------------------------------------------------------------------------------- */

static void *encode_often(void *argument) {
  const bpe *t = argument;
  static const char s[] = "hello e\u0301 world<think>x <|audio_code_1|>12";
  static const int32_t want[] = {259, ' ', 268, 264, 302, ' ', 304, '1', '2'};
  for (int i = 0; i < 200; i++) {
    bpe_ids ids = {0};
    bool same = bpe_encode(t, s, sizeof s - 1, BPE_ADDED, &ids, NULL) == ACE_OK &&
                ids.n == sizeof want / sizeof *want && memcmp(ids.id, want, sizeof want) == 0;
    bpe_ids_free(&ids);
    if (!same) return argument;
  }
  return NULL;
}

static void test_threads_share_a_tokenizer(void **state) {
  pthread_t thread[4];
  bpe *t = tiny();
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, encode_often, t), 0);
  for (int i = 0; i < 4; i++) {
    void *wrong;
    pthread_join(thread[i], &wrong);
    assert_null(wrong);
  }
  bpe_close(t);
}

/* ---- files that are not what they claim -------------------------------------------------------------------------- */

static void test_refused_files(void **state) {
  static const struct {
    const char *from, *to;
    ace_status status;
    const char *says;
  } broken[] = {
      {"\"id\":301", "\"id\":-1", ACE_EFORMAT, "outside 0..3999999"},
      {"\"id\":301", "\"id\":4000000", ACE_EFORMAT, "outside 0..3999999"},
      {"\"id\":301", "\"id\":99999999999999999999999", ACE_EFORMAT, "outside"},
      {"\"id\":301", "\"id\":1.5", ACE_EFORMAT, "whole number"},
      {"\"id\":301,", "", ACE_EFORMAT, "id -1"},
      {"\"id\":301", "\"id\":300", ACE_EFORMAT, "already another token's"},
      {"\"id\":301", "\"id\":65", ACE_EFORMAT, "already another token's"},
      {"\"<think>x\"", "\"<think>\"", ACE_EFORMAT, "two ids"},
      {"\"<think>x\"", "\"\"", ACE_EFORMAT, "0 bytes"},
      {"\"<think>x\"", "\"hello\"", ACE_EFORMAT, "has id 302, but 259 in the vocabulary"},
      {"\"content\":\"<think>\"", "\"contents\":\"<think>\"", ACE_EFORMAT, "no content"},
      {"\"content\":\"<think>\"", "\"content\":\"<think>\",\"lstrip\":true", ACE_EUNSUPPORTED, "lstrip"},
      {"\"content\":\"\u00f1", "\"content\":\"n\u0303", ACE_EUNSUPPORTED, "normalisation form C"},
      {"\"content\":\"<think>\"", "\"content\":7", ACE_EFORMAT, "expected a string"},
      {"{\"type\":\"NFC\"}", "{\"type\":\"NFKC\"}", ACE_EUNSUPPORTED, "normalizer"},
      {"\\\\p{N}|", "\\\\p{N}{1,3}|", ACE_EUNSUPPORTED, "pattern"},
      {"\"Isolated\"", "\"Removed\"", ACE_EUNSUPPORTED, "behavior Isolated"},
      {"\"use_regex\":false}]", "\"use_regex\":true}]", ACE_EUNSUPPORTED, "use_regex"},
      {"{\"type\":\"Split\"", "{\"type\":\"Digits\"", ACE_EUNSUPPORTED, "pre_tokenizer"},
      {"\"decoder\":{\"type\":\"ByteLevel\"}", "\"decoder\":null", ACE_EUNSUPPORTED, "decoder"},
      {"[300]", "[306]", ACE_EFORMAT, "post_processor"},
      {"[300]", "[300,300,300,300,300,300,300,300,300,300,300,300,300,300,300,300,300]", ACE_EUNSUPPORTED, "16"},
      {"TemplateProcessing", "BertProcessing", ACE_EUNSUPPORTED, "post_processor"},
      {"\"type\":\"BPE\"", "\"type\":\"WordPiece\"", ACE_EUNSUPPORTED, "model.type"},
      {"\"dropout\":null", "\"dropout\":0.1", ACE_EUNSUPPORTED, "model.dropout"},
      {"\"ignore_merges\":false", "\"ignore_merges\":true", ACE_EUNSUPPORTED, "model.ignore_merges"},
      {"\"ignore_merges\":false", "\"end_of_word_suffix\":\"</w>\"", ACE_EUNSUPPORTED, "affixes"},
      {"\"a\":97", "\"a\":98", ACE_EFORMAT, "already another token's"},
      {"\"a\":97", "\"a\":97,\"a\":299", ACE_EFORMAT, "twice"},
      {"\"a\":97", "\"\":97", ACE_EFORMAT, "byte alphabet"},
      {"\"a\":97", "\"\u4e2d\":97", ACE_EFORMAT, "byte alphabet"},
      {"\"a\":97", "\"abcdefgh\":97", ACE_EFORMAT, "rule 11"},
      {"\"X\":88", "\"XYZ\":88", ACE_EFORMAT, "byte 0x58"},
      {"\"a\":97", "\"a\":\"97\"", ACE_EFORMAT, "whole number"},
      {"\"a\":97", "97:97", ACE_EFORMAT, "expected a string"},
      {"\"he ll\"", "\"he qq\"", ACE_EFORMAT, "merge rule 3"},
      {"\"he ll\"", "\"hell\"", ACE_EFORMAT, "rule 3"},
      {"\"he ll\"", "\"h e\"", ACE_EFORMAT, "twice"},
      {"\"he ll\"", "[\"he\",\"ll\",\"o\"]", ACE_EFORMAT, "pair"},
      {"\"he ll\"", "[]", ACE_EFORMAT, "expected a string"},
      {"\"he ll\"", "null", ACE_EFORMAT, "expected a string"},
      {"\"merges\"", "\"verges\"", ACE_EFORMAT, "merges"},
      {"\"model\"", "\"muddle\"", ACE_EFORMAT, "no model"},
      {"\"version\":\"1.0\"", "\"version\":\"\\ud800\"", ACE_OK, NULL},
      {"\"<think>x\"", "\"\\ud800\"", ACE_EFORMAT, "escape"},
      {"\"<think>x\"", "\"\\q\"", ACE_EFORMAT, "escape"},
      {"\"<think>x\"", "\"a\nb\"", ACE_EFORMAT, "control character"},
      {"\"<think>x\"", "\"\xff\"", ACE_EFORMAT, "not UTF-8"},
      {"\"version\":\"1.0\",", "", ACE_OK, NULL},
      {"\"version\":\"1.0\"", "\"version\":", ACE_EFORMAT, "JSON"},
      {"\"version\":\"1.0\"", "\"model\":{}", ACE_EFORMAT, "twice"},
  };
  char *json = tiny_json(false, template_json);
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
    char *bad = replaced(json, broken[i].from, broken[i].to);
    ace_error err = {0};
    bpe *t = bpe_open_json(bad, strlen(bad), "some/tokenizer.json", &err);
    if ((broken[i].status == ACE_OK) != (t != NULL))
      fail_msg("%s -> %s: %s", broken[i].from, broken[i].to, err.message);
    if (!t && (err.status != broken[i].status || !strstr(err.message, broken[i].says) ||
               !strstr(err.message, "some/tokenizer.json")))
      fail_msg("%s -> %s: status %d, \"%s\"", broken[i].from, broken[i].to, (int)err.status, err.message);
    bpe_close(t);
    free(bad);
  }
  free(json);
}

static void test_cut_files(void **state) {
  char *json = tiny_json(true, template_json);
  size_t n = strlen(json);
  for (size_t cut = 0; cut < n; cut += cut < 200 || cut > n - 200 ? 1 : 37) {
    ace_error err = {0};
    assert_null(bpe_open_json(json, cut, "cut", &err));
    assert_int_equal(err.status, ACE_EFORMAT);
  }
  free(json);
  text deep = {0};
  add(&deep, "{\"x\":");
  for (int i = 0; i < 100000; i++) add(&deep, "[");
  ace_error err = {0};
  assert_null(bpe_open_json(deep.s, deep.n, "deep", &err));
  assert_non_null(strstr(err.message, "nested"));
  free(deep.s);
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

/* A folder of its own for a test, removed with its files by remove_folder. */
static char *make_folder(void) {
  const char *temporary = getenv("TMPDIR");
  char *folder = file_join(temporary ? temporary : "/tmp", "acestep-test-bpe-XXXXXX");
  assert_non_null(folder);
  assert_non_null(mkdtemp(folder));
  return folder;
}

static void put_file(const char *folder, const char *name, const char *content) {
  char *path = file_join(folder, name);
  assert_int_equal(file_write(path, content, strlen(content), NULL), ACE_OK);
  free(path);
}

static void remove_folder(char *folder) {
  static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json",
                                      "tokenizer_config.json"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    char *path = file_join(folder, names[i]);
    unlink(path);
    free(path);
  }
  assert_int_equal(rmdir(folder), 0);
  free(folder);
}

static bpe *open_folder(const char *folder) {
  ace_error err = {0};
  bpe *t = bpe_open(folder, &err);
  if (!t) fail_msg("%s", err.message);
  return t;
}

static void expect_refused(const char *folder, ace_status status, const char *says) {
  ace_error err = {0};
  assert_null(bpe_open(folder, &err));
  if (err.status != status || !strstr(err.message, says)) fail_msg("status %d, \"%s\"", (int)err.status, err.message);
}

static void test_folder_of_old_files(void **state) {
  char *folder = make_folder();
  text vocab = {0}, merges = {0};
  add_vocab(&vocab);
  add(&merges, "#version: 0.2\n");
  for (int i = 0; i < RULES; i++) add(&merges, "%s %s\r\n", rules[i].left, rules[i].right);
  expect_refused(folder, ACE_ENOTFOUND, "no tokenizer");
  put_file(folder, "vocab.json", vocab.s);
  expect_refused(folder, ACE_ENOTFOUND, "merges.txt");
  put_file(folder, "merges.txt", merges.s);
  put_file(folder, "added_tokens.json", "{\"<|end|>\":300,\"<think>\":301}");
  put_file(folder, "tokenizer_config.json",
           "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"additional_special_tokens\":[\"<|end|>\",{\"content\":\"none\"}],"
           "\"eos_token\":null,\"pad_token\":\"<|end|>\"}");
  bpe *t = open_folder(folder);
  IDS(t, "hello world<|end|><think>", BPE_ADDED | BPE_POST, 259, 264, 300, 301);
  assert_true(bpe_post_unknown(t));
  assert_true(bpe_is_special(t, 300));
  assert_false(bpe_is_special(t, 301));
  assert_int_equal(bpe_audio_codes(t, NULL), 0);
  bpe_close(t);
  put_file(folder, "tokenizer_config.json",
           "{\"added_tokens_decoder\":{\"300\":{\"content\":\"<|end|>\",\"special\":false},"
           "\"303\":{\"content\":\"<x>\",\"special\":true}}}");
  t = open_folder(folder);
  IDS(t, "<x><think>", BPE_ADDED, 303, 301);
  assert_false(bpe_is_special(t, 300));
  assert_true(bpe_is_special(t, 303));
  bpe_close(t);
  put_file(folder, "added_tokens.json", "{\"<|end|>\":303}");
  expect_refused(folder, ACE_EFORMAT, "already another token's");
  put_file(folder, "added_tokens.json", "{\"<|end|>\":302}");
  expect_refused(folder, ACE_EFORMAT, "two ids");
  put_file(folder, "added_tokens.json", "{}");
  put_file(folder, "tokenizer_config.json", "{\"tokenizer_class\":\"LlamaTokenizer\"}");
  expect_refused(folder, ACE_EUNSUPPORTED, "tokenizer_class");
  put_file(folder, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"3x\":{\"content\":\"y\"}}}");
  expect_refused(folder, ACE_EFORMAT, "outside");
  put_file(folder, "tokenizer_config.json", "{}");
  put_file(folder, "merges.txt", "h e\nhe\n");
  expect_refused(folder, ACE_EFORMAT, "line 2");
  put_file(folder, "merges.txt", "h e\n#version: 0.2\n");
  expect_refused(folder, ACE_EFORMAT, "merge rule 2");
  char *json = tiny_json(true, template_json);
  put_file(folder, "tokenizer.json", json); /* comes first when it is there */
  t = open_folder(folder);
  assert_false(bpe_post_unknown(t));
  assert_true(bpe_appends_eot(t));
  bpe_close(t);
  free(json), free(vocab.s), free(merges.s);
  remove_folder(folder);
}

/* ---- the published vocabulary ------------------------------------------------------------------------------------ */

#define GOLDEN ACE_SOURCE_DIR "/../shared/golden/tokenizer/"
enum { FULL, FULL_AUDIO, SMALL, SMALL_STR, SMALL_EOT, SETS };
static const char *const set_names[SETS] = {"full", "full_audio", "small", "small_str", "small_eot"};

/* The published configuration with all audio codes in it. */
static void put_audio_config(const char *folder, const json_t *codes) {
  json_t *config = json_parse_file(GOLDEN "tokenizer_config.json", 1 << 20, NULL);
  json_t *decoder = json_object_get(config, "added_tokens_decoder");
  json_int_t first = json_integer_value(json_object_get(codes, "first_id"));
  for (json_int_t i = 0; i < json_integer_value(json_object_get(codes, "count")); i++) {
    char id[24], name[40];
    snprintf(id, sizeof id, "%lld", (long long)(first + i));
    snprintf(name, sizeof name, "<|audio_code_%lld|>", (long long)i);
    json_object_set_new(decoder, id,
                        json_pack("{s:s,s:O}", "content", name, "special", json_object_get(codes, "special")));
  }
  char *s = json_dumps(config, JSON_COMPACT);
  put_file(folder, "tokenizer_config.json", s);
  free(s);
  json_decref(config);
}

static bpe *open_set(const json_t *sets, int which) {
  ace_error err = {0};
  bpe *t = NULL;
  const json_t *set = json_object_get(sets, set_names[which]);
  if (which == FULL) {
    t = bpe_open_files(GOLDEN "vocab.json", GOLDEN "merges.txt", GOLDEN "added_tokens.json",
                       GOLDEN "tokenizer_config.json", &err);
  } else if (which == FULL_AUDIO) {
    char *folder = make_folder();
    put_audio_config(folder, json_object_get(set, "audio_codes"));
    char *path = file_join(folder, "tokenizer_config.json");
    t = bpe_open_files(GOLDEN "vocab.json", GOLDEN "merges.txt", GOLDEN "added_tokens.json", path, &err);
    free(path);
    remove_folder(folder);
  } else {
    char path[1024];
    size_t n;
    snprintf(path, sizeof path, GOLDEN "%s", json_string_value(json_object_get(set, "tokenizer")));
    char *s = file_read(path, 1 << 20, &n, &err);
    if (s) t = bpe_open_json(s, n, path, &err);
    free(s);
  }
  if (!t) fail_msg("%s: %s", set_names[which], err.message);
  return t;
}

typedef struct golden {
  json_t *json;
  bpe *set[SETS];
} golden;

static void golden_open(golden *g) {
  if (access(GOLDEN "vectors.json", R_OK) != 0) {
    print_message("golden tokenizer vectors: absent\n");
    skip();
  }
  ace_error err = {0};
  *g = (golden){.json = json_parse_file(GOLDEN "vectors.json", 1 << 24, &err)};
  if (!g->json) fail_msg("%s", err.message);
}

static void golden_close(golden *g) {
  for (int i = 0; i < SETS; i++) bpe_close(g->set[i]);
  json_decref(g->json);
}

/* The tokenizer of a case, opened when first needed. */
static const bpe *golden_set(golden *g, const json_t *one) {
  const char *name = json_string_value(json_object_get(one, "set"));
  for (int i = 0; i < SETS; i++) {
    if (strcmp(name, set_names[i]) != 0) continue;
    if (!g->set[i]) g->set[i] = open_set(json_object_get(g->json, "sets"), i);
    return g->set[i];
  }
  fail_msg("unknown set %s", name);
  return NULL;
}

static int32_t *golden_ids(const json_t *one, size_t *n) {
  const json_t *list = json_object_get(one, "ids");
  *n = json_array_size(list);
  int32_t *ids = malloc((*n + 1) * sizeof *ids);
  for (size_t i = 0; i < *n; i++) ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
  return ids;
}

static void expect_same(const json_t *want, const char *got, size_t n, const char *list, size_t i) {
  if (json_string_length(want) != n || memcmp(json_string_value(want), got, n) != 0)
    fail_msg("%s %zu: \"%.*s\", expected \"%s\"", list, i, (int)n, got, json_string_value(want));
}

static void test_golden_encode(void **state) {
  golden g;
  golden_open(&g);
  const json_t *one;
  size_t i;
  json_array_foreach(json_object_get(g.json, "encode"), i, one) {
    const bpe *t = golden_set(&g, one);
    const json_t *s = json_object_get(one, "text");
    size_t n;
    int32_t *ids = golden_ids(one, &n);
    char what[64];
    snprintf(what, sizeof what, "encode case %zu", i);
    int flags = BPE_POST | (json_is_true(json_object_get(one, "parse_special")) ? BPE_ADDED : 0);
    expect_ids(t, json_string_value(s), json_string_length(s), flags, ids, n, what);
    free(ids);
  }
  assert_int_equal(i, 1010);
  int32_t first;
  assert_int_equal(bpe_audio_codes(g.set[FULL_AUDIO], &first), 65535);
  assert_int_equal(first, 151669);
  assert_int_equal(bpe_vocab_size(g.set[FULL_AUDIO]), 217204);
  assert_int_equal(bpe_audio_codes(g.set[SMALL], &first), 200);
  assert_int_equal(first, 982);
  assert_true(bpe_post_unknown(g.set[FULL]));
  assert_true(bpe_appends_eot(g.set[SMALL_EOT]));
  golden_close(&g);
}

static void test_golden_decode(void **state) {
  golden g;
  golden_open(&g);
  const json_t *one;
  size_t i;
  json_array_foreach(json_object_get(g.json, "decode"), i, one) {
    size_t n, length;
    int32_t *ids = golden_ids(one, &n);
    int flags = json_is_true(json_object_get(one, "skip_special")) ? BPE_SKIP_SPECIAL : 0;
    char *got = bpe_decode(golden_set(&g, one), ids, n, flags, &length);
    expect_same(json_object_get(one, "text"), got, length, "decode", i);
    free(got);
    free(ids);
  }
  assert_int_equal(i, 402);
  golden_close(&g);
}

static void test_golden_stream(void **state) {
  golden g;
  golden_open(&g);
  const json_t *one;
  size_t i;
  json_array_foreach(json_object_get(g.json, "stream"), i, one) {
    bpe_stream s = {.tokenizer = golden_set(&g, one)};
    size_t n, length = 0, before;
    int32_t *ids = golden_ids(one, &n);
    char *out = NULL;
    for (size_t k = 0; k < n; k++) {
      before = length;
      assert_int_equal(bpe_stream_push(&s, ids[k], &out, &length), ACE_OK);
      expect_same(json_array_get(json_object_get(one, "pieces"), k), out + before, length - before, "stream", i);
    }
    before = length;
    assert_int_equal(bpe_stream_flush(&s, &out, &length), ACE_OK);
    expect_same(json_object_get(one, "flush"), out + before, length - before, "stream", i);
    free(out);
    free(ids);
  }
  assert_int_equal(i, 197);
  golden_close(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_words),
      cmocka_unit_test(test_white_space),
      cmocka_unit_test(test_normalisation),
      cmocka_unit_test(test_added_tokens),
      cmocka_unit_test(test_post_processor),
      cmocka_unit_test(test_decode),
      cmocka_unit_test(test_stream),
      cmocka_unit_test(test_bad_text),
      cmocka_unit_test(test_merging_agrees_with_the_slow_way),
      cmocka_unit_test(test_long_texts),
      cmocka_unit_test(test_threads_share_a_tokenizer),
      cmocka_unit_test(test_refused_files),
      cmocka_unit_test(test_cut_files),
      cmocka_unit_test(test_folder_of_old_files),
      cmocka_unit_test(test_golden_encode),
      cmocka_unit_test(test_golden_decode),
      cmocka_unit_test(test_golden_stream),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
