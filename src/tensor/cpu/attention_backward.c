/* attention_backward.c - gradients of attention without the matrix of weights (Dao et al. 2022).
 *
 * For a query i and a key j of one head, s = q k / sqrt(D), p = exp(scale s - log_sum[i]):
 *
 *   dv[j] += p dy[i]     ds = p (dy[i]·v[j] - delta[i]) / sqrt(D)     dq[i] += ds k[j]     dk[j] += ds q[i]
 *
 * A first pass finds log_sum and delta[i] = dy[i]·y[i] of every query. In the second, queries and keys are cut into
 * segments. A task is a segment of queries with one of keys, all query heads of a key head one after the other; it adds to
 * its rows of dq, dk and dv in place. Tasks that run together never share a segment: in round r, segment s of the one side
 * meets segment s + r, modulo their number, of the other. So every gradient has its sums in an order that depends on the
 * shape alone, and nothing is stored twice.
 *
 * A query that sees no key has made the mean of all values, whatever it is itself: a last pass gives each value its share.
 */
#include <math.h>
#include <string.h>

#include "tensor/cpu/backward.h"
#include "tensor/cpu/panel.h"

enum {
  MAX_DEPTH = 1024, /* of a head */
  SEGMENT = 256,    /* rows, about */
  BLOCK = 64,       /* queries or keys: whole tiles and strips */
  NARROW = 512,     /* heads up to this width are taken in such blocks, */
  SMALL_BLOCK = 32, /* wider ones in these */
  PAD = 16,         /* an odd number of cache lines from row to row */
  S_ROW = BLOCK + PAD
};
#define SCRATCH_FLOATS(block, depth) (7 * (size_t)(block) * ((depth) + CPU_MAX_BLOCK_COLUMNS) + 2 * BLOCK * S_ROW)
_Static_assert(SCRATCH_FLOATS(BLOCK, NARROW) * 4 <= TENS_WORKER_SCRATCH, "scratch");
_Static_assert(SCRATCH_FLOATS(SMALL_BLOCK, MAX_DEPTH) * 4 <= TENS_WORKER_SCRATCH, "scratch");
_Static_assert(BLOCK % CPU_MAX_BLOCK_COLUMNS == 0 && SMALL_BLOCK % CPU_MAX_BLOCK_COLUMNS == 0, "whole strips");

typedef struct job {
  const cpu_micro *m;
  tens_ctx *c;
  const tens_attention_grads *g;
  const tens *dy, *q, *k, *v, *y;
  const op_attn *a;
  int64_t depth, q_row, kv_row, Sq, Sk, group; /* group: query heads of a key head */
  float scale;
  int64_t q_segments, k_segments, segments, round; /* segments: of the side that has fewer */
} job;

/* ---- who sees whom ------------------------------------------------------------------------------------------------ */

/* Queries i..i+n-1 and keys k..k+m-1. */
typedef struct range {
  int64_t i, n, k, m;
} range;

/* The queries of a range that see some of its keys, as far as position tells; n <= 0: none. */
static range seeing_queries(const op_attn *a, range r) {
  int64_t first = r.i, after = r.i + r.n;
  if (a->causal) first = cpu_max(first, r.k);
  if (a->window >= 0) first = cpu_max(first, r.k - a->window), after = cpu_min(after, r.k + r.m + a->window);
  return (range){first, after - first, r.k, r.m};
}

/* The keys of a range that some of its queries see. */
static range seen_keys(const op_attn *a, range r) {
  int64_t first = r.k, after = r.k + r.m;
  if (a->causal) after = cpu_min(after, r.i + r.n);
  if (a->window >= 0) first = cpu_max(first, r.i - a->window), after = cpu_min(after, r.i + r.n + a->window);
  return (range){r.i, r.n, first, after - first};
}

static bool partly_hidden(const op_attn *a, range r) {
  return a->key_mask || (a->causal && r.k + r.m - 1 > r.i) ||
         (a->window >= 0 && (r.i + r.n - 1 - r.k > a->window || r.k + r.m - 1 - r.i > a->window));
}

/* -INFINITY where a query may not see a key; s [n][S_ROW] of head scores, mask [m] from the first of these keys. */
static void hide(const op_attn *a, range r, const int32_t *mask, float *s) {
  for (int64_t i = 0; i < r.n; i++, s += S_ROW) {
    int64_t first = 0, after = r.m, at = r.i + i - r.k; /* the keys that position alone allows */
    if (a->causal) after = cpu_min(after, at + 1);
    if (a->window >= 0) first = cpu_max(first, at - a->window), after = cpu_min(after, at + a->window + 1);
    for (int64_t j = 0; j < r.m; j++)
      if (j < first || j >= after || (mask && !mask[j])) s[j] = -INFINITY;
  }
}

