/* Timed lyrics: words shown at the wrong moment, lines that are missing, times that run backwards, files that players
 * cannot read. */
#include "temp.h"

#include <math.h>

#include "base/json.h"
#include "golden_lyrics.h"
#include "request/text.h"

#define GOLDEN ACE_SOURCE_DIR "/../shared/golden"

/* ---- a tokenizer of single bytes --------------------------------------------------------------------------------- */

static void spell(json_t *vocab, int byte, int rank) {
  bool itself = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
  int c = itself ? byte : 0x100 + rank;
  char text[3] = {(char)(c < 0x80 ? c : 0xC0 | c >> 6), (char)(c < 0x80 ? 0 : 0x80 | (c & 0x3F)), 0};
  json_object_set_new(vocab, text, json_integer(byte));
}

static bpe *open_bytes(void) {
  static const char merges[] = "#version: 0.2\n";
  ace_error err;
  temp t = temp_open();
  json_t *vocab = json_object();
  for (int b = 0, rank = 0; b < 256; b++) {
    spell(vocab, b, rank);
    rank += !((b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE);
  }
  char *text = json_dumps(vocab, 0);
  assert_non_null(text);
  temp_put(&t, "vocab.json", text, strlen(text));
  temp_put(&t, "merges.txt", merges, sizeof merges - 1);
  bpe *tokenizer = bpe_open(t.folder, &err);
  if (!tokenizer) fail_msg("%s", err.message);
  free(text);
  json_decref(vocab);
  temp_close(&t);
  return tokenizer;
}

/* Each byte of the text a token of a tenth of a second. */
static lyric_times times_of(const bpe *tokenizer, const char *text) {
  size_t n = strlen(text);
  int32_t *ids = calloc(n + 1, sizeof *ids);
  align_span *spans = calloc(n + 1, sizeof *spans);
  for (size_t i = 0; i < n; i++) {
    ids[i] = (uint8_t)text[i];
    spans[i] = (align_span){(double)i / 10, (double)(i + 1) / 10};
  }
  lyric_times t;
  assert_int_equal(lyric_times_make(tokenizer, ids, spans, n, &t, NULL), ACE_OK);
  free(ids), free(spans);
  return t;
}

static void expect_lrc(const bpe *tokenizer, const char *text, const char *want) {
  lyric_times t = times_of(tokenizer, text);
  char *lrc = lrc_write(t.line, t.n_lines);
  assert_string_equal(lrc, want);
  free(lrc);
  lyric_times_free(&t);
}

static void lines_are_those_of_the_lyrics(void **state) {
  bpe *t = open_bytes();
  expect_lrc(t, "[Verse]\nla la\n\n\n la\n", "[00:00.00][Verse]\n[00:00.80]la la\n[00:01.60]la");
  expect_lrc(t, "no line feed", "[00:00.00]no line feed");
  expect_lrc(t, "\n \n\t\n", "");
  expect_lrc(t, "", "");
  expect_lrc(t, "one\r\ntwo\rthree", "[00:00.00]one\n[00:00.50]two three"); /* a line stays one */
  bpe_close(t);
}

/* Characters of several tokens come out whole, and belong to the token that completes them. */
static void split_characters_are_whole(void **state) {
  bpe *t = open_bytes();
  lyric_times times = times_of(t, "\xe6\x9c\x88\n");
  assert_int_equal(times.n_tokens, 4);
  assert_string_equal(times.token[0].text, "");
  assert_string_equal(times.token[1].text, "");
  assert_string_equal(times.token[2].text, "\xe6\x9c\x88");
  assert_int_equal(times.n_lines, 1);
  assert_string_equal(times.line[0].text, "\xe6\x9c\x88");
  assert_int_equal(times.line[0].tokens, 4);
  lyric_times_free(&times);
  times = times_of(t, "\xe6\n\xff"); /* what never becomes a character is not lost and harms nothing */
  assert_int_equal(times.n_lines, 2);
  assert_true(req_utf8_valid(times.line[0].text, strlen(times.line[0].text)));
  lyric_times_free(&times);
  bpe_close(t);
}

static void expect_stamp(double seconds, const char *want) {
  char text[] = "x";
  lyric_line line = {.text = text, .start = seconds};
  char *lrc = lrc_write(&line, 1);
  assert_string_equal(lrc, want);
  free(lrc);
}

static void stamps_round_halves_up_and_carry(void **state) {
  char vtt[LRC_STAMP_SIZE];
  expect_stamp(0, "[00:00.00]x");
  expect_stamp(0.125, "[00:00.13]x");
  expect_stamp(3.335, "[00:03.34]x"); /* a little less as a double */
  expect_stamp(59.994, "[00:59.99]x");
  expect_stamp(59.996, "[01:00.00]x");
  expect_stamp(6000.5, "[100:00.50]x");
  expect_stamp(-1, "[00:00.00]x");
  lrc_vtt_time(3661.0625, vtt);
  assert_string_equal(vtt, "01:01:01.063");
  lrc_vtt_time(59.9996, vtt);
  assert_string_equal(vtt, "00:01:00.000");
}

/* ---- alignment --------------------------------------------------------------------------------------------------- */

static void fill(float *map, int64_t tokens, int64_t frames, float background) {
  for (int64_t i = 0; i < tokens * frames; i++) map[i] = background;
}

/* Frames 5i..5i+4 look at token i. */
static void tokens_get_the_frames_that_look_at_them(void **state) {
  enum { TOKENS = 6, FRAMES = 30 };
  float map[TOKENS * FRAMES];
  fill(map, TOKENS, FRAMES, 0.01f);
  for (int i = 0; i < TOKENS; i++)
    for (int j = 5 * i; j < 5 * i + 5; j++) map[i * FRAMES + j] = 0.9f;
  align_stack s;
  align_span spans[TOKENS];
  assert_int_equal(align_open(&s, TOKENS, FRAMES, NULL), ACE_OK);
  for (int k = 0; k < 3; k++) assert_int_equal(align_add(&s, map, NULL), ACE_OK);
  assert_int_equal(align_times(&s, 15, spans, NULL), ACE_OK);
  for (int i = 0; i < TOKENS; i++) {
    assert_float_equal(spans[i].start, 2.5 * i, 1e-9);
    assert_float_equal(spans[i].end, 2.5 * i + 2, 1e-9);
  }
  align_close(&s);
}

/* Whatever the attention is, times never fall, stay inside the song, and each token has some. */
static void expect_orderly(const float *map, int64_t tokens, int64_t frames) {
  align_stack s;
  align_span *spans = malloc((size_t)tokens * sizeof *spans);
  assert_int_equal(align_open(&s, tokens, frames, NULL), ACE_OK);
  assert_int_equal(align_add(&s, map, NULL), ACE_OK);
  for (int64_t i = 0; i < tokens; i++) spans[i] = (align_span){-1, -1};
  assert_int_equal(align_times(&s, 20, spans, NULL), ACE_OK);
  for (int64_t i = 0; i < tokens; i++) {
    assert_true(spans[i].start >= 0 && spans[i].end >= spans[i].start && spans[i].end < 20);
    if (i > 0) assert_true(spans[i].start >= spans[i - 1].start && spans[i].end >= spans[i - 1].end);
  }
  align_close(&s);
  free(spans);
}

static void any_attention_gives_orderly_times(void **state) {
  enum { MOST = 40 };
  static const int sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {2, 2}, {13, 40}, {40, 13}, {7, 8}};
  float map[MOST * MOST];
  uint32_t seed = 1;
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (int form = 0; form < 5; form++) {
      for (int i = 0; i < MOST * MOST; i++) {
        seed = seed * 1664525 + 1013904223;
        float random = (float)(seed >> 8) / (1 << 24);
        map[i] = form == 0 ? 0 : form == 1 ? 1 : form == 2 ? random : form == 3 ? random * 1e-6f : random > 0.9f;
      }
      expect_orderly(map, sizes[k][0], sizes[k][1]);
    }
}

