/* product.c - product.h, blocked for the caches.
 *
 * A chunk of work is a block of output rows by a block of columns. Its input rows are packed into the worker's scratch,
 * where they stay in the second-level cache while the weights stream by once, a few columns at a time, which stay in
 * the first-level cache while the rows stream by. Long rows are taken in pieces of PIECE values and many taps in
 * groups, whose sums are added up in order; both are chosen from the shape of one row alone, so that no other choice
 * of blocks changes a result.
 */
#include "tensor/cpu/product.h"

#include "tensor/context.h"

#include <string.h>

enum {
  PIECE = 1024,          /* values of an input row taken at once */
  X_FLOATS = 136 * 1024, /* packed input rows: 544 KB */
  C_FLOATS = 56 * 1024,  /* sums: 224 KB */
  MAX_TAPS = 64,         /* taken at once; the tails of their weights are 32 KB */
  TAIL_BYTES = MAX_TAPS * CPU_COLUMNS * 2 * CPU_MAX_LANES * 4,
  PANEL_BYTES = 128 * 1024, /* copied weights */
  MAX_ROWS = 240,
  MAX_COLUMNS = 256 /* of a chunk */
};
_Static_assert((X_FLOATS + C_FLOATS) * 4 + TAIL_BYTES + PANEL_BYTES <= TENS_WORKER_SCRATCH, "scratch");

typedef struct plan {
  const product *p;
  const cpu_micro *m;
  tens_ctx *c;
  bool gathered;                     /* all taps of a row are packed side by side, as one */
  int64_t width, taps;               /* as the tiles see them: gathered, taps are part of the width */
  int64_t row_floats;                /* from packed row to packed row */
  int64_t line_floats;               /* for run_lines: the packed rows of a chunk */
  int64_t group;                     /* taps at once */
  int64_t span;                      /* input rows that a group reaches over, less one */
  int64_t rows, columns;             /* of a chunk */
  int64_t row_blocks, column_blocks; /* of an item */
} plan;

static int64_t round_up(int64_t n, int64_t unit) {
  return cpu_ceil(n, unit) * unit;
}

/* Rows narrower than a few vectors would be mostly padding: their taps are gathered side by side. */
static bool worth_gathering(const product *p, int64_t step) {
  return p->taps > 1 && p->w_tap == p->width && p->width < PIECE && p->taps <= PIECE / p->width &&
         5 * round_up(p->width, step) * p->taps > 6 * round_up(p->width * p->taps, step);
}

static plan make_plan(const cpu_micro *m, tens_ctx *c, const product *p) {
  int64_t step = 2 * m->lanes;
  plan a = {.p = p, .m = m, .c = c, .gathered = worth_gathering(p, step), .width = p->width, .taps = p->taps};
  if (a.gathered) a.width *= a.taps, a.taps = 1;
  /* An odd number of cache lines from row to row spreads rows over the cache. */
  a.row_floats = round_up(cpu_min(a.width, PIECE), 32) + 16;
  int64_t room = X_FLOATS / a.row_floats, reach = p->dilation < 0 ? -p->dilation : p->dilation;
  int64_t spare = room - 1 - (m->rows - 1) * p->stride; /* rows that taps may reach over, beside those of a full tile */
  a.group = a.taps > 1 && spare >= reach ? cpu_min(cpu_min(a.taps, MAX_TAPS), spare / reach + 1) : 1;
  a.span = (a.group - 1) * reach;
  a.rows = cpu_min(a.gathered ? room : (room - 1 - a.span) / p->stride + 1, MAX_ROWS);
  if (a.rows > m->rows) a.rows -= a.rows % m->rows;
  a.row_blocks = cpu_ceil(p->out_rows, a.rows);
  a.rows = round_up(cpu_ceil(p->out_rows, a.row_blocks), a.rows < m->rows ? 1 : m->rows);
  a.row_blocks = cpu_ceil(p->out_rows, a.rows);
  a.line_floats = ((a.rows - 1) * (a.gathered ? 1 : p->stride) + 1) * a.row_floats;
  a.columns = cpu_min(MAX_COLUMNS, C_FLOATS / (p->w_up ? 2 : 1) / a.rows / CPU_COLUMNS * CPU_COLUMNS);
  int64_t wanted = 4 * tens_workers(c);
  while (a.columns > 32 && p->items * a.row_blocks * cpu_ceil(p->columns, a.columns) < wanted)
    a.columns = a.columns / 2 / CPU_COLUMNS * CPU_COLUMNS;
  a.column_blocks = cpu_ceil(p->columns, a.columns);
  return a;
}

