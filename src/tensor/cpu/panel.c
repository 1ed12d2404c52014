/* panel.c - panel.h, blocked for the caches.
 *
 * A chunk of work is a block of the result's rows by some strips of its columns, with sums in the worker's scratch. Part
 * by part, its rows of the first factor are packed and stay in the second-level cache; then one strip after the other is
 * packed into the first-level cache and meets them all, a tile at a time.
 */
#include "tensor/cpu/panel.h"

#include <string.h>

enum {
  MAX_ROWS = 192, /* of a chunk */
  MAX_COLUMNS = 512,
  X_PAD = 16, /* an odd number of cache lines from row to row spreads rows over the cache */
  X_FLOATS = (MAX_ROWS + X_PAD) * (PANEL_DEPTH + X_PAD),
  C_FLOATS = MAX_ROWS * MAX_COLUMNS,
  GROUP = 64, /* columns packed at once */
  GROUP_FLOATS = PANEL_DEPTH * GROUP
};
_Static_assert((X_FLOATS + C_FLOATS + GROUP_FLOATS) * 4 <= TENS_WORKER_SCRATCH, "scratch");

typedef struct plan {
  const panel_product *p;
  const cpu_micro *m;
  tens_ctx *c;
  int64_t rows, row_blocks;     /* of a chunk, of an item */
  int64_t strips_a_tap, strips; /* of a group of columns, of a chunk */
  int64_t strip_blocks;
} plan;

static plan make_plan(const cpu_micro *m, tens_ctx *c, const panel_product *p) {
  plan a = {.p = p, .m = m, .c = c};
  a.row_blocks = cpu_ceil(p->rows, MAX_ROWS);
  a.rows = cpu_ceil(cpu_ceil(p->rows, a.row_blocks), m->block_rows) * m->block_rows;
  a.row_blocks = cpu_ceil(p->rows, a.rows);
  a.strips_a_tap = cpu_ceil(p->columns, m->block_columns);
  int64_t all = p->taps * a.strips_a_tap, wanted = 4 * tens_workers(c);
  a.strips = cpu_min(all, MAX_COLUMNS / m->block_columns);
  while (a.strips > 1 && p->items * a.row_blocks * cpu_ceil(all, a.strips) < wanted) a.strips = (a.strips + 1) / 2;
  a.strip_blocks = cpu_ceil(all, a.strips);
  return a;
}

typedef struct chunk {
  const plan *a;
  int64_t item, row, rows, strip, strips;
  float *x, *c, *panel;
} chunk;

/* Columns of a strip within its group. */
static int64_t strip_column(const plan *a, int64_t strip) {
  return strip % a->strips_a_tap * a->m->block_columns;
}

static int64_t strip_columns(const plan *a, int64_t strip) {
  return cpu_min(a->m->block_columns, a->p->columns - strip_column(a, strip));
}

/* All rows of the chunk meet some packed strips, of which the first is strip number `strip`. Of the last one only whole
 * vectors that hold some of the `columns` are computed. */
static void run_strips(const chunk *k, const panel_block *x, int64_t strip, int64_t columns, int64_t depth, bool add) {
  const cpu_micro *m = k->a->m;
  panel_multiply(m, &(panel_matrix){.x = x->x,
                                    .x_row = x->row,
                                    .x_step = x->step,
                                    .w = k->panel,
                                    .rows = k->rows,
                                    .columns = cpu_ceil(columns, m->lanes) * m->lanes,
                                    .depth = depth,
                                    .c = k->c + (strip - k->strip) * m->block_columns,
                                    .c_row = k->a->strips * m->block_columns,
                                    .add = add});
}

static void run_part(const chunk *k, int64_t at) {
  const plan *a = k->a;
  const panel_product *p = a->p;
  const void *row[PANEL_DEPTH];
  cpu_strips s = {.row = row, .dtype = p->dtype, .depth = cpu_min(PANEL_DEPTH, p->depth - at)};
  if (p->scale) s.scale = p->scale + at;
  panel_block x = {k->x, p->across ? 1 : PANEL_DEPTH + X_PAD, p->across ? a->rows + X_PAD : 1};
  p->pack_x(p, &x, k->item, k->row, k->rows, at, s.depth);
  int64_t end = k->strip + k->strips;
  for (int64_t i = k->strip, n, tap = -1; i < end; i += n) {
    if (i / a->strips_a_tap != tap) p->find_rows(p, row, k->item, tap = i / a->strips_a_tap, at, s.depth);
    n = cpu_min(cpu_min(GROUP / a->m->block_columns, end - i), a->strips_a_tap - i % a->strips_a_tap);
    s.column = strip_column(a, i);
    s.columns = cpu_min(n * a->m->block_columns, p->columns - s.column);
    a->m->pack_strips(k->panel, &s);
    run_strips(k, &x, i, s.columns, s.depth, at > 0);
  }
}

static void add_result(const chunk *k) {
  const plan *a = k->a;
  int64_t width = a->m->block_columns;
  for (int64_t r = 0; r < k->rows; r++)
    for (int64_t i = 0; i < k->strips; i++) {
      int64_t strip = k->strip + i, n = strip_columns(a, strip);
      const float *from = k->c + (r * a->strips + i) * width;
      float *y = a->p->y + k->item * a->p->y_item + (k->row + r) * a->p->y_row + strip / a->strips_a_tap * a->p->y_tap +
                 strip_column(a, strip);
      for (int64_t j = 0; j < n; j++) y[j] += from[j];
    }
}

static void run_chunk(void *arg, int number, int worker) {
  const plan *a = arg;
  int64_t strips = number % a->strip_blocks * a->strips, rest = number / a->strip_blocks;
  chunk k = {.a = a, .item = rest / a->row_blocks, .row = rest % a->row_blocks * a->rows, .strip = strips};
  k.rows = cpu_min(a->rows, a->p->rows - k.row);
  k.strips = cpu_min(a->strips, a->p->taps * a->strips_a_tap - strips);
  k.x = tens_worker_scratch(a->c, worker);
  k.c = k.x + X_FLOATS;
  k.panel = k.c + C_FLOATS;
  for (int64_t at = 0; at < a->p->depth; at += PANEL_DEPTH) run_part(&k, at);
  add_result(&k);
}

void panel_product_run(const cpu_micro *m, tens_ctx *c, const panel_product *p) {
  plan a = make_plan(m, c, p);
  tens_parallel(c, (int)(p->items * a.row_blocks * a.strip_blocks), run_chunk, &a);
}

void panel_multiply(const cpu_micro *m, const panel_matrix *p) {
  cpu_panel t = {
      .x_row = p->x_row, .x_step = p->x_step, .w = p->w, .depth = p->depth, .c_row = p->c_row, .add = p->add};
  for (int64_t n = 0; n < p->columns; n += m->block_columns, t.w += p->depth * m->block_columns) {
    t.columns = cpu_min(m->block_columns, p->columns - n);
    for (int64_t r = 0; r < p->rows; r += m->block_rows) {
      t.x = p->x + r * p->x_row;
      t.c = p->c + r * p->c_row + n;
      m->panel[cpu_min(m->block_rows, p->rows - r) - 1](&t);
    }
  }
}
