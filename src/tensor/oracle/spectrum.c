/* spectrum.c - the distance of spectra as it is defined: every sum written out, in double. */
#include <math.h>

#include "tensor/oracle/oracle.h"

enum { SIGNALS = 4 };

static const double turn = 6.283185307179586, share_of_both = 0.70710678118654752;
/* What of left and right each signal is. */
static const double mix[SIGNALS][2] = {{1, 0}, {0, 1}, {share_of_both, share_of_both}, {share_of_both, -share_of_both}};

static double window_at(int n, int i) {
  double energy = 3.0 * n / 8; /* of the Hann window */
  return (0.5 - 0.5 * cos(turn * i / n)) / sqrt(energy);
}

static double weight_of(const op_spectrum *s, int n, int k) {
  double all = 0;
  for (int i = 0; i <= n / 2; i++) all += 1 / ((double)i / n + (double)s->corner);
  return 1 / ((double)k / n + (double)s->corner) / all;
}

/* Bin k of a signal of the frame at x. */
static void bin_of(const float *x, const double *m, int n, int k, double *re, double *im) {
  *re = *im = 0;
  for (int i = 0; i < n; i++) {
    double v = window_at(n, i) * (m[0] * (double)x[2 * i] + m[1] * (double)x[2 * i + 1]);
    *re += v * cos(turn * k * i / n);
    *im -= v * sin(turn * k * i / n);
  }
}

static double sign_of(double x) {
  return (x > 0) - (x < 0);
}

/* dx, the frame's, += slope * the gradient of half the power of bin k, which is re, im. */
static void add_power(float *dx, const double *m, int n, int k, double re, double im, double slope) {
  for (int i = 0; dx && i < n; i++) {
    double by = slope * window_at(n, i) * (re * cos(turn * k * i / n) - im * sin(turn * k * i / n));
    for (int side = 0; side < 2; side++) dx[2 * i + side] += (float)(by * m[side]);
  }
}

/* The distance of one bin of one signal of one frame; dx, the frame's, += `share` of its gradient. */
static double bin_distance(const float *x, const float *y, float *dx, const double *m, const op_spectrum *s, int n,
                           int k, double share) {
  double re, im, re2, im2, floor = (double)s->floor, linear = (double)s->linear, u = weight_of(s, n, k);
  bin_of(x, m, n, k, &re, &im);
  bin_of(y, m, n, k, &re2, &im2);
  double a = sqrt(re * re + im * im + floor * floor), b = sqrt(re2 * re2 + im2 * im2 + floor * floor);
  double da = u * (sign_of(a - b) / a + linear * sign_of(a - b)); /* the logarithm rises as a does */
  add_power(dx, m, n, k, re, im, share * da / a);
  return u * (fabs(log(a / b)) + linear * fabs(a - b));
}

/* The same of the band that bins first..last-1 make. */
static double band_distance(const float *x, const float *y, float *dx, const double *m, const op_spectrum *s, int n,
                            int first, int last, double share) {
  double floor2 = (double)s->floor * (double)s->floor, p = floor2, q = floor2, u = 0, re, im, width = last - first;
  for (int k = first; k < last; k++) {
    bin_of(x, m, n, k, &re, &im);
    p += (re * re + im * im) / width;
    bin_of(y, m, n, k, &re, &im);
    q += (re * re + im * im) / width;
    u += weight_of(s, n, k) * (double)s->banded;
  }
  for (int k = first; k < last; k++) {
    bin_of(x, m, n, k, &re, &im);
    add_power(dx, m, n, k, re, im, share * u * sign_of(p - q) / p / width);
  }
  return u * fabs(log(p / q)) / 2;
}

/* The distance of one signal of one frame. */
static double signal_distance(const float *x, const float *y, float *dx, const double *m, const op_spectrum *s, int n,
                              double share) {
  double sum = 0;
  for (int k = 0; k <= n / 2; k++) sum += bin_distance(x, y, dx, m, s, n, k, share);
  for (int k = 0, next; k <= n / 2; k = next) {
    next = k ? (int)ceil(k * pow(2, 1 / 3.0)) : 1;
    sum += band_distance(x, y, dx, m, s, n, k, next <= n / 2 ? next : n / 2 + 1, share);
  }
  return sum;
}

void oracle_spectral_distance(tens_ctx *c, tens *distance, tens *slope, const tens *x, const tens *y,
                              const op_spectrum *s) {
  int64_t B = x->dim[0], T = x->dim[1];
  for (int64_t i = 0; slope && i < tens_count(slope); i++) tens_f32(slope)[i] = 0;
  for (int64_t b = 0; b < B; b++) {
    double sum = 0;
    for (int w = 0; w < s->windows; w++) {
      int n = s->length[w];
      int64_t frames = (T - n) / (n / 4) + 1;
      double share = 1 / ((double)s->windows * (double)frames * SIGNALS);
      for (int64_t f = 0; f < frames; f++) {
        int64_t at = (b * T + f * (n / 4)) * 2;
        for (int signal = 0; signal < SIGNALS; signal++)
          sum += share * signal_distance(tens_f32(x) + at, tens_f32(y) + at, slope ? tens_f32(slope) + at : NULL,
                                         mix[signal], s, n, share);
      }
    }
    tens_f32(distance)[b] = (float)sum;
  }
}
