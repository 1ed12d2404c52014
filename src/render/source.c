#include "render/source.h"

#include <stdlib.h>
#include <string.h>

/* Frames [from, frames) of a row: silence, counted from the beginning of its table. */
static void fill_silence(const acestep_dit *m, int64_t from, int64_t frames, float *row) {
  int64_t width = m->cfg.latent_channels, table = m->silence.dim[0];
  for (int64_t t = from; t < frames; t++)
    memcpy(row + t * width, tens_f32(&m->silence) + (t - from) % table * width, (size_t)width * sizeof *row);
}

ace_status source_latents(tens_ctx *c, const acestep_dit *m, const vae *v, latents_cache *cache,
                          const audio_buffer *recording, int64_t core, rng_noise *noise, int rows, int64_t frames,
                          progress *p, float *out, ace_error *err) {
  int64_t width = m->cfg.latent_channels, own = recording->frames / v->cfg.hop;
  float *moments = NULL;
  ace_status status = latents_check(v, recording->channels, width, "src_audio", err);
  bool silent = status == ACE_OK && audio_is_silent(recording);
  if (status == ACE_OK && !silent)
    status = latents_encode(c, v, cache, recording->samples, recording->frames, core, p, &moments, err);
  for (int i = 0; status == ACE_OK && i < rows; i++) {
    float *row = out + i * frames * width;
    if (silent) fill_silence(m, 0, own, row);
    else status = latents_draw(moments, own, width, noise ? &noise[i] : NULL, row, err);
    fill_silence(m, own, frames, row);
  }
  free(moments);
  return status;
}
