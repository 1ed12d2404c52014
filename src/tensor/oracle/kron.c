/* kron.c - factors for channels, Kronecker products, as in ops.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

void oracle_scale(tens_ctx *c, tens *y, const tens *x, const tens *w) {
  int64_t N = w->dim[0], n = tens_count(x);
  for (int64_t i = 0; i < n; i++) tens_f32(y)[i] = tens_f32(x)[i] * tens_f32(w)[i % N];
}

void oracle_mix_blocks(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e) {
  int64_t P = w->dim[0], Q = w->dim[1], M = oracle_rows(x), K = tens_count(x) / M, C = K / Q, N = P * C;
  for (int64_t m = 0; m < M; m++)
    for (int64_t p = 0; p < P; p++)
      for (int64_t k = 0; k < C; k++) {
        double u = 0;
        for (int64_t q = 0; q < Q; q++) u += (double)tens_f32(w)[p * Q + q] * (double)tens_f32(x)[m * K + q * C + k];
        int64_t n = p * C + k;
        if (e->gate) u *= tens_f32(e->gate)[m / (M / x->dim[0]) * N + n];
        if (e->residual) u += tens_f32(e->residual)[m * N + n];
        tens_f32(y)[m * N + n] = (float)u;
      }
}

void oracle_kron_lengths(tens_ctx *c, tens *y, const tens *w, const tens *w1, const tens *w2, const tens *m,
                         float eps) {
  int64_t K = w->dim[1], Q = w1->dim[1], C = w2->dim[0], D = w2->dim[1];
  float turned[INT8_MAX_WIDTH];
  for (int64_t i = 0; i < w->dim[0]; i++) {
    double square = 0;
    if (w->dtype == TENS_I8) int8_decode(turned, (const int8_t *)w->data + i * K, w->scale[i], K);
    for (int64_t k = 0; k < K; k++) {
      double v = w->dtype == TENS_I8 ? turned[k] : oracle_weight(w, i * K + k);
      v += (double)tens_f32(w1)[i / C * Q + k / D] * (double)tens_f32(w2)[i % C * D + k % D];
      square += v * v;
    }
    double n = sqrt(square) + eps;
    tens_f32(y)[i] = n > 0 ? (float)(tens_f32(m)[i] / n) : 1;
  }
}
