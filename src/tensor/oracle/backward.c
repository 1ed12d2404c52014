/* backward.c - gradients of linear layers, as in ops_backward.h. */
#include "tensor/oracle/oracle.h"

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
