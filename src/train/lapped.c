#include "train/lapped.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/stream.h"

enum { ROUNDS = 24 /* of the iteration: enough for directions to settle within a percent of power */ };

static const double pi = 3.141592653589793238462643;

double lapped_basis(int stride, int m, int k) {
  double s = stride, at = k + 0.5;
  return sqrt(2 / s) * sin(pi * at / (2 * s)) * cos(pi / s * (at + s / 2) * (m + 0.5));
}

static ace_status new_signal(lapped_signal *out, int pieces, int64_t frames, int channels, ace_error *err) {
  *out = (lapped_signal){.pieces = pieces, .channels = channels, .frames = frames};
  out->x = calloc((size_t)(pieces * frames * channels), sizeof *out->x);
  return out->x ? ACE_OK : ace_fail(err, ACE_ENOMEM, "train: out of memory for first weights");
}

/* ---- the transform ------------------------------------------------------------------------------------------------ */

ace_status lapped_transform(const lapped_signal *in, int stride, lapped_signal *out, ace_error *err) {
  int taps = 2 * stride, channels = in->channels;
  float *basis = malloc((size_t)(taps * stride) * sizeof *basis); /* [k][m] */
  if (!basis) return ace_fail(err, ACE_ENOMEM, "train: out of memory for first weights");
  ace_status status = new_signal(out, in->pieces, in->frames / stride, channels * stride, err);
  for (int k = 0; k < taps; k++)
    for (int m = 0; m < stride; m++) basis[k * stride + m] = (float)lapped_basis(stride, m, k);
  for (int64_t r = 0; status == ACE_OK && r < out->pieces * out->frames; r++) {
    const float *piece = in->x + r / out->frames * in->frames * channels;
    float *to = out->x + r * out->channels;
    int64_t first = r % out->frames * stride - stride / 2;
    for (int k = 0; k < taps; k++) {
      if (first + k < 0 || first + k >= in->frames) continue;
      const float *row = piece + (first + k) * channels;
      for (int c = 0; c < channels; c++)
        for (int m = 0; m < stride; m++) to[c * stride + m] += row[c] * basis[k * stride + m];
    }
  }
  free(basis);
  return status;
}

/* ---- principal components ----------------------------------------------------------------------------------------- */

/* Means of products of channels, without those of single channels: silence stays zero. */
static void add_products(const lapped_signal *in, double *to) {
  int n = in->channels;
  int64_t rows = in->pieces * in->frames;
  for (int64_t r = 0; r < rows; r++) {
    const float *x = in->x + r * n;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) to[i * n + j] += (double)x[i] * (double)x[j];
  }
  for (int64_t i = 0; i < (int64_t)n * n; i++) to[i] /= (double)rows;
}

/* Rows become orthonormal, the first first (Gram and Schmidt). A row that is nothing becomes a unit vector of its own. */
static void orthonormalise(double *q, int rows, int n) {
  for (int i = 0; i < rows; i++) {
    double *row = q + (int64_t)i * n, length = 0;
    for (int round = 0; round < 2; round++) /* twice is enough (Kahan) */
      for (int j = 0; j < i; j++) {
        const double *other = q + (int64_t)j * n;
        double along = 0;
        for (int k = 0; k < n; k++) along += row[k] * other[k];
        for (int k = 0; k < n; k++) row[k] -= along * other[k];
      }
    for (int k = 0; k < n; k++) length += row[k] * row[k];
    length = sqrt(length);
    for (int k = 0; k < n; k++) row[k] = length > 1e-30 ? row[k] / length : k == i;
  }
}

ace_status lapped_components(const lapped_signal *in, int n, uint64_t seed, double *to, ace_error *err) {
  int width = in->channels;
  size_t all = (size_t)n * (size_t)width;
  memset(to, 0, all * sizeof *to);
  for (int i = 0; i < n && n == width; i++) to[(size_t)i * all / (size_t)n + (size_t)i] = 1;
  if (n == width) return ACE_OK;
  double *product = calloc((size_t)width * (size_t)width, sizeof *product), *next = malloc(all * sizeof *next);
  float *first = malloc(all * sizeof *first);
  ace_status status =
      product && next && first ? ACE_OK : ace_fail(err, ACE_ENOMEM, "train: out of memory for first weights");
  if (status == ACE_OK) {
    stream s = stream_of(seed, STREAM_INIT, 0, 0, 0);
    stream_normal(&s, 0, (int64_t)all, first);
    for (size_t i = 0; i < all; i++) to[i] = (double)first[i];
    add_products(in, product);
  }
  for (int round = 0; round < ROUNDS && status == ACE_OK; round++) {
    memset(next, 0, all * sizeof *next);
    for (int i = 0; i < n; i++)
      for (int j = 0; j < width; j++)
        for (int k = 0; k < width; k++) next[i * width + k] += to[i * width + j] * product[j * width + k];
    orthonormalise(next, n, width);
    memcpy(to, next, all * sizeof *to);
  }
  free(product), free(next), free(first);
  return status;
}

ace_status lapped_project(const lapped_signal *in, const double *directions, int n, lapped_signal *out,
                          ace_error *err) {
  ace_status status = new_signal(out, in->pieces, in->frames, n, err);
  for (int64_t r = 0; status == ACE_OK && r < in->pieces * in->frames; r++)
    for (int i = 0; i < n; i++) {
      double sum = 0;
      for (int k = 0; k < in->channels; k++)
        sum += directions[i * in->channels + k] * (double)in->x[r * in->channels + k];
      out->x[r * n + i] = (float)sum;
    }
  return status;
}

void lapped_deviations(const lapped_signal *in, double *to) {
  int64_t rows = in->pieces * in->frames;
  double most = 1e-6;
  memset(to, 0, (size_t)in->channels * sizeof *to);
  for (int64_t r = 0; r < rows; r++)
    for (int i = 0; i < in->channels; i++) to[i] += pow((double)in->x[r * in->channels + i], 2);
  for (int i = 0; i < in->channels; i++) {
    to[i] = sqrt(to[i] / (double)rows);
    most = fmax(most, to[i]);
  }
  for (int i = 0; i < in->channels; i++) to[i] = fmax(to[i], most * 1e-3);
}
