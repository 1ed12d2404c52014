/* golden_lyrics.h - one golden case of timed lyrics (text/codes.json) compared with this build, for the tests and for
 * golden-check.
 *
 *   char why[LYRICS_WHY];
 *   if (!lyrics_align_case(tokenizer, c, why)) ...             // `why`: what differs
 */
#ifndef ACE_TESTS_GOLDEN_LYRICS_H
#define ACE_TESTS_GOLDEN_LYRICS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "score/lrc.h"

enum { LYRICS_WHY = 1024 };

static const double lyrics_allowed = 1e-6; /* seconds */

static inline const json_t *lyrics_out(const json_t *c, const char *name) {
  return json_object_get(json_object_get(c, "out"), name);
}

static inline double lyrics_number(const json_t *list, size_t i) {
  return json_number_value(json_array_get(list, i));
}

static inline bool lyrics_same_text(const char *what, const char *got, const json_t *want, char *why) {
  const char *expected = json_string_value(want);
  if (got && expected && strcmp(got, expected) == 0) return true;
  snprintf(why, LYRICS_WHY, "%s: \"%s\", not \"%s\"", what, got ? got : "(nothing)", expected ? expected : "(nothing)");
  return false;
}

static inline bool lyrics_same_time(const char *what, size_t i, double got, double want, char *why) {
  if (fabs(got - want) <= lyrics_allowed) return true;
  snprintf(why, LYRICS_WHY, "%s %zu: %.9g s, not %.9g s", what, i, got, want);
  return false;
}

static inline bool lyrics_same_count(const char *what, size_t got, const json_t *want, char *why) {
  if (got == json_array_size(want)) return true;
  snprintf(why, LYRICS_WHY, "%zu %s, not %zu", got, what, json_array_size(want));
  return false;
}

static inline bool lyrics_same_lines(const lyric_times *t, const json_t *c, char *why) {
  const json_t *lines = lyrics_out(c, "lines");
  if (!lyrics_same_count("lines", t->n_lines, lines, why)) return false;
  for (size_t i = 0; i < t->n_lines; i++) {
    const json_t *want = json_array_get(lines, i);
    if (!lyrics_same_text("line", t->line[i].text, json_array_get(want, 0), why) ||
        !lyrics_same_time("start of line", i, t->line[i].start, lyrics_number(want, 1), why) ||
        !lyrics_same_time("end of line", i, t->line[i].end, lyrics_number(want, 2), why))
      return false;
  }
  char *lrc = lrc_write(t->line, t->n_lines);
  bool same = lyrics_same_text("lrc", lrc, lyrics_out(c, "lrc"), why);
  free(lrc);
  return same;
}

static inline bool lyrics_same_tokens(const lyric_times *t, const json_t *texts, char *why) {
  if (!json_is_array(texts)) return true; /* not compared */
  if (!lyrics_same_count("tokens", t->n_tokens, texts, why)) return false;
  for (size_t i = 0; i < t->n_tokens; i++)
    if (!lyrics_same_text("token", t->token[i].text, json_array_get(texts, i), why)) return false;
  return true;
}

/* Tokens and their times to lines. */
static inline bool lyrics_compare(const bpe *tokenizer, const json_t *c, const int32_t *ids, const align_span *spans,
                                  size_t n, char *why) {
  lyric_times t;
  snprintf(why, LYRICS_WHY, "no memory");
  if (lyric_times_make(tokenizer, ids, spans, n, &t, NULL) != ACE_OK) return false;
  bool same = lyrics_same_tokens(&t, lyrics_out(c, "token_texts"), why) && lyrics_same_lines(&t, c, why);
  lyric_times_free(&t);
  return same;
}

enum { LYRICS_TOKENS_MOST = 256 };

static inline bool lyrics_tokens_case(const bpe *tokenizer, const json_t *c, char *why) {
  int32_t ids[LYRICS_TOKENS_MOST];
  align_span spans[LYRICS_TOKENS_MOST];
  const json_t *tokens = json_object_get(c, "tokens");
  size_t n = json_array_size(tokens);
  if (n > LYRICS_TOKENS_MOST) return false;
  for (size_t i = 0; i < n; i++) {
    const json_t *token = json_array_get(tokens, i);
    ids[i] = (int32_t)json_integer_value(json_array_get(token, 0));
    spans[i] = (align_span){lyrics_number(token, 1), lyrics_number(token, 2)};
  }
  return lyrics_compare(tokenizer, c, ids, spans, n, why);
}

