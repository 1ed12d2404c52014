/* micro_impl.h - the functions of micro.h, for the vectors of vec.h. The including file defines
 *
 *   MICRO_NAME   e.g. "avx2"
 *   MICRO_TABLE  e.g. cpu_micro_avx2
 *   MICRO_ROWS   rows of a full tile: rows * CPU_COLUMNS sums, `rows` inputs and a weight should fit the registers
 *   MICRO_VECTORS  vectors of queries that attention works on at once
 *   MICRO_PRODUCT, MICRO_ATTENTION  functions on matrix tiles, where there are any
 */
#include "tensor/cpu/micro.h"
#include "tensor/cpu/vec.h"
#include "tensor/int8.h"

#define STEP (2 * LANES)

/* ---- tiles of products ------------------------------------------------------------------------------------------- */

/* Each of rows * CPU_COLUMNS sums runs through k in vectors and is added up across lanes at the end. */
typedef vf sums[CPU_MAX_ROWS][CPU_COLUMNS];

VEC_INLINE void load_rows(vf *v, int rows, const float *x, int64_t x_row) {
  for (int i = 0; i < rows; i++) v[i] = vec_keep(vec_load(x + i * x_row));
}

VEC_INLINE void add_products(sums sum, int rows, const vf *v, vf w, int j) {
  for (int i = 0; i < rows; i++) sum[i][j] = vec_keep(vec_fma(v[i], w, sum[i][j]));
}

VEC_INLINE void step_f32(sums sum, int rows, const float *x, int64_t x_row, const float *const *w) {
  for (int half = 0; half < 2; half++) {
    vf v[CPU_MAX_ROWS];
    load_rows(v, rows, x + half * LANES, x_row);
    for (int j = 0; j < CPU_COLUMNS; j++) {
      vf value = vec_load(w[j] + half * LANES);
      add_products(sum, rows, v, LANES == 16 ? vec_keep(value) : value, j);
    }
  }
}

/* Half a step of BF16: of each pair the first, in the low bits, is widened by a shift, the second by a mask. */
VEC_INLINE vf widen_half(const uint16_t *w, int half) {
  vu pairs;
  memcpy(&pairs, w, sizeof pairs);
  return half ? (vf)(pairs & 0xffff0000u) : (vf)(pairs << 16);
}

VEC_INLINE void step_bf16(sums sum, int rows, const float *x, int64_t x_row, const uint16_t *const *w) {
  for (int half = 0; half < 2; half++) {
    vf v[CPU_MAX_ROWS];
    load_rows(v, rows, x + half * LANES, x_row);
    for (int j = 0; j < CPU_COLUMNS; j++) add_products(sum, rows, v, vec_keep(widen_half(w[j], half)), j);
  }
}

VEC_INLINE void store_sums(const cpu_tile *t, sums sum, int rows) {
  for (int i = 0; i < rows; i++) {
    float four[CPU_COLUMNS], *c = t->c + i * t->c_row;
    vec_sum4(four, sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
    for (int j = 0; j < CPU_COLUMNS; j++) c[j] = t->add ? c[j] + four[j] : four[j];
  }
}

/* Few rows use weights faster than memory brings them. */
VEC_INLINE void fetch_next(const cpu_tile *t, int rows, int64_t at, int64_t bytes) {
  for (int j = 0; rows < MICRO_ROWS && t->next[0] && j < CPU_COLUMNS; j++)
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch((const uint8_t *)t->next[j] + at + i, 0, 2);
}

#define TILE(TYPE, ELEMENT)                                                                                   \
  VEC_INLINE void tile_##TYPE(const cpu_tile *t, int rows) {                                                  \
    enum { STEP_BYTES = STEP * sizeof(ELEMENT) };                                                             \
    vf sum[CPU_MAX_ROWS][CPU_COLUMNS] = {{{0}}};                                                              \
    for (int64_t s = 0; s < t->segments; s++) {                                                               \
      const float *x = t->x + s * t->x_segment;                                                               \
      const ELEMENT *w[CPU_COLUMNS];                                                                          \
      for (int j = 0; j < CPU_COLUMNS; j++) w[j] = (const ELEMENT *)t->w[j] + s * t->w_segment;               \
      for (int64_t k = 0; k < t->steps; k++) {                                                                \
        fetch_next(t, rows, k *STEP_BYTES, STEP_BYTES);                                                       \
        step_##TYPE(sum, rows, x, t->x_row, w);                                                               \
        x += STEP;                                                                                            \
        for (int j = 0; j < CPU_COLUMNS; j++) w[j] += STEP;                                                   \
      }                                                                                                       \
      if (t->tail) {                                                                                          \
        for (int j = 0; j < CPU_COLUMNS; j++) w[j] = (const ELEMENT *)t->tail + (s * CPU_COLUMNS + j) * STEP; \
        step_##TYPE(sum, rows, x, t->x_row, w);                                                               \
      }                                                                                                       \
    }                                                                                                         \
    store_sums(t, sum, rows);                                                                                 \
  }
