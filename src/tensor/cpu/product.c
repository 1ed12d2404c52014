/* product.c - product.h, blocked for the caches.
 *
 * A chunk of work is a block of output rows by a block of columns. Its input rows are packed into the worker's scratch,
 * where they stay in the second-level cache while the weights stream by once: a panel of columns is packed into the
 * first-level cache, then all rows meet it, a tile at a time. A few rows meet the weights where they lie. Long rows are
 * taken in pieces of CPU_PIECE values and many taps in groups, whose sums are added up in order; both are chosen from
 * the shape of one row alone, so that no other choice of blocks changes a result.
 */
#include "tensor/cpu/product.h"

#include "tensor/context.h"

#include <string.h>

enum {
  X_FLOATS = 136 * 1024, /* packed input rows: 544 KB, of which AVX2 takes half */
  C_FLOATS = 96 * 1024,  /* sums: 384 KB, met seldom */
  MAX_TAPS = 64,         /* taken at once; the tails of their weights are 32 KB */
  TAIL_BYTES = MAX_TAPS * CPU_COLUMNS * 2 * CPU_MAX_LANES * 4,
  /* Groups of taps and pieces of width are whole steps, together no longer than a piece, or one tap of one piece. */
  PANEL_FLOATS = CPU_MAX_BLOCK_COLUMNS * (CPU_PIECE + CPU_PIECE_PAD) + CPU_MAX_LANES * CPU_CLASS_PAD,
  MAX_ROWS = 192,
  MAX_COLUMNS = 512 /* of a chunk */
};
_Static_assert((X_FLOATS + C_FLOATS + PANEL_FLOATS) * 4 + TAIL_BYTES <= TENS_WORKER_SCRATCH, "scratch");

typedef struct plan {
  const product *p;
  const cpu_micro *m;
  tens_ctx *c;
  bool gathered;                     /* all taps of a row are packed side by side, as one */
  int64_t width, taps;               /* as the tiles see them: gathered, taps are part of the width */
  int64_t row_floats;                /* from packed row to packed row */
  int64_t line_floats;               /* for run_lines: the packed rows of a chunk */
  int64_t packed;                    /* taps whose rows are packed together */
  int64_t group;                     /* of these, taps at once */
  int64_t span;                      /* input rows that the packed taps reach over, less one */
  int64_t rows, columns;             /* of a chunk */
  int64_t c_row;                     /* floats from row to row of a chunk's sums */
  int64_t row_blocks, column_blocks; /* of an item */
} plan;

static int64_t round_up(int64_t n, int64_t unit) {
  return cpu_ceil(n, unit) * unit;
}

/* Rows narrower than a few vectors would be mostly padding: their taps are gathered side by side. */
static bool worth_gathering(const product *p, int64_t step) {
  return p->taps > 1 && p->w_tap == p->width && p->width < CPU_PIECE && p->taps <= CPU_PIECE / p->width &&
         5 * round_up(p->width, step) * p->taps > 6 * round_up(p->width * p->taps, step);
}

