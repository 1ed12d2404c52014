/* amx_product.c - product.h in matrix tiles.
 *
 * A block of output rows meets all columns. Its input rows are rounded and packed once into the worker's scratch. Columns
 * come in groups of panels, sums of a group stay in the second-level cache, and for every AMX_STEPS steps of the depth
 * each panel's 32 KB stay in the first-level cache while the rows stream by. The panels come from the packed copy of the
 * weight, in the order in which they lie there, or are packed on the way when there is none.
 *
 * A fine product (product.h) adds, for every step, the high parts of both factors, the low part of the rows with the
 * high one of the weight and, if that is F32, the reverse; what is left out is some 2^-17 of each product.
 *
 * Many blocks are shared out one by one. Few blocks are worked on by several threads each: a thread packs the rows of
 * one block and takes groups of its columns as long as there are any, then helps with the next.
 */
#include <stdatomic.h>
#include <string.h>

#include "tensor/context.h"
#include "tensor/cpu/amx.h"

enum {
  MAX_ROWS = 256, /* of a block; a multiple of 32 */
  MAX_GROUP = 8,  /* panels of a group, of both weights together */
  UNIT = AMX_STEPS * AMX_PANEL_STEP,
  X_BYTES = 3 << 20,                  /* packed input rows */
  C_ROW = MAX_GROUP * AMX_PANEL + 16, /* floats; an odd number of lines, so that rows spread over the cache */
  C_BYTES = MAX_ROWS * C_ROW * 4,
  MAX_SHARED = 1024 /* blocks that several threads may work on */
};
_Static_assert(X_BYTES + C_BYTES + UNIT <= AMX_SCRATCH, "scratch");

typedef struct plan {
  const cpu_micro *m;
  tens_ctx *c;
  const product *p;
  amx_weight w;
  int64_t steps, tap_steps;          /* of the whole depth; of a tap */
  int64_t room;                      /* bytes for packed rows: half of the scratch where low parts take the rest */
  bool spread;                       /* every output row has its taps' rows to itself, side by side */
  int64_t x_row, x_step, x_pair;     /* bytes in packed rows: from tile row to tile row, step to step, 32 rows to 32 */
  int64_t x_low;                     /* bytes from the high part of a row to its low one; 0: there is none */
  int64_t piece;                     /* steps whose packed rows fit the scratch, a multiple of AMX_STEPS */
  int64_t first_reach, span;         /* earliest input row of output row 0; input rows from there to the last tap's */
  int64_t rows, blocks, item_blocks; /* rows of a block; blocks in all and of an item */
  int64_t panels, group, groups;
  int64_t skip;         /* columns of the first panel that belong to no column of this product */
  int64_t first_packed; /* panel of the packed weight that is panel 0, of packed_panels */
  int64_t packed_panels;
  atomic_int *next; /* group of each shared block; NULL: blocks are not shared */
} plan;

/* ---- the plan: nothing in it but the weight's view changes a result ---------------------------------------------- */

enum { LINE_VALUES = 1024 }; /* of rows that are gathered */

/* Taps that would each fill up their last step with zeros lie side by side instead, where the weight lies so too. */
amx_weight amx_product_weight(const product *p, const void *w) {
  amx_weight view = {.w = w,
                     .bf16 = p->bf16,
                     .parts = p->fine && !p->bf16 ? 2 : 1,
                     .columns = p->columns,
                     .taps = p->taps,
                     .width = p->width,
                     .column = p->w_column,
                     .tap = p->w_tap};
  bool gather = p->taps > 1 && p->w_tap == p->width && p->width % AMX_DEPTH && p->width <= LINE_VALUES / p->taps;
  if (gather) view.taps = 1, view.width *= p->taps;
  return view;
}

static bool fits(const plan *a, int64_t rows, int64_t steps) {
  return steps <= a->room / AMX_LINE / rows;
}

/* The rows of all taps of a block, packed once for all taps: an even number of half pages from step to step would put
 * them all into the same corner of the cache. */
static int64_t shared_rows(const plan *a, int64_t rows) {
  int64_t n = (rows + 63) / 64 * 64 * a->p->stride + a->span;
  return n + (32 - n % 64 + 64) % 64;
}

static bool shared_fit(const plan *a, int64_t rows) {
  return a->span <= a->room / AMX_LINE && fits(a, shared_rows(a, rows), a->tap_steps);
}

