/* vec.h - float vectors as wide as the instruction set of the file that includes this, and exp and sin² on them.
 *
 * Included only by the micro_*.c and amx_*.c files, which are compiled for one instruction set each. GCC and clang
 * vector extensions do the arithmetic; the few operations they lack (fused multiply-add, maximum) are intrinsics. Fusing
 * is always explicit: the compiler may not choose it, so a value never depends on the code around it.
 */
#ifndef ACE_CPU_VEC_H
#define ACE_CPU_VEC_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define VEC_INLINE static inline __attribute__((always_inline, unused))

/* Before a loop: four rounds between two looks at the counter. */
#if defined(__clang__)
#define VEC_UNROLL_4 _Pragma("clang loop unroll_count(4)")
#else
#define VEC_UNROLL_4 _Pragma("GCC unroll 4")
#endif

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef uint32_t vu __attribute__((vector_size(LANES * 4)));

/* ---- memory: any alignment, any part of a vector ----------------------------------------------------------------- */

VEC_INLINE vf vec_load(const float *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}

VEC_INLINE void vec_store(float *p, vf v) {
  memcpy(p, &v, sizeof v);
}

/* The same past the caches, for results that are not read soon; p lies on a multiple of the vector's size. */
VEC_INLINE void vec_stream(float *p, vf v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, (__m512)v);
#else
  vec_store(p, v);
#endif
}

/* The first n values, 0 <= n < LANES, then zeros. */
VEC_INLINE vf vec_load_part(const float *p, int64_t n) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  vf v = {0};
  memcpy(&v, p, (size_t)n * sizeof *p);
  return v;
#endif
}

VEC_INLINE void vec_store_part(float *p, vf v, int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
  memcpy(p, &v, (size_t)n * sizeof *p);
#endif
}

/* LANES integers as floats; what compilers make of the conversion takes bytes one by one. */
VEC_INLINE vf vec_load_bytes(const int8_t *p) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
#elif defined(__AVX2__)
  return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
#else
  vf v;
  for (int l = 0; l < LANES; l++) v[l] = p[l];
  return v;
#endif
}

VEC_INLINE vf vec_all(float x) {
  return x - (vf){0};
}

/* Keeps a value in a register, where the compiler would rather load it again for each use. */
VEC_INLINE vf vec_keep(vf v) {
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#elif defined(__SSE2__)
  __asm__("" : "+x"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
  return v;
}

/* ---- what the extensions lack ------------------------------------------------------------------------------------ */

/* a*b + c, rounded once where the instruction set can. */
VEC_INLINE vf vec_fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

VEC_INLINE vf vec_select(vi mask, vf yes, vf no) {
  return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

VEC_INLINE vf vec_max(vf a, vf b) {
#if defined(__AVX512F__)
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
  return (vf)_mm_max_ps((__m128)a, (__m128)b);
#elif defined(__aarch64__)
  return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
#else
  return vec_select(a > b, a, b);
#endif
}

VEC_INLINE vf vec_sqrt(vf a) {
#if defined(__AVX512F__)
  return (vf)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)a);
#elif defined(__SSE2__)
  return (vf)_mm_sqrt_ps((__m128)a);
#elif defined(__aarch64__)
  return (vf)vsqrtq_f32((float32x4_t)a);
#else
  for (int l = 0; l < LANES; l++) a[l] = sqrtf(a[l]);
  return a;
#endif
}

/* Is any lane of a comparison true? */
VEC_INLINE bool vec_any(vi mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_ps((__m128)mask) != 0;
#else
  return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
#endif
}

