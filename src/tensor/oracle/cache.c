/* cache.c - attention to a paged cache, as in ops.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

#include "base/half.h"

/* Element h, of all heads, of position t of row r. */
static int64_t cache_at(const op_cache *cache, int64_t r, int64_t t, int64_t h) {
  int64_t heads = cache->k->dim[1], page = cache->k->dim[2], D = cache->k->dim[3];
  int64_t number = tens_i32(cache->table)[r * cache->table->dim[1] + t / page];
  return ((number * heads + h / D) * page + t % page) * D + h % D;
}

static double cache_value(const tens *x, int64_t at) {
  return x->dtype == TENS_BF16 ? (double)bf16_to_f32(((const uint16_t *)x->data)[at]) : (double)tens_f32(x)[at];
}

static void cache_put(tens *x, int64_t at, float value) {
  if (x->dtype == TENS_BF16) ((uint16_t *)x->data)[at] = f32_to_bf16(value);
  else tens_f32(x)[at] = value;
}

void oracle_cache_store(tens_ctx *c, const op_cache *cache, const tens *k, const tens *v) {
  int64_t S = k->dim[1], width = k->dim[2];
  for (int64_t r = 0; r < k->dim[0]; r++)
    for (int64_t s = 0; s < S; s++)
      for (int64_t h = 0; h < width; h++) {
        int64_t at = cache_at(cache, r, tens_i32(cache->length)[r] + s, h);
        cache_put(cache->k, at, tens_f32(k)[(r * S + s) * width + h]);
        cache_put(cache->v, at, tens_f32(v)[(r * S + s) * width + h]);
      }
}

void oracle_cache_copy(tens_ctx *c, const op_cache *cache, int64_t from, int64_t to) {
  int64_t n = tens_count(cache->k) / cache->k->dim[0];
  for (int64_t i = 0; i < n; i++) {
    cache_put(cache->k, to * n + i, (float)cache_value(cache->k, from * n + i));
    cache_put(cache->v, to * n + i, (float)cache_value(cache->v, from * n + i));
  }
}

void oracle_attention_cached(tens_ctx *c, tens *y, const tens *q, const op_cache *cache, int heads) {
  int64_t S = q->dim[1], D = q->dim[2] / heads, kv_heads = cache->k->dim[1];
  for (int64_t r = 0; r < q->dim[0]; r++)
    for (int64_t s = 0; s < S; s++)
      for (int64_t h = 0; h < heads; h++) {
        int64_t keys = tens_i32(cache->length)[r] + s + 1, kv = h / (heads / kv_heads) * D;
        const float *query = tens_f32(q) + (r * S + s) * q->dim[2] + h * D;
        float *out = tens_f32(y) + (r * S + s) * q->dim[2] + h * D;
        double top = -INFINITY, sum = 0;
        for (int pass = 0; pass < 2; pass++) /* the maximum, then the sum of weights */
          for (int64_t t = 0; t < keys; t++) {
            double score = 0;
            for (int64_t d = 0; d < D; d++) score += query[d] * cache_value(cache->k, cache_at(cache, r, t, kv + d));
            score /= sqrt((double)D);
            if (pass == 0) top = fmax(top, score);
            else sum += exp(score - top);
          }
        for (int64_t d = 0; d < D; d++) out[d] = 0;
        double mixed[1024] = {0};
        for (int64_t t = 0; t < keys; t++) {
          double score = 0;
          for (int64_t d = 0; d < D; d++) score += query[d] * cache_value(cache->k, cache_at(cache, r, t, kv + d));
          double weight = exp(score / sqrt((double)D) - top) / sum;
          for (int64_t d = 0; d < D; d++) mixed[d] += weight * cache_value(cache->v, cache_at(cache, r, t, kv + d));
        }
        for (int64_t d = 0; d < D; d++) out[d] = (float)mixed[d];
      }
}