static void plan_rows(plan *a) {
  const product *p = a->p;
  int64_t last = (p->taps - 1) * p->dilation, rows = MAX_ROWS;
  a->first_reach = p->offset + cpu_min(0, last);
  a->span = cpu_max(last, -last) + 1;
  while (rows > 32 && rows / 2 >= p->out_rows) rows /= 2;
  a->rows = rows;
  while (!a->spread && rows > 64 && !shared_fit(a, rows)) rows -= 64;
  if (!a->spread && !shared_fit(a, rows)) a->spread = true, rows = a->rows;
  if (a->spread) {
    while (rows > 32 && !fits(a, rows, a->steps)) rows -= 32;
    a->rows = rows;
    a->piece = cpu_min(a->steps, a->room / AMX_LINE / rows / AMX_STEPS * AMX_STEPS);
    a->x_row = AMX_LINE, a->x_step = AMX_PANEL * AMX_LINE, a->x_pair = a->piece * a->x_step;
  } else {
    a->rows = rows;
    a->piece = a->steps;
    a->x_row = AMX_LINE * p->stride, a->x_step = shared_rows(a, rows) * AMX_LINE, a->x_pair = 32 * a->x_row;
  }
  a->item_blocks = cpu_ceil(p->out_rows, a->rows);
  a->rows = cpu_ceil(cpu_ceil(p->out_rows, a->item_blocks), 32) * 32; /* even blocks */
  a->item_blocks = cpu_ceil(p->out_rows, a->rows);
  a->blocks = p->items * a->item_blocks;
}

static plan make_plan(const cpu_micro *m, tens_ctx *c, const product *p) {
  plan a = {.m = m, .c = c, .p = p};
  if (p->packed) {
    a.skip = p->packed_column % AMX_PANEL;
    a.first_packed = p->packed_column / AMX_PANEL;
    a.packed_panels = cpu_ceil(p->packed_columns, AMX_PANEL);
  }
  a.w = amx_product_weight(p, p->w);
  a.room = p->fine ? X_BYTES / 2 : X_BYTES;
  a.x_low = p->fine ? a.room : 0;
  a.tap_steps = amx_steps(a.w.width);
  a.steps = a.w.taps * a.tap_steps;
  a.spread = (p->taps == 1 && p->stride == 1) || a.w.taps != p->taps; /* plain rows, or narrow ones gathered */
  plan_rows(&a);
  a.panels = cpu_ceil(a.skip + p->columns, AMX_PANEL);
  a.group = p->w_up ? MAX_GROUP / 2 : MAX_GROUP;
  while (a.group > 1 && a.blocks * cpu_ceil(a.panels, a.group) < 4 * tens_workers(c)) a.group /= 2;
  a.groups = cpu_ceil(a.panels, a.group);
  return a;
}

/* ---- a block ----------------------------------------------------------------------------------------------------- */

typedef struct block {
  const plan *a;
  int64_t item, row, rows; /* of the output */
  uint8_t *x, *unit;
  float *c;
} block;

static void zero_row(const plan *a, uint8_t *out, int64_t steps) {
  for (int64_t s = 0; s < steps; s++, out += a->x_step) {
    memset(out, 0, AMX_LINE);
    memset(out + a->x_low, 0, AMX_LINE);
  }
}

static void pack_shared(const block *k) {
  const plan *a = k->a;
  int64_t first = k->row * a->p->stride + a->first_reach, whole = (k->rows + 31) / 32 * 32;
  int64_t n = (whole - 1) * a->p->stride + a->span;
  for (int64_t r = 0; r < n; r++) {
    const float *x = product_input(a->p, k->item, first + r);
    uint8_t *out = k->x + r * AMX_LINE;
    if (x) amx_round_row(out, a->x_step, x, a->w.width, 1, a->x_low);
    else zero_row(a, out, a->tap_steps);
  }
}

/* `values` values of output row r's depth, from value `at` of tap `tap` on, as steps. */
static void pack_tap(const block *k, uint8_t *out, int64_t r, int64_t tap, int64_t at, int64_t values) {
  const product *p = k->a->p;
  const float *x = product_input(p, k->item, r * p->stride + tap * p->dilation + p->offset);
  if (x) amx_round_row(out, k->a->x_step, x + at, values, 1, k->a->x_low);
  else zero_row(k->a, out, amx_steps(values));
}

/* All taps of output row r, side by side without gaps. */
static void pack_gathered(const block *k, uint8_t *out, int64_t r) {
  const product *p = k->a->p;
  float line[LINE_VALUES];
  product_gather(p, k->item, r, line);
  amx_round_row(out, k->a->x_step, line, p->taps * p->width, 1, k->a->x_low);
}

