/* int8.c - the definitions of int8.h, as plain as they read there; the fast versions are in cpu/. */
#include "tensor/int8.h"

#include <math.h>
#include <string.h>

#include "base/half.h"

int64_t int8_block(int64_t k) {
  int64_t block = k & -k;
  return block < INT8_MAX_BLOCK ? block : INT8_MAX_BLOCK;
}

/* ---- turning ----------------------------------------------------------------------------------------------------- */

static void change_signs(float *v, int64_t block) {
  for (int64_t k = 0; k < block; k++)
    if (__builtin_parityll((unsigned long long)(k & k >> 1))) v[k] = -v[k];
}

static void hadamard(float *v, int64_t block) {
  for (int64_t distance = 1; distance < block; distance *= 2)
    for (int64_t i = 0; i < block; i += 2 * distance)
      for (int64_t j = i; j < i + distance; j++) {
        float a = v[j], b = v[j + distance];
        v[j] = a + b;
        v[j + distance] = a - b;
      }
}

void int8_turn(float *v, int64_t k) {
  int64_t block = int8_block(k);
  for (int64_t i = 0; i < k; i += block) {
    change_signs(v + i, block);
    hadamard(v + i, block);
  }
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

/* The largest magnitude, compared as bits: infinity and NaN are above all numbers. */
static float largest(const float *u, int64_t k) {
  uint32_t top = 0;
  for (int64_t i = 0; i < k; i++) {
    uint32_t bits;
    memcpy(&bits, &u[i], sizeof bits);
    bits &= 0x7fffffffu;
    if (bits > top) top = bits;
  }
  float value;
  memcpy(&value, &top, sizeof value);
  return value;
}

float int8_round(int8_t *q, const float *u, int64_t k) {
  float top = largest(u, k);
  if (!isfinite(top) || top < INT8_TINY) {
    for (int64_t i = 0; i < k; i++) q[i] = 0;
    return isfinite(top) ? 0.0f : NAN;
  }
  float inverse = 127.0f / top;
  for (int64_t i = 0; i < k; i++) q[i] = (int8_t)rintf(u[i] * inverse);
  return top / 127.0f;
}

/* ---- rows of weights --------------------------------------------------------------------------------------------- */

bool int8_encode(int8_t *q, float *scale, float *w, int64_t k) {
  int8_turn(w, k);
  *scale = int8_round(q, w, k) / (float)int8_block(k);
  return isfinite(*scale);
}

void int8_decode(float *w, const int8_t *q, float scale, int64_t k) {
  int64_t block = int8_block(k);
  for (int64_t i = 0; i < k; i++) w[i] = (float)q[i] * scale;
  for (int64_t i = 0; i < k; i += block) {
    hadamard(w + i, block);
    change_signs(w + i, block);
  }
}

void q8_0_decode(float *w, const void *row, int64_t k) {
  const uint8_t *block = row;
  for (int64_t i = 0; i < k; i += Q8_0_BLOCK, block += Q8_0_BYTES) {
    uint16_t half;
    memcpy(&half, block, sizeof half);
    float d = f16_to_f32(half);
    for (int j = 0; j < Q8_0_BLOCK; j++) w[i + j] = d * (float)(int8_t)block[2 + j];
  }
}
