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

/* A new F32 [a, b, c] owned by the checkpoint. */
static tens owned(ckpt_reader *r, int64_t a, int64_t b, int64_t c) {
  tens y = {.dtype = TENS_F32, .rank = 3, .dim = {a, b, c}};
  y.data = ckpt_alloc(r->checkpoint, (size_t)(a * b * c) * sizeof(float));
  if (y.data) return y;
  r->failed = true;
  ace_fail(r->err, ACE_ENOMEM, "%s: out of memory", ckpt_folder(r->checkpoint));
  return (tens){0};
}

/* y[i, k, j] = x[i, j, k] * scale[i] for x [a, b, taps]; scale may be NULL. */
static tens swap_last(ckpt_reader *r, const tens *x, const float *scale) {
  int64_t a = x->dim[0], b = x->dim[1], taps = x->dim[2];
  tens y = owned(r, a, taps, b);
  if (r->failed) return y;
  for (int64_t i = 0; i < a; i++)
    for (int64_t k = 0; k < taps; k++)
      for (int64_t j = 0; j < b; j++)
        tens_f32(&y)[(i * taps + k) * b + j] = value_at(x, (i * b + j) * taps + k) * (scale ? scale[i] : 1.0f);
  return y;
}

/* y[k, j, i] = x[i, j, k] * scale[i]. */
static tens reverse_all(ckpt_reader *r, const tens *x, const float *scale) {
  int64_t a = x->dim[0], b = x->dim[1], taps = x->dim[2];
  tens y = owned(r, taps, b, a);
  if (r->failed) return y;
  for (int64_t k = 0; k < taps; k++)
    for (int64_t j = 0; j < b; j++)
      for (int64_t i = 0; i < a; i++)
        tens_f32(&y)[(k * b + j) * a + i] = value_at(x, (i * b + j) * taps + k) * (scale ? scale[i] : 1.0f);
  return y;
}

tens rearrange_conv(ckpt_reader *r, int64_t out, int64_t in, int64_t taps, const char *name) {
  tens w = ckpt_tensor(r, 3, (int64_t[]){out, in, taps}, "%s", name);
  return r->failed ? w : swap_last(r, &w, NULL);
}

tens rearrange_conv_transposed(ckpt_reader *r, int64_t in, int64_t out, int64_t taps, const char *name) {
  tens w = ckpt_tensor(r, 3, (int64_t[]){in, out, taps}, "%s", name);
  return r->failed ? w : reverse_all(r, &w, NULL);
}

/* g / ‖v‖ for each index of dim 0, as [a]. */
static tens norm_scale(ckpt_reader *r, const tens *g, const tens *v) {
  int64_t a = v->dim[0], n = v->dim[1] * v->dim[2];
  tens s = owned(r, a, 1, 1);
  for (int64_t i = 0; !r->failed && i < a; i++) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++) {
      double x = value_at(v, i * n + j);
      sum += x * x;
    }
    tens_f32(&s)[i] = (float)(tens_f32(g)[i] / sqrt(sum));
  }
  return s;
}

static tens normed(ckpt_reader *r, int64_t a, int64_t b, int64_t taps, const char *name,
                   tens (*arrange)(ckpt_reader *, const tens *, const float *)) {
  tens g = ckpt_tensor_f32(r, 3, (int64_t[]){a, 1, 1}, "%s.weight_g", name);
  tens v = ckpt_tensor(r, 3, (int64_t[]){a, b, taps}, "%s.weight_v", name);
  if (r->failed) return (tens){0};
  tens scale = norm_scale(r, &g, &v);
  return r->failed ? (tens){0} : arrange(r, &v, tens_f32(&scale));
}

tens rearrange_normed_conv(ckpt_reader *r, int64_t out, int64_t in, int64_t taps, const char *name) {
  return normed(r, out, in, taps, name, swap_last);
}

tens rearrange_normed_conv_transposed(ckpt_reader *r, int64_t in, int64_t out, int64_t taps, const char *name) {
  return normed(r, in, out, taps, name, reverse_all);
}
