/* grad.c - the loops that gradients share. */
#include "tensor/grad.h"

#include "tensor/cpu/cpu.h"

void grad_for(tens_ctx *c, int64_t n, int64_t cost, grad_range *fn, void *arg) {
  if (!c->plan && c->error.status == ACE_OK) cpu_for(c, n, cost, fn, arg);
}

typedef struct rows_job {
  float *y;
  const float *a, *b;
  int64_t N, rows; /* rows: of each item */
} rows_job;

static void add_values(void *arg, int64_t first, int64_t count, int worker) {
  const rows_job *j = arg;
  for (int64_t i = first; i < first + count; i++) j->y[i] += j->a[i];
}

void grad_add(tens_ctx *c, tens *dst, const tens *src) {
  if (!dst || !src) return;
  rows_job j = {.y = tens_f32(dst), .a = tens_f32(src)};
  grad_for(c, tens_count(src), 1, add_values, &j);
}

static void add_products(void *arg, int64_t first, int64_t count, int worker) {
  const rows_job *j = arg;
  for (int64_t i = first; i < first + count; i++) j->y[i] += j->a[i] * j->b[i];
}

void grad_add_product(tens_ctx *c, tens *dst, const tens *a, const tens *b) {
  if (!dst || !a || !b) return;
  rows_job j = {.y = tens_f32(dst), .a = tens_f32(a), .b = tens_f32(b)};
  grad_for(c, tens_count(a), 1, add_products, &j);
}

/* ---- sums over rows ----------------------------------------------------------------------------------------------- */

enum { COLUMNS = 64 };

static void add_columns(void *arg, int64_t first, int64_t count, int worker) {
  const rows_job *j = arg;
  for (int64_t at = first; at < first + count;) {
    int64_t item = at / j->N, column = at % j->N, n = first + count - at;
    n = n < COLUMNS ? n : COLUMNS;
    n = n < j->N - column ? n : j->N - column;
    const float *a = j->a + item * j->rows * j->N + column, *b = j->b ? j->b + (a - j->a) : NULL;
    double sum[COLUMNS] = {0};
    for (int64_t r = 0; r < j->rows; r++)
      for (int64_t i = 0; i < n; i++)
        sum[i] += b ? (double)a[r * j->N + i] * (double)b[r * j->N + i] : (double)a[r * j->N + i];
    for (int64_t i = 0; i < n; i++) j->y[at + i] += (float)sum[i];
    at += n;
  }
}

void grad_add_columns(tens_ctx *c, tens *dst, const tens *a, const tens *b) {
  if (!dst || !a) return;
  int64_t N = op_last(dst), items = tens_count(dst) / N, rows = tens_count(a) / N / items;
  rows_job j = {tens_f32(dst), tens_f32(a), b ? tens_f32(b) : NULL, N, rows};
  grad_for(c, items * N, rows, add_columns, &j);
}

/* ---- gates -------------------------------------------------------------------------------------------------------- */

static void gate_rows(void *arg, int64_t first, int64_t count, int worker) {
  const rows_job *j = arg;
  for (int64_t r = first; r < first + count; r++) {
    const float *gate = j->b + r / j->rows * j->N;
    for (int64_t i = 0; i < j->N; i++) j->y[r * j->N + i] = j->a[r * j->N + i] * gate[i];
  }
}

const tens *grad_gated(tens_ctx *c, const tens *dy, const tens *gate) {
  if (!gate) return dy;
  int64_t N = op_last(dy), rows = tens_count(dy) / N;
  tens *y = op_new_last(c, TENS_F32, dy, N);
  if (!y) return NULL;
  rows_job j = {tens_f32(y), tens_f32(dy), tens_f32(gate), N, rows / gate->dim[0]};
  grad_for(c, rows, N, gate_rows, &j);
  return y;
}