static plan make_plan(const cpu_micro *m, tens_ctx *c, const product *p) {
  int64_t step = 2 * m->lanes;
  plan a = {.p = p, .m = m, .c = c, .gathered = worth_gathering(p, step), .width = p->width, .taps = p->taps};
  if (a.gathered) a.width *= a.taps, a.taps = 1;
  /* An odd number of cache lines from row to row spreads rows over the cache. */
  a.row_floats = round_up(cpu_min(a.width, CPU_PIECE), 32) + 16;
  int64_t room = X_FLOATS / a.row_floats, reach = p->dilation < 0 ? -p->dilation : p->dilation;
  int64_t tile = cpu_max(m->rows, m->block_rows);
  int64_t spare = room - 1 - (tile - 1) * p->stride; /* rows that taps may reach over, beside those of a full tile */
  int64_t most = cpu_max(1, cpu_min(MAX_TAPS, CPU_PIECE / round_up(cpu_min(a.width, CPU_PIECE), step)));
  a.packed = a.taps > 1 && spare >= reach ? cpu_min(a.taps, spare / reach + 1) : 1;
  a.group = cpu_min(a.packed, most);
  a.span = (a.packed - 1) * reach;
  a.rows = cpu_min(a.gathered ? room : (room - 1 - a.span) / p->stride + 1, MAX_ROWS);
  if (a.rows > tile) a.rows -= a.rows % tile;
  a.row_blocks = cpu_ceil(p->out_rows, a.rows);
  a.rows = cpu_ceil(p->out_rows, a.row_blocks);
  if (a.rows > tile) a.rows = round_up(a.rows, tile);
  a.row_blocks = cpu_ceil(p->out_rows, a.rows);
  a.line_floats = ((a.rows - 1) * (a.gathered ? 1 : p->stride) + 1) * a.row_floats;
  a.columns = cpu_min(MAX_COLUMNS, C_FLOATS / (p->w_up ? 2 : 1) / a.rows / m->block_columns * m->block_columns);
  int64_t wanted = 6 * tens_workers(c);
  while (a.columns > m->block_columns && p->items * a.row_blocks * cpu_ceil(p->columns, a.columns) < wanted)
    a.columns = cpu_max(m->block_columns, a.columns / 2 / m->block_columns * m->block_columns);
  a.c_row = a.columns;
  a.column_blocks = cpu_ceil(p->columns, a.columns);
  return a;
}

/* ---- a chunk ----------------------------------------------------------------------------------------------------- */

typedef struct chunk {
  const plan *a;
  int64_t item, row, rows, column, columns;
  bool lines; /* tiles are lines, not blocks */
  float *x, *c, *c_up, *panel;
  uint8_t *tail;
} chunk;

/* One group of taps over one piece of the width. */
typedef struct part {
  float *x;          /* packed */
  int64_t at, width; /* of the input row */
  int64_t tap, taps;
  bool in_order; /* of run_lines */
} part;

static void pack(const chunk *k, float *out, const float *x, int64_t n) {
  const cpu_micro *m = k->a->m;
  (k->lines ? m->pack_line : m->pack_block)(out, x, n, k->a->p->bf16);
}

void product_gather(const product *p, int64_t item, int64_t row, float *line) {
  for (int64_t t = 0; t < p->taps; t++, line += p->width) {
    const float *x = product_input(p, item, row * p->stride + t * p->dilation + p->offset);
    if (x) memcpy(line, x, (size_t)p->width * sizeof *line);
    else memset(line, 0, (size_t)p->width * sizeof *line);
  }
}

/* Every tap of each output row side by side, as some lie already. */
static void pack_gathered(const chunk *k, const part *q) {
  const product *p = k->a->p;
  float line[CPU_PIECE];
  for (int64_t r = 0; r < k->rows; r++) {
    int64_t first = (k->row + r) * p->stride + p->offset;
    const float *x =
        p->dilation == 1 && product_input(p, k->item, first + p->taps - 1) ? product_input(p, k->item, first) : NULL;
    if (!x) product_gather(p, k->item, k->row + r, line);
    pack(k, q->x + r * k->a->row_floats, x ? x : line, k->a->width);
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
    const float *x = product_input(p, k->item, first + r);
    if (x) pack(k, out, x + q->at, q->width);
    else memset(out, 0, (size_t)round_up(q->width, 2 * k->a->m->lanes) * sizeof *out);
  }
}

static const uint8_t *weight_at(const product *p, const void *w, int64_t element) {
  return (const uint8_t *)w + element * (p->bf16 ? 2 : 4);
}

/* What is left of each row of weights, `width` values from `at` on, after whole steps, padded with zeros. */
static void copy_tails(const chunk *k, cpu_line *t, int64_t at, int64_t width) {
  int64_t step = 2 * k->a->m->lanes, size = k->a->p->bf16 ? 2 : 4, left = width - t->steps * step;
  t->tail = left ? k->tail : NULL;
  if (!left) return;
  uint8_t *out = k->tail;
  memset(out, 0, (size_t)(t->segments * CPU_COLUMNS * step * size));
  for (int64_t s = 0; s < t->segments; s++)
    for (int j = 0; j < CPU_COLUMNS; j++, out += step * size)
      memcpy(out, (const uint8_t *)t->w[j] + (s * t->w_segment + at + t->steps * step) * size, (size_t)(left * size));
}