/* ---- a chunk ----------------------------------------------------------------------------------------------------- */

typedef struct chunk {
  const plan *a;
  int64_t item, row, rows, column, columns;
  float *x, *c, *c_up;
  uint8_t *tail, *panel;
} chunk;

/* One group of taps over one piece of the width. */
typedef struct part {
  float *x;          /* packed */
  int64_t at, width; /* of the input row */
  int64_t tap, taps;
  bool lines; /* of run_lines */
} part;

/* Every tap of output row r side by side. */
static void pack_gathered(const chunk *k, const part *q) {
  const product *p = k->a->p;
  float line[PIECE];
  for (int64_t r = 0; r < k->rows; r++) {
    for (int64_t t = 0; t < p->taps; t++) {
      int64_t at = (k->row + r) * p->stride + t * p->dilation + p->offset;
      float *out = line + t * p->width;
      if (at < 0 || at >= p->in_rows) memset(out, 0, (size_t)p->width * sizeof *out);
      else memcpy(out, p->x + (k->item * p->in_rows + at) * p->width, (size_t)p->width * sizeof *out);
    }
    k->a->m->pack(q->x + r * k->a->row_floats, line, k->a->width, p->bf16);
  }
}

/* The input row that packed row 0 holds: the earliest that a group of taps reaches. */
static int64_t first_input(const chunk *k, const part *q) {
  const product *p = k->a->p;
  int64_t tap = p->dilation < 0 ? q->tap + q->taps - 1 : q->tap;
  return k->row * p->stride + tap * p->dilation + p->offset;
}

static void pack_rows(const chunk *k, const part *q) {
  const product *p = k->a->p;
  int64_t reach = p->dilation < 0 ? -p->dilation : p->dilation, first = first_input(k, q);
  int64_t rows = (k->rows - 1) * p->stride + (q->taps - 1) * reach + 1;
  for (int64_t r = 0; r < rows; r++) {
    float *out = q->x + r * k->a->row_floats;
    int64_t at = first + r;
    if (at < 0 || at >= p->in_rows) memset(out, 0, (size_t)round_up(q->width, 2 * k->a->m->lanes) * sizeof *out);
    else k->a->m->pack(out, p->x + (k->item * p->in_rows + at) * p->width + q->at, q->width, p->bf16);
  }
}

static const uint8_t *weight_at(const product *p, const void *w, int64_t element) {
  return (const uint8_t *)w + element * (p->bf16 ? 2 : 4);
}

/* A row of weights with zeros up to whole steps, as it is or widened. */
static void copy_row(const chunk *k, uint8_t *out, const uint8_t *w, int64_t width, int64_t padded, bool widen) {
  int64_t size = k->a->p->bf16 ? 2 : 4, step = 2 * k->a->m->lanes, whole = width - width % step;
  uint16_t last[2 * CPU_MAX_LANES] = {0};
  if (!widen) {
    memcpy(out, w, (size_t)(width * size));
    memset(out + width * size, 0, (size_t)((padded - width) * size));
    return;
  }
  float *wide = (float *)(void *)out;
  k->a->m->widen(wide, (const uint16_t *)(const void *)w, whole);
  memcpy(last, w + whole * size, (size_t)((width - whole) * size));
  if (whole < width) k->a->m->widen(wide + whole, last, step);
}

/* Weights that many tiles meet are copied: aligned, padded to whole steps, their rows side by side, wherever a file put
 * them. Reading across cache lines in every tile would cost more. False when they do not fit. */
static bool copy_panel(const chunk *k, const part *q, cpu_tile *t, bool widen) {
  int64_t size = k->a->p->bf16 ? 2 : 4, to = widen ? 4 : size, padded = round_up(q->width, 2 * k->a->m->lanes);
  if (q->taps * padded * CPU_COLUMNS * to > PANEL_BYTES) return false;
  uint8_t *out = k->panel;
  for (int64_t s = 0; s < q->taps; s++)
    for (int j = 0; j < CPU_COLUMNS; j++, out += padded * to)
      copy_row(k, out, (const uint8_t *)t->w[j] + s * t->w_segment * size, q->width, padded, widen);
  for (int j = 0; j < CPU_COLUMNS; j++) t->w[j] = k->panel + j * padded * to;
  t->w_segment = CPU_COLUMNS * padded;
  t->steps = padded / (2 * k->a->m->lanes);
  t->tail = NULL;
  return true;
}

