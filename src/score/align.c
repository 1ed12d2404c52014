#include "score/align.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the stack --------------------------------------------------------------------------------------------------- */

/* More than any song: ten minutes have 7500 frames, lyrics 2048 tokens. */
enum { SIDE_MOST = 1 << 20 };
static const int64_t CELLS_MOST = (int64_t)1 << 31;

static bool fits(int64_t tokens, int64_t frames) {
  return tokens >= 1 && frames >= 1 && tokens <= SIDE_MOST && frames <= SIDE_MOST && tokens * frames <= CELLS_MOST;
}

ace_status align_open(align_stack *s, int64_t tokens, int64_t frames, ace_error *err) {
  *s = (align_stack){.tokens = tokens, .frames = frames};
  if (!fits(tokens, frames))
    return ace_fail(err, ACE_EINVAL, "alignment: %lld tokens over %lld frames cannot be aligned", (long long)tokens,
                    (long long)frames);
  size_t cells = (size_t)(tokens * frames);
  s->plain = calloc(cells, sizeof *s->plain);
  s->sharp = calloc(cells, sizeof *s->sharp);
  s->scratch = malloc((cells + (size_t)(tokens + frames)) * sizeof *s->scratch);
  return s->plain && s->sharp && s->scratch ? ACE_OK : ace_fail(err, ACE_ENOMEM, "alignment: out of memory");
}

void align_close(align_stack *s) {
  free(s->plain);
  free(s->sharp);
  free(s->scratch);
  *s = (align_stack){0};
}

size_t align_memory(int64_t tokens, int64_t frames) {
  if (!fits(tokens, frames)) return SIZE_MAX;
  return (size_t)(tokens * frames) * (4 * sizeof(float) + 1) + (size_t)(tokens + frames) * 4 * sizeof(double);
}

/* ---- sharpening one map ------------------------------------------------------------------------------------------ */

/* Moves the k-th smallest of x[0..n-1] to x[k], nothing larger before it and nothing smaller behind (Hoare 1961). */
static void select_kth(float *x, int64_t n, int64_t k) {
  for (int64_t lo = 0, hi = n - 1; lo < hi;) {
    float pivot = x[lo + (hi - lo) / 2];
    int64_t i = lo, j = hi;
    while (i <= j) {
      while (x[i] < pivot) i++;
      while (x[j] > pivot) j--;
      if (i > j) break;
      float t = x[i];
      x[i++] = x[j];
      x[j--] = t;
    }
    if (k <= j) hi = j;
    else if (k >= i) lo = i;
    else return;
  }
}

/* Of values that are not negative; reorders them. The mean of the middle two when their number is even. */
static float median(float *x, int64_t n) {
  int64_t zeros = 0, middle = n / 2;
  for (int64_t i = 0; i < n; i++) zeros += x[i] == 0;
  if (zeros > middle) return 0;
  select_kth(x, n, middle);
  if (n % 2 == 1) return x[middle];
  float below = x[0];
  for (int64_t i = 1; i < middle; i++)
    if (x[i] > below) below = x[i];
  return below + 0.5f * (x[middle] - below);
}

static float lift(float x, float medians) {
  float y = x - 2.0f * medians;
  return y > 0 ? y : 0;
}

/* p = softmax along frames * softmax along tokens. Probabilities need no largest value taken off. */
static void contrast(float *p, const float *map, int64_t tokens, int64_t frames, float *columns) {
  memset(columns, 0, (size_t)frames * sizeof *columns);
  for (int64_t i = 0; i < tokens; i++)
    for (int64_t j = 0; j < frames; j++) columns[j] += p[i * frames + j] = expf(map[i * frames + j]);
  for (int64_t i = 0; i < tokens; i++) {
    float *row = p + i * frames;
    double sum = 0;
    for (int64_t j = 0; j < frames; j++) sum += row[j];
    for (int64_t j = 0; j < frames; j++) row[j] = row[j] / (float)sum * (row[j] / columns[j]);
  }
}

static void lift_rows(float *p, int64_t tokens, int64_t frames, float *line) {
  for (int64_t i = 0; i < tokens; i++) {
    float *row = p + i * frames;
    memcpy(line, row, (size_t)frames * sizeof *line);
    float m = median(line, frames);
    for (int64_t j = 0; j < frames; j++) row[j] = lift(row[j], m);
  }
}

static void lift_columns(float *p, int64_t tokens, int64_t frames, float *line) {
  for (int64_t j = 0; j < frames; j++) {
    for (int64_t i = 0; i < tokens; i++) line[i] = p[i * frames + j];
    float m = median(line, tokens);
    if (m == 0) continue;
    for (int64_t i = 0; i < tokens; i++) p[i * frames + j] = lift(p[i * frames + j], m);
  }
}

