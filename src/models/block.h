/* block.h - the transformer block that every encoder of the system is made of (Qwen3, Yang et al. 2025):
 *
 *   x = x + O attention(rope(norm(Q n)), rope(norm(K n)), V n),   n = rms_norm(x; input_layernorm)
 *   x = x + down(silu(gate n) * up n),                            n = rms_norm(x; post_attention_layernorm)
 *
 * with grouped key/value heads, RMS norm over each query and key head before rotation, and no biases.
 */
#ifndef ACE_BLOCK_H
#define ACE_BLOCK_H

#include "formats/checkpoint.h"
#include "formats/config.h"
#include "models/linear.h"

/* Projections of one attention: q [heads*D, in], k and v [kv_heads*D, kv_in], o [out, heads*D], norms [D]. */
typedef struct attn_weights {
  linear q, k, v, o;
  tens q_norm, k_norm;
} attn_weights;

typedef struct mlp_weights {
  linear gate, up, down; /* [I, H], [I, H], [H, I] */
} mlp_weights;

typedef struct block_weights {
  attn_weights attn;
  mlp_weights mlp;
  tens input_norm, post_norm; /* [H] */
} block_weights;

/* Which keys a query may see; key_mask I32 [B, S] or NULL. */
typedef struct block_mask {
  bool causal;
  int window; /* -1: no limit */
  const tens *key_mask;
} block_mask;

/* `name` is the path up to and including the attention or mlp, e.g. "layers.3.self_attn". kv_in: width of the key/value
 * source (= in for self-attention). */
void attn_load(ckpt_reader *r, attn_weights *w, const block_config *cfg, int in, int kv_in, const char *name);
void mlp_load(ckpt_reader *r, mlp_weights *w, int hidden, int intermediate, const char *name);
/* `name` e.g. "layers.3". */
void block_load(ckpt_reader *r, block_weights *w, const block_config *cfg, const char *name);
/* n blocks "<stack>.0" .. into memory owned by the checkpoint. NULL on failure. */
block_weights *block_load_stack(ckpt_reader *r, const block_config *cfg, int n, const char *stack);

/* Self-attention of already normalised n [B, S, H] without the output projection: [B, S, heads*D]. */
tens *attn_self(tens_ctx *c, const attn_weights *w, const block_config *cfg, const tens *n, block_mask mask);

/* The second half of a block: y + mlp(norm(y)). Made since `mark`, it replaces y there. */
tens *block_mlp(tens_ctx *c, tens_mark mark, const block_weights *w, const block_config *cfg, tens *y);

/* x [B, S, H] -> [B, S, H]. */
tens *block_forward(tens_ctx *c, const block_weights *w, const block_config *cfg, const tens *x, block_mask mask);

/* A whole bidirectional stack. x must be the only thing made since `mark`; `sliding[i]` says whether layer i sees only
 * `window` positions to each side. */
tens *block_stack(tens_ctx *c, tens_mark mark, const block_weights *layers, int n, const block_config *cfg, tens *x,
                  const bool *sliding, int window, const tens *key_mask);

#endif
