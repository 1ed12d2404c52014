/* latent.c - arithmetic on latents and the wavelet transform, as in ops.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

/* In float: this one is defined by its roundings. */
void oracle_mix(tens_ctx *c, tens *dst, float a, const tens *x, float b, const tens *y) {
  int64_t n = tens_count(dst);
  for (int64_t i = 0; i < n; i++) {
    float sum = a * tens_f32(x)[i];
    if (y) sum += b * tens_f32(y)[i];
    tens_f32(dst)[i] = sum;
  }
}

static double norm(const float *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
  return sqrt(sum);
}

void oracle_norm_clamp(tens_ctx *c, tens *y, const tens *v, const tens *x, float limit) {
  int64_t B = v->dim[0], n = tens_count(v) / B;
  for (int64_t b = 0; b < B; b++) {
    const float *in = tens_f32(v) + b * n;
    double factor = fmin(1, limit * (norm(tens_f32(x) + b * n, n) + 1e-10) / (norm(in, n) + 1e-10));
    for (int64_t i = 0; i < n; i++) tens_f32(y)[b * n + i] = (float)(in[i] * factor);
  }
}

void oracle_blend(tens_ctx *c, tens *dst, const tens *mask, const tens *a, const tens *b) {
  int64_t n = tens_count(dst), C = dst->dim[2];
  for (int64_t i = 0; i < n; i++) {
    double m = tens_f32(mask)[i / C];
    tens_f32(dst)[i] = (float)(m * tens_f32(a)[i] + (1 - m) * tens_f32(b)[i]);
  }
}

void oracle_apg(tens_ctx *c, tens *dst, tens *running, const tens *cond, const tens *uncond, const op_apg *p) {
  int64_t T = dst->dim[1], C = dst->dim[2];
  for (int64_t b = 0; b < dst->dim[0]; b++)
    for (int64_t i = 0; i < C; i++) {
      double dd = 0, vv = 0, dv = 0;
      for (int64_t t = 0; t < T; t++) {
        int64_t at = (b * T + t) * C + i;
        float *d = &tens_f32(running)[at], v = tens_f32(cond)[at];
        *d = (v - tens_f32(uncond)[at]) + (float)p->momentum * *d;
        dd += (double)*d * *d;
        vv += (double)v * v;
        dv += (double)*d * v;
      }
      double keep = fmin(1, p->threshold / sqrt(dd)), length = fmax(sqrt(vv), 1e-12);
      for (int64_t t = 0; t < T; t++) {
        int64_t at = (b * T + t) * C + i;
        double v = tens_f32(cond)[at], d = keep * tens_f32(running)[at], along = keep * dv / length * v / length;
        tens_f32(dst)[at] = (float)(v + (p->scale - 1) * (d - along + p->parallel * along));
      }
    }
}

/* The predictions a and b are rounded to float before anything is made of them. */
void oracle_adg(tens_ctx *c, tens *dst, const tens *x, const tens *cond, const tens *uncond, const op_adg *p) {
  int64_t C = dst->dim[2];
  for (int64_t row = 0; row < oracle_rows(dst); row++) {
    double aa = 0, bb = 0, ab = 0;
    for (int64_t i = row * C; i < (row + 1) * C; i++) {
      float a = tens_f32(x)[i] - p->t * tens_f32(cond)[i], b = tens_f32(x)[i] - p->t * tens_f32(uncond)[i];
      aa += (double)a * a;
      bb += (double)b * b;
      ab += (double)a * b;
    }
    const double edge = 1 - 1e-6;
    double angle = acos(fmin(fmax(ab / (sqrt(aa) * sqrt(bb)), -edge), edge));
    double turn = fmin(fmax(p->weight * angle, -p->clip), p->clip);
    for (int64_t i = row * C; i < (row + 1) * C; i++) {
      float a = tens_f32(x)[i] - p->t * tens_f32(cond)[i], b = tens_f32(x)[i] - p->t * tens_f32(uncond)[i];
      double across = ((double)a - b) - (ab - bb) / (bb + 1e-8) * b;
      tens_f32(dst)[i] = (float)((tens_f32(x)[i] - (cos(turn) * a + sin(turn) / sin(angle) * across)) / p->t);
    }
  }
}

/* low[k] = Σ_m lo[taps-1-m] padded[2k+m], padded = taps-2 zeros, x, zeros. */
void oracle_dwt(tens_ctx *c, tens *low, tens *high, const tens *x, const float *lo, const float *hi, int taps) {
  int64_t T = x->dim[1], C = x->dim[2], count = low->dim[1];
  for (int64_t b = 0; b < x->dim[0]; b++)
    for (int64_t k = 0; k < count; k++)
      for (int64_t i = 0; i < C; i++) {
        double l = 0, h = 0;
        for (int m = 0; m < taps; m++) {
          int64_t t = 2 * k + m - (taps - 2);
          if (t < 0 || t >= T) continue;
          double value = tens_f32(x)[(b * T + t) * C + i];
          l += lo[taps - 1 - m] * value;
          h += hi[taps - 1 - m] * value;
        }
        tens_f32(low)[(b * count + k) * C + i] = (float)l;
        tens_f32(high)[(b * count + k) * C + i] = (float)h;
      }
}

/* x[t] = Σ over k, m with 2k + m = t + taps - 2 of low[k] lo[m] + high[k] hi[m]. */
void oracle_idwt(tens_ctx *c, tens *y, const tens *low, const tens *high, const float *lo, const float *hi, int taps) {
  int64_t T = y->dim[1], C = y->dim[2], count = low->dim[1];
  for (int64_t b = 0; b < y->dim[0]; b++)
    for (int64_t t = 0; t < T; t++)
      for (int64_t i = 0; i < C; i++) {
        double sum = 0;
        for (int m = 0; m < taps; m++) {
          int64_t twice = t + taps - 2 - m, k = twice / 2;
          if (twice < 0 || twice % 2 || k >= count) continue;
          int64_t at = (b * count + k) * C + i;
          sum += (double)tens_f32(low)[at] * lo[m] + (double)tens_f32(high)[at] * hi[m];
        }
        tens_f32(y)[(b * T + t) * C + i] = (float)sum;
      }
}
