#include "models/vae.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "models/rearrange.h"

enum { UNITS = 3, UNIT_TAPS = 7, EDGE_TAPS = 7, LATENT_TAPS = 3 };
static const int unit_dilation[UNITS] = {1, 3, 9};

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static void load_snake(ckpt_reader *r, vae_snake *s, int64_t channels, const char *name) {
  char part[128];
  snprintf(part, sizeof part, "%s.alpha", name);
  s->alpha = rearrange_exp(r, channels, part);
  snprintf(part, sizeof part, "%s.beta", name);
  s->inv_beta = rearrange_inverse_exp(r, channels, part);
}

static void load_conv(ckpt_reader *r, vae_conv *w, int64_t out, int64_t in, int64_t taps, bool bias, const char *name) {
  w->w = ckpt_packable(r, rearrange_normed_conv(r, out, in, taps, name), 0);
  if (bias) w->bias = ckpt_vector(r, out, "%s.bias", name);
}

static void load_units(ckpt_reader *r, vae_block *b, int64_t channels, const char *block) {
  for (int i = 0; i < UNITS; i++) {
    vae_unit *u = &b->units[i];
    char name[96];
    snprintf(name, sizeof name, "%s.res_unit%d.snake1", block, i + 1);
    load_snake(r, &u->snake1, channels, name);
    snprintf(name, sizeof name, "%s.res_unit%d.conv1", block, i + 1);
    load_conv(r, &u->conv1, channels, channels, UNIT_TAPS, true, name);
    snprintf(name, sizeof name, "%s.res_unit%d.snake2", block, i + 1);
    load_snake(r, &u->snake2, channels, name);
    snprintf(name, sizeof name, "%s.res_unit%d.conv2", block, i + 1);
    load_conv(r, &u->conv2, channels, channels, 1, true, name);
  }
}

/* Channel multiple before stage i = 0..stages; the published list lacks the leading 1. */
static int multiple(const vae_config *cfg, int i) {
  return i == 0 ? 1 : cfg->multiples[i - 1];
}

static void load_encoder(ckpt_reader *r, vae_half *h, const vae_config *cfg) {
  int64_t width = cfg->encoder_channels;
  load_conv(r, &h->first, width, cfg->audio_channels, EDGE_TAPS, true, "encoder.conv1");
  for (int i = 0; i < cfg->stages && !r->failed; i++) {
    vae_block *b = &h->blocks[i];
    int64_t in = width * multiple(cfg, i), out = width * multiple(cfg, i + 1);
    char block[48], name[64];
    snprintf(block, sizeof block, "encoder.block.%d", i);
    b->stride = cfg->strides[i];
    load_units(r, b, in, block);
    snprintf(name, sizeof name, "%s.snake1", block);
    load_snake(r, &b->snake, in, name);
    snprintf(name, sizeof name, "%s.conv1", block);
    load_conv(r, &b->resample, out, in, 2 * b->stride, true, name);
  }
  int64_t deepest = width * multiple(cfg, cfg->stages);
  load_snake(r, &h->snake, deepest, "encoder.snake1");
  load_conv(r, &h->last, cfg->encoder_hidden, deepest, LATENT_TAPS, true, "encoder.conv2");
}

static void load_decoder(ckpt_reader *r, vae_half *h, const vae_config *cfg) {
  int64_t width = cfg->decoder_channels;
  load_conv(r, &h->first, width * multiple(cfg, cfg->stages), cfg->decoder_input, EDGE_TAPS, true, "decoder.conv1");
  for (int i = 0; i < cfg->stages && !r->failed; i++) {
    vae_block *b = &h->blocks[i];
    int64_t in = width * multiple(cfg, cfg->stages - i), out = width * multiple(cfg, cfg->stages - i - 1);
    char block[48], name[64];
    snprintf(block, sizeof block, "decoder.block.%d", i);
    b->stride = cfg->strides[cfg->stages - i - 1];
    snprintf(name, sizeof name, "%s.snake1", block);
    load_snake(r, &b->snake, in, name);
    snprintf(name, sizeof name, "%s.conv_t1", block);
    b->resample.w = ckpt_packable(r, rearrange_normed_conv_transposed(r, in, out, 2 * b->stride, name), b->stride);
    b->resample.bias = ckpt_vector(r, out, "%s.bias", name);
    load_units(r, b, out, block);
  }
  load_snake(r, &h->snake, width, "decoder.snake1");
  load_conv(r, &h->last, cfg->audio_channels, width, EDGE_TAPS, false, "decoder.conv2");
}

