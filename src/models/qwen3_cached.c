#include "models/qwen3_cached.h"

bool qwen3_cache_make(tens_ctx *c, const qwen3 *m, tens_dtype dtype, int64_t pages, qwen3_cache *out) {
  const block_config *b = &m->cfg.block;
  *out = (qwen3_cache){0};
  for (int i = 0; i < m->cfg.layers; i++) {
    out->k[i] = tens_new(c, dtype, TENS_DIMS(pages, b->kv_heads, QWEN3_PAGE, b->head_dim));
    out->v[i] = tens_new(c, dtype, TENS_DIMS(pages, b->kv_heads, QWEN3_PAGE, b->head_dim));
  }
  return tens_status(c) == ACE_OK;
}

size_t qwen3_cache_bytes(const qwen3 *m, tens_dtype dtype, int64_t pages) {
  int64_t values = pages * QWEN3_PAGE * m->cfg.block.kv_heads * m->cfg.block.head_dim;
  return 2 * (size_t)m->cfg.layers * tens_bytes(dtype, values);
}

bool qwen3_cache_copy(tens_ctx *c, const qwen3 *m, const qwen3_cache *cache, int64_t from, int64_t to) {
  for (int i = 0; i < m->cfg.layers; i++)
    if (!op_cache_copy(c, &(op_cache){.k = cache->k[i], .v = cache->v[i]}, from, to)) return false;
  return true;
}

static tens *layer_extend(tens_ctx *c, const block_weights *w, const block_config *cfg, const op_cache *cache,
                          const tens *x) {
  tens_mark start = tens_here(c);
  op_rope rope = {.theta = cfg->rope_theta, .start = cache->length};
  tens *n = op_rms_norm(c, x, &w->input_norm, cfg->eps);
  tens *q = op_head_norm(c, linear_forward(c, n, &w->attn.q, NULL), &w->attn.q_norm, cfg->eps, &rope);
  tens *k = op_head_norm(c, linear_forward(c, n, &w->attn.k, NULL), &w->attn.k_norm, cfg->eps, &rope);
  tens *v = linear_forward(c, n, &w->attn.v, NULL);
  if (!op_cache_store(c, cache, k, v)) return NULL;
  tens *mixed = op_attention_cached(c, q, cache, cfg->heads);
  tens *y = tens_keep(c, start, linear_forward(c, mixed, &w->attn.o, &(op_epilogue){.residual = x}));
  return block_mlp(c, start, w, cfg, y);
}

tens *qwen3_extend(tens_ctx *c, const qwen3 *m, const qwen3_cache *cache, const tens *ids) {
  tens_mark start = tens_here(c);
  tens *x = op_embedding(c, &m->embed, ids);
  for (int i = 0; i < m->cfg.layers; i++) {
    op_cache layer = {cache->k[i], cache->v[i], cache->table, cache->length};
    x = tens_keep(c, start, layer_extend(c, &m->layers[i], &m->cfg.block, &layer, x));
  }
  return tens_keep(c, start, op_rms_norm(c, x, &m->norm, m->cfg.block.eps));
}

tens *qwen3_logits_of(tens_ctx *c, const qwen3 *m, const tens *hidden, const tens *ids) {
  return op_linear(c, hidden, op_embedding(c, &m->head, ids), NULL);
}

tens *qwen3_logits_range(tens_ctx *c, const qwen3 *m, const tens *hidden, int64_t first, int64_t count) {
  if (first < 0 || count < 1 || first + count > m->head.dim[0])
    return tens_fail(c, ACE_EINVAL, "language model: ids %lld..%lld are outside its vocabulary of %lld",
                     (long long)first, (long long)(first + count - 1), (long long)m->head.dim[0]);
  return op_linear(c, hidden, tens_rows(c, &m->head, first, count), NULL);
}