TILE(f32, float)
TILE(bf16, uint16_t)

#define TILE_ROWS(ROWS)                             \
  static void tile_f32_##ROWS(const cpu_tile *t) {  \
    tile_f32(t, ROWS);                              \
  }                                                 \
  static void tile_bf16_##ROWS(const cpu_tile *t) { \
    tile_bf16(t, ROWS);                             \
  }
TILE_ROWS(1)
TILE_ROWS(2)
#if MICRO_ROWS > 2
TILE_ROWS(3)
#endif
#if MICRO_ROWS > 3
TILE_ROWS(4)
#endif
#if MICRO_ROWS > 4
TILE_ROWS(5)
TILE_ROWS(6)
#endif

static void pack(float *out, const float *x, int64_t n, bool split) {
  for (; n > 0; n -= STEP, x += STEP, out += STEP) {
    float last[STEP] = {0};
    const float *from = x;
    if (n < STEP) from = memcpy(last, x, (size_t)n * sizeof *x);
    vf a = vec_load(from), b = vec_load(from + LANES);
    if (split) {
#if defined(__AVX512F__)
      vf even = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
      b = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#elif defined(__AVX2__)
      vf even = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
      b = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
      vf even = __builtin_shufflevector(a, b, 0, 2, 4, 6);
      b = __builtin_shufflevector(a, b, 1, 3, 5, 7);
#endif
      a = even;
    }
    vec_store(out, a);
    vec_store(out + LANES, b);
  }
}

#if !defined(__AVX512F__)
static void widen(float *out, const uint16_t *w, int64_t n) {
  for (; n > 0; n -= STEP, w += STEP, out += STEP) {
    vec_store(out, widen_half(w, 0));
    vec_store(out + LANES, widen_half(w, 1));
  }
}
#endif

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* Loads LANES values, or the n that are left. */
VEC_INLINE vf load(const float *p, int64_t i, int64_t n) {
  return n - i >= LANES ? vec_load(p + i) : vec_load_part(p + i, n - i);
}

VEC_INLINE void store(float *p, vf v, int64_t i, int64_t n) {
  if (n - i >= LANES) vec_store(p + i, v);
  else vec_store_part(p + i, v, n - i);
}

static void finish(float *y, const float *c, int64_t n, const cpu_finish *f) {
  bool stream = f->stream && (uintptr_t)y % 64 == 0;
  for (int64_t i = 0; i < n; i += LANES) {
    vf u = load(c, i, n);
    if (f->bias) u += load(f->bias, i, n);
    if (f->act == OP_ACT_SILU) u = vec_silu(u);
    if (f->up) u = vec_silu(u) * load(f->up, i, n);
    if (f->gate) u *= load(f->gate, i, n);
    if (f->alpha) u = vec_fma(vec_sin_squared(load(f->alpha, i, n), u), load(f->inv_beta, i, n), u);
    if (f->residual) u += load(f->residual, i, n);
    if (stream && n - i >= LANES) vec_stream(y + i, u);
    else store(y, u, i, n);
  }
}

/* Four running vectors, so that additions overlap. */
static float dot(const float *a, const float *b, int64_t n) {
  vf s[4] = {{0}};
  int64_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES)
    for (int j = 0; j < 4; j++) s[j] = vec_fma(vec_load(a + i + j * LANES), vec_load(b + i + j * LANES), s[j]);
  for (; i < n; i += LANES) s[0] = vec_fma(load(a, i, n), load(b, i, n), s[0]);
  return vec_sum((s[0] + s[1]) + (s[2] + s[3]));
}

