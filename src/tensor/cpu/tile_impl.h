/* tile_impl.h - tiles of matrix products, part of micro_impl.h.
 *
 * Two kinds, for two kinds of work, with one result. A product's sum runs through its row in vectors: lane l adds up the
 * values l, l + LANES, ... of a packed row, and the lanes' sums are added in order.
 *
 * Lines (cpu_line_tile) do just that, for a few rows of x: weights are read where they lie, once, so memory decides.
 *
 * Blocks (cpu_block_tile), for many rows, keep columns across the lanes instead (Goto & van de Geijn 2008): one value of
 * x meets whole vectors of weights of as many columns, and far less moves between caches and registers. They walk
 * through a row class by class: first all values that would be in lane 0, then lane 1, ... so that every sum has the
 * same terms in the same order as in a line, and a row's result does not depend on how many rows come with it. For that
 * both operands are packed class by class.
 */

#define STEP          (2 * LANES)
#define BLOCK_COLUMNS (MICRO_BLOCK_VECTORS * LANES)

/* ---- lines ------------------------------------------------------------------------------------------------------- */

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

/* Pairs of BF16: the first of each, in the low bits, is widened by a shift, the second by a mask. */
VEC_INLINE vf widen_half(vf pairs, int half) {
  return half ? (vf)((vu)pairs & 0xffff0000u) : (vf)((vu)pairs << 16);
}

VEC_INLINE vf load_pairs(const uint16_t *w) {
  vf pairs;
  memcpy(&pairs, w, sizeof pairs);
  return pairs;
}

VEC_INLINE void step_bf16(sums sum, int rows, const float *x, int64_t x_row, const uint16_t *const *w) {
  for (int half = 0; half < 2; half++) {
    vf v[CPU_MAX_ROWS];
    load_rows(v, rows, x + half * LANES, x_row);
    for (int j = 0; j < CPU_COLUMNS; j++) add_products(sum, rows, v, vec_keep(widen_half(load_pairs(w[j]), half)), j);
  }
}

VEC_INLINE void store_sums(const cpu_line *t, sums sum, int rows, bool add) {
  for (int i = 0; i < rows; i++) vec_add_lanes(t->c + i * t->c_row, add, sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
}

/* Few rows use weights faster than memory brings them. */
VEC_INLINE void fetch_next(const cpu_line *t, int64_t at, int64_t bytes) {
  for (int j = 0; t->next[0] && j < CPU_COLUMNS; j++)
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch((const uint8_t *)t->next[j] + at + i, 0, 2);
}

#define LINE(TYPE, ELEMENT)                                                                                     \
  VEC_INLINE void line_##TYPE(const cpu_line *t, int rows) {                                                    \
    enum { STEP_BYTES = STEP * sizeof(ELEMENT) };                                                               \
    for (int64_t p = 0; p < t->pieces; p++) {                                                                   \
      bool last = p + 1 == t->pieces;                                                                           \
      int64_t steps = last ? t->steps : CPU_PIECE / STEP, skip = p * CPU_PIECE;                                 \
      vf sum[CPU_MAX_ROWS][CPU_COLUMNS] = {{{0}}};                                                              \
      for (int64_t s = 0; s < t->segments; s++) {                                                               \
        const float *x = t->x + p * t->x_piece + s * t->x_segment;                                              \
        const ELEMENT *w[CPU_COLUMNS];                                                                          \
        for (int j = 0; j < CPU_COLUMNS; j++) w[j] = (const ELEMENT *)t->w[j] + s * t->w_segment + skip;        \
        for (int64_t k = 0; k < steps; k++) {                                                                   \
          fetch_next(t, skip *(int64_t)sizeof(ELEMENT) + k * STEP_BYTES, STEP_BYTES);                           \
          step_##TYPE(sum, rows, x, t->x_row, w);                                                               \
          x += STEP;                                                                                            \
          for (int j = 0; j < CPU_COLUMNS; j++) w[j] += STEP;                                                   \
        }                                                                                                       \
        if (last && t->tail) {                                                                                  \
          for (int j = 0; j < CPU_COLUMNS; j++) w[j] = (const ELEMENT *)t->tail + (s * CPU_COLUMNS + j) * STEP; \
          step_##TYPE(sum, rows, x, t->x_row, w);                                                               \
        }                                                                                                       \
      }                                                                                                         \
      store_sums(t, sum, rows, t->add || p);                                                                    \
    }                                                                                                           \
  }
LINE(f32, float)
LINE(bf16, uint16_t)

#define LINE_ROWS(ROWS)                             \
  static void line_f32_##ROWS(const cpu_line *t) {  \
    line_f32(t, ROWS);                              \
  }                                                 \
  static void line_bf16_##ROWS(const cpu_line *t) { \
    line_bf16(t, ROWS);                             \
  }
LINE_ROWS(1)
LINE_ROWS(2)
#if MICRO_ROWS > 2
LINE_ROWS(3)
#endif
#if MICRO_ROWS > 3
LINE_ROWS(4)
#endif
#if MICRO_ROWS > 4
LINE_ROWS(5)
LINE_ROWS(6)
#endif

