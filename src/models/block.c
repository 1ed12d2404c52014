#include "models/block.h"

#include <stdio.h>

void attn_load(ckpt_reader *r, attn_weights *w, const block_config *cfg, int in, int kv_in, const char *name) {
  int q_width = cfg->heads * cfg->head_dim, kv_width = cfg->kv_heads * cfg->head_dim;
  w->q = linear_plain(ckpt_matrix(r, q_width, in, "%s.q_proj.weight", name));
  w->k = linear_plain(ckpt_matrix(r, kv_width, kv_in, "%s.k_proj.weight", name));
  w->v = linear_plain(ckpt_matrix(r, kv_width, kv_in, "%s.v_proj.weight", name));
  w->o = linear_plain(ckpt_matrix(r, in, q_width, "%s.o_proj.weight", name));
  w->q_norm = ckpt_vector(r, cfg->head_dim, "%s.q_norm.weight", name);
  w->k_norm = ckpt_vector(r, cfg->head_dim, "%s.k_norm.weight", name);
}

void mlp_load(ckpt_reader *r, mlp_weights *w, int hidden, int intermediate, const char *name) {
  w->gate = linear_plain(ckpt_matrix(r, intermediate, hidden, "%s.gate_proj.weight", name));
  w->up = linear_plain(ckpt_matrix(r, intermediate, hidden, "%s.up_proj.weight", name));
  w->down = linear_plain(ckpt_matrix(r, hidden, intermediate, "%s.down_proj.weight", name));
}

void block_load(ckpt_reader *r, block_weights *w, const block_config *cfg, const char *name) {
  char part[160];
  snprintf(part, sizeof part, "%s.self_attn", name);
  attn_load(r, &w->attn, cfg, cfg->hidden, cfg->hidden, part);
  snprintf(part, sizeof part, "%s.mlp", name);
  mlp_load(r, &w->mlp, cfg->hidden, cfg->intermediate, part);
  w->input_norm = ckpt_vector(r, cfg->hidden, "%s.input_layernorm.weight", name);
  w->post_norm = ckpt_vector(r, cfg->hidden, "%s.post_attention_layernorm.weight", name);
}

block_weights *block_load_stack(ckpt_reader *r, const block_config *cfg, int n, const char *stack) {
  block_weights *layers = ckpt_alloc(r->checkpoint, (size_t)n * sizeof *layers);
  if (!layers) {
    r->failed = true;
    ace_fail(r->err, ACE_ENOMEM, "%s: out of memory", ckpt_folder(r->checkpoint));
    return NULL;
  }
  for (int i = 0; i < n && !r->failed; i++) {
    char name[128];
    snprintf(name, sizeof name, "%s.%d", stack, i);
    block_load(r, &layers[i], cfg, name);
  }
  return r->failed ? NULL : layers;
}

tens *attn_self(tens_ctx *c, const attn_weights *w, const block_config *cfg, const tens *n, block_mask mask) {
  op_rope rope = {.theta = cfg->rope_theta};
  tens *q = op_head_norm(c, linear_forward(c, n, &w->q, NULL), &w->q_norm, cfg->eps, &rope);
  tens *k = op_head_norm(c, linear_forward(c, n, &w->k, NULL), &w->k_norm, cfg->eps, &rope);
  tens *v = linear_forward(c, n, &w->v, NULL);
  op_attn a = {.heads = cfg->heads,
               .kv_heads = cfg->kv_heads,
               .causal = mask.causal,
               .window = mask.window,
               .key_mask = mask.key_mask};
  return op_attention(c, q, k, v, &a);
}

tens *block_mlp(tens_ctx *c, tens_mark mark, const block_weights *w, const block_config *cfg, tens *y) {
  tens *n = op_rms_norm(c, y, &w->post_norm, cfg->eps);
  tens *wide = linear_swiglu(c, n, &w->mlp.gate, &w->mlp.up);
  return tens_keep(c, mark, linear_forward(c, wide, &w->mlp.down, &(op_epilogue){.residual = y}));
}

tens *block_forward(tens_ctx *c, const block_weights *w, const block_config *cfg, const tens *x, block_mask mask) {
  tens_mark start = tens_here(c);
  tens *n = op_rms_norm(c, x, &w->input_norm, cfg->eps);
  tens *mixed = attn_self(c, &w->attn, cfg, n, mask);
  tens *y = tens_keep(c, start, linear_forward(c, mixed, &w->attn.o, &(op_epilogue){.residual = x}));
  return block_mlp(c, start, w, cfg, y);
}

tens *block_stack(tens_ctx *c, tens_mark mark, const block_weights *layers, int n, const block_config *cfg, tens *x,
                  const bool *sliding, int window, const tens *key_mask) {
  for (int i = 0; i < n; i++) {
    block_mask mask = {.window = sliding[i] ? window : -1, .key_mask = key_mask};
    x = tens_keep(c, mark, block_forward(c, &layers[i], cfg, x, mask));
  }
  return x;
}
