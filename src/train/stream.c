#include "train/stream.h"

#include <math.h>

#include "base/rng.h"

enum { BLOCK = 4 };

stream stream_of(uint64_t seed, stream_purpose purpose, uint32_t index, uint32_t epoch, uint32_t sample) {
  return (stream){seed, {(uint32_t)purpose << 24 | (index & 0xffffffu), epoch, sample}};
}

static void block(const stream *s, int64_t i, uint32_t out[BLOCK]) {
  uint32_t counter[] = {(uint32_t)i, s->word[0], s->word[1], s->word[2]};
  rng_philox_block(s->key, counter, out);
}

static float uniform(uint32_t word) {
  return (float)(word >> 8) * 0x1p-24f;
}

/* Two words make two normals; the first uniform is never 0. */
static void pair(const uint32_t w[2], float out[2]) {
  double radius = sqrt(-2 * log(((double)w[0] + 0.5) * 0x1p-32));
  double angle = 6.283185307179586476925287 * ((double)w[1] * 0x1p-32);
  out[0] = (float)(radius * cos(angle));
  out[1] = (float)(radius * sin(angle));
}

static void uniforms(const uint32_t w[BLOCK], float out[BLOCK]) {
  for (int j = 0; j < BLOCK; j++) out[j] = uniform(w[j]);
}

static void normals(const uint32_t w[BLOCK], float out[BLOCK]) {
  pair(w, out);
  pair(w + 2, out + 2);
}

static void fill(const stream *s, int64_t first, int64_t n, float *out, void (*make)(const uint32_t *, float *)) {
  for (int64_t i = first / BLOCK; i * BLOCK < first + n; i++) {
    uint32_t w[BLOCK];
    float x[BLOCK];
    block(s, i, w);
    make(w, x);
    for (int64_t j = 0; j < BLOCK; j++) {
      int64_t at = i * BLOCK + j - first;
      if (at >= 0 && at < n) out[at] = x[j];
    }
  }
}

void stream_uniform(const stream *s, int64_t first, int64_t n, float *out) {
  fill(s, first, n, out, uniforms);
}

void stream_normal(const stream *s, int64_t first, int64_t n, float *out) {
  fill(s, first, n, out, normals);
}

uint32_t stream_integer(const stream *s, int64_t i, uint32_t below) {
  uint32_t w[BLOCK];
  block(s, i / BLOCK, w);
  return (uint32_t)((uint64_t)w[i % BLOCK] * below >> 32);
}

void stream_mask(const stream *s, float p, int64_t first, int64_t n, float *out) {
  float kept = p < 1 ? 1 / (1 - p) : 0;
  stream_uniform(s, first, n, out);
  for (int64_t i = 0; i < n; i++) out[i] = out[i] < p ? 0 : kept;
}
