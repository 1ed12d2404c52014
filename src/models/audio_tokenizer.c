#include "models/audio_tokenizer.h"

#include <stdlib.h>

/* latents [B, T, 64] with silence behind, up to a multiple of the window. */
static tens *pad_to_window(tens_ctx *c, const acestep_dit *m, const tens *latents) {
  int64_t batch = latents->dim[0], frames = latents->dim[1], window = m->cfg.pool_window;
  int64_t pad = (window - frames % window) % window;
  if (pad == 0) return (tens *)latents;
  int32_t *rows = malloc((size_t)(batch * pad) * sizeof *rows);
  if (!rows) return tens_fail(c, ACE_ENOMEM, "audio tokenizer: out of memory");
  for (int64_t i = 0; i < batch * pad; i++) rows[i] = (int32_t)(i % pad);
  tens *silence = op_gather(c, acestep_silence(c, m, 0, pad), tens_from(c, TENS_I32, TENS_DIMS(1, batch * pad), rows));
  free(rows);
  tens *tail = tens_view(c, silence, TENS_DIMS(batch, pad, latents->dim[2]));
  return op_join(c, 2, (const tens *const[]){latents, tail});
}

/* Windows [N, 5, He] -> one vector each [N, He]. */
static tens *pool_windows(tens_ctx *c, const acestep_dit *m, const tens *windows) {
  if (!windows) return NULL;
  const audio_tokenizer *t = &m->tokenizer;
  int64_t n = windows->dim[0];
  int32_t *zero = calloc((size_t)n, sizeof *zero);
  if (!zero) return tens_fail(c, ACE_ENOMEM, "audio tokenizer: out of memory");
  tens_mark start = tens_here(c);
  tens *x = op_linear(c, windows, &t->embed, &(op_epilogue){.bias = &t->embed_bias});
  x = tens_keep(c, start, op_prepend(c, x, &t->token));
  x = block_stack(c, start, t->pooler, m->cfg.pooler_layers, &m->cfg.encoder, x, m->cfg.sliding, m->cfg.window, NULL);
  x = op_gather(c, x, tens_from(c, TENS_I32, TENS_DIMS(n, 1), zero));
  free(zero);
  return tens_keep(c, start, op_rms_norm(c, x, &t->norm, m->cfg.encoder.eps));
}

audio_codes audio_tokenize(tens_ctx *c, const acestep_dit *m, const tens *latents) {
  audio_codes none = {0};
  if (!latents) return none;
  bool exact = tens_exact(c, true); /* a small difference before the levels is a large one after them */
  const audio_tokenizer *t = &m->tokenizer;
  int64_t window = m->cfg.pool_window, batch = latents->dim[0], codes = (latents->dim[1] + window - 1) / window;
  tens *padded = pad_to_window(c, m, latents);
  tens *frames = op_linear(c, padded, &t->acoustic, &(op_epilogue){.bias = &t->acoustic_bias});
  tens *windows = tens_view(c, frames, TENS_DIMS(batch * codes, window, m->cfg.encoder.hidden));
  tens *pooled = tens_view(c, pool_windows(c, m, windows), TENS_DIMS(batch, codes, m->cfg.encoder.hidden));
  tens *z = op_linear(c, pooled, &t->project_in, &(op_epilogue){.bias = &t->project_in_bias});
  tens *values = op_fsq_quantize(c, z, m->cfg.levels, m->cfg.n_levels);
  audio_codes y = {
      .index = op_fsq_index(c, values, m->cfg.levels, m->cfg.n_levels),
      .quantized = op_linear(c, values, &t->project_out, &(op_epilogue){.bias = &t->project_out_bias}),
  };
  tens_exact(c, exact);
  return y.index && y.quantized ? y : none;
}

tens *audio_dequantize(tens_ctx *c, const acestep_dit *m, const tens *index) {
  const audio_tokenizer *t = &m->tokenizer;
  bool exact = tens_exact(c, true); /* what audio_tokenize gives */
  tens *values = op_fsq_codes(c, index, m->cfg.levels, m->cfg.n_levels);
  tens *y = op_linear(c, values, &t->project_out, &(op_epilogue){.bias = &t->project_out_bias});
  tens_exact(c, exact);
  return y;
}

tens *audio_detokenize(tens_ctx *c, const acestep_dit *m, const tens *quantized) {
  if (!quantized) return NULL;
  const audio_detokenizer *d = &m->detokenizer;
  int64_t batch = quantized->dim[0], codes = quantized->dim[1], he = m->cfg.encoder.hidden;
  tens_mark start = tens_here(c);
  tens *x = op_linear(c, quantized, &d->embed, &(op_epilogue){.bias = &d->embed_bias});
  x = op_outer_add(c, tens_view(c, x, TENS_DIMS(batch * codes, he)), &d->tokens);
  x = tens_keep(c, start, x);
  x = block_stack(c, start, d->layers, m->cfg.pooler_layers, &m->cfg.encoder, x, m->cfg.sliding, m->cfg.window, NULL);
  x = op_rms_norm(c, x, &d->norm, m->cfg.encoder.eps);
  x = tens_keep(c, start, op_linear(c, x, &d->out, &(op_epilogue){.bias = &d->out_bias}));
  return tens_view(c, x, TENS_DIMS(batch, codes * m->cfg.pool_window, m->cfg.latent_channels));
}
