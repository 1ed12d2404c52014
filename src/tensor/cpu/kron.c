/* kron.c - factors for channels, and the left factor of a Kronecker product. */
#include "tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* ---- scale ------------------------------------------------------------------------------------------------------- */

typedef struct scale_job {
  float *y;
  const float *x, *w;
  int64_t N;
} scale_job;

static void scale_rows(void *arg, int64_t first, int64_t count, int worker) {
  const scale_job *j = arg;
  for (int64_t m = first; m < first + count; m++)
    for (int64_t n = 0; n < j->N; n++) j->y[m * j->N + n] = j->x[m * j->N + n] * j->w[n];
}

void cpu_scale(tens_ctx *c, tens *y, const tens *x, const tens *w) {
  int64_t N = w->dim[0];
  scale_job j = {tens_f32(y), tens_f32(x), tens_f32(w), N};
  cpu_for(c, tens_count(x) / N, N, scale_rows, &j);
}

/* ---- mix_blocks: a tile of one block's channels stays in registers while the other blocks add to it -------------- */

enum { TILE = 32 };

typedef struct mix_job {
  float *y;
  const float *x, *w, *gate, *residual; /* gate and residual: may be NULL */
  int64_t P, Q, C, rows_an_item;
} mix_job;

static void mix_tile(const float *x, const float *w, int64_t Q, int64_t C, float *sum) {
  float acc[TILE] = {0};
  for (int64_t q = 0; q < Q; q++)
    for (int i = 0; i < TILE; i++) acc[i] += w[q] * x[q * C + i];
  memcpy(sum, acc, sizeof acc);
}

static void mix_rest(const float *x, const float *w, int64_t Q, int64_t C, int64_t n, float *sum) {
  for (int64_t i = 0; i < n; i++) {
    sum[i] = 0;
    for (int64_t q = 0; q < Q; q++) sum[i] += w[q] * x[q * C + i];
  }
}

static void mix_row(const mix_job *j, int64_t m) {
  int64_t C = j->C, N = j->P * C;
  const float *x = j->x + m * j->Q * C, *gate = j->gate ? j->gate + m / j->rows_an_item * N : NULL;
  for (int64_t p = 0; p < j->P; p++)
    for (int64_t k = 0; k < C; k += TILE) {
      float sum[TILE];
      int64_t n = cpu_min(TILE, C - k), at = p * C + k;
      if (n == TILE) mix_tile(x + k, j->w + p * j->Q, j->Q, C, sum);
      else mix_rest(x + k, j->w + p * j->Q, j->Q, C, n, sum);
      for (int64_t i = 0; i < n; i++) {
        float u = gate ? gate[at + i] * sum[i] : sum[i];
        j->y[m * N + at + i] = j->residual ? j->residual[m * N + at + i] + u : u;
      }
    }
}

static void mix_rows(void *arg, int64_t first, int64_t count, int worker) {
  for (int64_t m = first; m < first + count; m++) mix_row(arg, m);
}

void cpu_mix_blocks(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e) {
  int64_t P = w->dim[0], Q = w->dim[1], K = x->dim[x->rank - 1], M = tens_count(x) / K;
  mix_job j = {.y = tens_f32(y),
               .x = tens_f32(x),
               .w = tens_f32(w),
               .gate = e->gate ? tens_f32(e->gate) : NULL,
               .residual = e->residual ? tens_f32(e->residual) : NULL,
               .P = P,
               .Q = Q,
               .C = K / Q,
               .rows_an_item = M / x->dim[0]};
  cpu_for(c, M, P * K / 8 + 1, mix_rows, &j);
}

/* ---- kron_lengths ------------------------------------------------------------------------------------------------ */

enum { LANES = 8 };

double cpu_short_dot(const float *a, const float *b, int64_t n) {
  float sum[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) sum[l] += a[i + l] * b[i + l];
  double all = 0;
  for (; i < n; i++) all += (double)a[i] * (double)b[i];
  for (int l = 0; l < LANES; l++) all += (double)sum[l];
  return all;
}

double cpu_kron_row(const tens *w, const tens *w1, const tens *w2, int64_t i, float *v) {
  int64_t Q = w1->dim[1], C = w2->dim[0], D = w2->dim[1];
  const float *left = tens_f32(w1) + i / C * Q, *right = tens_f32(w2) + i % C * D;
  double square = 0;
  cpu_weight_row(w, i, v);
  for (int64_t q = 0; q < Q; q++, v += D) {
    for (int64_t d = 0; d < D; d++) v[d] += left[q] * right[d];
    square += cpu_short_dot(v, v, D);
  }
  return sqrt(square);
}

typedef struct length_job {
  tens_ctx *c;
  float *y;
  const tens *w, *w1, *w2;
  const float *m;
  double eps;
} length_job;

static void length_rows(void *arg, int64_t first, int64_t count, int worker) {
  const length_job *j = arg;
  float *v = tens_worker_scratch(j->c, worker);
  for (int64_t i = first; i < first + count; i++) {
    double n = cpu_kron_row(j->w, j->w1, j->w2, i, v) + j->eps;
    j->y[i] = n > 0 ? (float)((double)j->m[i] / n) : 1;
  }
}

void cpu_kron_lengths(tens_ctx *c, tens *y, const tens *w, const tens *w1, const tens *w2, const tens *m, float eps) {
  length_job j = {c, tens_f32(y), w, w1, w2, tens_f32(m), eps};
  cpu_for(c, w->dim[0], w->dim[1], length_rows, &j);
}