/* What is left of each row of weights after whole steps, padded with zeros. */
static void copy_tails(const chunk *k, const part *q, cpu_tile *t) {
  int64_t step = 2 * k->a->m->lanes, size = k->a->p->bf16 ? 2 : 4, left = q->width - t->steps * step;
  t->tail = left ? k->tail : NULL;
  if (!left) return;
  uint8_t *out = k->tail;
  memset(out, 0, (size_t)(q->taps * CPU_COLUMNS * step * size));
  for (int64_t s = 0; s < q->taps; s++)
    for (int j = 0; j < CPU_COLUMNS; j++, out += step * size)
      memcpy(out, (const uint8_t *)t->w[j] + (s * t->w_segment + t->steps * step) * size, (size_t)(left * size));
}

static void column_pointers(const chunk *k, const part *q, const void *w, int64_t n, const void **out) {
  const product *p = k->a->p;
  for (int j = 0; j < CPU_COLUMNS; j++) /* past the last column: the last again, its sums unused */
    out[j] = weight_at(p, w, cpu_min(k->column + n + j, p->columns - 1) * p->w_column + q->tap * p->w_tap + q->at);
}

/* Asks for the part of the next columns' weights that tile number `tile` of `tiles` should bring nearer. */
static void fetch_ahead(const chunk *k, const part *q, const void *const *next, int64_t tile, int64_t tiles) {
  int64_t lines = cpu_ceil(q->width * (k->a->p->bf16 ? 2 : 4), 64);
  int64_t from = lines * tile / tiles, to = lines * (tile + 1) / tiles;
  for (int j = 0; j < CPU_COLUMNS; j++)
    for (int64_t i = from; i < to; i++) __builtin_prefetch((const uint8_t *)next[j] + i * 64, 0, 2);
}

/* What run_lines reads after columns n..: the rest of the same weights, then the next columns. */
static void next_line(const chunk *k, const part *q, const void *w, int64_t n, const void **out) {
  part next = *q;
  next.at = q->at + PIECE < k->a->width ? q->at + PIECE : 0;
  column_pointers(k, &next, w, next.at ? n : n + CPU_COLUMNS, out);
}

/* All products of a part's packed rows with columns begin..end-1 of w. */
static void run_tiles(const chunk *k, const part *q, const void *w, float *c, int64_t begin, int64_t end) {
  const plan *a = k->a;
  const product *p = a->p;
  int64_t reach = a->gathered ? 0 : p->dilation, stride = a->gathered ? 1 : p->stride;
  const float *x = q->x + (reach < 0 ? -reach * (q->taps - 1) * a->row_floats : 0);
  cpu_tile t = {.x_row = stride * a->row_floats,
                .x_segment = reach * a->row_floats,
                .segments = q->taps,
                .c_row = a->columns,
                .add = q->at || q->tap};
  int64_t tiles = cpu_ceil(k->rows, a->m->rows);
  for (int64_t n = begin; n < end; n += CPU_COLUMNS) {
    const void *next[CPU_COLUMNS];
    column_pointers(k, q, w, n, t.w);
    column_pointers(k, q, w, n + CPU_COLUMNS, next);
    t.w_segment = p->w_tap;
    t.steps = q->width / (2 * a->m->lanes);
    if (q->lines) next_line(k, q, w, n, t.next);
    bool widen = p->bf16 && a->m->widen, copied = tiles > 1 && copy_panel(k, q, &t, widen);
    if (!copied) copy_tails(k, q, &t);
    void (*const *tile)(const cpu_tile *) = p->bf16 && !(copied && widen) ? a->m->tile_bf16 : a->m->tile_f32;
    for (int64_t i = 0; i < tiles; i++) {
      int64_t rows = cpu_min(a->m->rows, k->rows - i * a->m->rows);
      t.x = x + i * a->m->rows * t.x_row;
      t.c = c + i * a->m->rows * t.c_row + n;
      if (a->taps == 1 && !q->lines) fetch_ahead(k, q, next, i, tiles);
      tile[rows - 1](&t);
    }
  }
}