/* [heads][tokens][frames] put on a stack. */
static inline bool lyrics_stack(const json_t *attention, align_stack *s) {
  const json_t *first = json_array_get(attention, 0);
  int64_t tokens = (int64_t)json_array_size(first), frames = (int64_t)json_array_size(json_array_get(first, 0));
  if (align_open(s, tokens, frames, NULL) != ACE_OK) return false;
  float *map = malloc((size_t)(tokens * frames) * sizeof *map);
  bool ok = map != NULL;
  for (size_t h = 0; ok && h < json_array_size(attention); h++) {
    for (int64_t i = 0; i < tokens * frames; i++)
      map[i] = (float)lyrics_number(json_array_get(json_array_get(attention, h), (size_t)(i / frames)),
                                    (size_t)(i % frames));
    ok = align_add(s, map, NULL) == ACE_OK;
  }
  free(map);
  return ok;
}

static inline bool lyrics_align_case(const bpe *tokenizer, const json_t *c, char *why) {
  int32_t ids[LYRICS_TOKENS_MOST];
  align_span spans[LYRICS_TOKENS_MOST];
  const json_t *tokens = json_object_get(c, "tokens"), *times = lyrics_out(c, "token_times");
  size_t n = json_array_size(tokens);
  align_stack s = {0};
  snprintf(why, LYRICS_WHY, "no alignment");
  bool same = n <= LYRICS_TOKENS_MOST && lyrics_stack(json_object_get(c, "attention"), &s) && s.tokens == (int64_t)n &&
              align_times(&s, json_number_value(json_object_get(c, "duration")), spans, NULL) == ACE_OK &&
              lyrics_same_count("times", n, times, why);
  align_close(&s);
  for (size_t i = 0; same && i < n; i++) {
    const json_t *want = json_array_get(times, i);
    ids[i] = (int32_t)json_integer_value(json_array_get(tokens, i));
    same = lyrics_same_time("start of token", i, spans[i].start, lyrics_number(want, 0), why) &&
           lyrics_same_time("end of token", i, spans[i].end, lyrics_number(want, 1), why);
  }
  return same && lyrics_compare(tokenizer, c, ids, spans, n, why);
}

static inline bool lyrics_lines_case(const bpe *tokenizer, const json_t *c, char *why) {
  lyric_line line[LYRICS_TOKENS_MOST];
  const json_t *lines = json_object_get(c, "lines");
  size_t n = json_array_size(lines);
  if (n > LYRICS_TOKENS_MOST) return false;
  for (size_t i = 0; i < n; i++) {
    const json_t *l = json_array_get(lines, i);
    line[i] = (lyric_line){.text = (char *)json_string_value(json_array_get(l, 0)),
                           .start = lyrics_number(l, 1),
                           .end = lyrics_number(l, 2)};
  }
  char *lrc = lrc_write(line, n);
  bool same = lyrics_same_text("lrc", lrc, json_object_get(c, "out"), why);
  free(lrc);
  return same;
}

static inline bool lyrics_subtitles_case(const bpe *tokenizer, const json_t *c, char *why) {
  const char *lrc = json_string_value(json_object_get(c, "lrc"));
  const json_t *out = json_object_get(c, "out");
  lrc_cues cues;
  if (lrc_read_cues(lrc, strlen(lrc), json_number_value(json_object_get(c, "duration")), &cues, NULL) != ACE_OK)
    return false;
  bool same = lyrics_same_count("subtitles", cues.n, out, why);
  for (size_t i = 0; same && i < cues.n; i++) {
    const json_t *want = json_array_get(out, i);
    same = lyrics_same_time("start of subtitle", i, cues.cue[i].start, lyrics_number(want, 0), why) &&
           lyrics_same_time("end of subtitle", i, cues.cue[i].end, lyrics_number(want, 1), why) &&
           lyrics_same_text("subtitle", cues.cue[i].text, json_array_get(want, 2), why);
  }
  lrc_cues_free(&cues);
  return same;
}

static inline bool lyrics_vtt_case(const bpe *tokenizer, const json_t *c, char *why) {
  char stamp[LRC_STAMP_SIZE];
  lrc_vtt_time(json_number_value(json_object_get(c, "seconds")), stamp);
  return lyrics_same_text("stamp", stamp, json_object_get(c, "out"), why);
}

/* The lists of codes.json that are compared. */
static const struct {
  const char *list;
  bool (*matches)(const bpe *tokenizer, const json_t *c, char *why);
} lyrics_lists[] = {{"lrc_tokens", lyrics_tokens_case},
                    {"lrc_lines", lyrics_lines_case},
                    {"lrc_align", lyrics_align_case},
                    {"subtitles", lyrics_subtitles_case},
                    {"vtt_time", lyrics_vtt_case}};

enum { LYRICS_LISTS = sizeof lyrics_lists / sizeof *lyrics_lists };

#endif
