/* amx_pack.c - F32 and BF16 values into the layouts of amx.h. */
#include "tensor/cpu/amx.h"

#include <string.h>

#include "base/half.h"
#include "tensor/cpu/vec.h"

typedef uint32_t pairs __attribute__((vector_size(AMX_LINE))); /* 32 BF16 values */

/* 32 values to BF16, to nearest even. */
static inline pairs round_32(const float *x) {
  pairs out;
#if defined(__AVX512BF16__)
  __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x));
  memcpy(&out, &both, sizeof out);
#else
  uint16_t half[AMX_DEPTH];
  for (int i = 0; i < AMX_DEPTH; i++) half[i] = f32_to_bf16(x[i]);
  memcpy(&out, half, sizeof out);
#endif
  return out;
}

/* The n <= AMX_DEPTH values from w on, then zeros. */
static inline pairs load_pairs(const void *w, bool bf16, int64_t n) {
  pairs out = {0};
  float last[AMX_DEPTH];
  if (bf16) {
    if (n == AMX_DEPTH) memcpy(&out, w, sizeof out);
    else memcpy(&out, w, (size_t)n * sizeof(uint16_t));
    return out;
  }
  if (n == AMX_DEPTH) return round_32(w);
  memset(last, 0, sizeof last);
  memcpy(last, w, (size_t)n * sizeof *last);
  return round_32(last);
}

/* What is left of the same n F32 values without their high parts. */
static inline pairs load_rest(const float *x, const pairs *high, int64_t n) {
  float rest[AMX_DEPTH] = {0};
  uint16_t taken[AMX_DEPTH];
  memcpy(taken, high, sizeof taken);
  for (int64_t i = 0; i < n; i++) rest[i] = x[i] - bf16_to_f32(taken[i]);
  return round_32(rest);
}

void amx_round_row(uint8_t *out, int64_t step, const float *x, int64_t n, float scale, int64_t low) {
  for (int64_t i = 0; i < n; i += AMX_DEPTH, out += step) {
    float scaled[AMX_DEPTH];
    const float *from = x + i;
    int64_t count = cpu_min(n - i, AMX_DEPTH);
    if (scale != 1) {
      for (int64_t j = 0; j < AMX_DEPTH; j++) scaled[j] = j < count ? from[j] * scale : 0;
      from = scaled, count = AMX_DEPTH;
    }
    pairs line = load_pairs(from, false, count);
    memcpy(out, &line, sizeof line);
    if (low) {
      line = load_rest(from, &line, count);
      memcpy(out + low, &line, sizeof line);
    }
  }
}

/* A tile whose rows are these columns, square by square. */
static void store_transposed(uint8_t *out, const pairs *columns) {
  float from[AMX_ROWS][AMX_ROWS], to[AMX_ROWS][AMX_ROWS]; /* pairs of BF16 values in the place of floats */
  memcpy(from, columns, sizeof from);
  for (int i = 0; i < AMX_ROWS; i += LANES)
    for (int j = 0; j < AMX_ROWS; j += LANES) {
      vf t[LANES];
      for (int l = 0; l < LANES; l++) t[l] = vec_load(&from[i + l][j]);
      vec_transpose(t);
      for (int l = 0; l < LANES; l++) vec_store(&to[j + l][i], t[l]);
    }
  memcpy(out, to, sizeof to);
}

void amx_pack_panel(uint8_t *out, const amx_weight *w, int64_t panel, int64_t first, int64_t steps) {
  int64_t tap_steps = amx_steps(w->width), size = w->bf16 ? 2 : 4;
  for (int64_t s = first; s < first + steps; s++) {
    int64_t tap = s / tap_steps, at = s % tap_steps * AMX_DEPTH, n = cpu_min(AMX_DEPTH, w->width - at);
    for (int64_t half = 0; half < 2; half++, out += AMX_TILE) {
      pairs columns[AMX_ROWS] = {{0}}, rest[AMX_ROWS] = {{0}};
      int64_t column = panel * AMX_PANEL + half * AMX_ROWS;
      for (int64_t j = 0; j < cpu_min(AMX_ROWS, w->columns - column); j++) {
        const uint8_t *from = (const uint8_t *)w->w + ((column + j) * w->column + tap * w->tap + at) * size;
        columns[j] = load_pairs(from, w->bf16, n);
        if (w->parts > 1) rest[j] = load_rest((const float *)(const void *)from, &columns[j], n);
      }
      store_transposed(out, columns);
      if (w->parts > 1) store_transposed(out + AMX_PANEL_STEP, rest);
    }
    out += (w->parts - 1) * AMX_PANEL_STEP;
  }
}

/* Rows x and x_below (NULL: zeros) of `count` <= AMX_PANEL columns as the pairs of one row of both tiles. */
static void interleave(uint8_t *out, const float *x, const float *x_below, int64_t count) {
  uint16_t value[2][AMX_DEPTH];
  pairs above = load_pairs(x, false, count), below = x_below ? load_pairs(x_below, false, count) : (pairs){0};
  memcpy(value[0], &above, sizeof above);
  memcpy(value[1], &below, sizeof below);
  for (int half = 0; half < 2; half++) {
    uint32_t line[AMX_ROWS];
    for (int j = 0; j < AMX_ROWS; j++)
      line[j] = value[0][half * AMX_ROWS + j] | (uint32_t)value[1][half * AMX_ROWS + j] << 16;
    memcpy(out + half * AMX_TILE, line, sizeof line);
  }
}

void amx_pack_values(uint8_t *out, const float *x, int64_t row, int64_t n, int64_t columns, int64_t panel) {
  int64_t count = cpu_min(AMX_PANEL, columns - panel * AMX_PANEL);
  x += panel * AMX_PANEL;
  memset(out + n / AMX_DEPTH * AMX_PANEL_STEP, 0, n % AMX_DEPTH ? AMX_PANEL_STEP : 0);
  for (int64_t i = 0; i < n; i += 2)
    interleave(out + i / AMX_DEPTH * AMX_PANEL_STEP + i % AMX_DEPTH / 2 * AMX_LINE, x + i * row,
               i + 1 < n ? x + (i + 1) * row : NULL, count);
}
