/* small.c - sums, activations and moved rows, as in ops.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

void oracle_add(tens_ctx *c, tens *y, const tens *a, const tens *b) {
  int64_t n = tens_count(y);
  for (int64_t i = 0; i < n; i++) tens_f32(y)[i] = tens_f32(a)[i] + tens_f32(b)[i];
}

void oracle_silu_op(tens_ctx *c, tens *y, const tens *x) {
  int64_t n = tens_count(y);
  for (int64_t i = 0; i < n; i++) tens_f32(y)[i] = (float)oracle_silu(tens_f32(x)[i]);
}

void oracle_modulation(tens_ctx *c, tens *y, const tens *table, const tens *rows) {
  int64_t n = table->dim[0], B = rows->dim[0], H = table->dim[1];
  for (int64_t i = 0; i < n; i++)
    for (int64_t b = 0; b < B; b++)
      for (int64_t h = 0; h < H; h++)
        tens_f32(y)[(i * B + b) * H + h] = tens_f32(table)[i * H + h] + tens_f32(rows)[(b * n + i) * H + h];
}

void oracle_sinusoid(tens_ctx *c, tens *y, const tens *t, float scale) {
  int64_t width = y->dim[1], half = width / 2;
  for (int64_t b = 0; b < y->dim[0]; b++)
    for (int64_t i = 0; i < half; i++) {
      float frequency = (float)pow(10000, -(double)i / (double)half), scaled = scale * tens_f32(t)[b];
      float angle = scaled * frequency;
      tens_f32(y)[b * width + i] = (float)cos(angle);
      tens_f32(y)[b * width + half + i] = (float)sin(angle);
    }
}

void oracle_concat(tens_ctx *c, tens *y, int n, const tens *const *parts) {
  int64_t rows = oracle_rows(y), width = y->dim[y->rank - 1];
  for (int64_t r = 0; r < rows; r++)
    for (int64_t p = 0, at = 0; p < n; p++) {
      int64_t C = parts[p]->dim[parts[p]->rank - 1];
      for (int64_t i = 0; i < C; i++) tens_f32(y)[r * width + at++] = tens_f32(parts[p])[r * C + i];
    }
}

void oracle_gather(tens_ctx *c, tens *y, const tens *x, const tens *index) {
  int64_t N = index->dim[1], S = x->dim[1], H = x->dim[2];
  for (int64_t b = 0; b < x->dim[0]; b++)
    for (int64_t n = 0; n < N; n++) {
      int64_t s = tens_i32(index)[b * N + n];
      for (int64_t h = 0; h < H; h++) tens_f32(y)[(b * N + n) * H + h] = s < 0 ? 0 : tens_f32(x)[(b * S + s) * H + h];
    }
}

void oracle_prepend(tens_ctx *c, tens *y, const tens *x, const tens *row) {
  int64_t S = y->dim[1], H = y->dim[2];
  for (int64_t b = 0; b < y->dim[0]; b++)
    for (int64_t s = 0; s < S; s++)
      for (int64_t h = 0; h < H; h++)
        tens_f32(y)[(b * S + s) * H + h] = s ? tens_f32(x)[(b * (S - 1) + s - 1) * H + h] : tens_f32(row)[h];
}

void oracle_resize(tens_ctx *c, tens *y, const tens *x) {
  int64_t S = y->dim[1], H = y->dim[2];
  for (int64_t b = 0; b < y->dim[0]; b++)
    for (int64_t s = 0; s < S; s++)
      for (int64_t h = 0; h < H; h++)
        tens_f32(y)[(b * S + s) * H + h] = s < x->dim[1] ? tens_f32(x)[(b * x->dim[1] + s) * H + h] : 0;
}

void oracle_outer_add(tens_ctx *c, tens *y, const tens *x, const tens *rows) {
  int64_t P = rows->dim[0], H = rows->dim[1];
  for (int64_t n = 0; n < x->dim[0]; n++)
    for (int64_t p = 0; p < P; p++)
      for (int64_t h = 0; h < H; h++)
        tens_f32(y)[(n * P + p) * H + h] = tens_f32(x)[n * H + h] + tens_f32(rows)[p * H + h];
}