/* Where the weights of `count` columns from n on begin. Past the last column: the last again, its sums unused. */
static void column_pointers(const chunk *k, const part *q, const void *w, int64_t n, int count, const void **out) {
  const product *p = k->a->p;
  for (int j = 0; j < count; j++)
    out[j] = weight_at(p, w, cpu_min(k->column + n + j, p->columns - 1) * p->w_column + q->tap * p->w_tap + q->at);
}

/* Where the first packed row and the rows after it lie for the tiles. */
static const float *first_row(const chunk *k, const part *q, int64_t *row, int64_t *segment) {
  const plan *a = k->a;
  int64_t reach = a->gathered ? 0 : a->p->dilation;
  *row = (a->gathered ? 1 : a->p->stride) * a->row_floats;
  *segment = reach * a->row_floats;
  return q->x + (reach < 0 ? -reach * (q->taps - 1) * a->row_floats : 0);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void line_tiles(const chunk *k, const part *q, const void *w, float *c, int64_t begin, int64_t end) {
  const plan *a = k->a;
  int64_t whole = q->in_order ? (a->width - 1) / CPU_PIECE : 0; /* pieces before the last */
  int64_t width = q->in_order ? a->width - whole * CPU_PIECE : q->width, step = 2 * a->m->lanes;
  cpu_line t = {.segments = q->taps,
                .w_segment = a->p->w_tap,
                .pieces = whole + 1,
                .x_piece = a->line_floats,
                .steps = width / step,
                .c_row = a->c_row,
                .add = q->at || q->tap};
  const float *x = first_row(k, q, &t.x_row, &t.x_segment);
  void (*const *tile)(const cpu_line *) = a->p->bf16 ? a->m->line_bf16 : a->m->line_f32;
  for (int64_t n = begin; n < end; n += CPU_COLUMNS) {
    column_pointers(k, q, w, n, CPU_COLUMNS, t.w);
    if (q->in_order) column_pointers(k, q, w, n + CPU_COLUMNS, CPU_COLUMNS, t.next);
    copy_tails(k, &t, whole * CPU_PIECE, width);
    for (int64_t r = 0; r < k->rows; r += a->m->rows) {
      t.x = x + r * t.x_row;
      t.c = c + r * t.c_row + n;
      tile[cpu_min(a->m->rows, k->rows - r) - 1](&t);
    }
  }
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* Asks for the part of the next panel's weights that tile number `tile` of `tiles` should bring nearer. */
static void fetch_ahead(const chunk *k, const part *q, const void *const *next, int64_t tile, int64_t tiles) {
  int64_t lines = cpu_ceil(q->width * (k->a->p->bf16 ? 2 : 4), 64);
  int64_t from = lines * tile / tiles, to = lines * (tile + 1) / tiles;
  for (int j = 0; j < k->a->m->block_columns; j++)
    for (int64_t i = from; i < to; i++) __builtin_prefetch((const uint8_t *)next[j] + i * 64, 0, 2);
}

static void block_tiles(const chunk *k, const part *q, const void *w, float *c, int64_t begin, int64_t end) {
  const plan *a = k->a;
  const cpu_micro *m = a->m;
  cpu_block t = {.w = k->panel,
                 .segments = q->taps,
                 .vectors = cpu_ceil(q->width, 2 * m->lanes) * 2,
                 .c_row = a->c_row,
                 .add = q->at || q->tap};
  const float *x = first_row(k, q, &t.x_row, &t.x_segment);
  int64_t tiles = cpu_ceil(k->rows, m->block_rows);
  for (int64_t n = begin; n < end; n += m->block_columns) {
    const void *columns[CPU_MAX_BLOCK_COLUMNS], *next[CPU_MAX_BLOCK_COLUMNS];
    column_pointers(k, q, w, n, m->block_columns, columns);
    column_pointers(k, q, w, n + m->block_columns, m->block_columns, next);
    m->pack_panel(k->panel, columns, a->p->w_tap, q->taps, q->width, a->p->bf16);
    for (int64_t i = 0; i < tiles; i++) {
      int64_t r = i * m->block_rows;
      t.x = x + r * t.x_row;
      t.c = c + r * t.c_row + n;
      if (a->taps == 1) fetch_ahead(k, q, next, i, tiles);
      m->block[cpu_min(m->block_rows, k->rows - r) - 1](&t);
    }
  }
}

/* ---- the end of a chunk ------------------------------------------------------------------------------------------ */

static void finish_chunk(const chunk *k) {
  for (int64_t r = 0; r < k->rows; r++)
    product_finish(k->a->m, k->a->p, k->item, k->row + r, k->column, k->columns, k->c + r * k->a->c_row,
                   k->c_up + r * k->a->c_row);
}

/* ---- a chunk as a whole ------------------------------------------------------------------------------------------ */

/* All products of a part's packed rows with columns begin..end-1. */
static void run_columns(const chunk *k, const part *q, int64_t begin, int64_t end) {
  const product *p = k->a->p;
  void (*tiles)(const chunk *, const part *, const void *, float *, int64_t, int64_t) =
      k->lines ? line_tiles : block_tiles;
  tiles(k, q, p->w, k->c, begin, end);
  if (p->w_up) tiles(k, q, p->w_up, k->c_up, begin, end);
}

static void pack_part(const chunk *k, const part *q) {
  if (k->a->gathered) pack_gathered(k, q);
  else pack_rows(k, q);
}

/* The part of packed taps that n taps from `tap` on are. */
static part some_taps(const chunk *k, const part *q, int64_t tap, int64_t n) {
  int64_t dilation = k->a->p->dilation, skip = dilation < 0 ? q->tap + q->taps - tap - n : tap - q->tap;
  part some = *q;
  some.x += skip * (dilation < 0 ? -dilation : dilation) * k->a->row_floats;
  some.tap = tap;
  some.taps = n;
  return some;
}

/* Part after part, each with all columns. */
static void run_blocks(const chunk *k) {
  const plan *a = k->a;
  for (int64_t at = 0; at < a->width; at += CPU_PIECE)
    for (int64_t tap = 0; tap < a->taps; tap += a->packed) {
      part q = {k->x, at, cpu_min(CPU_PIECE, a->width - at), tap, cpu_min(a->packed, a->taps - tap), false};
      pack_part(k, &q);
      for (int64_t t = tap; t < tap + q.taps; t += a->group) {
        part some = some_taps(k, &q, t, cpu_min(a->group, tap + q.taps - t));
        run_columns(k, &some, 0, k->columns);
      }
    }
}

/* The same for the few rows of one tile: bound by memory, so the weights are read in the order in which they lie. */
static void run_lines(const chunk *k) {
  const plan *a = k->a;
  for (int64_t at = 0; at < a->width; at += CPU_PIECE)
    pack_part(k, &(part){k->x + at / CPU_PIECE * a->line_floats, at, cpu_min(CPU_PIECE, a->width - at), 0, 1, true});
  part q = {k->x, 0, a->width, 0, 1, true};
  for (int64_t n = 0; n < k->columns; n += CPU_COLUMNS) run_columns(k, &q, n, n + CPU_COLUMNS);
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
  k.panel = k.c + C_FLOATS;
  k.tail = (uint8_t *)(k.panel + PANEL_FLOATS);
  k.lines = k.rows <= a->m->rows || p->columns <= cpu_max(CPU_COLUMNS, a->m->block_columns / 4);
  bool fits = a->line_floats * cpu_ceil(a->width, CPU_PIECE) <= X_FLOATS;
  if (k.rows <= a->m->rows && a->taps == 1 && fits) run_lines(&k);
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
  if (m->product && !op_exact(c) && !product_is_narrow(p)) {
    m->product(m, c, p);
    return;
  }
  plan a = make_plan(m, c, p);
  tens_parallel(c, (int)(p->items * a.row_blocks * a.column_blocks), run_chunk, &a);
}
