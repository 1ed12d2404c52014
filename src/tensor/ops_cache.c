/* ops_cache.c - attention to a paged cache of keys and values. */
#include "tensor/context.h"

/* So that a device can keep one head's block of keys in its scratch memory. */
enum { MAX_HEAD = 1024 };

/* The cache itself. */
static bool cache_exists(tens_ctx *c, const char *op, const op_cache *cache) {
  if (!op_arg(c, op, "cache.k", cache->k, OP_WEIGHT, 4, 4) || !op_arg(c, op, "cache.v", cache->v, OP_WEIGHT, 4, 4))
    return false;
  if (op_same_shape(cache->k, cache->v) && cache->k->dtype == cache->v->dtype) return true;
  tens_fail(c, ACE_EINVAL, "%s: cache k %s and v %s differ", op, TENS_SHAPE(cache->k), TENS_SHAPE(cache->v));
  return false;
}

/* And that every position up to length[r] + more of each row lies in a page that exists. */
static bool cache_fits(tens_ctx *c, const char *op, const op_cache *cache, int64_t rows, int64_t more) {
  if (!cache_exists(c, op, cache) || !op_arg(c, op, "cache.table", cache->table, OP_I32, 2, 2) ||
      !op_shaped(c, op, "cache.length", cache->length, OP_I32, TENS_DIMS(rows)))
    return false;
  if (cache->table->dim[0] != rows) {
    tens_fail(c, ACE_EINVAL, "%s: cache table %s does not fit %lld rows", op, TENS_SHAPE(cache->table),
              (long long)rows);
    return false;
  }
  int64_t pages = cache->k->dim[0], page = cache->k->dim[2], most = cache->table->dim[1];
  for (int64_t r = 0; !c->plan && r < rows; r++) {
    int64_t length = tens_i32(cache->length)[r];
    bool ok = length >= 0 && length + more <= most * page;
    for (int64_t i = 0; ok && i * page < length + more; i++) {
      int32_t number = tens_i32(cache->table)[r * most + i];
      ok = number >= 0 && number < pages;
    }
    if (!ok) {
      tens_fail(c, ACE_EINVAL, "%s: row %lld has no pages for %lld + %lld positions", op, (long long)r,
                (long long)length, (long long)more);
      return false;
    }
  }
  return true;
}

/* ---- cache_store: new keys and values at the end of each row ----------------------------------------------------- */

bool op_cache_store(tens_ctx *c, const op_cache *cache, const tens *k, const tens *v) {
  if (!op_begin(c) || !op_arg(c, "cache_store", "k", k, OP_F32, 3, 3) ||
      !op_shaped(c, "cache_store", "v", v, OP_F32, 3, k->dim) ||
      !cache_fits(c, "cache_store", cache, k->dim[0], k->dim[1]))
    return false;
  if (k->dim[2] != cache->k->dim[1] * cache->k->dim[3]) {
    tens_fail(c, ACE_EINVAL, "cache_store: k %s does not fit cache %s", TENS_SHAPE(k), TENS_SHAPE(cache->k));
    return false;
  }
  if (!c->plan) c->device->cache_store(c, cache, k, v);
  return tens_status(c) == ACE_OK;
}

/* ---- cache_copy: one page ---------------------------------------------------------------------------------------- */

bool op_cache_copy(tens_ctx *c, const op_cache *cache, int64_t from, int64_t to) {
  if (!op_begin(c) || !cache_exists(c, "cache_copy", cache)) return false;
  int64_t pages = cache->k->dim[0];
  if (from < 0 || from >= pages || to < 0 || to >= pages) {
    tens_fail(c, ACE_EINVAL, "cache_copy: pages %lld and %lld are outside 0..%lld", (long long)from, (long long)to,
              (long long)pages - 1);
    return false;
  }
  if (!c->plan && from != to) c->device->cache_copy(c, cache, from, to);
  return tens_status(c) == ACE_OK;
}

/* ---- attention_cached: softmax(q kᵀ / sqrt(D)) v over what is stored --------------------------------------------- */

tens *op_attention_cached(tens_ctx *c, const tens *q, const op_cache *cache, int heads) {
  if (!op_begin(c) || !op_arg(c, "attention_cached", "q", q, OP_F32, 3, 3) ||
      !cache_fits(c, "attention_cached", cache, q->dim[0], q->dim[1]))
    return NULL;
  int64_t kv_heads = cache->k->dim[1], D = cache->k->dim[3];
  if (heads < 1 || heads % kv_heads || q->dim[2] != heads * D || D > MAX_HEAD)
    return tens_fail(c, ACE_EINVAL, "attention_cached: q %s of %d heads does not fit cache %s", TENS_SHAPE(q), heads,
                     TENS_SHAPE(cache->k));
  tens *y = op_new_last(c, TENS_F32, q, q->dim[2]);
  if (y && !c->plan) c->device->attention_cached(c, y, q, cache, heads);
  return op_end(c, y);
}
