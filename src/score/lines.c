#include "score/lines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "planner/span.h"

void lyric_times_free(lyric_times *t) {
  for (size_t i = 0; i < t->n_tokens; i++) free(t->token[i].text);
  for (size_t i = 0; i < t->n_lines; i++) free(t->line[i].text);
  free(t->token);
  free(t->line);
  *t = (lyric_times){0};
}

/* Halves go up, as far as a double can tell a half. */
static double to_milliseconds(double seconds) {
  const double thousand = 1000, half = 0.5 + 1e-6;
  return floor(seconds * thousand + half) / thousand;
}

static ace_status take_tokens(const bpe *tokenizer, const int32_t *ids, const align_span *spans, size_t n,
                              lyric_times *t) {
  bpe_stream stream = {.tokenizer = tokenizer};
  t->token = calloc(n + 1, sizeof *t->token);
  t->line = calloc(n + 1, sizeof *t->line);
  if (!t->token || !t->line) return ACE_ENOMEM;
  for (; t->n_tokens < n; t->n_tokens++) {
    lyric_token *k = &t->token[t->n_tokens];
    size_t length = 0;
    *k = (lyric_token){ids[t->n_tokens], spans[t->n_tokens].start, spans[t->n_tokens].end, NULL};
    if (bpe_stream_push(&stream, k->id, &k->text, &length) == ACE_OK && !k->text) k->text = calloc(1, 1);
    if (!k->text) return ACE_ENOMEM;
  }
  return ACE_OK;
}

/* Tokens first..end-1 as a line, unless they are blank. */
static ace_status add_line(const bpe *tokenizer, lyric_times *t, size_t first, size_t end) {
  int32_t *ids = malloc((end - first) * sizeof *ids);
  for (size_t i = first; ids && i < end; i++) ids[i - first] = t->token[i].id;
  size_t length = 0;
  char *text = ids ? bpe_decode(tokenizer, ids, end - first, 0, &length) : NULL;
  free(ids);
  if (!text) return ACE_ENOMEM;
  plan_span trimmed = plan_trim((plan_span){text, length});
  if (trimmed.n == 0) {
    free(text);
    return ACE_OK;
  }
  memmove(text, trimmed.at, trimmed.n);
  text[trimmed.n] = 0;
  t->line[t->n_lines++] = (lyric_line){.text = text,
                                       .start = to_milliseconds(t->token[first].start),
                                       .end = to_milliseconds(t->token[end - 1].end),
                                       .first = first,
                                       .tokens = end - first};
  return ACE_OK;
}

ace_status lyric_times_make(const bpe *tokenizer, const int32_t *ids, const align_span *spans, size_t n,
                            lyric_times *out, ace_error *err) {
  *out = (lyric_times){0};
  ace_status status = take_tokens(tokenizer, ids, spans, n, out);
  size_t first = 0;
  for (size_t i = 0; status == ACE_OK && i < n; i++) {
    if (i + 1 < n && !strchr(out->token[i].text, '\n')) continue;
    status = add_line(tokenizer, out, first, i + 1);
    first = i + 1;
  }
  if (status == ACE_OK) return ACE_OK;
  lyric_times_free(out);
  return ace_fail(err, status, "lyrics: out of memory");
}
