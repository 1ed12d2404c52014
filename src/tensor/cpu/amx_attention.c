/* amx_attention.c - attention with a running maximum and sum (Milakov & Gimelshein 2018) in matrix tiles.
 *
 * A chunk is a block of queries of some query heads that share a key/value head. Its queries are scaled, rounded and
 * packed once. Keys come in blocks that end at multiples of KEYS: packed once for all queries of the chunk, they give
 * scores in F32; these become weights, rounded to BF16 and laid out as the left factor of the product with the values.
 * A query's result depends on its own position and on the keys alone: keys that it may not see add exact zeros, whether
 * another query of the chunk needs them or not.
 */
#include <string.h>

#include "tensor/cpu/amx.h"
#include "tensor/cpu/vec.h"

enum {
  ROWS = 256, /* queries times heads of a chunk */
  KEYS = 256, /* of a block */
  SCORE_ROW = KEYS + 16,
  MAX_DEPTH = 1024,
  MAX_HEADS = 8 /* of a chunk */
};

typedef struct attention {
  tens_ctx *c;
  const tens *q, *k, *v;
  float *y;
  const op_attn *a;
  int64_t depth, queries, heads; /* of a chunk */
  int64_t blocks, parts;         /* blocks of queries; parts of the heads that share keys */
} attention;

/* The rows of a chunk are head after head, in each `queries` queries; rows past count of each count as nothing. */
typedef struct chunk {
  const attention *j;
  int64_t item, head, heads, kv_head; /* heads head..head+heads-1 */
  int64_t first, count;               /* queries */
  const int32_t *mask;                /* [keys] or NULL */
  uint8_t *q, *keys, *values, *weights;
  float *out, *scores;
  float top[ROWS], sum[ROWS];
} chunk;

/* Bytes of packed rows and panels of `depth` values for n rows or columns. */
#define PACKED(n, depth) ((n) * (depth)*2)
_Static_assert(PACKED(ROWS, MAX_DEPTH) + 2 * PACKED(KEYS, MAX_DEPTH) + PACKED(32, KEYS) + 4 * ROWS * MAX_DEPTH +
                       4 * 32 * SCORE_ROW <=
                   AMX_SCRATCH,
               "scratch");

static void open_scratch(chunk *k, uint8_t *at) {
  int64_t depth = k->j->depth;
  k->q = at;
  k->keys = k->q + PACKED(ROWS, depth);
  k->values = k->keys + PACKED(KEYS, depth);
  k->weights = k->values + PACKED(KEYS, depth);
  k->scores = (float *)(void *)(k->weights + PACKED(32, KEYS));
  k->out = k->scores + 32 * SCORE_ROW;
}

static int64_t rows_of(const chunk *k) {
  return k->heads * k->j->queries;
}

/* Query of row r, or NULL. */
static const float *query_row(const chunk *k, int64_t r, int64_t *at) {
  const attention *j = k->j;
  int64_t head = k->head + r / j->queries, i = r % j->queries;
  if (r >= rows_of(k) || i >= k->count) return NULL;
  *at = (k->item * j->q->dim[1] + k->first + i) * j->q->dim[2] + head * j->depth;
  return tens_f32(j->q) + *at;
}

static void load_queries(chunk *k) {
  const attention *j = k->j;
  int64_t steps = j->depth / AMX_DEPTH, step = 32 * AMX_LINE, at;
  float scale = 1.0f / sqrtf((float)j->depth);
  for (int64_t r = 0; r < cpu_ceil(rows_of(k), 32) * 32; r++) {
    uint8_t *out = k->q + r / 32 * steps * step + r % 32 * AMX_LINE;
    const float *q = query_row(k, r, &at);
    if (q) amx_round_row(out, step, q, j->depth, scale, 0);
    else
      for (int64_t s = 0; s < steps; s++) memset(out + s * step, 0, AMX_LINE);
    k->top[r] = CPU_SCORE_FLOOR, k->sum[r] = 0;
  }
  memset(k->out, 0, (size_t)(cpu_ceil(rows_of(k), 32) * 32 * j->depth) * sizeof *k->out);
}

/* Keys key..key+n-1 as panels of columns, values as panels whose sums run over keys. */
static void load_keys(const chunk *k, int64_t key, int64_t n) {
  const attention *j = k->j;
  int64_t row = j->k->dim[2], at = (k->item * j->k->dim[1] + key) * row + k->kv_head * j->depth;
  int64_t steps = j->depth / AMX_DEPTH;
  amx_weight w = {.w = tens_f32(j->k) + at, .parts = 1, .columns = n, .taps = 1, .width = j->depth, .column = row};
  for (int64_t panel = 0; panel * AMX_PANEL < n; panel++)
    amx_pack_panel(k->keys + panel * steps * AMX_PANEL_STEP, &w, panel, 0, steps);
  for (int64_t panel = 0; panel < steps; panel++)
    amx_pack_values(k->values + panel * amx_steps(n) * AMX_PANEL_STEP, tens_f32(j->v) + at, row, n, j->depth, panel);
}

/* c [32, ..] (+)= 32 packed rows times panels 0..panels-1 of `steps` steps. */
static void multiply(const uint8_t *rows, const uint8_t *panels, int64_t n, int64_t steps, float *c, int64_t c_row,
                     bool add) {
  for (int64_t panel = 0; panel < n; panel++)
    for (int64_t first = 0; first < steps; first += AMX_STEPS) {
      amx_block t = {.a = rows + first * 32 * AMX_LINE,
                     .a_row = AMX_LINE,
                     .b = panels + (panel * steps + first) * AMX_PANEL_STEP,
                     .steps = cpu_min(AMX_STEPS, steps - first),
                     .c = c + panel * AMX_PANEL,
                     .c_row = c_row,
                     .add = add || first > 0};
      for (int64_t s = 0; s < t.steps; s++) t.offset[s] = s * 32 * AMX_LINE;
      amx_block_32(&t);
    }
}

