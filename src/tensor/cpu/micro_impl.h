/* micro_impl.h - the functions of micro.h, for the vectors of vec.h. The including file defines
 *
 *   MICRO_NAME   e.g. "avx2"
 *   MICRO_TABLE  e.g. cpu_micro_avx2
 *   MICRO_ROWS   rows of a line tile: rows * CPU_COLUMNS sums, `rows` inputs and a weight should fit the registers
 *   MICRO_BLOCK_ROWS, MICRO_BLOCK_VECTORS  of a block tile: rows * vectors sums, as many vectors of weights, an input
 *   MICRO_VECTORS  vectors of queries that attention works on at once
 *   MICRO_PRODUCT, MICRO_ATTENTION  functions on matrix tiles, where there are any
 */
#include "base/half.h"
#include "tensor/cpu/micro.h"
#include "tensor/cpu/vec.h"
#include "tensor/int8.h"

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* Loads LANES values, or the n that are left. */
VEC_INLINE vf load(const float *p, int64_t i, int64_t n) {
  return n - i >= LANES ? vec_load(p + i) : vec_load_part(p + i, n - i);
}

VEC_INLINE void store(float *p, vf v, int64_t i, int64_t n) {
  if (n - i >= LANES) vec_store(p + i, v);
  else vec_store_part(p + i, v, n - i);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

#include "tensor/cpu/tile_impl.h"

/* n BF16 values widened in their own order. */
static void widen_row(float *out, const uint16_t *x, int64_t n) {
  typedef uint16_t halves __attribute__((vector_size(LANES * 2)));
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    halves h;
    memcpy(&h, x + i, sizeof h);
    vec_store(out + i, (vf)(__builtin_convertvector(h, vu) << 16));
  }
  for (; i < n; i++) out[i] = bf16_to_f32(x[i]);
}

/* ---- whole rows -------------------------------------------------------------------------------------------------- */

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

/* ---- gradients --------------------------------------------------------------------------------------------------- */

#include "tensor/cpu/panel_impl.h"
#include "tensor/cpu/spectrum_impl.h"

/* ---- attention --------------------------------------------------------------------------------------------------- */

#include "tensor/cpu/attend_few_impl.h"
#include "tensor/cpu/attend_impl.h"

/* ---- small formats ----------------------------------------------------------------------------------------------- */

#include "tensor/cpu/int8_impl.h"

/* ---- the table --------------------------------------------------------------------------------------------------- */

const cpu_micro MICRO_TABLE = {
    .name = MICRO_NAME,
    .lanes = LANES,
    .rows = MICRO_ROWS,
    .queries = MICRO_VECTORS * LANES,
    .block_rows = MICRO_BLOCK_ROWS,
    .block_columns = BLOCK_COLUMNS,
#if MICRO_ROWS == 6
    .line_f32 = {line_f32_1, line_f32_2, line_f32_3, line_f32_4, line_f32_5, line_f32_6},
    .line_bf16 = {line_bf16_1, line_bf16_2, line_bf16_3, line_bf16_4, line_bf16_5, line_bf16_6},
#elif MICRO_ROWS == 4
    .line_f32 = {line_f32_1, line_f32_2, line_f32_3, line_f32_4},
    .line_bf16 = {line_bf16_1, line_bf16_2, line_bf16_3, line_bf16_4},
#elif MICRO_ROWS == 3
    .line_f32 = {line_f32_1, line_f32_2, line_f32_3},
    .line_bf16 = {line_bf16_1, line_bf16_2, line_bf16_3},
#else
    .line_f32 = {line_f32_1, line_f32_2},
    .line_bf16 = {line_bf16_1, line_bf16_2},
#endif
#if defined(MICRO_PRODUCT)
    .product = MICRO_PRODUCT,
    .attention = MICRO_ATTENTION,
#endif
#if MICRO_BLOCK_ROWS == 12
    .block = {block_1, block_2, block_3, block_4, block_5, block_6, block_7, block_8, block_9, block_10, block_11,
              block_12},
    .panel = {panel_1, panel_2, panel_3, panel_4, panel_5, panel_6, panel_7, panel_8, panel_9, panel_10, panel_11,
              panel_12},
#else
    .block = {block_1, block_2, block_3, block_4, block_5, block_6},
    .panel = {panel_1, panel_2, panel_3, panel_4, panel_5, panel_6},
#endif
    .pack_line = pack_line,
    .pack_block = pack_block,
    .pack_panel = pack_panel,
    .pack_strips = pack_strips,
    .pack_across = pack_across,
    .finish = finish,
    .rms_norm = rms_norm,
    .rotate = rotate,
    .attend = attend,
    .attend_few = attend_few,
    .dot = dot,
    .softmax = softmax,
    .softmax_sum = softmax_sum,
    .softmax_backward = softmax_backward,
    .snake_backward = snake_backward,
    .spectrum = spectrum,
    .turn = turn,
    .round_i8 = round_i8,
    .tile_i8 = tile_i8,
};
