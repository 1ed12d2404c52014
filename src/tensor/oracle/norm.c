/* norm.c - RMS norms and rotary positions, as in ops.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

/* 1 / sqrt(mean(x²) + eps) of n values. */
static double inverse_rms(const float *x, int64_t n, double eps) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
  return 1 / sqrt(sum / (double)n + eps);
}

void oracle_rms_norm(tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const tens *scale,
                     const tens *shift) {
  int64_t H = w->dim[0], rows = oracle_rows(x), per_item = rows / x->dim[0];
  for (int64_t r = 0; r < rows; r++) {
    const float *in = tens_f32(x) + r * H;
    double inverse = inverse_rms(in, H, eps);
    int64_t item = r / per_item;
    for (int64_t h = 0; h < H; h++) {
      double u = tens_f32(w)[h] * (in[h] * inverse);
      if (scale) u = u * (1 + (double)tens_f32(scale)[item * H + h]) + tens_f32(shift)[item * H + h];
      tens_f32(y)[r * H + h] = (float)u;
    }
  }
}

void oracle_head_norm(tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const op_rope *rope) {
  int64_t D = w->dim[0], S = x->dim[1], heads = x->dim[2] / D, half = D / 2;
  for (int64_t i = 0; i < x->dim[0] * S * heads; i++) {
    const float *in = tens_f32(x) + i * D;
    float *out = tens_f32(y) + i * D;
    double inverse = inverse_rms(in, D, eps);
    if (!rope) {
      for (int64_t j = 0; j < D; j++) out[j] = (float)(tens_f32(w)[j] * (in[j] * inverse));
      continue;
    }
    double position = (double)(rope->first + i / heads % S);
    if (rope->start) position += tens_i32(rope->start)[i / heads / S];
    for (int64_t j = 0; j < half; j++) {
      double angle = position * pow(rope->theta, -2.0 * (double)j / (double)D);
      float cosine = (float)cos(angle), sine = (float)sin(angle);
      double a = tens_f32(w)[j] * (in[j] * inverse), b = tens_f32(w)[j + half] * (in[j + half] * inverse);
      out[j] = (float)(a * cosine - b * sine);
      out[j + half] = (float)(b * cosine + a * sine);
    }
  }
}