/* ---- shared by both passes ---------------------------------------------------------------------------------------- */

/* Rows of one head side by side, PAD floats apart. */
static void copy_rows(const job *j, float *out, const float *x, int64_t row, int64_t rows) {
  for (int64_t i = 0; i < rows; i++) memcpy(out + i * (j->depth + PAD), x + i * row, (size_t)j->depth * sizeof *out);
}

/* Strips of rows as they lie. */
static void pack_rows(const job *j, float *out, const float *x, int64_t row, int64_t rows) {
  const void *begin[BLOCK];
  for (int64_t i = 0; i < rows; i++) begin[i] = x + i * row;
  j->m->pack_strips(out, &(cpu_strips){.row = begin, .dtype = TENS_F32, .depth = rows, .columns = j->depth});
}

/* Strips of their transpose, [rows/width][depth][width]. */
static void pack_across(const job *j, float *out, const float *x, int64_t row, int64_t rows) {
  int64_t width = j->m->block_columns;
  for (int64_t i = 0; i < rows; i += width, out += j->depth * width)
    j->m->pack_across(out, x + i * row, row, cpu_min(width, rows - i), j->depth);
}

/* s [n][S_ROW] = rows x [n][depth] times transposed strips of m rows. */
static void dot_rows(const job *j, float *s, const float *x, const float *across, range r) {
  panel_multiply(j->m, &(panel_matrix){.x = x,
                                       .x_row = j->depth + PAD,
                                       .x_step = 1,
                                       .w = across,
                                       .rows = r.n,
                                       .columns = r.m,
                                       .depth = j->depth,
                                       .c = s,
                                       .c_row = S_ROW});
}

static const float *query_rows(const job *j, const tens *x, int64_t b, int64_t head, int64_t i) {
  return tens_f32(x) + (b * j->Sq + i) * j->q_row + head * j->depth;
}

static const float *key_rows(const job *j, const tens *x, int64_t b, int64_t head, int64_t k) {
  return tens_f32(x) + (b * j->Sk + k) * j->kv_row + head * j->depth;
}

static const int32_t *key_mask(const job *j, int64_t b, int64_t k) {
  return j->a->key_mask ? tens_i32(j->a->key_mask) + b * j->Sk + k : NULL;
}

static double *sums_of(const job *j, double *sums, int64_t b, int64_t head, int64_t i) {
  return sums + (b * j->a->heads + head) * j->Sq + i;
}

/* ---- first pass: log_sum and delta -------------------------------------------------------------------------------- */

static int64_t block_length(const job *j) {
  return j->depth > NARROW ? SMALL_BLOCK : BLOCK;
}

static void sum_keys(const job *j, int64_t b, int64_t head, range r, float *scratch, float *top, float *sum) {
  int64_t size = block_length(j) * (j->depth + CPU_MAX_BLOCK_COLUMNS);
  float *q = scratch, *across = q + size, *s = across + size;
  pack_across(j, across, key_rows(j, j->k, b, head / j->group, r.k), j->kv_row, r.m);
  dot_rows(j, s, q, across, r);
  if (partly_hidden(j->a, r)) hide(j->a, r, key_mask(j, b, r.k), s);
  for (int64_t i = 0; i < r.n; i++) j->m->softmax_sum(s + i * S_ROW, r.m, j->scale, &top[i], &sum[i]);
}

/* A block of queries of one head. One that sees no key gets an infinite sum: its weights are zero in the second pass. */
static void sum_block(void *arg, int number, int worker) {
  const job *j = arg;
  int64_t most = block_length(j), of_head = cpu_ceil(j->Sq, most), head = number / of_head % j->a->heads;
  int64_t b = number / of_head / j->a->heads, at = number % of_head * most;
  range all = seen_keys(j->a, (range){at, cpu_min(most, j->Sq - at), 0, j->Sk}), r = all;
  float *scratch = tens_worker_scratch(j->c, worker), top[BLOCK], sum[BLOCK];
  for (int64_t i = 0; i < r.n; i++) top[i] = CPU_SCORE_FLOOR, sum[i] = 0;
  copy_rows(j, scratch, query_rows(j, j->q, b, head, r.i), j->q_row, r.n);
  for (; r.k < all.k + all.m; r.k += most) {
    r.m = cpu_min(most, all.k + all.m - r.k);
    sum_keys(j, b, head, r, scratch, top, sum);
  }
  double *log_sum = sums_of(j, j->g->log_sum, b, head, r.i), *delta = sums_of(j, j->g->delta, b, head, r.i);
  for (int64_t i = 0; i < r.n; i++) {
    log_sum[i] = sum[i] > 0 ? top[i] + log(sum[i]) : INFINITY;
    delta[i] = j->m->dot(query_rows(j, j->dy, b, head, r.i + i), query_rows(j, j->y, b, head, r.i + i), j->depth);
  }
}

