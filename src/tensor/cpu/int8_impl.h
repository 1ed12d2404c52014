/* int8_impl.h - turning, rounding and multiplying as tensor/int8.h defines them, for micro_impl.h. The order of every
 * F32 operation is the definition's, so that the bits are, whatever the instruction set. */

/* ±1 with the sign that int8.h gives to value k of a block. */
VEC_INLINE float sign_of(int64_t k) {
  return __builtin_parityll((unsigned long long)(k & k >> 1)) ? -1.0f : 1.0f;
}

/* The signs of k and of k modulo 16 differ alike for 16 neighbours, but for the pair of bits 3 and 4. */
VEC_INLINE void change_signs(float *v, int64_t block) {
  float low[2][16];
  for (int64_t k = 0; k < 16; k++) low[0][k] = sign_of(k), low[1][k] = sign_of(16 + k);
  for (int64_t i = 0; i < block; i += 16) {
    const float *signs = low[i >> 4 & 1];
    float high = sign_of(i >> 4);
    for (int64_t k = 0; k < 16 && i + k < block; k++) v[i + k] *= high * signs[k];
  }
}

/* Distances 1, 2, 4 and 8 within 16 values that stay in registers. */
VEC_INLINE void butterfly_16(float *v) {
  float a[16], b[16];
  memcpy(a, v, sizeof a);
  for (int i = 0; i < 16; i += 2) b[i] = a[i] + a[i + 1], b[i + 1] = a[i] - a[i + 1];
  for (int i = 0; i < 16; i++) a[i] = i & 2 ? b[i - 2] - b[i] : b[i] + b[i + 2];
  for (int i = 0; i < 16; i++) b[i] = i & 4 ? a[i - 4] - a[i] : a[i] + a[i + 4];
  for (int i = 0; i < 16; i++) v[i] = i & 8 ? b[i - 8] - b[i] : b[i] + b[i + 8];
}

VEC_INLINE void butterflies(float *v, int64_t block, int64_t distance) {
  for (int64_t i = 0; i < block; i += 2 * distance)
    for (int64_t j = i; j < i + distance; j++) {
      float a = v[j], b = v[j + distance];
      v[j] = a + b;
      v[j + distance] = a - b;
    }
}

static void turn(float *v, int64_t k) {
  int64_t block = int8_block(k);
  for (int64_t at = 0; at < k; at += block) {
    int64_t distance = 1;
    change_signs(v + at, block);
    if (block >= 16) {
      for (int64_t i = 0; i < block; i += 16) butterfly_16(v + at + i);
      distance = 16;
    }
    for (; distance < block; distance *= 2) butterflies(v + at, block, distance);
  }
}

static float round_i8(int8_t *q, const float *u, int64_t k) {
  int32_t most = 0; /* magnitudes compared as bits: infinity and NaN are above all numbers */
  for (int64_t i = 0; i < k; i++) {
    int32_t bits;
    memcpy(&bits, &u[i], sizeof bits);
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  float top;
  memcpy(&top, &most, sizeof top);
  if (!isfinite(top) || top < INT8_TINY) {
    for (int64_t i = 0; i < k; i++) q[i] = 0;
    return isfinite(top) ? 0.0f : NAN;
  }
  float inverse = 127.0f / top;
  for (int64_t i = 0; i < k; i++) q[i] = (int8_t)(int32_t)((u[i] * inverse + VEC_ROUNDER) - VEC_ROUNDER);
  return top / 127.0f;
}

static void dot_i8(int32_t *out, const int8_t *x, const int8_t *const *w, int64_t k) {
  for (int j = 0; j < CPU_COLUMNS; j++) {
    int32_t sum = 0;
    for (int64_t i = 0; i < k; i++) sum += x[i] * w[j][i];
    out[j] = sum;
  }
}