ace_status align_add(align_stack *s, const float *map, ace_error *err) {
  const float slack = 1e-3f; /* of rounding */
  int64_t cells = s->tokens * s->frames;
  for (int64_t i = 0; i < cells; i++)
    if (!(map[i] >= -slack && map[i] <= 1 + slack))
      return ace_fail(err, ACE_EFORMAT, "alignment: attention of %g is no probability; the weights do not fit",
                      (double)map[i]);
  float *p = s->scratch, *line = s->scratch + cells;
  contrast(p, map, s->tokens, s->frames, line);
  lift_rows(p, s->tokens, s->frames, line);
  lift_columns(p, s->tokens, s->frames, line);
  for (int64_t i = 0; i < cells; i++) {
    float square = p[i] * p[i];
    s->plain[i] += map[i];
    s->sharp[i] += square;
    s->sum += (double)square;
    s->squares += (double)square * (double)square;
  }
  s->maps++;
  return ACE_OK;
}

/* ---- the path ---------------------------------------------------------------------------------------------------- */

enum { BOTH, TOKEN, FRAME };

/* How the best way to each cell arrives there, [tokens, frames]. */
static void trace_ways(const float *gain, int64_t tokens, int64_t frames, float *before, float *now, uint8_t *way) {
  before[0] = 0;
  for (int64_t j = 1; j <= frames; j++) before[j] = INFINITY;
  for (int64_t i = 0; i < tokens; i++) {
    now[0] = INFINITY;
    for (int64_t j = 0; j < frames; j++) {
      float both = before[j], token = before[j + 1], frame = now[j], least = frame;
      uint8_t how = FRAME;
      if (both < token && both < frame) how = BOTH, least = both;
      else if (token < both && token < frame) how = TOKEN, least = token;
      now[j + 1] = least - gain[i * frames + j];
      way[i * frames + j] = how;
    }
    float *swap = before;
    before = now;
    now = swap;
  }
}

ace_status align_path(const float *gain, int64_t tokens, int64_t frames, align_step **path, int64_t *n,
                      ace_error *err) {
  *path = NULL;
  *n = 0;
  if (!fits(tokens, frames)) return ace_fail(err, ACE_EINVAL, "alignment: nothing to align");
  uint8_t *way = malloc((size_t)(tokens * frames));
  float *rows = malloc((size_t)(frames + 1) * 2 * sizeof *rows);
  int64_t most = tokens + frames, at = most;
  align_step *steps = malloc((size_t)most * sizeof *steps);
  if (way && rows && steps) {
    trace_ways(gain, tokens, frames, rows, rows + frames + 1, way);
    for (int64_t i = tokens - 1, j = frames - 1; i >= 0 && j >= 0;) {
      steps[--at] = (align_step){(int32_t)i, (int32_t)j};
      /* The first row and the first column have one way back. */
      int how = i == 0 && j == 0 ? BOTH : i == 0 ? FRAME : j == 0 ? TOKEN : way[i * frames + j];
      i -= how != FRAME;
      j -= how != TOKEN;
    }
    *n = most - at;
    memmove(steps, steps + at, (size_t)*n * sizeof *steps);
    *path = steps;
    steps = NULL;
  }
  free(way), free(rows), free(steps);
  return *path ? ACE_OK : ace_fail(err, ACE_ENOMEM, "alignment: out of memory");
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

/* Frames of each token along the path. */
static void spans_of_path(const align_step *path, int64_t n, double each, align_span *spans) {
  for (int64_t i = 0; i < n; i++) {
    align_span *s = &spans[path[i].token];
    s->end = path[i].frame * each;
    if (i == 0 || path[i].token != path[i - 1].token) s->start = s->end;
  }
}

static void spread(int64_t tokens, int64_t frames, double each, align_span *spans) {
  for (int64_t i = 0; i < tokens; i++) {
    int64_t first = i * frames / tokens, last = (i + 1) * frames / tokens - 1;
    spans[i] = (align_span){(double)first * each, (double)(last > first ? last : first) * each};
  }
}

/* The mean over maps of (map - mean) / deviation, mean and deviation over all values of all maps: *flat when they are
 * all the same. */
static float *standardise(const align_stack *s, bool *flat) {
  const double least = 1e-9;
  int64_t cells = s->tokens * s->frames;
  float *z = malloc((size_t)cells * sizeof *z);
  if (!z) return NULL;
  double count = (double)cells * s->maps, mean = s->sum / count, variance = s->squares / count - mean * mean;
  double scale = 1 / (sqrt(variance > 0 ? variance : 0) + least);
  *flat = true;
  for (int64_t i = 0; i < cells; i++) {
    z[i] = (float)(((double)s->sharp[i] / s->maps - mean) * scale);
    *flat = *flat && s->sharp[i] == s->sharp[0];
  }
  return z;
}

ace_status align_times(const align_stack *s, double seconds, align_span *spans, ace_error *err) {
  if (s->maps < 1) return ace_fail(err, ACE_EINVAL, "alignment: no attention to read");
  bool flat;
  float *gain = standardise(s, &flat);
  if (!gain) return ace_fail(err, ACE_ENOMEM, "alignment: out of memory");
  double each = seconds / (double)s->frames;
  ace_status status = ACE_OK;
  if (flat) {
    spread(s->tokens, s->frames, each, spans);
  } else {
    align_step *path;
    int64_t n;
    status = align_path(gain, s->tokens, s->frames, &path, &n, err);
    if (status == ACE_OK) spans_of_path(path, n, each, spans);
    free(path);
  }
  free(gain);
  return status;
}
