/* small.c - sums, moved rows, finite scalar quantisation: operations bound by memory or too small to matter. */
#include "tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* ---- add --------------------------------------------------------------------------------------------------------- */

typedef struct add_job {
  float *y;
  const float *a, *b;
} add_job;

static void add_values(void *arg, int64_t first, int64_t count, int worker) {
  const add_job *j = arg;
  for (int64_t i = first; i < first + count; i++) j->y[i] = j->a[i] + j->b[i];
}

void cpu_add(tens_ctx *c, tens *y, const tens *a, const tens *b) {
  add_job j = {tens_f32(y), tens_f32(a), tens_f32(b)};
  cpu_for(c, tens_count(y), 1, add_values, &j);
}

/* y [rows, H] = x [rows, H] + row [H] */
static void add_row(float *y, const float *x, const float *row, int64_t H) {
  for (int64_t h = 0; h < H; h++) y[h] = x[h] + row[h];
}

void cpu_modulation(tens_ctx *c, tens *y, const tens *table, const tens *rows) {
  int64_t n = table->dim[0], B = rows->dim[0], H = table->dim[1];
  for (int64_t i = 0; i < n; i++)
    for (int64_t b = 0; b < B; b++)
      add_row(tens_f32(y) + (i * B + b) * H, tens_f32(rows) + (b * n + i) * H, tens_f32(table) + i * H, H);
}

void cpu_outer_add(tens_ctx *c, tens *y, const tens *x, const tens *rows) {
  int64_t N = x->dim[0], P = rows->dim[0], H = x->dim[1];
  for (int64_t i = 0; i < N; i++)
    for (int64_t p = 0; p < P; p++)
      add_row(tens_f32(y) + (i * P + p) * H, tens_f32(x) + i * H, tens_f32(rows) + p * H, H);
}

/* ---- sinusoid: t [B] -> [B, width] ------------------------------------------------------------------------------- */

void cpu_sinusoid(tens_ctx *c, tens *y, const tens *t, float scale) {
  int64_t width = y->dim[1], half = width / 2;
  for (int64_t b = 0; b < t->dim[0]; b++)
    for (int64_t i = 0; i < half; i++) {
      /* Rounded where the reference rounds: an angle of up to 1000 shows it. */
      float frequency = (float)pow(10000, -(double)i / (double)half), scaled = scale * tens_f32(t)[b];
      float angle = scaled * frequency;
      tens_f32(y)[b * width + i] = (float)cos(angle);
      tens_f32(y)[b * width + half + i] = (float)sin(angle);
    }
}

/* ---- moved rows -------------------------------------------------------------------------------------------------- */

void cpu_concat(tens_ctx *c, tens *y, int n, const tens *const *parts) {
  int64_t width = y->dim[y->rank - 1], rows = tens_count(y) / width, at = 0;
  for (int p = 0; p < n; p++) {
    int64_t part = parts[p]->dim[y->rank - 1];
    for (int64_t r = 0; r < rows; r++)
      memcpy(tens_f32(y) + r * width + at, tens_f32(parts[p]) + r * part, (size_t)part * sizeof(float));
    at += part;
  }
}

void cpu_gather(tens_ctx *c, tens *y, const tens *x, const tens *index) {
  int64_t n = index->dim[1], H = x->dim[2];
  for (int64_t b = 0; b < x->dim[0]; b++)
    for (int64_t i = 0; i < n; i++) {
      int32_t row = tens_i32(index)[b * n + i];
      float *out = tens_f32(y) + (b * n + i) * H;
      if (row < 0) memset(out, 0, (size_t)H * sizeof *out);
      else memcpy(out, tens_f32(x) + (b * x->dim[1] + row) * H, (size_t)H * sizeof *out);
    }
}

void cpu_prepend(tens_ctx *c, tens *y, const tens *x, const tens *row) {
  int64_t H = x->dim[2], item = x->dim[1] * H;
  for (int64_t b = 0; b < x->dim[0]; b++) {
    float *out = tens_f32(y) + b * (item + H);
    memcpy(out, tens_f32(row), (size_t)H * sizeof *out);
    memcpy(out + H, tens_f32(x) + b * item, (size_t)item * sizeof *out);
  }
}

void cpu_resize(tens_ctx *c, tens *y, const tens *x) {
  int64_t from = x->dim[1] * x->dim[2], to = y->dim[1] * x->dim[2], kept = cpu_min(from, to);
  for (int64_t b = 0; b < x->dim[0]; b++) {
    float *out = tens_f32(y) + b * to;
    memcpy(out, tens_f32(x) + b * from, (size_t)kept * sizeof *out);
    memset(out + kept, 0, (size_t)(to - kept) * sizeof *out);
  }
}

/* ---- finite scalar quantisation ---------------------------------------------------------------------------------- */

/* The level, 0..L-1, nearest to a code in -1..1. In double: a level decides a sound. */
static int level_of(double code, int L) {
  return (int)floor((L - 1) * (fmin(fmax(code, -1), 1) + 1) / 2 + 0.5);
}

static float code_of(int64_t level, int L) {
  return (float)((double)level * 2 / (L - 1) - 1);
}

void cpu_fsq_quantize(tens_ctx *c, tens *codes, const tens *z, const int *levels, int d) {
  int64_t n = tens_count(z);
  for (int64_t i = 0; i < n; i++) {
    int L = levels[i % d];
    double soft = 1 + 1.0 / (L - 1);
    tens_f32(codes)[i] = code_of(level_of(soft * tanh(tens_f32(z)[i] / soft), L), L);
  }
}

void cpu_fsq_index(tens_ctx *c, tens *index, const tens *codes, const int *levels, int d) {
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

void cpu_fsq_codes(tens_ctx *c, tens *codes, const tens *index, const int *levels, int d) {
  int64_t n = tens_count(index), product = 1;
  for (int j = 0; j < d; j++) product *= levels[j];
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = cpu_max(0, cpu_min(tens_i32(index)[i], product - 1));
    for (int j = 0; j < d; j++) {
      tens_f32(codes)[i * d + j] = code_of(rest % levels[j], levels[j]);
      rest /= levels[j];
    }
  }
}
