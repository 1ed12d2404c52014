/* conv.c - convolution over time and snake, as in ops.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

double oracle_snake(double u, double alpha, double inv_beta) {
  double s = sin(alpha * u);
  return u + s * s * inv_beta;
}

/* What follows the product, for the i-th value of y, channel o. */
static float finish(const op_conv *p, double u, int64_t i, int64_t o) {
  if (p->bias) u += tens_f32(p->bias)[o];
  if (p->alpha) u = oracle_snake(u, tens_f32(p->alpha)[o], tens_f32(p->inv_beta)[o]);
  if (p->residual) u += tens_f32(p->residual)[i];
  return (float)u;
}

void oracle_conv1d(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p) {
  int64_t T = x->dim[1], C = x->dim[2], O = w->dim[0], taps = w->dim[1];
  for (int64_t b = 0; b < y->dim[0]; b++)
    for (int64_t t = 0; t < y->dim[1]; t++)
      for (int64_t o = 0; o < O; o++) {
        double sum = 0;
        for (int64_t k = 0; k < taps; k++) {
          int64_t at = t * p->stride + k * p->dilation - p->pad;
          if (at < 0 || at >= T) continue;
          for (int64_t i = 0; i < C; i++)
            sum += tens_f32(x)[(b * T + at) * C + i] * oracle_weight(w, (o * taps + k) * C + i);
        }
        int64_t i = (b * y->dim[1] + t) * O + o;
        tens_f32(y)[i] = finish(p, sum, i, o);
      }
}

void oracle_conv1d_transposed(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p) {
  int64_t T = x->dim[1], C = x->dim[2], O = w->dim[1], taps = w->dim[0];
  for (int64_t b = 0; b < y->dim[0]; b++)
    for (int64_t t = 0; t < y->dim[1]; t++)
      for (int64_t o = 0; o < O; o++) {
        double sum = 0;
        for (int64_t k = 0; k < taps; k++) { /* t = at*stride + k - pad */
          int64_t at = (t + p->pad - k) / p->stride;
          if (t + p->pad < k || (t + p->pad - k) % p->stride || at >= T) continue;
          for (int64_t i = 0; i < C; i++)
            sum += tens_f32(x)[(b * T + at) * C + i] * oracle_weight(w, (k * O + o) * C + i);
        }
        int64_t i = (b * y->dim[1] + t) * O + o;
        tens_f32(y)[i] = finish(p, sum, i, o);
      }
}

void oracle_snake_op(tens_ctx *c, tens *y, const tens *x, const tens *alpha, const tens *inv_beta) {
  int64_t n = tens_count(x), C = alpha->dim[0];
  for (int64_t i = 0; i < n; i++)
    tens_f32(y)[i] = (float)oracle_snake(tens_f32(x)[i], tens_f32(alpha)[i % C], tens_f32(inv_beta)[i % C]);
}
