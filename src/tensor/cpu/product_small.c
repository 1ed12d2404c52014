/* product_small.c - linear layers and the gated unit over weights in the small formats of int8.h.
 *
 * A chunk is a block of rows by a block of columns. TENS_I8: its rows are turned and rounded into the worker's scratch,
 * then meet four weight rows at a time, which stay in the first-level cache while the rows pass. TENS_Q8_0: each weight
 * row is widened into scratch and meets all rows. Either way a product depends on its two rows alone.
 */
#include "tensor/cpu/product.h"

#include <math.h>
#include <string.h>

#include "tensor/int8.h"

enum {
  ROWS = 64,
  COLUMNS = 512,
  WIDE_FLOATS = INT8_MAX_WIDTH,   /* one row while it is turned or widened: 128 KB */
  ROUNDED_BYTES = 512 * 1024,     /* the rows of a chunk */
  SUM_FLOATS = 2 * ROWS * COLUMNS /* for two weights: 256 KB */
};
_Static_assert((WIDE_FLOATS + SUM_FLOATS + ROWS) * 4 + ROUNDED_BYTES <= TENS_WORKER_SCRATCH, "scratch");

typedef struct plan {
  const cpu_micro *m;
  tens_ctx *c;
  const product *p;
  const tens *w, *w_up;
  int64_t rows, columns, row_blocks, column_blocks; /* rows and columns of a chunk */
} plan;

typedef struct chunk {
  const plan *a;
  int64_t row, rows, column, columns;
  float *wide, *sums, *sums_up, *x_scale;
  int8_t *rounded;
} chunk;

/* ---- TENS_I8 ----------------------------------------------------------------------------------------------------- */

static void round_rows(const chunk *k) {
  const product *p = k->a->p;
  for (int64_t r = 0; r < k->rows; r++) {
    memcpy(k->wide, p->x + (k->row + r) * p->width, (size_t)p->width * sizeof *k->wide);
    k->a->m->turn(k->wide, p->width);
    k->x_scale[r] = k->a->m->round_i8(k->rounded + r * p->width, k->wide, p->width);
  }
}

static void multiply_i8(const chunk *k, const tens *w, float *sums) {
  const cpu_micro *m = k->a->m;
  int64_t K = k->a->p->width;
  for (int64_t n = 0; n < k->columns; n += CPU_COLUMNS) {
    const int8_t *columns[CPU_COLUMNS];
    int64_t count = cpu_min(CPU_COLUMNS, k->columns - n);
    for (int64_t j = 0; j < CPU_COLUMNS; j++)
      columns[j] = (const int8_t *)w->data + (k->column + n + cpu_min(j, count - 1)) * K;
    for (int64_t first = 0, rows; first < k->rows; first += rows) {
      int32_t tile[CPU_MAX_ROWS * CPU_COLUMNS];
      rows = cpu_min(m->rows, k->rows - first);
      m->tile_i8(tile, k->rounded + first * K, (int)rows, columns, K, first == 0);
      for (int64_t r = first; r < first + rows; r++)
        for (int64_t j = 0; j < count; j++)
          sums[r * COLUMNS + n + j] =
              (float)tile[(r - first) * CPU_COLUMNS + j] * (k->x_scale[r] * w->scale[k->column + n + j]);
    }
  }
}

/* ---- TENS_Q8_0 --------------------------------------------------------------------------------------------------- */

static void multiply_q8_0(const chunk *k, const tens *w, float *sums) {
  const product *p = k->a->p;
  for (int64_t n = 0; n < k->columns; n++) {
    q8_0_decode(k->wide, (const uint8_t *)w->data + tens_bytes(TENS_Q8_0, (k->column + n) * p->width), p->width);
    for (int64_t r = 0; r < k->rows; r++)
      sums[r * COLUMNS + n] = k->a->m->dot(p->x + (k->row + r) * p->width, k->wide, p->width);
  }
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

static void multiply(const chunk *k, const tens *w, float *sums) {
  if (w->dtype == TENS_I8) multiply_i8(k, w, sums);
  else multiply_q8_0(k, w, sums);
}

static void finish_rows(const chunk *k) {
  for (int64_t r = 0; r < k->rows; r++)
    product_finish(k->a->m, k->a->p, 0, k->row + r, k->column, k->columns, k->sums + r * COLUMNS,
                   k->sums_up + r * COLUMNS);
}

static void run_chunk(void *arg, int number, int worker) {
  const plan *a = arg;
  chunk k = {.a = a, .row = number / a->column_blocks * a->rows, .column = number % a->column_blocks * a->columns};
  k.rows = cpu_min(a->rows, a->p->out_rows - k.row);
  k.columns = cpu_min(a->columns, a->p->columns - k.column);
  k.wide = tens_worker_scratch(a->c, worker);
  k.sums = k.wide + WIDE_FLOATS;
  k.sums_up = k.sums + ROWS * COLUMNS;
  k.x_scale = k.sums + SUM_FLOATS;
  k.rounded = (int8_t *)(k.x_scale + ROWS);
  if (a->w->dtype == TENS_I8) round_rows(&k);
  multiply(&k, a->w, k.sums);
  if (a->w_up) multiply(&k, a->w_up, k.sums_up);
  finish_rows(&k);
}

void product_small_run(const cpu_micro *m, tens_ctx *c, const product *p, const tens *w, const tens *w_up) {
  plan a = {.m = m, .c = c, .p = p, .w = w, .w_up = w_up, .columns = COLUMNS};
  a.rows = cpu_min(cpu_min(ROWS, ROUNDED_BYTES / p->width), p->out_rows);
  a.row_blocks = cpu_ceil(p->out_rows, a.rows);
  a.rows = cpu_ceil(p->out_rows, a.row_blocks);
  int64_t wanted = 4 * tens_workers(c);
  while (a.columns > 32 && a.row_blocks * cpu_ceil(p->columns, a.columns) < wanted) a.columns /= 2;
  a.column_blocks = cpu_ceil(p->columns, a.columns);
  tens_parallel(c, (int)(a.row_blocks * a.column_blocks), run_chunk, &a);
}

/* ---- rows of weights --------------------------------------------------------------------------------------------- */

bool cpu_int8_encode(const cpu_micro *m, int8_t *q, float *scale, float *w, int64_t k) {
  m->turn(w, k);
  *scale = m->round_i8(q, w, k) / (float)int8_block(k);
  return isfinite(*scale);
}
