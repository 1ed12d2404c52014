/* grad.c - the loops that gradients share. */
#include "tensor/grad.h"

#include <string.h>

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

/* Rows in blocks, whose sums are put side by side and then added up; within a block some rows at a time in F32, or
 * products in double. */
enum { COLUMNS = 64, ROWS = 64, BLOCK_VALUES = 1 << 14 };

typedef struct columns_job {
  const float *a, *b;
  double *sums; /* [items, blocks, N] */
  int64_t N, rows, block, blocks;
} columns_job;

static void sum_products(const float *a, const float *b, int64_t apart, int64_t rows, int64_t n, double *sum) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = 0; i < n; i++) sum[i] += (double)a[r * apart + i] * (double)b[r * apart + i];
}

/* Value i of a row, i < n, goes to sum[i % columns]. */
static void sum_values(const float *a, int64_t apart, int64_t rows, int64_t n, int64_t columns, double *sum) {
  for (int64_t r = 0; r < rows; r += ROWS) {
    float some[COLUMNS] = {0};
    int64_t end = rows < r + ROWS ? rows : r + ROWS;
    for (int64_t k = r; k < end; k++)
      for (int64_t i = 0; i < n; i++) some[i] += a[k * apart + i];
    for (int64_t i = 0; i < n; i++) sum[i % columns] += (double)some[i];
  }
}

static void sum_blocks(void *arg, int64_t first, int64_t count, int worker) {
  const columns_job *j = arg;
  for (int64_t k = first; k < first + count; k++) {
    int64_t row = k % j->blocks * j->block, at = (k / j->blocks * j->rows + row) * j->N;
    int64_t rows = j->rows - row < j->block ? j->rows - row : j->block, together = j->b ? 1 : COLUMNS / j->N;
    double *sum = j->sums + k * j->N;
    memset(sum, 0, (size_t)j->N * sizeof *sum);
    if (together > 1) { /* few columns: several rows are one */
      int64_t whole = rows / together;
      sum_values(j->a + at, together * j->N, whole, together * j->N, j->N, sum);
      at += whole * together * j->N, rows -= whole * together;
    }
    for (int64_t i = 0; i < j->N; i += COLUMNS) {
      int64_t n = j->N - i < COLUMNS ? j->N - i : COLUMNS;
      if (j->b) sum_products(j->a + at + i, j->b + at + i, j->N, rows, n, sum + i);
      else sum_values(j->a + at + i, j->N, rows, n, n, sum + i);
    }
  }
}

void grad_add_columns(tens_ctx *c, tens *dst, const tens *a, const tens *b) {
  if (!dst || !a) return;
  int64_t N = op_last(dst), items = tens_count(dst) / N;
  columns_job j = {.a = tens_f32(a), .b = b ? tens_f32(b) : NULL, .N = N, .rows = tens_count(a) / N / items};
  j.block = BLOCK_VALUES / N > ROWS ? BLOCK_VALUES / N : ROWS;
  j.blocks = (j.rows - 1) / j.block + 1;
  tens_mark mark = tens_here(c);
  j.sums = tens_scratch(c, (size_t)(items * j.blocks * N) * sizeof *j.sums);
  grad_for(c, items * j.blocks, j.block * N, sum_blocks, &j);
  for (int64_t k = 0; j.sums && !c->plan && k < items * j.blocks; k++)
    for (int64_t i = 0; i < N; i++) tens_f32(dst)[k / j.blocks * N + i] += (float)j.sums[k * N + i];
  tens_release(c, mark);
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
