#include "models/dit.h"

#include "tensor/tape.h"

/* One layer, or a part of it, as a segment: in training it may be run again instead of kept. */
typedef struct layer_call {
  const acestep_dit *m;
  int i;
} layer_call;

/* in: the embedded condition [B, L, H] */
static tens *run_keys(tens_ctx *c, const void *arg, const tens *const *in) {
  const layer_call *l = arg;
  const attn_weights *w = &l->m->decoder.layers[l->i].cross;
  tens_mark start = tens_here(c);
  tens *k = linear_forward(c, in[0], &w->k, NULL);
  return tens_keep(c, start, op_head_norm(c, k, &w->k_norm, l->m->cfg.decoder.eps, NULL));
}

static tens *run_values(tens_ctx *c, const void *arg, const tens *const *in) {
  const layer_call *l = arg;
  return linear_forward(c, in[0], &l->m->decoder.layers[l->i].cross.v, NULL);
}

bool dit_attend(tens_ctx *c, const acestep_dit *m, const tens *encoded, dit_condition *out) {
  const dit_decoder *d = &m->decoder;
  const tens *embedded = linear_forward(c, encoded, &d->condition, &(op_epilogue){.bias = &d->condition_bias});
  for (int i = 0; i < m->cfg.layers; i++) {
    layer_call l = {m, i};
    out->k[i] = tape_segment(c, run_keys, &l, sizeof l, 1, &embedded);
    out->v[i] = tape_segment(c, run_values, &l, sizeof l, 1, &embedded);
  }
  return tens_status(c) == ACE_OK;
}

/* One of the two time embeddings: u [B] -> e [B, H] and p [B, 6H]. */
static void embed_time(tens_ctx *c, const time_embed *w, const tens *u, tens **e, tens **p) {
  tens *wave = op_sinusoid(c, u, (int)w->linear_1.w.dim[1], 1000.0f);
  tens *h = linear_forward(c, wave, &w->linear_1, &(op_epilogue){.bias = &w->bias_1, .act = OP_ACT_SILU});
  *e = linear_forward(c, h, &w->linear_2, &(op_epilogue){.bias = &w->bias_2});
  *p = linear_forward(c, op_silu(c, *e), &w->proj, &(op_epilogue){.bias = &w->proj_bias});
}

/* temb [B, H] and its projection [B, 6H]: the embedding of t plus that of t - r. */
static void embed_times(tens_ctx *c, const dit_decoder *d, const tens *t, const tens *r, tens **temb, tens **tproj) {
  tens *gap = t ? tens_new(c, TENS_F32, t->rank, t->dim) : NULL;
  if (gap) op_mix_into(c, gap, 1.0f, t, -1.0f, r);
  tens *e_t, *p_t, *e_r, *p_r;
  embed_time(c, &d->t, t, &e_t, &p_t);
  embed_time(c, &d->r, gap, &e_r, &p_r);
  *temb = op_add(c, e_t, e_r);
  *tproj = op_add(c, p_t, p_r);
}

/* Row i of a modulation [n, B, H] as [B, H]. */
static tens *modulation_row(tens_ctx *c, const tens *m, int i) {
  tens *row = tens_rows(c, m, i, 1);
  return row ? tens_view(c, row, TENS_DIMS(m->dim[1], m->dim[2])) : NULL;
}

/* Shows what the chosen heads of layer i do with queries q and keys k. */
static bool show(tens_ctx *c, const dit_look *look, int i, const block_config *cfg, const tens *q, const tens *k) {
  op_attn a = {.heads = cfg->heads, .kv_heads = cfg->kv_heads, .window = -1};
  for (int j = 0; j < look->n; j++) {
    if (look->heads[j].layer != i) continue;
    tens_mark mark = tens_here(c);
    tens *p = op_attention_probs(c, q, k, &a, &look->heads[j].head, 1);
    if (p) p = tens_view(c, p, TENS_DIMS(p->dim[0], p->dim[2], p->dim[3]));
    if (!p || !look->see(look->user, j, p)) return false;
    tens_release(c, mark);
  }
  return true;
}