static void finish_chunk(const chunk *k) {
  for (int64_t r = 0; r < k->rows; r++)
    product_finish(k->a->m, k->a->p, k->item, k->row + r, k->column, k->columns, k->c + r * k->a->columns,
                   k->c_up + r * k->a->columns);
}

static void run_columns(const chunk *k, const part *q, int64_t begin, int64_t end) {
  run_tiles(k, q, k->a->p->w, k->c, begin, end);
  if (k->a->p->w_up) run_tiles(k, q, k->a->p->w_up, k->c_up, begin, end);
}

static void pack_part(const chunk *k, const part *q) {
  if (k->a->gathered) pack_gathered(k, q);
  else pack_rows(k, q);
}

/* Part after part, each with all columns. */
static void run_blocks(const chunk *k) {
  const plan *a = k->a;
  for (int64_t at = 0; at < a->width; at += PIECE)
    for (int64_t tap = 0; tap < a->taps; tap += a->group) {
      part q = {k->x, at, cpu_min(PIECE, a->width - at), tap, cpu_min(a->group, a->taps - tap), false};
      pack_part(k, &q);
      run_columns(k, &q, 0, k->columns);
    }
}

/* The same for the few rows of one tile: bound by memory, so the weights are read in the order in which they lie. */
static void run_lines(const chunk *k) {
  const plan *a = k->a;
  for (int64_t n = 0; n < k->columns; n += CPU_COLUMNS)
    for (int64_t at = 0; at < a->width; at += PIECE) {
      part q = {k->x + at / PIECE * a->line_floats, at, cpu_min(PIECE, a->width - at), 0, 1, true};
      if (n == 0) pack_part(k, &q);
      run_columns(k, &q, n, n + CPU_COLUMNS);
    }
}

static void run_chunk(void *arg, int number, int worker) {
  const plan *a = arg;
  const product *p = a->p;
  int64_t column = number % a->column_blocks, rest = number / a->column_blocks;
  chunk k = {
      .a = a, .item = rest / a->row_blocks, .row = rest % a->row_blocks * a->rows, .column = column * a->columns};
  k.rows = cpu_min(a->rows, p->out_rows - k.row);
  k.columns = cpu_min(a->columns, p->columns - k.column);
  k.x = tens_worker_scratch(a->c, worker);
  k.c = k.x + X_FLOATS;
  k.c_up = k.c + C_FLOATS / 2;
  k.tail = (uint8_t *)(k.c + C_FLOATS);
  k.panel = k.tail + TAIL_BYTES;
  if (k.rows <= a->m->rows && a->taps == 1 && a->line_floats * cpu_ceil(a->width, PIECE) <= X_FLOATS) run_lines(&k);
  else run_blocks(&k);
  finish_chunk(&k);
}

/* ---- the end of every product ------------------------------------------------------------------------------------ */

/* `count` columns within one period of the epilogue's vectors. */
static void finish_stretch(const cpu_micro *m, const product *p, int64_t item, int64_t row, int64_t column,
                           int64_t count, const float *c, const float *c_up) {
  int64_t at = row * p->columns + column - p->y_skip, phase = column % p->period;
  if (at < 0 || at >= p->y_item) return;
  cpu_finish f = p->finish;
  if (f.bias) f.bias += phase;
  if (f.alpha) f.alpha += phase, f.inv_beta += phase;
  if (f.gate) f.gate += row / p->gate_rows * p->columns + column;
  if (f.residual) f.residual += item * p->y_item + at;
  if (p->w_up) f.up = c_up;
  m->finish(p->y + item * p->y_item + at, c, count, &f);
}

void product_finish(const cpu_micro *m, const product *p, int64_t item, int64_t row, int64_t column, int64_t count,
                    const float *c, const float *c_up) {
  for (int64_t n = 0, some; n < count; n += some) {
    some = cpu_min(count - n, p->period - (column + n) % p->period);
    finish_stretch(m, p, item, row, column + n, some, c + n, c_up + n);
  }
}

/* More chunks than an int counts do not occur: x and y would not fit a machine. */
void product_run(const cpu_micro *m, tens_ctx *c, const product *p) {
  if (m->product) {
    m->product(m, c, p);
    return;
  }
  plan a = make_plan(m, c, p);
  tens_parallel(c, (int)(p->items * a.row_blocks * a.column_blocks), run_chunk, &a);
}
