/* backward.c - gradients of linear layers and convolutions, as in ops_backward.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

/* dx[m, k] += Σ_n dy[m, n] w[n, k], with a row of weights at a time as it is decoded and one row's sums in double. */
void oracle_linear_backward_input(tens_ctx *c, tens *dx, const tens *dy, const tens *w) {
  int64_t N = w->dim[0], K = w->dim[1], M = oracle_rows(dx);
  float row[INT8_MAX_WIDTH];
  double *sum = tens_worker_scratch(c, 0);
  for (int64_t m = 0; m < M; m++)
    for (int64_t at = 0; at < K; at += INT8_MAX_WIDTH) {
      int64_t some = K - at < INT8_MAX_WIDTH ? K - at : INT8_MAX_WIDTH;
      for (int64_t k = 0; k < some; k++) sum[k] = 0;
      for (int64_t n = 0; n < N; n++) {
        if (w->dtype == TENS_I8) int8_decode(row, (const int8_t *)w->data + n * K, w->scale[n], K);
        else
          for (int64_t k = 0; k < some; k++) row[k] = (float)oracle_weight(w, n * K + at + k);
        for (int64_t k = 0; k < some; k++) sum[k] += (double)tens_f32(dy)[m * N + n] * row[k];
      }
      for (int64_t k = 0; k < some; k++) tens_f32(dx)[m * K + at + k] += (float)sum[k];
    }
}

/* dw[n, k] += Σ_m dy[m, n] x[m, k] */
void oracle_linear_backward_weight(tens_ctx *c, tens *dw, const tens *dy, const tens *x) {
  int64_t N = dw->dim[0], K = dw->dim[1], M = oracle_rows(x);
  for (int64_t n = 0; n < N; n++)
    for (int64_t k = 0; k < K; k++) {
      double sum = 0;
      for (int64_t m = 0; m < M; m++) sum += (double)tens_f32(dy)[m * N + n] * tens_f32(x)[m * K + k];
      tens_f32(dw)[n * K + k] += (float)sum;
    }
}

/* ---- convolution: output row t of tap k is made of input row `input(t, k)` ---------------------------------------- */

typedef struct geometry {
  int64_t B, T, C, Ty, O, taps;
  const op_conv *p;
  bool transposed; /* w [taps, O, C], not [O, taps, C] */
} geometry;

static int64_t weight_at(const geometry *g, int64_t o, int64_t k) {
  return (g->transposed ? k * g->O + o : o * g->taps + k) * g->C;
}

/* The row of x that row t of y takes through tap k, or -1. */
static int64_t input_of(const geometry *g, int64_t t, int64_t k) {
  int64_t at = g->transposed ? t + g->p->pad - k : t * g->p->stride + k * g->p->dilation - g->p->pad;
  if (at < 0) return -1;
  if (g->transposed && at % g->p->stride) return -1;
  if (g->transposed) at /= g->p->stride;
  return at < g->T ? at : -1;
}

/* dx[i, c] += Σ over t, k with input(t, k) = i, and o, of dy[t, o] w[o, k, c] */
static void add_inputs(const geometry *g, tens *dx, const tens *dy, const tens *w) {
  for (int64_t b = 0; b < g->B; b++)
    for (int64_t i = 0; i < g->T; i++)
      for (int64_t c = 0; c < g->C; c++) {
        double sum = 0;
        for (int64_t t = 0; t < g->Ty; t++)
          for (int64_t k = 0; k < g->taps; k++) {
            if (input_of(g, t, k) != i) continue;
            for (int64_t o = 0; o < g->O; o++)
              sum += tens_f32(dy)[(b * g->Ty + t) * g->O + o] * oracle_weight(w, weight_at(g, o, k) + c);
          }
        tens_f32(dx)[(b * g->T + i) * g->C + c] += (float)sum;
      }
}

/* dw[o, k, c] += Σ_t dy[t, o] x[input(t, k), c] */
static void add_weights(const geometry *g, tens *dw, const tens *dy, const tens *x) {
  for (int64_t o = 0; o < g->O; o++)
    for (int64_t k = 0; k < g->taps; k++)
      for (int64_t c = 0; c < g->C; c++) {
        double sum = 0;
        for (int64_t r = 0; r < g->B * g->Ty; r++) {
          int64_t i = input_of(g, r % g->Ty, k);
          if (i >= 0) sum += (double)tens_f32(dy)[r * g->O + o] * tens_f32(x)[(r / g->Ty * g->T + i) * g->C + c];
        }
        tens_f32(dw)[weight_at(g, o, k) + c] += (float)sum;
      }
}

static void add_both(const geometry *g, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w) {
  if (dx) add_inputs(g, dx, dy, w);
  if (dw) add_weights(g, dw, dy, x);
}

void oracle_conv1d_backward(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                            const op_conv *p) {
  geometry g = {x->dim[0], x->dim[1], x->dim[2], dy->dim[1], w->dim[0], w->dim[1], p, false};
  add_both(&g, dx, dw, dy, x, w);
}

void oracle_conv1d_transposed_backward(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                                       const op_conv *p) {
  geometry g = {x->dim[0], x->dim[1], x->dim[2], dy->dim[1], w->dim[1], w->dim[0], p, true};
  add_both(&g, dx, dw, dy, x, w);
}

/* ---- snake: y = x + sin(alpha x)² inv_beta ------------------------------------------------------------------------ */

void oracle_snake_backward(tens_ctx *c, const tens_snake_grads *g, const tens *dy, const tens *x, const tens *alpha,
                           const tens *inv_beta) {
  int64_t C = alpha->dim[0], rows = oracle_rows(x);
  for (int64_t i = 0; i < C; i++) {
    double a = tens_f32(alpha)[i], scale = tens_f32(inv_beta)[i], of_alpha = 0, of_scale = 0;
    for (int64_t r = 0; r < rows; r++) {
      double u = tens_f32(x)[r * C + i], d = tens_f32(dy)[r * C + i], s = sin(a * u);
      of_alpha += d * scale * u * sin(2 * a * u);
      of_scale += d * s * s;
      if (g->dx) tens_f32(g->dx)[r * C + i] += (float)(d * (1 + scale * a * sin(2 * a * u)));
    }
    if (g->dalpha) tens_f32(g->dalpha)[i] += (float)of_alpha;
    if (g->dinv_beta) tens_f32(g->dinv_beta)[i] += (float)of_scale;
  }
}
