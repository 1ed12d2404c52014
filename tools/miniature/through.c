#include "miniature/through.h"

#include <stdlib.h>
#include <string.h>

enum { CORE = 128 /* latent frames of a tile */ };

static size_t room_of(const vae *m, int64_t frames, int overlap) {
  int64_t n = frames < CORE + 2 * overlap ? frames : CORE + 2 * overlap;
  size_t a = vae_encode_memory(m, n), b = vae_decode_memory(m, n);
  return a > b ? a : b;
}

ace_status through(const vae *m, pool *threads, const audio_buffer *in, audio_buffer *out, ace_error *err) {
  const vae_config *cfg = &m->cfg;
  int64_t frames = in->frames / cfg->hop, width = cfg->encoder_hidden, half = width / 2;
  int overlap = vae_encoder_halo(cfg) > vae_decoder_halo(cfg) ? vae_encoder_halo(cfg) : vae_decoder_halo(cfg);
  vae_tiling tiling = {.core = CORE, .overlap = overlap};
  float *moments = calloc((size_t)(frames * width) + 1, sizeof *moments);
  float *means = calloc((size_t)(frames * half) + 1, sizeof *means);
  tens_ctx *c = tens_open(&(tens_options){.threads = threads, .capacity = room_of(m, frames, overlap)}, err);
  ace_status status = !c ? err->status : moments && means ? ACE_OK : ace_fail(err, ACE_ENOMEM, "out of memory");
  if (status == ACE_OK) status = audio_buffer_new(out, frames * cfg->hop, in->channels, in->sample_rate, err);
  if (status == ACE_OK) status = vae_encode_tiled(c, m, in->samples, frames * cfg->hop, &tiling, moments, err);
  for (int64_t t = 0; status == ACE_OK && t < frames; t++)
    memcpy(means + t * half, moments + t * width, (size_t)half * sizeof *means);
  if (status == ACE_OK) status = vae_decode_tiled(c, m, means, frames, &tiling, out->samples, err);
  tens_close(c);
  free(moments), free(means);
  return status;
}