/* Four sums over the lanes of a, b, c and d, stored side by side. */
VEC_INLINE void vec_sum4(float *out, vf a, vf b, vf c, vf d) {
#if defined(__AVX512F__)
#define LOW_HALVES  0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH_HALVES 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
  vf ab = __builtin_shufflevector(a, b, LOW_HALVES) + __builtin_shufflevector(a, b, HIGH_HALVES);
  vf cd = __builtin_shufflevector(c, d, LOW_HALVES) + __builtin_shufflevector(c, d, HIGH_HALVES);
  vf s = __builtin_shufflevector(ab, cd, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         __builtin_shufflevector(ab, cd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  s += __builtin_shufflevector(s, s, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  s += __builtin_shufflevector(s, s, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
  s = __builtin_shufflevector(s, s, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
#elif defined(__AVX2__)
  vf ab = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
          __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  vf cd = __builtin_shufflevector(c, d, 0, 1, 2, 3, 8, 9, 10, 11) +
          __builtin_shufflevector(c, d, 4, 5, 6, 7, 12, 13, 14, 15);
  vf s = __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) +
         __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
  s += __builtin_shufflevector(s, s, 1, 0, 3, 2, 5, 4, 7, 6);
  s = __builtin_shufflevector(s, s, 0, 4, 2, 6, 0, 4, 2, 6);
#else
  vf ab = __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
  vf cd = __builtin_shufflevector(c, d, 0, 1, 4, 5) + __builtin_shufflevector(c, d, 2, 3, 6, 7);
  vf s = __builtin_shufflevector(ab, cd, 0, 2, 4, 6) + __builtin_shufflevector(ab, cd, 1, 3, 5, 7);
#endif
  memcpy(out, &s, 4 * sizeof *out);
}

VEC_INLINE float vec_sum(vf a) {
  float four[4];
  vec_sum4(four, a, a, a, a);
  return four[0];
}

/* The four sums over lanes as running sums, lane 0 first, stored side by side or added to what is there. */
VEC_INLINE void vec_add_lanes(float *out, bool add, vf a, vf b, vf c, vf d) {
  typedef float v4 __attribute__((vector_size(16)));
  v4 sum = {0};
  if (add) memcpy(&sum, out, sizeof sum);
#define ADD_FOUR(L)                                                                     \
  {                                                                                     \
    v4 ac = __builtin_shufflevector(a, c, L, L + LANES, L + 1, L + 1 + LANES);          \
    v4 bd = __builtin_shufflevector(b, d, L, L + LANES, L + 1, L + 1 + LANES);          \
    v4 ac2 = __builtin_shufflevector(a, c, L + 2, L + 2 + LANES, L + 3, L + 3 + LANES); \
    v4 bd2 = __builtin_shufflevector(b, d, L + 2, L + 2 + LANES, L + 3, L + 3 + LANES); \
    v4 first = __builtin_shufflevector(ac, bd, 0, 4, 1, 5);                             \
    sum = L || add ? sum + first : first;                                               \
    sum += __builtin_shufflevector(ac, bd, 2, 6, 3, 7);                                 \
    sum += __builtin_shufflevector(ac2, bd2, 0, 4, 1, 5);                               \
    sum += __builtin_shufflevector(ac2, bd2, 2, 6, 3, 7);                               \
  }
  ADD_FOUR(0)
#if defined(__AVX2__)
  ADD_FOUR(4)
#endif
#if defined(__AVX512F__)
  ADD_FOUR(8)
  ADD_FOUR(12)
#endif
#undef ADD_FOUR
  memcpy(out, &sum, sizeof sum);
}

/* Rows become columns: t[i][j] and t[j][i] change places. Pairs of rows interleave by one value, by two, by four, ... */
VEC_INLINE void vec_transpose(vf t[LANES]) {
  vf u[LANES];
#if defined(__AVX512F__)
#define SHUFFLE(A, B, P, Q, R, S)                                                                                   \
  __builtin_shufflevector(A, B, P, Q, R, S, P + 4, Q + 4, R + 4, S + 4, P + 8, Q + 8, R + 8, S + 8, P + 12, Q + 12, \
                          R + 12, S + 12)
#elif defined(__AVX2__)
#define SHUFFLE(A, B, P, Q, R, S) __builtin_shufflevector(A, B, P, Q, R, S, P + 4, Q + 4, R + 4, S + 4)
#else
#define SHUFFLE(A, B, P, Q, R, S) __builtin_shufflevector(A, B, P, Q, R, S)
#endif
  for (int i = 0; i < LANES; i += 4) { /* squares of 4 x 4, in each quarter of the vectors */
    vf ab = SHUFFLE(t[i], t[i + 1], 0, LANES, 1, LANES + 1), cd = SHUFFLE(t[i + 2], t[i + 3], 0, LANES, 1, LANES + 1);
    vf ab2 = SHUFFLE(t[i], t[i + 1], 2, LANES + 2, 3, LANES + 3);
    vf cd2 = SHUFFLE(t[i + 2], t[i + 3], 2, LANES + 2, 3, LANES + 3);
    u[i] = SHUFFLE(ab, cd, 0, 1, LANES, LANES + 1), u[i + 1] = SHUFFLE(ab, cd, 2, 3, LANES + 2, LANES + 3);
    u[i + 2] = SHUFFLE(ab2, cd2, 0, 1, LANES, LANES + 1), u[i + 3] = SHUFFLE(ab2, cd2, 2, 3, LANES + 2, LANES + 3);
  }
#undef SHUFFLE
#if defined(__AVX512F__)
#define QUARTERS(A, B, P, Q, R, S)                                                                                \
  __builtin_shufflevector(A, B, P, P + 1, P + 2, P + 3, Q, Q + 1, Q + 2, Q + 3, R, R + 1, R + 2, R + 3, S, S + 1, \
                          S + 2, S + 3)
  for (int i = 0; i < 4; i++) { /* then the squares */
    vf ab = QUARTERS(u[i], u[i + 4], 0, 16, 4, 20), cd = QUARTERS(u[i + 8], u[i + 12], 0, 16, 4, 20);
    vf ab2 = QUARTERS(u[i], u[i + 4], 8, 24, 12, 28), cd2 = QUARTERS(u[i + 8], u[i + 12], 8, 24, 12, 28);
    t[i] = QUARTERS(ab, cd, 0, 4, 16, 20), t[i + 4] = QUARTERS(ab, cd, 8, 12, 24, 28);
    t[i + 8] = QUARTERS(ab2, cd2, 0, 4, 16, 20), t[i + 12] = QUARTERS(ab2, cd2, 8, 12, 24, 28);
  }
#undef QUARTERS
#elif defined(__AVX2__)
  for (int i = 0; i < 4; i++) {
    t[i] = __builtin_shufflevector(u[i], u[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    t[i + 4] = __builtin_shufflevector(u[i], u[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
#else
  for (int i = 0; i < 4; i++) t[i] = u[i];
#endif
}

/* ---- exp --------------------------------------------------------------------------------------------------------- */

#define VEC_ROUNDER 0x1.8p23f /* adding it rounds to an integer, left in the low bits */

/* e^x = 2^n e^r, |r| <= ln 2 / 2: a polynomial fitted to (e^r - 1 - r) / r² at Chebyshev nodes. The pieces n (as a
 * float with the integer in its low bits) and e^r. ln 2 is subtracted in two parts, the first short enough that n times
 * it is exact. */
VEC_INLINE vf vec_exp_parts(vf x, vf *n) {
  vf shifted = vec_fma(x, vec_all(0x1.715476p+0f), vec_all(VEC_ROUNDER)), whole = shifted - VEC_ROUNDER;
  vf r = vec_fma(whole, vec_all(-0x1.62e4p-1f), x);
  r = vec_fma(whole, vec_all(-0x1.7f7d1cp-20f), r);
  vf q = vec_fma(r, vec_all(0x1.6d117cp-10f), vec_all(0x1.120be2p-7f));
  q = vec_fma(q, r, vec_all(0x1.555518p-5f));
  q = vec_fma(q, r, vec_all(0x1.5554dcp-3f));
  q = vec_fma(q, r, vec_all(0.5f));
  *n = shifted;
  return vec_fma(r * r, q, r) + 1.0f;
}

/* e^x for x <= 0, as softmax needs it: exactly 0 below -87 and at -infinity. */
VEC_INLINE vf vec_exp_negative(vf x) {
  vf n, p = vec_exp_parts(x, &n);
  vf y = p * (vf)(((vu)n << 23) + 0x3f800000u); /* the rounder's own bits are shifted out */
  return vec_select(x < -87.0f, (vf){0}, y);
}

/* e^x for every x; overflows to infinity, underflows gradually to 0. */
VEC_INLINE vf vec_exp(vf x) {
  vf n, p = vec_exp_parts(vec_select(x > 90.0f, vec_all(90.0f), vec_select(x < -105.0f, vec_all(-105.0f), x)), &n);
  vi whole = (vi)((vu)n - (vu)vec_all(VEC_ROUNDER)), half = whole >> 1;
  return p * (vf)((vu)(half + 127) << 23) * (vf)((vu)(whole - half + 127) << 23);
}

/* The next n scores of a softmax, whole vectors of them, become weights under the maximum so far. *top and *sum, the
 * maximum and the sum of all weights, go on; what was added up by earlier weights must be multiplied by the result. */
VEC_INLINE float vec_weigh(float *p, int64_t n, float *top, float *sum) {
  vf high = vec_all(*top), total = {0};
  for (int64_t i = 0; i < n; i += LANES) high = vec_max(high, vec_load(p + i));
  float most = high[0];
  for (int l = 1; l < LANES; l++) most = high[l] > most ? high[l] : most;
  for (int64_t i = 0; i < n; i += LANES) {
    vf w = vec_exp_negative(vec_load(p + i) - most);
    vec_store(p + i, w);
    total += w;
  }
  float kept = vec_exp_negative(vec_all(*top - most))[0];
  *sum = *sum * kept + vec_sum(total);
  *top = most;
  return kept;
}

VEC_INLINE vf vec_silu(vf x) {
  return x / (1.0f + vec_exp(-x));
}

/* ---- logarithm ---------------------------------------------------------------------------------------------------- */

/* log x for normal x > 0: 2^n m, sqrt(1/2) <= m < sqrt 2, log m = 2 artanh((m - 1) / (m + 1)) as a series to the ninth
 * power. */
VEC_INLINE vf vec_log(vf x) {
  vi bits = (vi)x - 0x3f3504f3, n = bits >> 23;
  vf m = (vf)((bits & 0x7fffff) + 0x3f3504f3), t = (m - 1.0f) / (m + 1.0f), u = t * t;
  vf q = vec_fma(u, vec_all(2.0f / 9), vec_all(2.0f / 7));
  q = vec_fma(q, u, vec_all(2.0f / 5));
  q = vec_fma(q, u, vec_all(2.0f / 3));
  q = vec_fma(q * u, t, 2.0f * t);
  vf whole = __builtin_convertvector(n, vf);
  return vec_fma(whole, vec_all(0x1.62e4p-1f), vec_fma(whole, vec_all(0x1.7f7d1cp-20f), q));
}

/* ---- sin² -------------------------------------------------------------------------------------------------------- */

/* a*x - p for p = a*x as rounded: one fused multiply-add, or without it by halves (Dekker 1971). */
VEC_INLINE vf vec_product_error(vf a, vf x, vf p) {
#if defined(__FMA__) || defined(__aarch64__)
  return vec_fma(a, x, -p);
#else
  vf a1 = (vf)((vu)a & 0xfffff000u), x1 = (vf)((vu)x & 0xfffff000u), a2 = a - a1, x2 = x - x1;
  return ((a1 * x1 - p) + a1 * x2 + a2 * x1) + a2 * x2;
#endif
}

/* Beyond this many half turns the reduction below loses digits. */
#define VEC_TURNS 8192.0f

/* a*x reduced to |r| <= pi/2 by *n half turns, with pi in three parts, the first two short enough that their products are
 * exact; the rounding error of a*x is put back. */
VEC_INLINE vf vec_half_turn(vf a, vf x, vf *n) {
  vf p = a * x;
  *n = vec_fma(p, vec_all(0x1.45f306p-2f), vec_all(VEC_ROUNDER)) - VEC_ROUNDER;
  vf r = vec_fma(*n, vec_all(-0x1.92p+1f), p);
  r = vec_fma(*n, vec_all(-0x1.fb4p-11f), r);
  r = vec_fma(*n, vec_all(-0x1.4442d2p-23f), r);
  return r + vec_product_error(a, x, p);
}

/* sin r for |r| <= pi/2. The polynomial is fitted to (sin r - r) / r³ in r² at Chebyshev nodes. */
VEC_INLINE vf vec_sin_near(vf r) {
  vf u = r * r;
  vf q = vec_fma(u, vec_all(-0x1.9da968p-26f), vec_all(0x1.719648p-19f));
  q = vec_fma(q, u, vec_all(-0x1.a01904p-13f));
  q = vec_fma(q, u, vec_all(0x1.11111p-7f));
  q = vec_fma(q, u, vec_all(-0x1.555556p-3f));
  return vec_fma(r * u, q, r);
}

/* sin(a*x)², which has period pi. */
VEC_INLINE vf vec_sin_squared(vf a, vf x) {
  vf n, s = vec_sin_near(vec_half_turn(a, x, &n)), y = s * s;
  vi far = (n > VEC_TURNS) | (n < -VEC_TURNS);
  for (int i = 0; i < LANES && vec_any(far); i++)
    if (far[i]) {
      double exact = sin((double)a[i] * (double)x[i]);
      y[i] = (float)(exact * exact);
    }
  return y;
}

/* sin(2*a*x), of the same period, and *squared = sin(a*x)². The cosine comes from half the angle, where it loses no
 * digits. */
VEC_INLINE vf vec_sin_double(vf a, vf x, vf *squared) {
  vf n, r = vec_half_turn(a, x, &n), s = vec_sin_near(r), half = vec_sin_near(0.5f * r);
  vf y = 2.0f * s * (1.0f - 2.0f * half * half), y2 = s * s;
  vi far = (n > VEC_TURNS) | (n < -VEC_TURNS);
  for (int i = 0; i < LANES && vec_any(far); i++)
    if (far[i]) {
      double angle = (double)a[i] * (double)x[i], exact = sin(angle);
      y[i] = (float)sin(2 * angle);
      y2[i] = (float)(exact * exact);
    }
  *squared = y2;
  return y;
}

#endif
