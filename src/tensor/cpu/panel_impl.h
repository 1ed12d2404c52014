/* panel_impl.h - the loops of gradients, part of micro_impl.h.
 *
 * A gradient's product has its second factor row by row: dy W walks through the rows of W, dyᵀ x through those of x. A
 * panel is a strip of such rows, BLOCK_COLUMNS wide, so packing is copying, and a tile's sum runs through the rows in
 * their order.
 */

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* A strip that is cut off by the end of a row of c. */
static void add_few_columns(const cpu_panel *t, int rows, block_sums sum) {
  for (int i = 0; i < rows; i++) {
    float *to = t->c + i * t->c_row, value[BLOCK_COLUMNS];
    for (int j = 0; j < MICRO_BLOCK_VECTORS; j++) vec_store(value + j * LANES, sum[i][j]);
    for (int64_t j = 0; j < t->columns; j++) to[j] = t->add ? to[j] + value[j] : value[j];
  }
}

VEC_INLINE void panel(const cpu_panel *t, int rows) {
  int64_t x_row = t->x_row, x_step = t->x_step;
  const float *x = t->x, *w = t->w, *end = w + t->depth * BLOCK_COLUMNS;
  block_sums sum = {{{0}}};
  VEC_UNROLL_4
  for (; w < end; x += x_step, w += BLOCK_COLUMNS) {
    vf weight[MICRO_BLOCK_VECTORS];
    for (int j = 0; j < MICRO_BLOCK_VECTORS; j++) weight[j] = vec_load(w + j * LANES);
    for (int i = 0; i < rows; i++) {
      vf value = vec_all(x[i * x_row]);
      for (int j = 0; j < MICRO_BLOCK_VECTORS; j++) sum[i][j] = vec_fma(value, weight[j], sum[i][j]);
    }
  }
  if (t->columns < BLOCK_COLUMNS) add_few_columns(t, rows, sum);
  else if (t->add) add_sums(t->c, t->c_row, rows, sum, true);
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
  if (n == BLOCK_COLUMNS) memcpy(out, x, BLOCK_COLUMNS * sizeof *out);
  else {
    memcpy(out, x, (size_t)n * sizeof *out);
    memset(out + n, 0, (size_t)(BLOCK_COLUMNS - n) * sizeof *out);
  }
}

VEC_INLINE void copy_halves(float *out, const uint16_t *x, int64_t n) {
  if (n == BLOCK_COLUMNS) widen_row(out, x, BLOCK_COLUMNS);
  else {
    widen_row(out, x, n);
    memset(out + n, 0, (size_t)(BLOCK_COLUMNS - n) * sizeof *out);
  }
}

VEC_INLINE void copy_bytes(float *out, const int8_t *x, float scale, int64_t n) {
  if (n == BLOCK_COLUMNS)
    for (int j = 0; j < BLOCK_COLUMNS; j++) out[j] = (float)x[j] * scale;
  else
    for (int64_t j = 0; j < BLOCK_COLUMNS; j++) out[j] = j < n ? (float)x[j] * scale : 0;
}

/* A strip lies within one block of TENS_Q8_0: BLOCK_COLUMNS divides its length. */
_Static_assert(Q8_0_BLOCK % BLOCK_COLUMNS == 0, "strips do not cross blocks");

static void pack_strip(float *out, const cpu_strip *s) {
  for (int64_t k = 0; k < s->depth; k++, out += BLOCK_COLUMNS) {
    const uint8_t *row = s->row[k];
    if (!row) {
      memset(out, 0, BLOCK_COLUMNS * sizeof *out);
      continue;
    }
    switch (s->dtype) {
      case TENS_BF16: copy_halves(out, (const uint16_t *)(const void *)row + s->column, s->columns); break;
      case TENS_I8: copy_bytes(out, (const int8_t *)row + s->column, s->scale[k], s->columns); break;
      case TENS_Q8_0: {
        uint16_t scale;
        row += s->column / Q8_0_BLOCK * Q8_0_BYTES;
        memcpy(&scale, row, sizeof scale);
        copy_bytes(out, (const int8_t *)row + sizeof scale + s->column % Q8_0_BLOCK, f16_to_f32(scale), s->columns);
        break;
      }
      default: copy_floats(out, (const float *)(const void *)row + s->column, s->columns);
    }
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

static void softmax_sum(const float *s, int64_t n, float scale, float *top, float *sum) {
  float before = *top, high[LANES];
  vf most = vec_all(before), all = {0};
  for (int64_t i = 0; i < n; i += LANES) {
    vf x = n - i >= LANES ? vec_load(s + i) : vec_all(s[i]);
    for (int64_t l = 1; n - i < LANES && l < n - i; l++) x[l] = s[i + l];
    most = vec_max(most, x * scale);
  }
  vec_store(high, most);
  *top = highest(high, LANES);
  for (int64_t i = 0; i < n; i += LANES) {
    float p[LANES];
    vec_store(p, vec_exp_negative(load(s, i, n) * scale - *top));
    all += load(p, 0, n - i);
  }
  float factor[LANES];
  vec_store(factor, vec_exp_negative(vec_all(before - *top)));
  *sum = *sum * factor[0] + vec_sum(all);
}

static void softmax_backward(float *p, float *ds, int64_t n, float scale, float log_sum, float delta) {
  for (int64_t i = 0; i < n; i += LANES) {
    vf y = vec_exp_negative(load(p, i, n) * scale - log_sum);
    store(p, y, i, n);
    store(ds, y * ((load(ds, i, n) - delta) * scale), i, n);
  }
}