/* Without any preference the lines still go through the song. */
static void no_preference_is_spread_evenly(void **state) {
  enum { TOKENS = 4, FRAMES = 12 };
  float map[TOKENS * FRAMES];
  align_stack s;
  align_span spans[TOKENS];
  fill(map, TOKENS, FRAMES, 0.25f);
  assert_int_equal(align_open(&s, TOKENS, FRAMES, NULL), ACE_OK);
  assert_int_equal(align_add(&s, map, NULL), ACE_OK);
  assert_int_equal(align_times(&s, 12, spans, NULL), ACE_OK);
  for (int i = 0; i < TOKENS; i++) assert_float_equal(spans[i].start, 3 * i, 1e-9);
  align_close(&s);
}

static void what_is_no_probability_is_refused(void **state) {
  ace_error err = {0};
  align_stack s;
  align_span spans[2];
  float map[4] = {0.5f, 0.5f, NAN, 0.5f};
  assert_int_equal(align_open(&s, 2, 2, NULL), ACE_OK);
  assert_int_equal(align_times(&s, 1, spans, &err), ACE_EINVAL);
  assert_int_equal(align_add(&s, map, &err), ACE_EFORMAT);
  map[2] = INFINITY;
  assert_int_equal(align_add(&s, map, &err), ACE_EFORMAT);
  align_close(&s);
  assert_int_equal(align_open(&s, 0, 5, &err), ACE_EINVAL);
  align_close(&s);
}

