/* qwen3.h - the Qwen3 causal transformer: as text encoder (Qwen3-Embedding) and as the 5 Hz language model.
 *
 * h_0 = embed(ids);  h_{i+1} = block_i(h_i), causal;  hidden = rms_norm(h_L);  logits = hidden · tableᵀ, where the
 * table is lm_head.weight, or the embedding table when the two are tied.
 */
#ifndef ACE_QWEN3_H
#define ACE_QWEN3_H

#include "models/block.h"

typedef struct qwen3 {
  ckpt *checkpoint; /* owned */
  qwen3_config cfg;
  tens embed, head, norm; /* [V, H], [V, H], [H] */
  block_weights *layers;
} qwen3;

/* Tensor names with or without the leading "model.". */
qwen3 *qwen3_open(const char *folder, ace_error *err);
/* The same over an open checkpoint, which it takes over, also when it fails; NULL for NULL. */
qwen3 *qwen3_from(ckpt *checkpoint, ace_error *err);
void qwen3_close(qwen3 *m);

/* ids I32 [B, S] -> rows of the embedding table [B, S, H]. */
tens *qwen3_embed(tens_ctx *c, const qwen3 *m, const tens *ids);
/* ids I32 [B, S], key_mask I32 [B, S] or NULL -> hidden states after the final norm [B, S, H]. */
tens *qwen3_hidden(tens_ctx *c, const qwen3 *m, const tens *ids, const tens *key_mask);
/* hidden [B, S, H] -> [B, S, V]. */
tens *qwen3_logits(tens_ctx *c, const qwen3 *m, const tens *hidden);

#endif
