/* qwen3_cached.h - the language model word by word: each call adds positions to sequences whose keys and values stay.
 *
 *   qwen3_cache cache;
 *   qwen3_cache_make(c, m, TENS_BF16, pages, &cache);          // once; lives in the context
 *   cache.table = ...; cache.length = ...;                     // which pages each row uses, how long it is (ops.h)
 *   tens *hidden = qwen3_extend(c, m, &cache, ids);            // [R, S, H]; the caller raises the lengths by S
 *   tens *logits = qwen3_logits_of(c, m, last, candidates);    // only those that matter
 */
#ifndef ACE_QWEN3_CACHED_H
#define ACE_QWEN3_CACHED_H

#include "models/qwen3.h"

enum { QWEN3_PAGE = 64 }; /* positions of a page */

typedef struct qwen3_cache {
  tens *k[CFG_MAX_LAYERS], *v[CFG_MAX_LAYERS]; /* [pages, kv_heads, QWEN3_PAGE, D] */
  const tens *table, *length;                  /* of op_cache, set before each call */
} qwen3_cache;

/* False after a failure. dtype: TENS_F32 or TENS_BF16. */
bool qwen3_cache_make(tens_ctx *c, const qwen3 *m, tens_dtype dtype, int64_t pages, qwen3_cache *out);
/* Bytes of such a cache. */
size_t qwen3_cache_bytes(const qwen3 *m, tens_dtype dtype, int64_t pages);

/* Page `from` copied to page `to` in every layer. False after a failure. */
bool qwen3_cache_copy(tens_ctx *c, const qwen3 *m, const qwen3_cache *cache, int64_t from, int64_t to);

/* ids I32 [R, S] at positions length[r].. of each row -> hidden states after the final norm [R, S, H]. */
tens *qwen3_extend(tens_ctx *c, const qwen3 *m, const qwen3_cache *cache, const tens *ids);

/* hidden [R, 1, H] -> logits [R, 1, n] of the listed ids (I32 [n]), or of the ids first..first+count-1. */
tens *qwen3_logits_of(tens_ctx *c, const qwen3 *m, const tens *hidden, const tens *ids);
tens *qwen3_logits_range(tens_ctx *c, const qwen3 *m, const tens *hidden, int64_t first, int64_t count);

#endif
