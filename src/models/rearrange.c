/* rearrange.c - each rearrangement with its gradient. A convolution's weight x [a, b, taps] is kept with one of two orders
 * of its values, and is, where it is weight-normalised, first g[i] x[i] / ‖x[i]‖. */
#include "models/rearrange.h"

#include <math.h>

#include "base/half.h"

tens rearrange_table(ckpt_reader *r, int64_t rows, int64_t n, const char *name) {
  tens w = ckpt_tensor_f32(r, 3, (int64_t[]){1, rows, n}, "%s", name);
  return r->failed ? w : (tens){.dtype = TENS_F32, .rank = 2, .dim = {rows, n}, .data = w.data};
}

tens rearrange_row(ckpt_reader *r, int64_t n, const char *name) {
  tens w = ckpt_tensor_f32(r, 3, (int64_t[]){1, 1, n}, "%s", name);
  return r->failed ? w : (tens){.dtype = TENS_F32, .rank = 1, .dim = {n}, .data = w.data};
}

static float value_at(const tens *x, int64_t i) {
  return x->dtype == TENS_BF16 ? bf16_to_f32(((const uint16_t *)x->data)[i]) : tens_f32(x)[i];
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */

/* Where x[i, j, k] of x [a, b, taps] lies. */
typedef int64_t order(const int64_t dim[3], int64_t i, int64_t j, int64_t k);

static int64_t swapped(const int64_t dim[3], int64_t i, int64_t j, int64_t k) {
  return (i * dim[2] + k) * dim[1] + j;
}

static int64_t reversed(const int64_t dim[3], int64_t i, int64_t j, int64_t k) {
  return (k * dim[1] + j) * dim[0] + i;
}

/* y = x[i] * scale for one i. */
static void put(const ckpt_derived *d, order *at, const tens *x, int64_t i, float scale) {
  int64_t b = x->dim[1], taps = x->dim[2];
  for (int64_t k = 0; k < taps; k++)
    for (int64_t j = 0; j < b; j++) tens_f32(&d->y)[at(x->dim, i, j, k)] = value_at(x, (i * b + j) * taps + k) * scale;
}

/* ---- plain ------------------------------------------------------------------------------------------------------- */

static void make_plain(const ckpt_derived *d, order *at) {
  for (int64_t i = 0; i < d->from[0].dim[0]; i++) put(d, at, &d->from[0], i, 1.0f);
}

static void back_plain(const ckpt_derived *d, order *at, const float *dy, float *dx) {
  const int64_t *dim = d->from[0].dim;
  for (int64_t i = 0; dx && i < dim[0]; i++)
    for (int64_t j = 0; j < dim[1]; j++)
      for (int64_t k = 0; k < dim[2]; k++) dx[(i * dim[1] + j) * dim[2] + k] += dy[at(dim, i, j, k)];
}

static void make_swapped(const ckpt_derived *d) {
  make_plain(d, swapped);
}

static void back_swapped(const ckpt_derived *d, const float *dy, float *const *grad) {
  back_plain(d, swapped, dy, grad[0]);
}

static void make_reversed(const ckpt_derived *d) {
  make_plain(d, reversed);
}

static void back_reversed(const ckpt_derived *d, const float *dy, float *const *grad) {
  back_plain(d, reversed, dy, grad[0]);
}

tens rearrange_conv(ckpt_reader *r, int64_t out, int64_t in, int64_t taps, const char *name) {
  tens w = ckpt_tensor(r, 3, (int64_t[]){out, in, taps}, "%s", name);
  return ckpt_derive(r, (ckpt_derived){.y = {.dtype = TENS_F32, .rank = 3, .dim = {out, taps, in}},
                                       .n = 1,
                                       .from = {w},
                                       .make = make_swapped,
                                       .back = back_swapped});
}

tens rearrange_conv_transposed(ckpt_reader *r, int64_t in, int64_t out, int64_t taps, const char *name) {
  tens w = ckpt_tensor(r, 3, (int64_t[]){in, out, taps}, "%s", name);
  return ckpt_derive(r, (ckpt_derived){.y = {.dtype = TENS_F32, .rank = 3, .dim = {taps, out, in}},
                                       .n = 1,
                                       .from = {w},
                                       .make = make_reversed,
                                       .back = back_reversed});
}

/* ---- weight-normalised: from v, then g --------------------------------------------------------------------------- */

static double length_of(const tens *v, int64_t i) {
  int64_t n = v->dim[1] * v->dim[2];
  double sum = 0;
  for (int64_t j = 0; j < n; j++) {
    double x = value_at(v, i * n + j);
    sum += x * x;
  }
  return sqrt(sum);
}

static void make_normed(const ckpt_derived *d, order *at) {
  const tens *v = &d->from[0], *g = &d->from[1];
  for (int64_t i = 0; i < v->dim[0]; i++) put(d, at, v, i, (float)(tens_f32(g)[i] / length_of(v, i)));
}

/* With u = v[i] / ‖v[i]‖: dg[i] = u·dy, dv[i] = g[i] / ‖v[i]‖ (dy - (u·dy) u). */
static void back_normed(const ckpt_derived *d, order *at, const float *dy, float *const *grad) {
  const tens *v = &d->from[0], *g = &d->from[1];
  const int64_t *dim = v->dim;
  for (int64_t i = 0; i < dim[0]; i++) {
    double length = length_of(v, i), along = 0, scale = (double)tens_f32(g)[i] / length;
    const int64_t first = i * dim[1] * dim[2];
    for (int64_t j = 0; j < dim[1]; j++)
      for (int64_t k = 0; k < dim[2]; k++)
        along += value_at(v, first + j * dim[2] + k) / length * (double)dy[at(dim, i, j, k)];
    if (grad[1]) grad[1][i] += (float)along;
    for (int64_t j = 0; grad[0] && j < dim[1]; j++)
      for (int64_t k = 0; k < dim[2]; k++) {
        double u = value_at(v, first + j * dim[2] + k) / length;
        grad[0][first + j * dim[2] + k] += (float)(scale * ((double)dy[at(dim, i, j, k)] - along * u));
      }
  }
}

static void make_normed_swapped(const ckpt_derived *d) {
  make_normed(d, swapped);
}

static void back_normed_swapped(const ckpt_derived *d, const float *dy, float *const *grad) {
  back_normed(d, swapped, dy, grad);
}

static void make_normed_reversed(const ckpt_derived *d) {
  make_normed(d, reversed);
}

static void back_normed_reversed(const ckpt_derived *d, const float *dy, float *const *grad) {
  back_normed(d, reversed, dy, grad);
}

/* d with its sources [a, b, taps] and [a, 1, 1]. */
static tens normed(ckpt_reader *r, int64_t a, int64_t b, int64_t taps, const char *name, ckpt_derived d) {
  d.n = 2;
  d.from[1] = ckpt_tensor_f32(r, 3, (int64_t[]){a, 1, 1}, "%s.weight_g", name);
  d.from[0] = ckpt_tensor(r, 3, (int64_t[]){a, b, taps}, "%s.weight_v", name);
  return ckpt_derive(r, d);
}

tens rearrange_normed_conv(ckpt_reader *r, int64_t out, int64_t in, int64_t taps, const char *name) {
  return normed(r, out, in, taps, name,
                (ckpt_derived){.y = {.dtype = TENS_F32, .rank = 3, .dim = {out, taps, in}},
                               .make = make_normed_swapped,
                               .back = back_normed_swapped});
}

tens rearrange_normed_conv_transposed(ckpt_reader *r, int64_t in, int64_t out, int64_t taps, const char *name) {
  return normed(r, in, out, taps, name,
                (ckpt_derived){.y = {.dtype = TENS_F32, .rank = 3, .dim = {taps, out, in}},
                               .make = make_normed_reversed,
                               .back = back_normed_reversed});
}

/* ---- logarithms -------------------------------------------------------------------------------------------------- */

static void make_exp(const ckpt_derived *d) {
  for (int64_t i = 0; i < d->y.dim[0]; i++) tens_f32(&d->y)[i] = expf(tens_f32(&d->from[0])[i]);
}

static void back_exp(const ckpt_derived *d, const float *dy, float *const *grad) {
  for (int64_t i = 0; grad[0] && i < d->y.dim[0]; i++) grad[0][i] += dy[i] * tens_f32(&d->y)[i];
}

static void make_inverse(const ckpt_derived *d) {
  for (int64_t i = 0; i < d->y.dim[0]; i++) tens_f32(&d->y)[i] = 1.0f / (expf(tens_f32(&d->from[0])[i]) + 1e-9f);
}

static void back_inverse(const ckpt_derived *d, const float *dy, float *const *grad) {
  for (int64_t i = 0; grad[0] && i < d->y.dim[0]; i++) {
    float y = tens_f32(&d->y)[i];
    grad[0][i] -= dy[i] * y * y * expf(tens_f32(&d->from[0])[i]);
  }
}

static tens of_channels(ckpt_reader *r, int64_t channels, const char *name, ckpt_derived d) {
  d.y = (tens){.dtype = TENS_F32, .rank = 1, .dim = {channels}};
  d.n = 1;
  d.from[0] = ckpt_tensor_f32(r, 3, (int64_t[]){1, channels, 1}, "%s", name);
  return ckpt_derive(r, d);
}

tens rearrange_exp(ckpt_reader *r, int64_t channels, const char *name) {
  return of_channels(r, channels, name, (ckpt_derived){.make = make_exp, .back = back_exp});
}

tens rearrange_inverse_exp(ckpt_reader *r, int64_t channels, const char *name) {
  return of_channels(r, channels, name, (ckpt_derived){.make = make_inverse, .back = back_inverse});
}