/* ---- second pass -------------------------------------------------------------------------------------------------- */

/* Packed blocks, where they lie in a worker's scratch. */
typedef struct blocks {
  float *k_across, *v_across, *k; /* of keys */
  float *q_rows, *dy_rows, *q, *dy;
  float *p, *ds; /* [queries][S_ROW] */
} blocks;

static blocks lay_out(const job *j, float *scratch) {
  int64_t size = block_length(j) * (j->depth + CPU_MAX_BLOCK_COLUMNS);
  return (blocks){scratch,
                  scratch + size,
                  scratch + 2 * size,
                  scratch + 3 * size,
                  scratch + 4 * size,
                  scratch + 5 * size,
                  scratch + 6 * size,
                  scratch + 7 * size,
                  scratch + 7 * size + BLOCK * S_ROW};
}

/* y [rows][depth], `row` apart, += s rows by terms times packed rows; s is walked along or across. */
static void add_rows(const job *j, float *y, int64_t row, int64_t rows, const float *s, bool across,
                     const float *packed, int64_t terms) {
  panel_multiply(j->m, &(panel_matrix){.x = s,
                                       .x_row = across ? 1 : S_ROW,
                                       .x_step = across ? S_ROW : 1,
                                       .w = packed,
                                       .rows = rows,
                                       .columns = j->depth,
                                       .depth = terms,
                                       .c = y,
                                       .c_row = row,
                                       .add = true});
}

static float *grad_rows(const tens *grad, const tens *of, const float *rows) {
  return tens_f32(grad) + (rows - tens_f32(of));
}

/* A block of queries of one head with the packed block of keys. */
static void meet(const job *j, const blocks *w, int64_t b, int64_t head, range r) {
  const float *q = query_rows(j, j->q, b, head, r.i), *dy = query_rows(j, j->dy, b, head, r.i);
  const float *k = key_rows(j, j->k, b, head / j->group, r.k);
  copy_rows(j, w->q_rows, q, j->q_row, r.n);
  copy_rows(j, w->dy_rows, dy, j->q_row, r.n);
  dot_rows(j, w->p, w->q_rows, w->k_across, r);
  dot_rows(j, w->ds, w->dy_rows, w->v_across, r);
  if (partly_hidden(j->a, r)) hide(j->a, r, key_mask(j, b, r.k), w->p);
  const double *log_sum = sums_of(j, j->g->log_sum, b, head, r.i), *delta = sums_of(j, j->g->delta, b, head, r.i);
  for (int64_t i = 0; i < r.n; i++)
    j->m->softmax_backward(w->p + i * S_ROW, w->ds + i * S_ROW, r.m, j->scale, (float)log_sum[i], (float)delta[i]);
  if (j->g->dv) {
    pack_rows(j, w->dy, dy, j->q_row, r.n);
    add_rows(j, grad_rows(j->g->dv, j->k, k), j->kv_row, r.m, w->p, true, w->dy, r.n);
  }
  if (j->g->dk) {
    pack_rows(j, w->q, q, j->q_row, r.n);
    add_rows(j, grad_rows(j->g->dk, j->k, k), j->kv_row, r.m, w->ds, true, w->q, r.n);
  }
  if (j->g->dq) add_rows(j, grad_rows(j->g->dq, j->q, q), j->q_row, r.n, w->ds, false, w->k, r.m);
}

