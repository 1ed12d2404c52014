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

#define SQUARE (LANES * LANES)

/* Distances 1 .. LANES/2 between whole vectors. */
VEC_INLINE void butterfly_vectors(vf t[LANES]) {
  for (int d = 1; d < LANES; d *= 2)
    for (int i = 0; i < LANES; i++)
      if (!(i & d)) {
        vf a = t[i], b = t[i + d];
        t[i] = a + b;
        t[i + d] = a - b;
      }
}

/* Distances 1 .. SQUARE/2 within SQUARE values: those within a vector with rows and columns exchanged. */
VEC_INLINE void butterfly_square(float *v) {
  vf t[LANES];
  for (int i = 0; i < LANES; i++) t[i] = vec_load(v + i * LANES);
  vec_transpose(t);
  butterfly_vectors(t);
  vec_transpose(t);
  butterfly_vectors(t);
  for (int i = 0; i < LANES; i++) vec_store(v + i * LANES, t[i]);
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
    if (block >= SQUARE) {
      for (int64_t i = 0; i < block; i += SQUARE) butterfly_square(v + at + i);
      distance = SQUARE;
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

/* ---- products, exact in any order -------------------------------------------------------------------------------- */

/* 2 * LANES int8, widened to int16 where products of pairs are added: 128 * 128 * 2 is far from the ends of int32. */
#if defined(__AVX512F__)
typedef __m512i wide_i8;
VEC_INLINE wide_i8 load_i8(const int8_t *p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
VEC_INLINE vi add_products_i8(vi sum, wide_i8 a, wide_i8 b) {
  return sum + (vi)_mm512_madd_epi16(a, b);
}
#elif defined(__AVX2__)
typedef __m256i wide_i8;
VEC_INLINE wide_i8 load_i8(const int8_t *p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
VEC_INLINE vi add_products_i8(vi sum, wide_i8 a, wide_i8 b) {
  return sum + (vi)_mm256_madd_epi16(a, b);
}
#elif defined(__SSE2__)
typedef __m128i wide_i8;
VEC_INLINE wide_i8 load_i8(const int8_t *p) {
  __m128i twice = _mm_loadl_epi64((const __m128i *)(const void *)p);
  return _mm_srai_epi16(_mm_unpacklo_epi8(twice, twice), 8);
}
VEC_INLINE vi add_products_i8(vi sum, wide_i8 a, wide_i8 b) {
  return sum + (vi)_mm_madd_epi16(a, b);
}
#elif defined(__aarch64__)
typedef int8x8_t wide_i8;
VEC_INLINE wide_i8 load_i8(const int8_t *p) {
  return vld1_s8(p);
}
VEC_INLINE vi add_products_i8(vi sum, wide_i8 a, wide_i8 b) {
  return (vi)vpadalq_s16((int32x4_t)sum, vmull_s8(a, b));
}
#else
typedef struct wide_i8 {
  int8_t v[STEP];
} wide_i8;
VEC_INLINE wide_i8 load_i8(const int8_t *p) {
  wide_i8 a;
  memcpy(&a, p, sizeof a);
  return a;
}
VEC_INLINE vi add_products_i8(vi sum, wide_i8 a, wide_i8 b) {
  for (int i = 0; i < LANES; i++) sum[i] += a.v[i] * b.v[i] + a.v[i + LANES] * b.v[i + LANES];
  return sum;
}
#endif

VEC_INLINE int32_t sum_i32(vi v) {
  int32_t sum = 0;
  for (int i = 0; i < LANES; i++) sum += v[i];
  return sum;
}

VEC_INLINE void tile_i8_rows(int32_t *out, const int8_t *x, int rows, const int8_t *const *w, int64_t k, bool ahead) {
  vi sum[MICRO_ROWS][CPU_COLUMNS] = {{{0}}};
  int64_t i = 0;
  for (; i + STEP <= k; i += STEP) {
    for (int j = 0; ahead && i % 64 < STEP && j < CPU_COLUMNS; j++) /* the columns after these */
      __builtin_prefetch((const void *)((uintptr_t)w[j] + (uintptr_t)(CPU_COLUMNS * k + i)), 0, 2);
    wide_i8 wide[MICRO_ROWS];
    for (int r = 0; r < rows; r++) wide[r] = load_i8(x + r * k + i);
    for (int j = 0; j < CPU_COLUMNS; j++) {
      wide_i8 weight = load_i8(w[j] + i);
      for (int r = 0; r < rows; r++) sum[r][j] = add_products_i8(sum[r][j], wide[r], weight);
    }
  }
  for (int r = 0; r < rows; r++)
    for (int j = 0; j < CPU_COLUMNS; j++) {
      int32_t all = sum_i32(sum[r][j]);
      for (int64_t last = i; last < k; last++) all += x[r * k + last] * w[j][last];
      out[r * CPU_COLUMNS + j] = all;
    }
}

/* Every number of rows has a loop of its own, so that its sums stay in registers. */
static void tile_i8(int32_t *out, const int8_t *x, int rows, const int8_t *const *w, int64_t k, bool ahead) {
  switch (rows) {
    case 1: tile_i8_rows(out, x, 1, w, k, ahead); return;
    case 2: tile_i8_rows(out, x, 2, w, k, ahead); return;
#if MICRO_ROWS > 2
    case 3: tile_i8_rows(out, x, 3, w, k, ahead); return;
#endif
#if MICRO_ROWS > 3
    case 4: tile_i8_rows(out, x, 4, w, k, ahead); return;
#endif
#if MICRO_ROWS > 4
    case 5: tile_i8_rows(out, x, 5, w, k, ahead); return;
    case 6: tile_i8_rows(out, x, 6, w, k, ahead); return;
#endif
  }
}
