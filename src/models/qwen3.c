#include "models/qwen3.h"

#include <stdlib.h>

qwen3 *qwen3_open(const char *folder, ace_error *err) {
  return qwen3_from(ckpt_open(folder, err), err);
}

qwen3 *qwen3_from(ckpt *checkpoint, ace_error *err) {
  if (!checkpoint) return NULL;
  qwen3 *m = calloc(1, sizeof *m);
  if (!m) {
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", ckpt_folder(checkpoint));
    ckpt_close(checkpoint);
    return NULL;
  }
  m->checkpoint = checkpoint;
  if (cfg_read_qwen3(ckpt_config(m->checkpoint), ckpt_config_path(m->checkpoint), &m->cfg, err) != ACE_OK) {
    qwen3_close(m);
    return NULL;
  }
  ckpt_reader r = {.checkpoint = m->checkpoint, .err = err};
  if (!ckpt_find(m->checkpoint, "embed_tokens.weight")) r.prefix = "model.";
  int hidden = m->cfg.block.hidden;
  m->embed = ckpt_table(&r, m->cfg.vocab, hidden, "embed_tokens.weight");
  m->norm = ckpt_vector(&r, hidden, "norm.weight");
  m->layers = block_load_stack(&r, &m->cfg.block, m->cfg.layers, "layers");
  m->head = m->embed;
  bool below = ckpt_find(m->checkpoint, "model.lm_head.weight"); /* in GGUF files */
  if (!m->cfg.tied && (below || ckpt_find(m->checkpoint, "lm_head.weight"))) {
    r.prefix = below ? "model." : NULL;
    m->head = ckpt_matrix(&r, m->cfg.vocab, hidden, "lm_head.weight");
  }
  if (r.failed) {
    qwen3_close(m);
    return NULL;
  }
  return m;
}

void qwen3_close(qwen3 *m) {
  if (!m) return;
  ckpt_close(m->checkpoint);
  free(m);
}

tens *qwen3_embed(tens_ctx *c, const qwen3 *m, const tens *ids) {
  return op_embedding(c, &m->embed, ids);
}

tens *qwen3_hidden(tens_ctx *c, const qwen3 *m, const tens *ids, const tens *key_mask) {
  tens_mark start = tens_here(c);
  tens *x = op_embedding(c, &m->embed, ids);
  block_mask mask = {.causal = true, .window = -1, .key_mask = key_mask};
  for (int i = 0; i < m->cfg.layers; i++)
    x = tens_keep(c, start, block_forward(c, &m->layers[i], &m->cfg.block, x, mask));
  return tens_keep(c, start, op_rms_norm(c, x, &m->norm, m->cfg.block.eps));
}

tens *qwen3_logits(tens_ctx *c, const qwen3 *m, const tens *hidden) {
  return op_linear(c, hidden, &m->head, NULL);
}