static void rms_norm(float *y, const float *x, const float *w, int64_t n, float eps, const float *scale,
                     const float *shift) {
  vf inverse = vec_all(1.0f / sqrtf(dot(x, x, n) / (float)n + eps));
  for (int64_t i = 0; i < n; i += LANES) {
    vf u = load(w, i, n) * (load(x, i, n) * inverse);
    if (scale) u = vec_fma(u, 1.0f + load(scale, i, n), load(shift, i, n));
    store(y, u, i, n);
  }
}

static void rotate(float *x, int64_t half, const float *cosine, const float *sine, int64_t n) {
  for (int64_t i = 0; i < n; i += LANES) {
    vf a = load(x, i, n), b = load(x + half, i, n), co = load(cosine, i, n), si = load(sine, i, n);
    store(x, a * co - b * si, i, n);
    store(x + half, b * co + a * si, i, n);
  }
}

static float highest(const float *x, int64_t n) {
  float top = x[0];
  for (int64_t i = 1; i < n; i++) top = x[i] > top ? x[i] : top;
  return top;
}

static void softmax(float *x, int64_t n) {
  float top = highest(x, n);
  vf sum = {0};
  for (int64_t i = 0; i < n; i += LANES) {
    vf p = vec_exp_negative(load(x, i, n) - top);
    store(x, p, i, n);
    sum += load(x, i, n); /* again from memory: without the lanes past the end */
  }
  float all = vec_sum(sum);
  for (int64_t i = 0; i < n; i += LANES) store(x, load(x, i, n) / all, i, n);
}

/* ---- weighted rows ----------------------------------------------------------------------------------------------- */

static void weigh_rows(float *y, float kept, const float *weight, const float *x, int64_t row, int64_t rows,
                       int64_t n) {
  for (int64_t i = 0; i < n; i += 4 * LANES) {
    vf s[4];
    for (int j = 0; j < 4; j++) s[j] = i + j * LANES < n ? load(y, i + j * LANES, n) * kept : (vf){0};
    for (int64_t r = 0; r < rows; r++)
      for (int j = 0; j < 4; j++)
        if (i + j * LANES < n) s[j] = vec_fma(vec_all(weight[r]), load(x + r * row, i + j * LANES, n), s[j]);
    for (int j = 0; j < 4; j++)
      if (i + j * LANES < n) store(y, s[j], i + j * LANES, n);
  }
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

#include "tensor/cpu/attend_impl.h"

/* ---- small formats ----------------------------------------------------------------------------------------------- */

#include "tensor/cpu/int8_impl.h"

/* ---- the table --------------------------------------------------------------------------------------------------- */

const cpu_micro MICRO_TABLE = {
    .name = MICRO_NAME,
    .lanes = LANES,
    .rows = MICRO_ROWS,
    .queries = MICRO_VECTORS * LANES,
#if MICRO_ROWS == 6
    .tile_f32 = {tile_f32_1, tile_f32_2, tile_f32_3, tile_f32_4, tile_f32_5, tile_f32_6},
    .tile_bf16 = {tile_bf16_1, tile_bf16_2, tile_bf16_3, tile_bf16_4, tile_bf16_5, tile_bf16_6},
#elif MICRO_ROWS == 4
    .tile_f32 = {tile_f32_1, tile_f32_2, tile_f32_3, tile_f32_4},
    .tile_bf16 = {tile_bf16_1, tile_bf16_2, tile_bf16_3, tile_bf16_4},
#elif MICRO_ROWS == 3
    .tile_f32 = {tile_f32_1, tile_f32_2, tile_f32_3},
    .tile_bf16 = {tile_bf16_1, tile_bf16_2, tile_bf16_3},
#else
    .tile_f32 = {tile_f32_1, tile_f32_2},
    .tile_bf16 = {tile_bf16_1, tile_bf16_2},
#endif
#if defined(MICRO_PRODUCT)
    .product = MICRO_PRODUCT,
    .attention = MICRO_ATTENTION,
#endif
    .pack = pack,
#if !defined(__AVX512F__)
    .widen = widen,
#endif
    .finish = finish,
    .rms_norm = rms_norm,
    .rotate = rotate,
    .attend = attend,
    .dot = dot,
    .softmax = softmax,
    .weigh_rows = weigh_rows,
    .turn = turn,
    .round_i8 = round_i8,
    .dot_i8 = dot_i8,
};
