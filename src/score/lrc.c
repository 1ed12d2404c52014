#include "score/lrc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/span.h"
#include "request/text.h"

/* ---- times ------------------------------------------------------------------------------------------------------- */

/* Whole units, `per_second` of them a second: halves go up, as far as a double can tell a half. Never negative. */
static long long units(double seconds, double per_second) {
  const double half = 0.5 + 1e-6, most = 1e12;
  double n = floor(seconds * per_second + half);
  return n > 0 ? (long long)(n < most ? n : most) : 0;
}

enum { MINUTE = 60, HUNDRED = 100, THOUSAND = 1000 };

static void lrc_stamp(double seconds, char out[LRC_STAMP_SIZE]) {
  long long all = units(seconds, HUNDRED), s = all / HUNDRED;
  snprintf(out, LRC_STAMP_SIZE, "[%02lld:%02d.%02d]", s / MINUTE, (int)(s % MINUTE), (int)(all % HUNDRED));
}

void lrc_vtt_time(double seconds, char out[LRC_STAMP_SIZE]) {
  long long all = units(seconds, THOUSAND), s = all / THOUSAND, m = s / MINUTE;
  snprintf(out, LRC_STAMP_SIZE, "%02lld:%02d:%02d.%03d", m / MINUTE, (int)(m % MINUTE), (int)(s % MINUTE),
           (int)(all % THOUSAND));
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* One line stays one line, whatever the words hold. */
static void add_words(req_text *out, const char *words) {
  for (; *words; words++) req_text_add_bytes(out, strchr("\n\r\v\f", *words) ? " " : words, 1);
}

char *lrc_write(const lyric_line *line, size_t n) {
  req_text out = {0};
  char stamp[LRC_STAMP_SIZE];
  for (size_t i = 0; i < n; i++) {
    lrc_stamp(line[i].start, stamp);
    if (i > 0) req_text_add(&out, "\n");
    req_text_add(&out, stamp);
    add_words(&out, line[i].text);
  }
  return req_text_take(&out);
}

/* Cue text with what WebVTT takes for markup spelled out. */
static void add_escaped(req_text *out, const char *text) {
  for (; *text; text++) {
    const char *as = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
    if (as) req_text_add(out, as);
    else req_text_add_bytes(out, text, 1);
  }
}

char *lrc_write_vtt(const lrc_cues *c) {
  req_text out = {0};
  char start[LRC_STAMP_SIZE], end[LRC_STAMP_SIZE];
  req_text_add(&out, "WEBVTT\n");
  for (size_t i = 0; i < c->n; i++) {
    lrc_vtt_time(c->cue[i].start, start);
    lrc_vtt_time(c->cue[i].end, end);
    req_text_addf(&out, "\n%zu\n%s --> %s\n", i + 1, start, end);
    add_escaped(&out, c->cue[i].text);
    req_text_add(&out, "\n");
  }
  return req_text_take(&out);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* A run of `least`..`most` digits at *p as a number; moves *p behind it. -1 when there is none. */
static long digits(const char **p, const char *end, int least, int most) {
  long n = 0;
  int count = 0;
  for (; *p < end && count < most && **p >= '0' && **p <= '9'; count++) n = n * 10 + (*(*p)++ - '0');
  return count >= least ? n : -1;
}

/* "[mm:ss.xx]" or "[mm:ss.xxx]" at p: its length and time; 0 when there is none. */
static size_t read_stamp(const char *p, const char *end, double *seconds) {
  enum { MINUTES_MOST = 4, FRACTION_MOST = 3 };
  const char *start = p;
  if (p == end || *p++ != '[') return 0;
  long m = digits(&p, end, 2, MINUTES_MOST);
  if (m < 0 || p == end || *p++ != ':') return 0;
  long s = digits(&p, end, 2, 2);
  if (s < 0 || p == end || *p++ != '.') return 0;
  const char *fraction = p;
  long f = digits(&p, end, 2, FRACTION_MOST);
  if (f < 0 || p == end || *p != ']') return 0;
  double unit = p - fraction == 2 ? HUNDRED : THOUSAND;
  *seconds = (double)(m * MINUTE + s) + (double)f / unit;
  return (size_t)(p + 1 - start);
}

/* One line of the text: its stamps taken out, white space off its ends. NULL without stamp or words, or memory. */
static char *read_line(plan_span line, double *start, double *end, bool *failed) {
  int stamps = 0;
  char *words = malloc(line.n + 1);
  if (!words) *failed = true;
  if (!words) return NULL;
  size_t n = 0;
  for (size_t i = 0, stamp; i < line.n; i += stamp) {
    double seconds;
    stamp = read_stamp(line.at + i, line.at + line.n, &seconds);
    if (stamp > 0 && stamps++ < 2) *(stamps == 1 ? start : end) = seconds;
    if (stamp > 0) continue;
    if (line.at[i]) words[n++] = line.at[i]; /* a NUL would end the words */
    stamp = 1;
  }
  plan_span trimmed = plan_trim((plan_span){words, n});
  memmove(words, trimmed.at, trimmed.n);
  words[trimmed.n] = 0;
  if (stamps > 0 && trimmed.n > 0) return words;
  free(words);
  return NULL;
}

/* Appends a cue without an end of its own as one of a negative end. */
static ace_status add_cue(lrc_cues *c, lrc_cue cue) {
  if ((c->n & (c->n - 1)) == 0) {
    lrc_cue *grown = realloc(c->cue, (c->n ? 2 * c->n : 1) * sizeof *grown);
    if (!grown) return ACE_ENOMEM;
    c->cue = grown;
  }
  c->cue[c->n++] = cue;
  return ACE_OK;
}

static ace_status read_lines(plan_span text, lrc_cues *out) {
  bool failed = false;
  while (text.n > 0 && !failed) {
    size_t n = plan_find(text, "\n");
    lrc_cue cue = {.end = -1};
    cue.text = read_line((plan_span){text.at, n}, &cue.start, &cue.end, &failed);
    if (cue.text && add_cue(out, cue) != ACE_OK) {
      free(cue.text);
      failed = true;
    }
    text = plan_span_from(text, n < text.n ? n + 1 : n);
  }
  return failed ? ACE_ENOMEM : ACE_OK;
}

/* Sorts by start; equal ones keep their order. Lyrics come sorted or nearly so. */
static void sort_cues(lrc_cues *c) {
  for (size_t i = 1; i < c->n; i++) {
    lrc_cue cue = c->cue[i];
    size_t k = i;
    for (; k > 0 && c->cue[k - 1].start > cue.start; k--) c->cue[k] = c->cue[k - 1];
    c->cue[k] = cue;
  }
}

static bool append(char **text, const char *more) {
  size_t n = strlen(*text), m = strlen(more);
  char *grown = realloc(*text, n + m + 2);
  if (!grown) return false;
  grown[n] = '\n';
  memcpy(grown + n + 1, more, m + 1);
  *text = grown;
  return true;
}

/* Lines that begin within two seconds of a group's first join it. */
static ace_status merge_cues(lrc_cues *c) {
  const double near = 2;
  size_t groups = 0;
  ace_status status = ACE_OK;
  for (size_t i = 0; i < c->n; i++) {
    lrc_cue *last = groups > 0 ? &c->cue[groups - 1] : NULL, cue = c->cue[i];
    if (!last || cue.start - last->start >= near) {
      c->cue[groups++] = cue;
      continue;
    }
    if (!append(&last->text, cue.text)) status = ACE_ENOMEM;
    if (cue.end >= 0) last->end = cue.end;
    free(cue.text);
  }
  c->n = groups;
  return status;
}

static void close_cues(lrc_cues *c, double duration) {
  const double usual = 5, least = 3;
  for (size_t i = 0; i < c->n; i++) {
    lrc_cue *cue = &c->cue[i];
    if (cue->end < 0)
      cue->end = i + 1 < c->n ? c->cue[i + 1].start : duration > cue->start ? duration : cue->start + usual;
    if (cue->end <= cue->start) cue->end = cue->start + least;
  }
}

ace_status lrc_read_cues(const char *text, size_t length, double duration, lrc_cues *out, ace_error *err) {
  *out = (lrc_cues){0};
  if (length > LRC_MOST)
    return ace_fail(err, ACE_EINVAL, "subtitles: %zu bytes of timed lyrics, more than %d", length, (int)LRC_MOST);
  ace_status status = read_lines((plan_span){text, length}, out);
  if (status == ACE_OK) {
    sort_cues(out);
    status = merge_cues(out);
    close_cues(out, duration);
  }
  if (status == ACE_OK) return ACE_OK;
  lrc_cues_free(out);
  return ace_fail(err, status, "subtitles: out of memory");
}

void lrc_cues_free(lrc_cues *c) {
  for (size_t i = 0; i < c->n; i++) free(c->cue[i].text);
  free(c->cue);
  *c = (lrc_cues){0};
}
