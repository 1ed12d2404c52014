#include "score/lyric_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ace_status lyric_sung(const bpe *tokenizer, const int32_t *ids, size_t n, bool *sung, ace_error *err) {
  bool tag = false;
  for (size_t i = 0; i < n; i++) {
    size_t length;
    char *text = bpe_decode(tokenizer, &ids[i], 1, 0, &length);
    if (!text) return ace_fail(err, ACE_ENOMEM, "lyrics: out of memory");
    bool closes = memchr(text, ']', length) != NULL;
    tag = tag || memchr(text, '[', length) != NULL;
    sung[i] = !tag && !closes;
    if (closes) tag = false;
    free(text);
  }
  return ACE_OK;
}

/* Lowest to 0, highest to 1; all 0 where there is no difference to speak of. */
static void scale(const float *x, int64_t n, float *out) {
  const float least = 1e-9f;
  float low = x[0], high = x[0];
  for (int64_t i = 1; i < n; i++) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  float range = high - low;
  for (int64_t i = 0; i < n; i++) out[i] = range > least ? (x[i] - low) / range : 0;
}

static double coverage(const float *e, int64_t tokens, int64_t frames, const bool *sung) {
  const float seen = 0.1f;
  int64_t rows = 0, covered = 0;
  for (int64_t i = 0; i < tokens; i++) {
    if (!sung[i]) continue;
    int64_t j = 0;
    while (j < frames && e[i * frames + j] <= seen) j++;
    rows++;
    covered += j < frames;
  }
  return rows > 0 ? (double)covered / (double)rows : 1;
}

/* The frame around which a row lies; false for a row without weight. */
static bool centre(const float *row, int64_t frames, double *out) {
  const float floor_of_noise = 0.01f;
  const double least = 1e-9;
  double sum = 0, moment = 0;
  for (int64_t j = 0; j < frames; j++) {
    if (row[j] <= floor_of_noise) continue;
    sum += (double)row[j];
    moment += (double)row[j] * (double)j;
  }
  if (sum <= least) return false;
  *out = moment / sum;
  return true;
}

static double monotonicity(const float *e, int64_t tokens, int64_t frames, const bool *sung) {
  const double slack = 9; /* frames */
  int64_t pairs = 0, forward = 0;
  double before = 0, here;
  bool any = false;
  for (int64_t i = 0; i < tokens; i++) {
    if (!sung[i] || !centre(e + i * frames, frames, &here)) continue;
    if (any) {
      pairs++;
      forward += here >= before - slack;
    }
    any = true;
    before = here;
  }
  return pairs > 0 ? (double)forward / (double)pairs : 1;
}

static ace_status confidence(const float *e, int64_t tokens, int64_t frames, double *out, ace_error *err) {
  float *gain = malloc((size_t)(tokens * frames) * sizeof *gain);
  if (!gain) return ace_fail(err, ACE_ENOMEM, "alignment: out of memory");
  for (int64_t i = 0; i < tokens * frames; i++) gain[i] = e[i] * e[i];
  align_step *path;
  int64_t n;
  ace_status status = align_path(gain, tokens, frames, &path, &n, err);
  double sum = 0;
  for (int64_t i = 0; status == ACE_OK && i < n; i++) sum += (double)e[path[i].token * frames + path[i].frame];
  *out = status == ACE_OK ? sum / (double)n : 0;
  free(gain), free(path);
  return status;
}

ace_status lyric_score(const float *average, int64_t tokens, int64_t frames, const bool *sung, lyric_parts *out,
                       ace_error *err) {
  const double steps = 10000;
  *out = (lyric_parts){0};
  if (tokens < 1 || frames < 1) return ace_fail(err, ACE_EINVAL, "alignment: nothing to score");
  float *e = malloc((size_t)(tokens * frames) * sizeof *e);
  if (!e) return ace_fail(err, ACE_ENOMEM, "alignment: out of memory");
  scale(average, tokens * frames, e);
  ace_status status = confidence(e, tokens, frames, &out->confidence, err);
  out->coverage = coverage(e, tokens, frames, sung);
  out->monotonicity = monotonicity(e, tokens, frames, sung);
  free(e);
  double c = out->coverage * out->monotonicity, score = c * c * out->confidence;
  score = score > 0 ? score < 1 ? score : 1 : 0;
  out->score = round(score * steps) / steps;
  return status;
}