static void pack_line(float *out, const float *x, int64_t n, bool split) {
  for (; n > 0; n -= STEP, x += STEP, out += STEP) {
    vf a = load(x, 0, n), b = n > LANES ? load(x + LANES, 0, n - LANES) : (vf){0};
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

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

typedef vf block_sums[MICRO_BLOCK_ROWS][MICRO_BLOCK_VECTORS];

VEC_INLINE void add_sums(float *c, int64_t c_row, int rows, block_sums sum, bool add) {
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < MICRO_BLOCK_VECTORS; j++) {
      float *to = c + i * c_row + j * LANES;
      vec_store(to, add ? vec_load(to) + sum[i][j] : sum[i][j]);
    }
}

VEC_INLINE void block(const cpu_block *t, int rows) {
  int64_t x_row = t->x_row, vectors = t->vectors;
  const float *w = t->w;
  for (int l = 0; l < LANES; l++) {
    block_sums sum = {{{0}}};
    for (int64_t s = 0; s < t->segments; s++) {
      const float *x = t->x + s * t->x_segment + l * vectors;
      VEC_UNROLL_4
      for (int64_t v = 0; v < vectors; v++) { /* one value of each row of x with the weights of all columns */
        vf weight[MICRO_BLOCK_VECTORS];
        for (int j = 0; j < MICRO_BLOCK_VECTORS; j++) weight[j] = vec_load(w + j * LANES);
        w += BLOCK_COLUMNS;
        for (int i = 0; i < rows; i++) {
          vf value = vec_all(x[i * x_row + v]);
          for (int j = 0; j < MICRO_BLOCK_VECTORS; j++) sum[i][j] = vec_fma(value, weight[j], sum[i][j]);
        }
      }
    }
    w += CPU_CLASS_PAD;
    if (t->add || l) add_sums(t->c, t->c_row, rows, sum, true);
    else add_sums(t->c, t->c_row, rows, sum, false);
  }
}

#define BLOCK_ROWS(ROWS)                         \
  static void block_##ROWS(const cpu_block *t) { \
    block(t, ROWS);                              \
  }
BLOCK_ROWS(1)
BLOCK_ROWS(2)
BLOCK_ROWS(3)
BLOCK_ROWS(4)
BLOCK_ROWS(5)
BLOCK_ROWS(6)
#if MICRO_BLOCK_ROWS > 6
BLOCK_ROWS(7)
BLOCK_ROWS(8)
BLOCK_ROWS(9)
BLOCK_ROWS(10)
BLOCK_ROWS(11)
BLOCK_ROWS(12)
#endif

/* `vectors` vectors, an even number. */
static void pack_block(float *out, const float *x, int64_t n, bool split) {
  float line[CPU_PIECE + CPU_PIECE_PAD + LANES * LANES];
  int64_t vectors = (n + STEP - 1) / STEP * 2, v = 0;
  pack_line(line, x, n, split);
  for (; v < vectors; v += LANES) {
    vf t[LANES];
    for (int l = 0; l < LANES; l++) t[l] = vec_load(line + (v + l) * LANES);
    vec_transpose(t);
    if (v + LANES <= vectors)
      for (int l = 0; l < LANES; l++) vec_store(out + l * vectors + v, t[l]);
    else
      for (int l = 0; l < LANES; l++) vec_store_part(out + l * vectors + v, t[l], vectors - v);
  }
}

/* A step of the weights of LANES columns, from byte `at` of each on, transposed into all classes. */
VEC_INLINE void pack_step(float *out, int64_t class_floats, const void *const *w, int64_t at, bool bf16) {
  for (int half = 0; half < (bf16 ? 1 : 2); half++, out += BLOCK_COLUMNS) {
    vf t[LANES];
    for (int l = 0; l < LANES; l++)
      t[l] = vec_load((const float *)(const void *)((const uint8_t *)w[l] + at) + half * LANES);
    vec_transpose(t);
    for (int l = 0; l < LANES; l++) {
      vec_store(out + l * class_floats, bf16 ? widen_half(t[l], 0) : t[l]);
      if (bf16) vec_store(out + l * class_floats + BLOCK_COLUMNS, widen_half(t[l], 1));
    }
  }
}

VEC_INLINE void pack_columns(float *out, int64_t class_floats, const void *const *w, int64_t n, bool bf16) {
  int64_t size = bf16 ? 2 : 4, k = 0;
  for (; k + STEP <= n; k += STEP, out += 2 * BLOCK_COLUMNS) pack_step(out, class_floats, w, k * size, bf16);
  if (k == n) return;
  float last[LANES][STEP] = {{0}};
  const void *rows[LANES];
  for (int l = 0; l < LANES; l++) rows[l] = memcpy(last[l], (const uint8_t *)w[l] + k * size, (size_t)((n - k) * size));
  pack_step(out, class_floats, rows, 0, bf16);
}

static void pack_panel(float *out, const void *const *w, int64_t w_segment, int64_t segments, int64_t n, bool bf16) {
  int64_t segment_floats = (n + STEP - 1) / STEP * 2 * BLOCK_COLUMNS;
  int64_t class_floats = segments * segment_floats + CPU_CLASS_PAD;
  for (int64_t s = 0; s < segments; s++)
    for (int j = 0; j < MICRO_BLOCK_VECTORS; j++) {
      float *to = out + s * segment_floats + j * LANES;
      const void *from[LANES];
      for (int l = 0; l < LANES; l++) from[l] = (const uint8_t *)w[j * LANES + l] + s * w_segment * (bf16 ? 2 : 4);
      if (bf16) pack_columns(to, class_floats, from, n, true);
      else pack_columns(to, class_floats, from, n, false);
    }
}
