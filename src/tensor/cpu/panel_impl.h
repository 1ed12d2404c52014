/* panel_impl.h - the loops of gradients, part of micro_impl.h.
 *
 * A gradient's product has its second factor row by row: dy W walks through the rows of W, dyᵀ x through those of x. A
 * panel is a strip of such rows, BLOCK_COLUMNS wide, so packing is copying, and a tile's sum runs through the rows in
 * their order.
 */

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* Of a strip that is cut off by the end of a row of c: few [rows][BLOCK_COLUMNS]. */
static void add_few_columns(const cpu_panel *t, int rows, const float *few) {
  for (int i = 0; i < rows; i++, few += BLOCK_COLUMNS) {
    float *to = t->c + i * t->c_row;
    for (int64_t j = 0; j < t->columns; j++) to[j] = t->add ? to[j] + few[j] : few[j];
  }
}

/* The sums of the first `vectors` vectors of the strip; those of the others are left as they are. */
VEC_INLINE void panel_sums(const cpu_panel *t, int rows, int vectors, block_sums sum) {
  int64_t x_row = t->x_row, x_step = t->x_step;
  const float *x = t->x, *w = t->w, *end = w + t->depth * BLOCK_COLUMNS;
  VEC_UNROLL_4
  for (; w < end; x += x_step, w += BLOCK_COLUMNS) {
    vf weight[MICRO_BLOCK_VECTORS];
    for (int j = 0; j < vectors; j++) weight[j] = vec_load(w + j * LANES);
    for (int i = 0; i < rows; i++) {
      vf value = vec_all(x[i * x_row]);
      for (int j = 0; j < vectors; j++) sum[i][j] = vec_fma(value, weight[j], sum[i][j]);
    }
  }
}

VEC_INLINE void panel(const cpu_panel *t, int rows) {
  block_sums sum;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < MICRO_BLOCK_VECTORS; j++) sum[i][j] = (vf){0};
  if (t->columns == LANES) {
    panel_sums(t, rows, 1, sum);
    for (int i = 0; i < rows; i++) {
      float *to = t->c + i * t->c_row;
      vec_store(to, t->add ? vec_load(to) + sum[i][0] : sum[i][0]);
    }
    return;
  }
  panel_sums(t, rows, MICRO_BLOCK_VECTORS, sum);
  if (t->columns < BLOCK_COLUMNS) {
    float few[MICRO_BLOCK_ROWS * BLOCK_COLUMNS];
    add_sums(few, BLOCK_COLUMNS, rows, sum, false);
    add_few_columns(t, rows, few);
  } else if (t->add) add_sums(t->c, t->c_row, rows, sum, true);
  else add_sums(t->c, t->c_row, rows, sum, false);
}

#define PANEL_ROWS(ROWS)                         \
  static void panel_##ROWS(const cpu_panel *t) { \
    panel(t, ROWS);                              \
  }
PANEL_ROWS(1)
PANEL_ROWS(2)
PANEL_ROWS(3)
PANEL_ROWS(4)
PANEL_ROWS(5)
PANEL_ROWS(6)
#if MICRO_BLOCK_ROWS > 6
PANEL_ROWS(7)
PANEL_ROWS(8)
PANEL_ROWS(9)
PANEL_ROWS(10)
PANEL_ROWS(11)
PANEL_ROWS(12)
#endif

/* ---- packing ----------------------------------------------------------------------------------------------------- */

VEC_INLINE void copy_floats(float *out, const float *x, int64_t n) {
  for (int j = 0; j < BLOCK_COLUMNS; j += LANES) {
    int64_t left = n - j;
    vec_store(out + j, left >= LANES ? vec_load(x + j) : left > 0 ? vec_load_part(x + j, left) : (vf){0});
  }
}

VEC_INLINE void copy_halves(float *out, const uint16_t *x, int64_t n) {
  typedef uint16_t halves __attribute__((vector_size(LANES * 2)));
  if (n == BLOCK_COLUMNS)
    for (int j = 0; j < BLOCK_COLUMNS; j += LANES) {
      halves h;
      memcpy(&h, x + j, sizeof h);
      vec_store(out + j, (vf)(__builtin_convertvector(h, vu) << 16));
    }
  else
    for (int64_t j = 0; j < BLOCK_COLUMNS; j++) out[j] = j < n ? bf16_to_f32(x[j]) : 0;
}

VEC_INLINE void copy_bytes(float *out, const int8_t *x, float scale, int64_t n) {
  if (n == BLOCK_COLUMNS)
    for (int j = 0; j < BLOCK_COLUMNS; j += LANES) vec_store(out + j, vec_load_bytes(x + j) * scale);
  else
    for (int64_t j = 0; j < BLOCK_COLUMNS; j++) out[j] = j < n ? (float)x[j] * scale : 0;
}

/* A strip lies within one block of TENS_Q8_0: BLOCK_COLUMNS divides its length. */
_Static_assert(Q8_0_BLOCK % BLOCK_COLUMNS == 0, "strips do not cross blocks");