/* Steps first..first+steps-1 of each row. */
static void pack_spread(const block *k, int64_t first, int64_t steps) {
  const plan *a = k->a;
  for (int64_t i = 0; i < (k->rows + 31) / 32 * 32; i++) {
    uint8_t *out = k->x + i / 32 * a->x_pair + i % 32 * AMX_LINE;
    if (i >= k->rows) zero_row(a, out, steps);
    else if (a->w.taps != a->p->taps) pack_gathered(k, out, k->row + i);
    else
      for (int64_t s = 0, n; s < steps; s += n) {
        int64_t tap = (first + s) / a->tap_steps, in_tap = (first + s) % a->tap_steps;
        n = cpu_min(steps - s, a->tap_steps - in_tap);
        int64_t values = cpu_min(n * AMX_DEPTH, a->w.width - in_tap * AMX_DEPTH);
        pack_tap(k, out + s * a->x_step, k->row + i, tap, in_tap * AMX_DEPTH, values);
      }
  }
}

/* Where the rows of step s lie, from k->x on; `piece` is the first step that is packed. */
static int64_t step_offset(const plan *a, int64_t s, int64_t piece) {
  if (a->spread) return (s - piece) * a->x_step;
  int64_t first = a->p->offset - a->first_reach; /* of tap 0 */
  return (first + s / a->tap_steps * a->p->dilation) * AMX_LINE + s % a->tap_steps * a->x_step;
}

/* Steps of the unit that begins at `step`. */
static int64_t unit_steps(const plan *a, int64_t step) {
  return cpu_min(amx_unit_steps(&a->w), a->steps - step);
}

/* The unit of a panel in a packed weight: all panels of earlier steps lie before it. */
static const uint8_t *packed_unit(const plan *a, const void *packed, int64_t panel, int64_t step) {
  int64_t before = step * a->packed_panels + (a->first_packed + panel) * unit_steps(a, step);
  return (const uint8_t *)packed + before * a->w.parts * AMX_PANEL_STEP;
}

/* All rows times a panel, over the steps from t->offset on. */
static void multiply_rows(const block *k, amx_block *t, float *c) {
  int64_t left = k->rows, pairs = (left + 31) / 32;
  const uint8_t *fetch = t->fetch;
  t->lines = fetch ? cpu_ceil(AMX_PANEL_STEP / AMX_LINE, pairs) : 0;
  for (int64_t i = 0; i < pairs; i++, left -= 32) {
    t->a = k->x + i * k->a->x_pair;
    t->c = c + i * 32 * C_ROW;
    if (fetch) t->fetch = fetch + i * t->lines * t->steps * AMX_LINE;
    if (left > AMX_ROWS) amx_block_32(t);
    else amx_block_16(t);
  }
}

/* Sums of panels first..first+count-1 of one weight over the steps of a piece. */
static void multiply_panels(const block *k, const void *w, const void *packed, int64_t first, int64_t count,
                            int64_t piece, int64_t step, float *c) {
  const plan *a = k->a;
  amx_weight source = a->w;
  source.w = w;
  int64_t steps = unit_steps(a, step);
  amx_block t = {.a_row = a->x_row, .steps = steps * a->w.parts, .low = a->x_low, .c_row = C_ROW, .add = step > 0};
  for (int64_t i = 0; i < t.steps; i++) {
    t.offset[i] = step_offset(a, step + i / a->w.parts, piece);
    t.both[i] = a->x_low && i % a->w.parts == 0;
  }
  for (int64_t n = 0; n < count; n++) {
    if (packed) {
      t.b = packed_unit(a, packed, first + n, step);
      t.fetch = t.b + t.steps * AMX_PANEL_STEP; /* asking for what lies behind the end does no harm */
    } else {
      amx_pack_panel(k->unit, &source, first + n, step, steps);
      t.b = k->unit;
    }
    multiply_rows(k, &t, c + n * AMX_PANEL);
  }
}

/* Panels first..first+count-1. */
static void finish_group(const block *k, int64_t first, int64_t count, const float *c_up) {
  const product *p = k->a->p;
  int64_t from = cpu_max(first * AMX_PANEL, k->a->skip), column = from - k->a->skip, at = from - first * AMX_PANEL;
  int64_t columns = cpu_min(count * AMX_PANEL - at, p->columns - column);
  for (int64_t r = 0; r < k->rows; r++)
    product_finish(k->a->m, p, k->item, k->row + r, column, columns, k->c + r * C_ROW + at, c_up + r * C_ROW + at);
}

