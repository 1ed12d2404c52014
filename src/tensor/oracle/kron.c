/* kron.c - factors for channels, Kronecker products, as in ops.h. */
#include "tensor/oracle/oracle.h"

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
