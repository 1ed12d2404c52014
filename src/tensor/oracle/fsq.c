/* fsq.c - finite scalar quantisation, as in ops.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

static double clamp(double x, double lo, double hi) {
  return fmin(fmax(x, lo), hi);
}

/* The level, 0..L-1, nearest to a code in -1..1. */
static int64_t level_of(double code, int L) {
  return (int64_t)floor((L - 1) * (clamp(code, -1, 1) + 1) / 2 + 0.5);
}

static float code_of(int64_t level, int L) {
  return (float)((double)level * 2 / (L - 1) - 1);
}

void oracle_fsq_quantize(tens_ctx *c, tens *codes, const tens *z, const int *levels, int d) {
  int64_t n = tens_count(z);
  for (int64_t i = 0; i < n; i++) {
    int L = levels[i % d];
    double soft = 1 + 1.0 / (L - 1);
    tens_f32(codes)[i] = code_of(level_of(soft * tanh(tens_f32(z)[i] / soft), L), L);
  }
}

void oracle_fsq_index(tens_ctx *c, tens *index, const tens *codes, const int *levels, int d) {
  int64_t n = tens_count(index);
  for (int64_t i = 0; i < n; i++) {
    int64_t sum = 0, basis = 1;
    for (int j = 0; j < d; j++) {
      sum += level_of(tens_f32(codes)[i * d + j], levels[j]) * basis;
      basis *= levels[j];
    }
    tens_i32(index)[i] = (int32_t)sum;
  }
}

void oracle_fsq_codes(tens_ctx *c, tens *codes, const tens *index, const int *levels, int d) {
  int64_t n = tens_count(index), product = 1;
  for (int j = 0; j < d; j++) product *= levels[j];
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = tens_i32(index)[i];
    rest = rest < 0 ? 0 : rest >= product ? product - 1 : rest;
    for (int j = 0; j < d; j++) {
      tens_f32(codes)[i * d + j] = code_of(rest % levels[j], levels[j]);
      rest /= levels[j];
    }
  }
}
