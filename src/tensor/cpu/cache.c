/* cache.c - attention to a paged cache of keys and values: few queries, many keys. The queries that share a key head
 * are taken together, so that each key and value is read once; memory bandwidth decides the speed.
 */
#include "tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

#include "base/half.h"

enum {
  BLOCK = 64,      /* keys widened and weighed at once */
  MAX_DEPTH = 1024 /* of a head */
};

typedef struct cache_job {
  const cpu_micro *m;
  tens_ctx *c;
  tens *y;
  const tens *q, *k, *v;
  const op_cache *cache;
  int64_t kv_heads, group, depth;
} cache_job;

/* Offset of position t of row r in the cache, in elements. */
static int64_t position_at(const op_cache *cache, int64_t r, int64_t t) {
  int64_t page = cache->k->dim[1];
  int64_t number = tens_i32(cache->table)[r * cache->table->dim[1] + t / page];
  return (number * page + t % page) * cache->k->dim[2];
}

/* ---- cache_store ------------------------------------------------------------------------------------------------- */

static void store_row(tens *x, int64_t at, const float *row, int64_t n) {
  if (x->dtype == TENS_BF16) {
    uint16_t *out = (uint16_t *)x->data + at;
    for (int64_t i = 0; i < n; i++) out[i] = f32_to_bf16(row[i]);
  } else {
    memcpy(tens_f32(x) + at, row, (size_t)n * sizeof *row);
  }
}

static void store_positions(void *arg, int64_t first, int64_t count, int worker) {
  const cache_job *j = arg;
  int64_t S = j->k->dim[1], width = j->k->dim[2];
  for (int64_t i = first; i < first + count; i++) {
    int64_t r = i / S, at = position_at(j->cache, r, tens_i32(j->cache->length)[r] + i % S);
    store_row(j->cache->k, at, tens_f32(j->k) + i * width, width);
    store_row(j->cache->v, at, tens_f32(j->v) + i * width, width);
  }
}

void cpu_cache_store(tens_ctx *c, const op_cache *cache, const tens *k, const tens *v) {
  cache_job j = {.c = c, .k = k, .v = v, .cache = cache};
  cpu_for(c, k->dim[0] * k->dim[1], 2 * k->dim[2], store_positions, &j);
}

/* ---- attention_cached -------------------------------------------------------------------------------------------- */

/* n positions from t of one key head as floats [n][depth]; they lie in one page. */
static const float *head_rows(const cache_job *j, const tens *x, int64_t r, int64_t t, int64_t head, int64_t n,
                              float *wide, int64_t *row) {
  int64_t width = x->dim[2], at = position_at(j->cache, r, t) + head * j->depth;
  if (x->dtype == TENS_F32) {
    *row = width;
    return tens_f32(x) + at;
  }
  const uint16_t *in = (const uint16_t *)x->data + at;
  for (int64_t i = 0; i < n; i++)
    for (int64_t d = 0; d < j->depth; d++) wide[i * j->depth + d] = bf16_to_f32(in[i * width + d]);
  *row = j->depth;
  return wide;
}

/* A query's running state: maximum, sum of weights, weighted values. */
typedef struct running {
  float top, sum;
} running;

static void weigh_block(const cache_job *j, running *run, float *out, const float *query, const float *k, int64_t k_row,
                        const float *v, int64_t v_row, int64_t n) {
  float weight[BLOCK], scale = 1.0f / sqrtf((float)j->depth), top = run->top;
  for (int64_t i = 0; i < n; i++) {
    weight[i] = j->m->dot(query, k + i * k_row, j->depth) * scale;
    if (weight[i] > top) top = weight[i];
  }
  float kept = expf(run->top - top), sum = 0;
  for (int64_t i = 0; i < n; i++) sum += weight[i] = expf(weight[i] - top);
  run->sum = run->sum * kept + sum;
  j->m->weigh_rows(out, kept, weight, v, v_row, n, j->depth);
  run->top = top;
}

/* The queries of one key head at one position of one row. Blocks begin at multiples of BLOCK and end with their page.
 */
static void attend_head(void *arg, int number, int worker) {
  const cache_job *j = arg;
  int64_t S = j->q->dim[1], head = number % j->kv_heads, i = number / j->kv_heads, r = i / S;
  int64_t keys = tens_i32(j->cache->length)[r] + i % S + 1, page = j->cache->k->dim[1];
  int64_t at = i * j->q->dim[2] + head * j->group * j->depth;
  float *wide_k = tens_worker_scratch(j->c, worker), *wide_v = wide_k + BLOCK * MAX_DEPTH;
  float *y = tens_f32(j->y) + at;
  running *run = (running *)(wide_v + BLOCK * MAX_DEPTH);
  memset(y, 0, (size_t)(j->group * j->depth) * sizeof *y);
  for (int64_t g = 0; g < j->group; g++) run[g] = (running){.top = -INFINITY};
  for (int64_t t = 0, n; t < keys; t += n) {
    n = cpu_min(cpu_min(BLOCK - t % BLOCK, page - t % page), keys - t);
    int64_t k_row, v_row;
    const float *k = head_rows(j, j->cache->k, r, t, head, n, wide_k, &k_row);
    const float *v = head_rows(j, j->cache->v, r, t, head, n, wide_v, &v_row);
    for (int64_t g = 0; g < j->group; g++)
      weigh_block(j, &run[g], y + g * j->depth, tens_f32(j->q) + at + g * j->depth, k, k_row, v, v_row, n);
  }
  for (int64_t g = 0; g < j->group; g++)
    for (int64_t d = 0; d < j->depth; d++) y[g * j->depth + d] /= run[g].sum;
}
_Static_assert((2 * BLOCK * MAX_DEPTH + 2 * 4096) * sizeof(float) <= TENS_WORKER_SCRATCH, "scratch");

void cpu_attention_cached(const cpu_micro *m, tens_ctx *c, tens *y, const tens *q, const op_cache *cache, int heads,
                          int kv_heads) {
  cache_job j = {.m = m,
                 .c = c,
                 .y = y,
                 .q = q,
                 .cache = cache,
                 .kv_heads = kv_heads,
                 .group = heads / kv_heads,
                 .depth = q->dim[2] / heads};
  tens_parallel(c, (int)(q->dim[0] * q->dim[1] * kv_heads), attend_head, &j);
}
