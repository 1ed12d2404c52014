/* vae_tiled.c - the autoencoder over signals of any length: each tile is computed with `overlap` frames of real context
 * on both sides, which are then cut off. With an overlap of the receptive field the result is the untiled one.
 */
#include <math.h>
#include <string.h>

#include "models/vae.h"

/* Samples to each side that the three residual units of a block read: taps 7, dilations 1 + 3 + 9. */
enum { UNITS_REACH = 3 * (1 + 3 + 9), EDGE_REACH = 3, LATENT_REACH = 1 };

static int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}

int vae_decoder_halo(const vae_config *cfg) {
  int reach = EDGE_REACH; /* in samples of the current rate, from the output back to the latents */
  for (int i = 0; i < cfg->stages; i++) {
    int stride = cfg->strides[i];
    reach = ceil_div(reach + UNITS_REACH + (stride + 1) / 2, stride) + 1;
  }
  return reach + EDGE_REACH;
}

int vae_encoder_halo(const vae_config *cfg) {
  int reach = LATENT_REACH; /* from the latents back to the samples */
  for (int i = cfg->stages - 1; i >= 0; i--) reach = (reach + 1) * cfg->strides[i] + UNITS_REACH;
  return ceil_div(reach + EDGE_REACH, cfg->hop);
}

/* One tile: frames [first, first + n) contribute, [from, to) are computed. */
typedef struct span {
  int64_t first, n, from, to;
} span;

static span tile_at(const vae_tiling *tiling, int64_t first, int64_t total) {
  span s = {.first = first, .n = tiling->core};
  if (s.n > total - first) s.n = total - first;
  s.from = first > tiling->overlap ? first - tiling->overlap : 0;
  s.to = first + s.n + tiling->overlap;
  if (s.to > total) s.to = total;
  return s;
}

static ace_status check_tiling(const vae_tiling *tiling, ace_error *err) {
  if (tiling->core >= 1 && tiling->overlap >= 0) return ACE_OK;
  return ace_fail(err, ACE_EINVAL, "autoencoder: a tile needs at least 1 frame and no negative overlap");
}

ace_status vae_decode_tiled(tens_ctx *c, const vae *m, const float *latents, int64_t frames, const vae_tiling *tiling,
                            float *audio, ace_error *err) {
  if (check_tiling(tiling, err) != ACE_OK) return ACE_EINVAL;
  int64_t width = m->cfg.decoder_input, row = (int64_t)m->cfg.hop * m->cfg.audio_channels;
  for (int64_t first = 0; first < frames; first += tiling->core) {
    span s = tile_at(tiling, first, frames);
    tens_mark mark = tens_here(c);
    tens *x = tens_from(c, TENS_F32, TENS_DIMS(1, s.to - s.from, width), latents + s.from * width);
    tens *y = vae_decode(c, m, x);
    if (!y) return tens_error(c, err);
    if (y->dim[1] != (s.to - s.from) * m->cfg.hop)
      return ace_fail(err, ACE_EUNSUPPORTED, "autoencoder: odd strides cannot be decoded in tiles");
    memcpy(audio + s.first * row, tens_f32(y) + (s.first - s.from) * row, (size_t)(s.n * row) * sizeof(float));
    tens_release(c, mark);
    if (tiling->done) tiling->done(tiling->user, s.first + s.n, frames);
  }
  return ACE_OK;
}

ace_status vae_encode_tiled(tens_ctx *c, const vae *m, const float *audio, int64_t samples, const vae_tiling *tiling,
                            float *moments, ace_error *err) {
  if (check_tiling(tiling, err) != ACE_OK) return ACE_EINVAL;
  int64_t hop = m->cfg.hop, channels = m->cfg.audio_channels, frames = samples / hop, width = m->cfg.encoder_hidden;
  for (int64_t first = 0; first < frames; first += tiling->core) {
    span s = tile_at(tiling, first, frames);
    /* The last tile also reads the samples behind the last whole frame, as the untiled encoder does. */
    int64_t begin = s.from * hop, end = s.to == frames ? samples : s.to * hop;
    tens_mark mark = tens_here(c);
    tens *x = tens_from(c, TENS_F32, TENS_DIMS(1, end - begin, channels), audio + begin * channels);
    tens *y = vae_encode(c, m, x);
    if (!y) return tens_error(c, err);
    memcpy(moments + s.first * width, tens_f32(y) + (s.first - s.from) * width, (size_t)(s.n * width) * sizeof(float));
    tens_release(c, mark);
    if (tiling->done) tiling->done(tiling->user, s.first + s.n, frames);
  }
  return ACE_OK;
}

static size_t planned(const vae *m, int64_t time, int64_t width, tens *(*run)(tens_ctx *, const vae *, const tens *)) {
  tens_ctx *c = tens_open(&(tens_options){.plan = true}, NULL);
  if (!c) return SIZE_MAX;
  run(c, m, tens_new(c, TENS_F32, TENS_DIMS(1, time, width)));
  size_t bytes = tens_status(c) == ACE_OK ? tens_peak(c) : SIZE_MAX;
  tens_close(c);
  return bytes;
}

size_t vae_decode_memory(const vae *m, int64_t frames) {
  return planned(m, frames, m->cfg.decoder_input, vae_decode);
}

size_t vae_encode_memory(const vae *m, int64_t frames) {
  return planned(m, frames * m->cfg.hop + m->cfg.hop - 1, m->cfg.audio_channels, vae_encode);
}
