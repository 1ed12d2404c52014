/* cache.c - attention to a paged cache of keys and values. A few new positions are bound by memory: the query heads that
 * share a key head are taken together, so that each key and value is read once. Many at once are a matter of arithmetic
 * and go through the blocked kernel of whole attention.
 */
#include "tensor/cpu/cpu.h"

#include <string.h>

#include "base/half.h"

typedef struct cache_job {
  const cpu_micro *m;
  tens_ctx *c;
  tens *y;
  const tens *q, *k, *v;
  const op_cache *cache;
  int64_t heads, group, depth;
  int64_t blocks; /* of queries */
} cache_job;

/* ---- cache_store, cache_copy ------------------------------------------------------------------------------------- */

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
  const int64_t *dim = j->cache->k->dim;
  int64_t S = j->k->dim[1], heads = dim[1], page = dim[2], depth = dim[3], most = j->cache->table->dim[1];
  for (int64_t i = first; i < first + count; i++) {
    int64_t r = i / S, t = tens_i32(j->cache->length)[r] + i % S;
    int64_t number = tens_i32(j->cache->table)[r * most + t / page];
    for (int64_t h = 0; h < heads; h++) {
      int64_t at = ((number * heads + h) * page + t % page) * depth, from = (i * heads + h) * depth;
      store_row(j->cache->k, at, tens_f32(j->k) + from, depth);
      store_row(j->cache->v, at, tens_f32(j->v) + from, depth);
    }
  }
}

void cpu_cache_store(tens_ctx *c, const op_cache *cache, const tens *k, const tens *v) {
  cache_job j = {.c = c, .k = k, .v = v, .cache = cache};
  cpu_for(c, k->dim[0] * k->dim[1], 2 * k->dim[2], store_positions, &j);
}

void cpu_cache_copy(tens_ctx *c, const op_cache *cache, int64_t from, int64_t to) {
  size_t page = tens_bytes(cache->k->dtype, tens_count(cache->k) / cache->k->dim[0]);
  memcpy((uint8_t *)cache->k->data + (size_t)to * page, (uint8_t *)cache->k->data + (size_t)from * page, page);
  memcpy((uint8_t *)cache->v->data + (size_t)to * page, (uint8_t *)cache->v->data + (size_t)from * page, page);
}

/* ---- attention_cached -------------------------------------------------------------------------------------------- */

/* One key head of one row's sequence. */
static cpu_pages pages_of(const cache_job *j, int64_t r, int64_t head) {
  const tens *k = j->cache->k;
  size_t skip = tens_bytes(k->dtype, head * k->dim[2] * k->dim[3]);
  return (cpu_pages){.k = (uint8_t *)k->data + skip,
                     .v = (uint8_t *)j->cache->v->data + skip,
                     .table = tens_i32(j->cache->table) + r * j->cache->table->dim[1],
                     .page = k->dim[2],
                     .stride = k->dim[1] * k->dim[2] * k->dim[3],
                     .bf16 = k->dtype == TENS_BF16};
}

/* The query heads of one key head at one position of one row. */
static void attend_position(void *arg, int number, int worker) {
  const cache_job *j = arg;
  int64_t kv_heads = j->heads / j->group, head = number % kv_heads, i = number / kv_heads;
  int64_t S = j->q->dim[1], r = i / S, at = i * j->q->dim[2] + head * j->group * j->depth;
  cpu_pages pages = pages_of(j, r, head);
  for (int64_t g = 0; g < j->group; g += CPU_FEW_QUERIES) {
    cpu_attend a = {.q = tens_f32(j->q) + at + g * j->depth,
                    .q_row = j->depth,
                    .pages = &pages,
                    .y = tens_f32(j->y) + at + g * j->depth,
                    .count = cpu_min(CPU_FEW_QUERIES, j->group - g),
                    .keys = tens_i32(j->cache->length)[r] + i % S + 1,
                    .depth = j->depth,
                    .scratch = tens_worker_scratch(j->c, worker)};
    j->m->attend_few(&a);
  }
}
_Static_assert(CPU_FEW_QUERIES *(2 * CPU_ATTEND_DEPTH(1024) + CPU_KEY_BLOCK) * 4 <= TENS_WORKER_SCRATCH, "scratch");

/* A block of positions of one query head of one row. */
static void attend_block(void *arg, int number, int worker) {
  const cache_job *j = arg;
  int64_t block = number % j->blocks, rest = number / j->blocks, head = rest % j->heads, r = rest / j->heads;
  int64_t S = j->q->dim[1], before = tens_i32(j->cache->length)[r], first = block * j->m->queries;
  int64_t at = (r * S + first) * j->q->dim[2] + head * j->depth;
  cpu_pages pages = pages_of(j, r, head / j->group);
  cpu_attend a = {.q = tens_f32(j->q) + at,
                  .q_row = j->q->dim[2],
                  .pages = &pages,
                  .y = tens_f32(j->y) + at,
                  .first = before + first,
                  .count = cpu_min(j->m->queries, S - first),
                  .keys = before + S,
                  .depth = j->depth,
                  .causal = true,
                  .window = -1,
                  .scratch = tens_worker_scratch(j->c, worker)};
  j->m->attend(&a);
}

void cpu_attention_cached(const cpu_micro *m, tens_ctx *c, tens *y, const tens *q, const op_cache *cache, int heads) {
  int64_t rows = q->dim[0], S = q->dim[1], kv_heads = cache->k->dim[1];
  cache_job j = {.m = m,
                 .c = c,
                 .y = y,
                 .q = q,
                 .cache = cache,
                 .heads = heads,
                 .group = heads / kv_heads,
                 .depth = cache->k->dim[3],
                 .blocks = cpu_ceil(S, m->queries)};
  if (S <= OP_CACHED_FEW) tens_parallel(c, (int)(rows * S * kv_heads), attend_position, &j);
  else tens_parallel(c, (int)(rows * heads * j.blocks), attend_block, &j);
}
