/* matrix.c - matrix products, as in ops.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>
#include <string.h>

double oracle_silu(double x) {
  return x / (1 + exp(-x));
}

/* The product of int8.h for a row x [K] and a row q of weights. */
static float dot_int8(const float *x, const int8_t *q, float scale, int64_t K) {
  float turned[INT8_MAX_WIDTH];
  int8_t rounded[INT8_MAX_WIDTH];
  memcpy(turned, x, (size_t)K * sizeof *x);
  int8_turn(turned, K);
  float x_scale = int8_round(rounded, turned, K);
  int64_t sum = 0;
  for (int64_t k = 0; k < K; k++) sum += rounded[k] * q[k];
  return (float)sum * (x_scale * scale);
}

/* Row m of x [M, K] times row n of w [N, K]. */
static double dot(const tens *x, int64_t m, const tens *w, int64_t n) {
  int64_t K = w->dim[1];
  double sum = 0;
  if (w->dtype == TENS_I8) return dot_int8(tens_f32(x) + m * K, (const int8_t *)w->data + n * K, w->scale[n], K);
  for (int64_t k = 0; k < K; k++) sum += tens_f32(x)[m * K + k] * oracle_weight(w, n * K + k);
  return sum;
}

void oracle_linear(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e) {
  int64_t M = oracle_rows(x), N = w->dim[0], per_item = M / x->dim[0];
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) {
      double u = dot(x, m, w, n);
      if (e->bias) u += tens_f32(e->bias)[n];
      if (e->act == OP_ACT_SILU) u = oracle_silu(u);
      if (e->gate) u *= tens_f32(e->gate)[m / per_item * N + n];
      if (e->residual) u += tens_f32(e->residual)[m * N + n];
      tens_f32(y)[m * N + n] = (float)u;
    }
}

void oracle_swiglu(tens_ctx *c, tens *y, const tens *x, const tens *w_gate, const tens *w_up) {
  int64_t M = oracle_rows(x), N = w_gate->dim[0];
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++)
      tens_f32(y)[m * N + n] = (float)(oracle_silu(dot(x, m, w_gate, n)) * dot(x, m, w_up, n));
}

void oracle_finish(tens_ctx *c, tens *y, const tens *x, const tens *up, const op_epilogue *e) {
  int64_t M = oracle_rows(x), N = x->dim[x->rank - 1], per_item = M / x->dim[0];
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) {
      double u = tens_f32(x)[m * N + n];
      if (e->bias) u += tens_f32(e->bias)[n];
      if (up || e->act == OP_ACT_SILU) u = oracle_silu(u);
      if (up) u *= tens_f32(up)[m * N + n];
      if (e->gate) u *= tens_f32(e->gate)[m / per_item * N + n];
      if (e->residual) u += tens_f32(e->residual)[m * N + n];
      tens_f32(y)[m * N + n] = (float)u;
    }
}

void oracle_embedding(tens_ctx *c, tens *y, const tens *table, const tens *ids) {
  int64_t n = tens_count(ids), H = table->dim[1];
  for (int64_t i = 0; i < n; i++) {
    int64_t row = tens_i32(ids)[i];
    float *out = tens_f32(y) + i * H;
    if (table->dtype == TENS_I8) int8_decode(out, (const int8_t *)table->data + row * H, table->scale[row], H);
    else
      for (int64_t h = 0; h < H; h++) out[h] = (float)oracle_weight(table, row * H + h);
  }
}