static void run_segments(const job *j, int64_t b, int64_t kv_head, range all, float *scratch) {
  blocks w = lay_out(j, scratch);
  int64_t most = block_length(j);
  for (int64_t at = all.k, m; at < all.k + all.m; at += m) {
    m = cpu_min(most, all.k + all.m - at);
    range seen = seeing_queries(j->a, (range){all.i, all.n, at, m}), r = seen;
    if (seen.n <= 0) continue;
    const float *k = key_rows(j, j->k, b, kv_head, at);
    pack_across(j, w.k_across, k, j->kv_row, m);
    pack_across(j, w.v_across, key_rows(j, j->v, b, kv_head, at), j->kv_row, m);
    pack_rows(j, w.k, k, j->kv_row, m);
    for (int64_t head = kv_head * j->group; head < (kv_head + 1) * j->group; head++)
      for (r.i = seen.i; r.i < seen.i + seen.n; r.i += r.n) {
        r.n = cpu_min(most, seen.i + seen.n - r.i);
        meet(j, &w, b, head, r);
      }
  }
}

/* The bounds of segment s of `segments`, whole blocks but for the end. */
static int64_t segment_at(const job *j, int64_t s, int64_t segments, int64_t length) {
  int64_t block = block_length(j), all = cpu_ceil(length, block);
  return cpu_min(length, all * s / segments * block);
}

static void run_task(void *arg, int number, int worker) {
  const job *j = arg;
  int64_t s = number % j->segments, kv_head = number / j->segments % j->a->kv_heads;
  int64_t b = number / j->segments / j->a->kv_heads;
  int64_t most = cpu_max(j->q_segments, j->k_segments), other = (s + j->round) % most;
  int64_t of_q = j->q_segments <= j->k_segments ? s : other, of_k = j->q_segments <= j->k_segments ? other : s;
  range r = {.i = segment_at(j, of_q, j->q_segments, j->Sq), .k = segment_at(j, of_k, j->k_segments, j->Sk)};
  r.n = segment_at(j, of_q + 1, j->q_segments, j->Sq) - r.i;
  r.m = segment_at(j, of_k + 1, j->k_segments, j->Sk) - r.k;
  run_segments(j, b, kv_head, r, tens_worker_scratch(j->c, worker));
}

/* ---- last pass: queries that see no key --------------------------------------------------------------------------- */

/* All query heads of one key head: dv[j] += dy[i] / Sk of every such query i, for all j. */
static void add_means(void *arg, int number, int worker) {
  const job *j = arg;
  int64_t b = number / j->a->kv_heads, kv_head = number % j->a->kv_heads;
  double *share = tens_worker_scratch(j->c, worker);
  bool any = false;
  for (int64_t d = 0; d < j->depth; d++) share[d] = 0;
  for (int64_t head = kv_head * j->group; head < (kv_head + 1) * j->group; head++)
    for (int64_t i = 0; i < j->Sq; i++) {
      if (!isinf(*sums_of(j, j->g->log_sum, b, head, i))) continue;
      const float *dy = query_rows(j, j->dy, b, head, i);
      for (int64_t d = 0; d < j->depth; d++) share[d] += dy[d];
      any = true;
    }
  for (int64_t k = 0; k < j->Sk && any; k++) {
    float *dv = grad_rows(j->g->dv, j->k, key_rows(j, j->k, b, kv_head, k));
    for (int64_t d = 0; d < j->depth; d++) dv[d] += (float)(share[d] / (double)j->Sk);
  }
}

void cpu_attention_backward(const cpu_micro *m, tens_ctx *c, const tens_attention_grads *g, const tens *dy,
                            const tens *q, const tens *k, const tens *v, const tens *y, const op_attn *a) {
  job j = {.m = m,
           .c = c,
           .g = g,
           .dy = dy,
           .q = q,
           .k = k,
           .v = v,
           .y = y,
           .a = a,
           .depth = q->dim[2] / a->heads,
           .q_row = q->dim[2],
           .kv_row = k->dim[2],
           .Sq = q->dim[1],
           .Sk = k->dim[1],
           .group = a->heads / a->kv_heads};
  j.scale = 1.0f / sqrtf((float)j.depth);
  j.q_segments = cpu_ceil(j.Sq, SEGMENT);
  j.k_segments = cpu_ceil(j.Sk, SEGMENT);
  j.segments = cpu_min(j.q_segments, j.k_segments);
  tens_parallel(c, (int)(q->dim[0] * a->heads * cpu_ceil(j.Sq, block_length(&j))), sum_block, &j);
  for (j.round = 0; j.round < cpu_max(j.q_segments, j.k_segments); j.round++)
    tens_parallel(c, (int)(q->dim[0] * a->kv_heads * j.segments), run_task, &j);
  if (g->dv && (a->key_mask || a->window >= 0)) tens_parallel(c, (int)(q->dim[0] * a->kv_heads), add_means, &j);
}
