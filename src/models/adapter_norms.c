/* adapter_norms.c - V = W + product is formed a few rows at a time, out of operations, so that W may be of any type. */
#include "models/adapter_norms.h"

#include <math.h>
#include <stdlib.h>

#include "models/adapters.h"
#include "tensor/ops.h"

/* ---- Kronecker products ------------------------------------------------------------------------------------------ */

static float value(const st_tensor *t, int64_t i) {
  float x;
  st_widen(t, i, 1, &x);
  return x;
}

void adapter_kron_factor(const st_tensor *whole, const st_tensor *left, const st_tensor *right, double scale,
                         const tens *out) {
  enum { PIECE = 512 }; /* values of a row at once: widening them one by one would take most of the time */
  int64_t rows = out->dim[0], columns = out->dim[1], rank = left ? left->dim[1] : 0;
  float x[PIECE];
  double sum[PIECE];
  for (int64_t i = 0; i < rows; i++)
    for (int64_t first = 0; first < columns; first += PIECE) {
      int64_t n = columns - first < PIECE ? columns - first : PIECE, at = i * columns + first;
      if (whole) st_widen(whole, at, n, x);
      for (int64_t j = 0; j < n; j++) sum[j] = whole ? (double)x[j] : 0;
      for (int64_t r = 0; r < rank; r++) {
        double k = value(left, i * rank + r);
        st_widen(right, r * columns + first, n, x);
        for (int64_t j = 0; j < n; j++) sum[j] += k * (double)x[j];
      }
      for (int64_t j = 0; j < n; j++) adapter_store(out, at + j, (float)(scale * sum[j]));
    }
}

/* ---- norms ------------------------------------------------------------------------------------------------------- */

enum { ROWS = 64 };

/* What is the same for all rows. */
typedef struct products {
  const adapter_module *m;
  const tens *w;
  tens *across;  /* LoRA: A transposed, [K, r] */
  tens *w1, *w2; /* LoKr, w1 with the scale */
} products;

static bool make_products(tens_ctx *c, products *p) {
  const adapter_module *m = p->m;
  if (m->kind == ADAPTER_LOKR) {
    p->w1 = tens_new(c, TENS_F32, TENS_DIMS(m->p, m->q));
    p->w2 = tens_new(c, TENS_F32, TENS_DIMS(m->c, m->d));
    if (!p->w1 || !p->w2) return false;
    if (tens_planning(c)) return true;
    adapter_kron_factor(m->w1, m->w1_a, m->w1_b, m->scale, p->w1);
    adapter_kron_factor(m->w2, m->w2_a, m->w2_b, 1, p->w2);
    return true;
  }
  p->across = tens_new(c, TENS_F32, TENS_DIMS(m->columns, m->rank));
  if (!p->across) return false;
  for (int64_t i = 0; i < m->rank * m->columns && !tens_planning(c); i++)
    tens_f32(p->across)[i % m->columns * m->rank + i / m->columns] = value(m->a, i);
  return true;
}

/* Rows [first, first + n) of V: [n, K]. */
static tens *rows_of(tens_ctx *c, const products *p, int64_t first, int64_t n) {
  const adapter_module *m = p->m;
  int32_t id[ROWS];
  for (int64_t i = 0; i < n; i++) id[i] = (int32_t)(first + i);
  tens *w = op_embedding(c, p->w, tens_from(c, TENS_I32, TENS_DIMS(n), id));
  if (m->kind == ADAPTER_LORA) {
    tens *b = tens_new(c, TENS_F32, TENS_DIMS(n, m->rank));
    if (b && !tens_planning(c)) {
      st_widen(m->b, first * m->rank, n * m->rank, tens_f32(b));
      for (int64_t i = 0; i < n * m->rank; i++) tens_f32(b)[i] *= (float)m->scale;
    }
    return op_linear(c, b, p->across, &(op_epilogue){.residual = w});
  }
  if (!w || tens_planning(c)) return w;
  int64_t C = p->w2->dim[0], D = p->w2->dim[1], Q = p->w1->dim[1];
  for (int64_t i = 0; i < n; i++)
    for (int64_t q = 0; q < Q; q++) {
      float left = tens_f32(p->w1)[(first + i) / C * Q + q];
      const float *right = tens_f32(p->w2) + (first + i) % C * D;
      float *out = tens_f32(w) + i * m->columns + q * D;
      for (int64_t d = 0; d < D; d++) out[d] += left * right[d];
    }
  return w;
}

/* Squares of V into sums, for each row or column. */
static void add_squares(const tens *v, int64_t first, bool of_columns, double *sums) {
  int64_t n = v->dim[0], K = v->dim[1];
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < K; k++) {
      double x = tens_f32(v)[i * K + k];
      sums[of_columns ? k : first + i] += x * x;
    }
}

/* The same calls in a context that only counts, and for real. */
static ace_status sum_squares(tens_ctx *c, const adapter_module *m, const tens *w, double *sums, ace_error *err) {
  products p = {.m = m, .w = w};
  make_products(c, &p);
  for (int64_t first = 0; first < m->rows && tens_status(c) == ACE_OK; first += ROWS) {
    tens_mark mark = tens_here(c);
    tens *v = rows_of(c, &p, first, m->rows - first < ROWS ? m->rows - first : ROWS);
    if (v && sums) add_squares(v, first, m->norm_of_columns, sums);
    tens_release(c, mark);
  }
  return tens_error(c, err);
}

static ace_status norms(const adapter_module *m, const tens *w, pool *threads, double *sums, ace_error *err) {
  size_t bytes = 0;
  for (int pass = 0; pass < 2; pass++) {
    tens_ctx *c = tens_open(&(tens_options){.threads = threads, .plan = pass == 0, .capacity = bytes}, err);
    if (!c) return err->status;
    ace_status status = sum_squares(c, m, w, pass ? sums : NULL, err);
    bytes = tens_peak(c);
    tens_close(c);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

double adapter_norm_padding(const tens *w) {
  return w->dtype == TENS_F32 ? 0x1p-23 : 0x1p-7;
}

ace_status adapter_norm_factors(const adapter_module *m, const tens *w, pool *threads, float **out, ace_error *err) {
  int64_t n = m->norm_of_columns ? m->columns : m->rows;
  double *sums = calloc((size_t)n, sizeof *sums);
  *out = malloc((size_t)n * sizeof **out);
  ace_error own;
  if (!err) err = &own;
  ace_status status =
      sums && *out ? norms(m, w, threads, sums, err) : ace_fail(err, ACE_ENOMEM, "adapters: out of memory");
  for (int64_t i = 0; i < n && status == ACE_OK; i++) {
    double norm = sqrt(sums[i]) + (m->padded_norm ? adapter_norm_padding(w) : 0); /* PEFT adds nothing */
    (*out)[i] = norm > 0 ? (float)(value(m->magnitude, i) / norm) : 1;            /* what is zero stays zero */
  }
  free(sums);
  if (status != ACE_OK) free(*out), *out = NULL;
  return status;
}
