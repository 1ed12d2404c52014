/* gguf_blocks.c - what the block types of GGUF files stand for. Each function widens one block; offsets are bytes within
 * it, d and m F16 unless said otherwise. Scale times quantum is formed first, then the minimum is taken off. */
#include "formats/gguf.h"

#include <string.h>

#include "base/half.h"
#include "tensor/int8.h"

static float half_at(const uint8_t *p) {
  return f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

/* ---- 32 values ---------------------------------------------------------------------------------------------------- */

/* d 0, nibbles 2..17: value j in the low half of byte j, value 16 + j in the high one. d (q - 8). */
static void widen_q4_0(float *y, const uint8_t *b) {
  float d = half_at(b);
  for (int j = 0; j < 16; j++) {
    y[j] = d * (float)((b[2 + j] & 15) - 8);
    y[16 + j] = d * (float)((b[2 + j] >> 4) - 8);
  }
}

/* d 0, m 2, nibbles 4..19. d q + m. */
static void widen_q4_1(float *y, const uint8_t *b) {
  float d = half_at(b), m = half_at(b + 2);
  for (int j = 0; j < 16; j++) {
    y[j] = d * (float)(b[4 + j] & 15) + m;
    y[16 + j] = d * (float)(b[4 + j] >> 4) + m;
  }
}

/* The fifth bit of value j is bit j of 4 bytes. */
static int fifth(const uint8_t *high, int j) {
  return (high[j / 8] >> (j % 8) & 1) << 4;
}

/* d 0, fifth bits 2..5, nibbles 6..21. d (q - 16). */
static void widen_q5_0(float *y, const uint8_t *b) {
  float d = half_at(b);
  for (int j = 0; j < 16; j++) {
    y[j] = d * (float)(((b[6 + j] & 15) | fifth(b + 2, j)) - 16);
    y[16 + j] = d * (float)((b[6 + j] >> 4 | fifth(b + 2, 16 + j)) - 16);
  }
}

/* d 0, m 2, fifth bits 4..7, nibbles 8..23. d q + m. */
static void widen_q5_1(float *y, const uint8_t *b) {
  float d = half_at(b), m = half_at(b + 2);
  for (int j = 0; j < 16; j++) {
    y[j] = d * (float)((b[8 + j] & 15) | fifth(b + 4, j)) + m;
    y[16 + j] = d * (float)(b[8 + j] >> 4 | fifth(b + 4, 16 + j)) + m;
  }
}

static void widen_q8_0(float *y, const uint8_t *b) {
  q8_0_decode(y, b, Q8_0_BLOCK);
}

/* ---- 256 values --------------------------------------------------------------------------------------------------- */

/* Scale (low half) and minimum (high half) of each 16 values 0..15, two bits a value 16..79, d 80, m 82. Each half of the
 * block: 32 bytes hold four rows of 32 values, a row in each pair of bits. */
static void widen_q2_k(float *y, const uint8_t *b) {
  float d = half_at(b + 80), m = half_at(b + 82);
  for (int i = 0; i < 256; i++) {
    const uint8_t *q = b + 16 + i / 128 * 32;
    int scale = b[i / 16], quantum = q[i % 32] >> (i % 128 / 32 * 2) & 3;
    y[i] = d * (float)(scale & 15) * (float)quantum - m * (float)(scale >> 4);
  }
}

/* Third bits 0..31 (bit i / 32 of byte i % 32; none set: minus 4), two bits a value 32..95 as in Q2_K, sixteen scales of
 * six bits 96..107 (low four bits in halves of 8 bytes, high two in pairs of bits of 4), less 32, d 108. */
static void widen_q3_k(float *y, const uint8_t *b) {
  const uint8_t *scales = b + 96;
  float d = half_at(b + 108);
  for (int i = 0; i < 256; i++) {
    const uint8_t *q = b + 32 + i / 128 * 32;
    int s = i / 16, low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4, high = scales[8 + s % 4] >> (s / 4 * 2) & 3;
    int quantum = (q[i % 32] >> (i % 128 / 32 * 2) & 3) - (b[i % 32] >> (i / 32) & 1 ? 0 : 4);
    y[i] = d * (float)((low | high << 4) - 32) * (float)quantum;
  }
}

/* Scale and minimum of row j of 32 values, six bits each, out of 12 bytes. */
static void scale_and_minimum(const uint8_t *s, int j, int *scale, int *minimum) {
  if (j < 4) {
    *scale = s[j] & 63;
    *minimum = s[j + 4] & 63;
  } else {
    *scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    *minimum = s[j + 4] >> 4 | s[j] >> 6 << 4;
  }
}

/* d 0, m 2, scales and minima 4..15; [fifth bits: bit j of byte i % 32 for row j;] nibbles: each 32 bytes hold two rows, the
 * first in the low halves. */
static void widen_k(float *y, const uint8_t *b, const uint8_t *high, const uint8_t *nibbles) {
  float d = half_at(b), m = half_at(b + 2);
  for (int j = 0; j < 8; j++) {
    int scale, minimum;
    scale_and_minimum(b + 4, j, &scale, &minimum);
    float step = d * (float)scale, least = m * (float)minimum;
    for (int i = 0; i < 32; i++) {
      int q = nibbles[j / 2 * 32 + i] >> (j % 2 * 4) & 15;
      if (high) q |= (high[i] >> j & 1) << 4;
      y[j * 32 + i] = step * (float)q - least;
    }
  }
}

static void widen_q4_k(float *y, const uint8_t *b) {
  widen_k(y, b, NULL, b + 16);
}

static void widen_q5_k(float *y, const uint8_t *b) {
  widen_k(y, b, b + 16, b + 48);
}

/* Low four bits 0..127, high two 128..191, int8 scales of each 16 values 192..207, d 208. Each half of the block: rows 0
 * and 1 of 32 values in the low halves of 64 bytes, rows 2 and 3 in the high ones; high bits of row r in pair r of 32
 * bytes. Less 32. */
static void widen_q6_k(float *y, const uint8_t *b) {
  float d = half_at(b + 208);
  for (int i = 0; i < 256; i++) {
    int half = i / 128, row = i % 128 / 32, l = i % 32;
    int low = b[half * 64 + row % 2 * 32 + l] >> (row / 2 * 4) & 15, high = b[128 + half * 32 + l] >> (row * 2) & 3;
    y[i] = d * (float)(int8_t)b[192 + i / 16] * (float)((low | high << 4) - 32);
  }
}

/* d 0 (F32), int8 4..259; sums of 16 values follow, which products use and values do not need. */
static void widen_q8_k(float *y, const uint8_t *b) {
  float d;
  memcpy(&d, b, sizeof d);
  for (int i = 0; i < 256; i++) y[i] = d * (float)(int8_t)b[4 + i];
}

void gguf_widen(float *out, st_dtype dtype, const void *blocks, int64_t count) {
  static void (*const widen[])(float *y, const uint8_t *b) = {
      [ST_Q4_0] = widen_q4_0, [ST_Q4_1] = widen_q4_1, [ST_Q5_0] = widen_q5_0, [ST_Q5_1] = widen_q5_1,
      [ST_Q8_0] = widen_q8_0, [ST_Q2_K] = widen_q2_k, [ST_Q3_K] = widen_q3_k, [ST_Q4_K] = widen_q4_k,
      [ST_Q5_K] = widen_q5_k, [ST_Q6_K] = widen_q6_k, [ST_Q8_K] = widen_q8_k};
  const uint8_t *b = blocks;
  for (int64_t i = 0; i < count; i += st_dtype_block(dtype), b += st_dtype_size(dtype)) widen[dtype](out + i, b);
}