static void run_group(const block *k, int64_t group) {
  const plan *a = k->a;
  const product *p = a->p;
  int64_t first = group * a->group, count = cpu_min(a->group, a->panels - first);
  float *c_up = k->c + a->group * AMX_PANEL;
  for (int64_t piece = 0; piece < a->steps; piece += a->piece) {
    int64_t end = cpu_min(piece + a->piece, a->steps);
    if (a->piece < a->steps) pack_spread(k, piece, end - piece);
    for (int64_t step = piece; step < end; step += unit_steps(a, step)) {
      multiply_panels(k, p->w, p->packed, first, count, piece, step, k->c);
      if (p->w_up) multiply_panels(k, p->w_up, p->packed_up, first, count, piece, step, c_up);
    }
  }
  finish_group(k, first, count, p->w_up ? c_up : k->c);
}

static block open_block(const plan *a, int64_t number, int worker) {
  block k = {.a = a, .item = number / a->item_blocks, .row = number % a->item_blocks * a->rows};
  k.rows = cpu_min(a->rows, a->p->out_rows - k.row);
  k.x = tens_worker_scratch(a->c, worker);
  k.c = (float *)(void *)(k.x + X_BYTES);
  k.unit = k.x + X_BYTES + C_BYTES;
  if (a->piece < a->steps) return k; /* rows are packed piece by piece, for each group again */
  if (a->spread) pack_spread(&k, 0, a->steps);
  else pack_shared(&k);
  return k;
}

/* ---- sharing out ------------------------------------------------------------------------------------------------- */

static void run_whole_block(void *arg, int number, int worker) {
  const plan *a = arg;
  amx_begin();
  block k = open_block(a, number, worker);
  for (int64_t group = 0; group < a->groups; group++) run_group(&k, group);
  amx_end();
}

static void share_blocks(void *arg, int helper, int worker) {
  const plan *a = arg;
  amx_begin();
  for (int64_t i = 0; i < a->blocks; i++) {
    int64_t number = (helper + i) % a->blocks;
    block k = {0};
    for (int group; (group = atomic_fetch_add_explicit(&a->next[number], 1, memory_order_relaxed)) < a->groups;) {
      if (!k.a) k = open_block(a, number, worker);
      run_group(&k, group);
    }
  }
  amx_end();
}

void amx_product_run(const cpu_micro *m, tens_ctx *c, const product *p) {
  product streamed = *p;
  streamed.finish.stream = p->out_rows > AMX_ROWS; /* more than the caches should keep */
  bool both = !p->w_up || (p->packed && p->packed_up && p->packed_column == 0);
  if (!both) streamed.packed = streamed.packed_up = NULL;
  plan a = make_plan(m, c, &streamed);
  if (a.blocks > MAX_SHARED || a.blocks >= 4 * tens_workers(c)) {
    tens_parallel(c, (int)a.blocks, run_whole_block, &a);
    return;
  }
  atomic_int next[MAX_SHARED];
  for (int64_t i = 0; i < a.blocks; i++) atomic_init(&next[i], 0);
  a.next = next;
  tens_parallel(c, (int)cpu_min(tens_workers(c), a.blocks * a.groups), share_blocks, &a);
}

/* ---- packing beforehand ------------------------------------------------------------------------------------------ */

static int64_t weight_steps(const amx_weight *w) {
  return w->taps * amx_steps(w->width);
}

size_t amx_packed_bytes(const tens *w, int stride) {
  if (w->dtype != TENS_F32 && w->dtype != TENS_BF16) return 0;
  product p = product_of_weight(w, stride);
  if (product_is_narrow(&p)) return 0;
  amx_weight view = amx_product_weight(&p, p.w);
  return (size_t)(weight_steps(&view) * view.parts * cpu_ceil(view.columns, AMX_PANEL)) * AMX_PANEL_STEP;
}

/* A part is a run of panels, so that each row of the weight is read in one go. */
void amx_pack(const tens *w, int stride, void *out, int part, int parts) {
  product p = product_of_weight(w, stride);
  amx_weight view = amx_product_weight(&p, p.w);
  int64_t panels = cpu_ceil(view.columns, AMX_PANEL), all = weight_steps(&view), unit = amx_unit_steps(&view);
  for (int64_t panel = panels * part / parts; panel < panels * (part + 1) / parts; panel++)
    for (int64_t step = 0; step < all; step += unit) {
      int64_t steps = cpu_min(unit, all - step), before = step * panels + panel * steps;
      amx_pack_panel((uint8_t *)out + before * view.parts * AMX_PANEL_STEP, &view, panel, step, steps);
    }
}