/* -INFINITY for keys that query `i` may not see among key..key+n-1, of which `real` are keys. */
static void hide_keys(const chunk *k, int64_t i, int64_t key, int64_t n, int64_t real, float *p) {
  const op_attn *a = k->j->a;
  int64_t lo = a->window >= 0 ? cpu_max(0, i - a->window - key) : 0, hi = real;
  if (a->window >= 0) hi = cpu_min(hi, i + a->window + 1 - key);
  if (a->causal) hi = cpu_min(hi, i + 1 - key);
  for (int64_t t = 0; t < cpu_min(lo, n); t++) p[t] = -INFINITY;
  for (int64_t t = cpu_max(hi, 0); t < n; t++) p[t] = -INFINITY;
  if (k->mask)
    for (int64_t t = 0; t < real; t++)
      if (!k->mask[key + t]) p[t] = -INFINITY;
}

/* 32 rows against the n loaded keys from `key` on. */
static void attend_rows(chunk *k, int64_t r, int64_t key, int64_t n) {
  const attention *j = k->j;
  int64_t depth = j->depth, steps = depth / AMX_DEPTH, padded = amx_steps(n) * AMX_DEPTH;
  float *out = k->out + r * depth;
  multiply(k->q + r * depth * 2, k->keys, padded / AMX_PANEL, steps, k->scores, SCORE_ROW, false);
  for (int64_t i = 0; i < 32; i++) {
    float *p = k->scores + i * SCORE_ROW, *o = out + i * depth;
    hide_keys(k, k->first + (r + i) % j->queries, key, padded, n, p);
    float rescale = vec_weigh(p, padded, &k->top[r + i], &k->sum[r + i]);
    for (int64_t d = 0; rescale != 1 && d < depth; d += LANES) vec_store(o + d, vec_load(o + d) * rescale);
    amx_round_row(k->weights + i * AMX_LINE, 32 * AMX_LINE, p, padded, 1, 0);
  }
  multiply(k->weights, k->values, steps, padded / AMX_DEPTH, out, depth, true);
}

/* For a query that sees no key: the mean of all values. */
static void mean_value(const chunk *k, float *y) {
  const attention *j = k->j;
  int64_t row = j->v->dim[2], keys = j->v->dim[1];
  const float *v = tens_f32(j->v) + k->item * keys * row + k->kv_head * j->depth;
  for (int64_t d = 0; d < j->depth; d++) {
    double sum = 0;
    for (int64_t t = 0; t < keys; t++) sum += (double)v[t * row + d];
    y[d] = (float)(sum / (double)keys);
  }
}

static void store_rows(const chunk *k) {
  int64_t depth = k->j->depth, at = 0;
  for (int64_t r = 0; r < rows_of(k); r++) {
    if (!query_row(k, r, &at)) continue;
    float *y = k->j->y + at;
    const float *o = k->out + r * depth;
    if (k->sum[r] == 0) mean_value(k, y);
    else
      for (int64_t d = 0; d < depth; d += LANES) vec_store(y + d, vec_load(o + d) / k->sum[r]);
  }
}

static void attend(void *arg, int number, int worker) {
  const attention *j = arg;
  const op_attn *a = j->a;
  int64_t group = a->heads / a->kv_heads, block = number % j->blocks, rest = number / j->blocks;
  int64_t part = rest % j->parts, keys = j->k->dim[1], item = rest / j->parts / a->kv_heads;
  chunk k = {.j = j, .item = item, .kv_head = rest / j->parts % a->kv_heads, .first = block * j->queries};
  k.head = k.kv_head * group + part * j->heads;
  k.heads = cpu_min(j->heads, group - part * j->heads);
  k.count = cpu_min(j->queries, j->q->dim[1] - k.first);
  k.mask = a->key_mask ? tens_i32(a->key_mask) + item * keys : NULL;
  open_scratch(&k, tens_worker_scratch(j->c, worker));
  amx_begin();
  load_queries(&k);
  int64_t begin = 0, end = keys, after = k.first + k.count;
  if (a->window >= 0) begin = cpu_max(0, k.first - a->window), end = cpu_min(end, after + a->window);
  if (a->causal) end = cpu_min(end, after);
  begin -= begin % AMX_DEPTH; /* so that pairs of keys are the same in every chunk */
  for (int64_t key = begin, next; key < end; key = next) {
    next = cpu_min((key / KEYS + 1) * KEYS, cpu_min(cpu_ceil(end, AMX_DEPTH) * AMX_DEPTH, keys));
    load_keys(&k, key, next - key);
    for (int64_t r = 0; r < rows_of(&k); r += 32) attend_rows(&k, r, key, next - key);
  }
  store_rows(&k);
  amx_end();
}

bool amx_attention_run(tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v, const op_attn *a) {
  attention j = {.c = c, .q = q, .k = k, .v = v, .y = tens_f32(y), .a = a, .depth = q->dim[2] / a->heads};
  if (j.depth % AMX_DEPTH) return false;
  int64_t group = a->heads / a->kv_heads;
  j.heads = cpu_min(group, MAX_HEADS);
  j.parts = cpu_ceil(group, j.heads);
  int64_t most = ROWS / j.heads / 32 * 32;
  j.queries = cpu_min(most, cpu_ceil(q->dim[1], 32) * 32);
  j.blocks = cpu_ceil(q->dim[1], j.queries);
  tens_parallel(c, (int)(q->dim[0] * a->kv_heads * j.parts * j.blocks), attend, &j);
  return true;
}