/* look: NULL when nobody does. */
static tens *layer_forward(tens_ctx *c, const acestep_dit *m, int i, const tens *x, const tens *tproj, const tens *k,
                           const tens *v, const dit_look *look) {
  enum { SHIFT_SELF, SCALE_SELF, GATE_SELF, SHIFT_MLP, SCALE_MLP, GATE_MLP };
  const dit_layer *l = &m->decoder.layers[i];
  const block_config *cfg = &m->cfg.decoder;
  tens *mod = op_modulation(c, &l->table, tproj);
  tens *row[6];
  for (int j = 0; j < 6; j++) row[j] = modulation_row(c, mod, j);
  tens_mark start = tens_here(c);

  tens *n = op_rms_norm_modulated(c, x, &l->self_norm, cfg->eps, row[SCALE_SELF], row[SHIFT_SELF]);
  block_mask mask = {.window = m->cfg.sliding[i] ? m->cfg.window : -1};
  tens *mixed = attn_self(c, &l->self, cfg, n, mask);
  tens *y = linear_forward(c, mixed, &l->self.o, &(op_epilogue){.gate = row[GATE_SELF], .residual = x});
  y = tens_keep(c, start, y);

  tens_mark middle = tens_here(c);
  n = op_rms_norm(c, y, &l->cross_norm, cfg->eps);
  tens *q = op_head_norm(c, linear_forward(c, n, &l->cross.q, NULL), &l->cross.q_norm, cfg->eps, NULL);
  if (look && !show(c, look, i, cfg, q, k)) return NULL;
  mixed = op_attention(c, q, k, v, &(op_attn){.heads = cfg->heads, .kv_heads = cfg->kv_heads, .window = -1});
  tens *z = tens_keep(c, middle, linear_forward(c, mixed, &l->cross.o, &(op_epilogue){.residual = y}));

  n = op_rms_norm_modulated(c, z, &l->mlp_norm, cfg->eps, row[SCALE_MLP], row[SHIFT_MLP]);
  tens *wide = linear_swiglu(c, n, &l->mlp.gate, &l->mlp.up);
  return linear_forward(c, wide, &l->mlp.down, &(op_epilogue){.gate = row[GATE_MLP], .residual = z});
}

/* in: x, tproj, k, v */
static tens *run_layer(tens_ctx *c, const void *arg, const tens *const *in) {
  const layer_call *l = arg;
  return layer_forward(c, l->m, l->i, in[0], in[1], in[2], in[3], NULL);
}

/* Context and x as patches [B, ceil(T / patch), H]. */
static tens *patches(tens_ctx *c, const acestep_dit *m, const tens *context, const tens *x) {
  const dit_decoder *d = &m->decoder;
  int64_t frames = x->dim[1], patch = m->cfg.patch;
  tens_mark start = tens_here(c);
  tens *joined = op_concat(c, 2, (const tens *const[]){context, x});
  if (frames % patch) joined = op_resize(c, joined, (frames + patch - 1) / patch * patch);
  op_conv in = {.stride = (int)patch, .dilation = 1, .bias = &d->proj_in_bias};
  return tens_keep(c, start, op_conv1d(c, joined, &d->proj_in, &in));
}

bool dit_look_at(tens_ctx *c, const acestep_dit *m, const dit_condition *condition, const tens *context, const tens *x,
                 const tens *t, const tens *r, const dit_look *look) {
  if (!context || !x) return false;
  int last = -1;
  for (int i = 0; i < look->n; i++)
    if (look->heads[i].layer > last) last = look->heads[i].layer;
  tens_mark outside = tens_here(c);
  tens *temb, *tproj;
  embed_times(c, &m->decoder, t, r, &temb, &tproj);
  tens_mark start = tens_here(c);
  tens *h = patches(c, m, context, x);
  for (int i = 0; h && i <= last && i < m->cfg.layers; i++)
    h = tens_keep(c, start, layer_forward(c, m, i, h, tproj, condition->k[i], condition->v[i], look));
  tens_release(c, outside);
  return h != NULL;
}

tens *dit_velocity(tens_ctx *c, const acestep_dit *m, const dit_condition *condition, const tens *context,
                   const tens *x, const tens *t, const tens *r) {
  if (!context || !x) return NULL;
  const dit_decoder *d = &m->decoder;
  int64_t frames = x->dim[1], patch = m->cfg.patch;
  tens_mark outside = tens_here(c);
  tens *temb, *tproj;
  embed_times(c, d, t, r, &temb, &tproj);

  tens_mark start = tens_here(c);
  tens *h = patches(c, m, context, x);
  for (int i = 0; i < m->cfg.layers; i++)
    h = tens_keep(c, start,
                  tape_segment(c, run_layer, &(layer_call){m, i}, sizeof(layer_call), 4,
                               (const tens *const[]){h, tproj, condition->k[i], condition->v[i]}));

  tens *mod = op_modulation(c, &d->table, op_concat(c, 2, (const tens *const[]){temb, temb}));
  h = op_rms_norm_modulated(c, h, &d->norm_out, m->cfg.decoder.eps, modulation_row(c, mod, 1),
                            modulation_row(c, mod, 0));
  op_conv out = {.stride = (int)patch, .dilation = 1, .bias = &d->proj_out_bias};
  tens *v = op_conv1d_transposed(c, h, &d->proj_out, &out);
  if (frames % patch) v = op_resize(c, v, frames);
  return tens_keep(c, outside, v);
}