/* ---- subtitles --------------------------------------------------------------------------------------------------- */

static void expect_vtt(const char *lrc, double duration, const char *want) {
  lrc_cues cues;
  assert_int_equal(lrc_read_cues(lrc, strlen(lrc), duration, &cues, NULL), ACE_OK);
  char *vtt = lrc_write_vtt(&cues);
  assert_string_equal(vtt, want);
  free(vtt);
  lrc_cues_free(&cues);
}

static void subtitles_are_readable(void **state) {
  expect_vtt("", 10, "WEBVTT\n");
  expect_vtt("[00:10.00]late\n[00:01.00]early\n[00:02.50]with it\n[00:03.00]next\n", 20,
             "WEBVTT\n\n1\n00:00:01.000 --> 00:00:03.000\nearly\nwith it\n"
             "\n2\n00:00:03.000 --> 00:00:10.000\nnext\n"
             "\n3\n00:00:10.000 --> 00:00:20.000\nlate\n");
  expect_vtt("[00:01.00][00:04.25]a\nno stamp\n[00:06.00]\n[0:07.00]b\n[00:08.0]c\n[00:09.00", 0,
             "WEBVTT\n\n1\n00:00:01.000 --> 00:00:04.250\na\n");
  expect_vtt("[01:00.00]<i>a & b --> c", 30,
             "WEBVTT\n\n1\n00:01:00.000 --> 00:01:05.000\n&lt;i&gt;a &amp; b --&gt; c\n");
}

static void endless_text_is_refused(void **state) {
  ace_error err;
  lrc_cues cues;
  char *text = calloc(1, LRC_MOST + 1);
  assert_int_equal(lrc_read_cues(text, LRC_MOST + 1, 0, &cues, &err), ACE_EINVAL);
  free(text);
}

/* ---- the reference ----------------------------------------------------------------------------------------------- */

static void equals_the_reference(void **state) {
  enum { LIMIT = 64 << 20 };
  static const char path[] = GOLDEN "/text/codes.json";
  ace_error err;
  if (access(path, R_OK) != 0) {
    print_message("%s: absent\n", "text/codes.json");
    skip();
  }
  json_t *file = json_parse_file(path, LIMIT, &err), *c;
  bpe *tokenizer = bpe_open(GOLDEN "/tokenizer", &err);
  if (!file || !tokenizer) fail_msg("%s", err.message);
  for (size_t k = 0; k < LYRICS_LISTS; k++) {
    size_t i;
    char why[LYRICS_WHY] = "";
    assert_true(json_array_size(json_object_get(file, lyrics_lists[k].list)) > 0);
    json_array_foreach(json_object_get(file, lyrics_lists[k].list), i, c) {
      if (!lyrics_lists[k].matches(tokenizer, c, why))
        fail_msg("%s %s: %s", lyrics_lists[k].list, json_string_value(json_object_get(c, "id")), why);
    }
  }
  bpe_close(tokenizer);
  json_decref(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_are_those_of_the_lyrics),     cmocka_unit_test(split_characters_are_whole),
      cmocka_unit_test(stamps_round_halves_up_and_carry),  cmocka_unit_test(tokens_get_the_frames_that_look_at_them),
      cmocka_unit_test(any_attention_gives_orderly_times), cmocka_unit_test(no_preference_is_spread_evenly),
      cmocka_unit_test(what_is_no_probability_is_refused), cmocka_unit_test(subtitles_are_readable),
      cmocka_unit_test(endless_text_is_refused),           cmocka_unit_test(equals_the_reference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