/* Columns column..column+n-1 of a row, n <= BLOCK_COLUMNS. */
VEC_INLINE void copy_columns(float *out, const cpu_strips *s, tens_dtype dtype, int64_t k, int64_t column, int64_t n) {
  const uint8_t *row = s->row[k];
  switch (dtype) {
    case TENS_BF16: copy_halves(out, (const uint16_t *)(const void *)row + column, n); break;
    case TENS_I8: copy_bytes(out, (const int8_t *)row + column, s->scale[k], n); break;
    case TENS_Q8_0: {
      uint16_t scale;
      row += column / Q8_0_BLOCK * Q8_0_BYTES;
      memcpy(&scale, row, sizeof scale);
      copy_bytes(out, (const int8_t *)row + sizeof scale + column % Q8_0_BLOCK, f16_to_f32(scale), n);
      break;
    }
    default: copy_floats(out, (const float *)(const void *)row + column, n);
  }
}

enum { ROWS_AHEAD = 6 }; /* for which memory is asked while a row is packed */

/* Row by row: the strips' parts of a row lie side by side in memory, and rows often a power of two apart. */
VEC_INLINE void pack_typed(float *out, const cpu_strips *s, tens_dtype dtype) {
  int64_t bytes = dtype == TENS_F32 ? 4 : dtype == TENS_BF16 ? 2 : 1;
  for (int64_t k = 0; k < s->depth; k++) {
    const uint8_t *later = k + ROWS_AHEAD < s->depth ? s->row[k + ROWS_AHEAD] : NULL;
    for (int64_t i = 0; later && i < s->columns * bytes; i += 64)
      __builtin_prefetch(later + s->column * bytes + i, 0, 3);
    for (int64_t j = 0; j < s->columns; j += BLOCK_COLUMNS) {
      float *to = out + j * s->depth + k * BLOCK_COLUMNS;
      if (!s->row[k]) memset(to, 0, BLOCK_COLUMNS * sizeof *to);
      else if (s->columns - j >= BLOCK_COLUMNS) copy_columns(to, s, dtype, k, s->column + j, BLOCK_COLUMNS);
      else copy_columns(to, s, dtype, k, s->column + j, s->columns - j);
    }
  }
}

static void pack_strips(float *out, const cpu_strips *s) {
  switch (s->dtype) {
    case TENS_BF16: pack_typed(out, s, TENS_BF16); break;
    case TENS_I8: pack_typed(out, s, TENS_I8); break;
    case TENS_Q8_0: pack_typed(out, s, TENS_Q8_0); break;
    default: pack_typed(out, s, TENS_F32);
  }
}

/* BLOCK_COLUMNS rows of x become the columns of a strip. */
static void pack_across(float *out, const float *x, int64_t x_row, int64_t columns, int64_t depth) {
  int64_t k = 0;
  for (; columns == BLOCK_COLUMNS && k + LANES <= depth; k += LANES)
    for (int j = 0; j < MICRO_BLOCK_VECTORS; j++) {
      vf t[LANES];
      for (int l = 0; l < LANES; l++) t[l] = vec_load(x + (j * LANES + l) * x_row + k);
      vec_transpose(t);
      for (int l = 0; l < LANES; l++) vec_store(out + (k + l) * BLOCK_COLUMNS + j * LANES, t[l]);
    }
  for (; k < depth; k++)
    for (int64_t j = 0; j < BLOCK_COLUMNS; j++) out[k * BLOCK_COLUMNS + j] = j < columns ? x[j * x_row + k] : 0;
}

/* ---- softmax ----------------------------------------------------------------------------------------------------- */

static void softmax_sum(float *s, int64_t n, float scale, float *top, float *sum) {
  int64_t whole = (n + LANES - 1) / LANES * LANES;
  for (int64_t i = n; i < whole; i++) s[i] = -INFINITY;
  for (int64_t i = 0; i < whole; i += LANES) vec_store(s + i, vec_load(s + i) * scale);
  vec_weigh(s, whole, top, sum);
}

static void softmax_backward(float *p, float *ds, int64_t n, float scale, float log_sum, float delta) {
  for (int64_t i = 0; i < n; i += LANES) {
    vf y = vec_exp_negative(load(p, i, n) * scale - log_sum);
    store(p, y, i, n);
    store(ds, y * ((load(ds, i, n) - delta) * scale), i, n);
  }
}

/* ---- snake: one row; the gradients of alpha and inv_beta go on from row to row ------------------------------------ */

static void snake_backward(const cpu_snake_row *t, int64_t n) {
  for (int64_t i = 0; i < n; i += LANES) {
    vf x = load(t->x, i, n), dy = load(t->dy, i, n), alpha = load(t->alpha, i, n), scale = load(t->inv_beta, i, n);
    vf squared, wave = vec_sin_double(alpha, x, &squared), of_wave = dy * scale * wave;
    if (t->dx) store(t->dx, load(t->dx, i, n) + vec_fma(of_wave, alpha, dy), i, n);
    store(t->dalpha, vec_fma(of_wave, x, load(t->dalpha, i, n)), i, n);
    store(t->dinv_beta, vec_fma(dy, squared, load(t->dinv_beta, i, n)), i, n);
  }
}