vae *vae_open(const char *folder, int parts, ace_error *err) {
  return vae_from(ckpt_open(folder, err), parts, err);
}

vae *vae_from(ckpt *checkpoint, int parts, ace_error *err) {
  if (!checkpoint) return NULL;
  vae *m = calloc(1, sizeof *m);
  if (!m) {
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", ckpt_folder(checkpoint));
    ckpt_close(checkpoint);
    return NULL;
  }
  m->checkpoint = checkpoint;
  if (cfg_read_vae(ckpt_config(m->checkpoint), ckpt_config_path(m->checkpoint), &m->cfg, err) != ACE_OK) {
    vae_close(m);
    return NULL;
  }
  ckpt_reader r = {.checkpoint = m->checkpoint, .err = err};
  if (parts & VAE_ENCODER) load_encoder(&r, &m->encoder, &m->cfg);
  if (parts & VAE_DECODER && !r.failed) load_decoder(&r, &m->decoder, &m->cfg);
  ckpt_release(checkpoint, ""); /* what is read from here on are rearranged copies */
  if (r.failed) {
    vae_close(m);
    return NULL;
  }
  return m;
}

void vae_close(vae *m) {
  if (!m) return;
  ckpt_close(m->checkpoint);
  free(m);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static tens *snake(tens_ctx *c, const tens *x, const vae_snake *s) {
  return op_snake(c, x, &s->alpha, &s->inv_beta);
}

static const tens *bias_of(const vae_conv *w) {
  return w->bias.data ? &w->bias : NULL;
}

/* A convolution that keeps the length. */
static tens *same_conv(tens_ctx *c, const tens *x, const vae_conv *w, int dilation, const vae_snake *after,
                       const tens *residual) {
  op_conv p = {.stride = 1,
               .pad = (int)(w->w.dim[1] - 1) / 2 * dilation,
               .dilation = dilation,
               .bias = bias_of(w),
               .alpha = after ? &after->alpha : NULL,
               .inv_beta = after ? &after->inv_beta : NULL,
               .residual = residual};
  return op_conv1d(c, x, &w->w, &p);
}

/* x + conv2(snake2(conv1(snake1(x)))), three times; x is replaced at `mark`. */
static tens *residual_units(tens_ctx *c, tens_mark mark, const vae_block *b, tens *x) {
  for (int i = 0; i < UNITS; i++) {
    const vae_unit *u = &b->units[i];
    tens *h = same_conv(c, snake(c, x, &u->snake1), &u->conv1, unit_dilation[i], &u->snake2, NULL);
    x = tens_keep(c, mark, same_conv(c, h, &u->conv2, 1, NULL, x));
  }
  return x;
}

/* The stride convolutions pad by half their stride, rounded up, on both sides. */
static op_conv strided(const vae_block *b) {
  return (op_conv){.stride = b->stride, .pad = (b->stride + 1) / 2, .dilation = 1, .bias = bias_of(&b->resample)};
}

tens *vae_decode(tens_ctx *c, const vae *m, const tens *latents) {
  tens_mark start = tens_here(c);
  tens *x = same_conv(c, latents, &m->decoder.first, 1, NULL, NULL);
  for (int i = 0; i < m->cfg.stages; i++) {
    const vae_block *b = &m->decoder.blocks[i];
    op_conv p = strided(b);
    x = tens_keep(c, start, op_conv1d_transposed(c, snake(c, x, &b->snake), &b->resample.w, &p));
    x = residual_units(c, start, b, x);
  }
  return tens_keep(c, start, same_conv(c, snake(c, x, &m->decoder.snake), &m->decoder.last, 1, NULL, NULL));
}

tens *vae_encode(tens_ctx *c, const vae *m, const tens *audio) {
  tens_mark start = tens_here(c);
  tens *x = same_conv(c, audio, &m->encoder.first, 1, NULL, NULL);
  for (int i = 0; i < m->cfg.stages; i++) {
    const vae_block *b = &m->encoder.blocks[i];
    op_conv p = strided(b);
    x = residual_units(c, start, b, x);
    x = tens_keep(c, start, op_conv1d(c, snake(c, x, &b->snake), &b->resample.w, &p));
  }
  return tens_keep(c, start, same_conv(c, snake(c, x, &m->encoder.snake), &m->encoder.last, 1, NULL, NULL));
}

void vae_deviation(const float *scale, float *deviation, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double x = scale[i];
    deviation[i] = (float)((x > 20 ? x : log1p(exp(x))) + 1e-4);
  }
}
