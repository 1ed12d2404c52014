#include "render/recording.h"

#include <stdlib.h>
#include <string.h>

#include "models/audio_tokenizer.h"
#include "render/latents.h"

static int64_t frames_of(const vae *v, const audio_buffer *b) {
  int64_t frames = b->frames / v->cfg.hop;
  return frames > 0 ? frames : 1;
}

static size_t tokenizer_memory(const acestep_dit *m, int64_t frames) {
  tens_ctx *c = tens_open(&(tens_options){.plan = true}, NULL);
  if (!c) return SIZE_MAX;
  audio_tokenize(c, m, tens_new(c, TENS_F32, TENS_DIMS(1, frames, m->cfg.latent_channels)));
  size_t bytes = tens_status(c) == ACE_OK ? tens_peak(c) : SIZE_MAX;
  tens_close(c);
  return bytes;
}

int64_t recording_plan(const acestep_dit *m, const vae *v, const audio_buffer *b, size_t budget, size_t *bytes) {
  size_t tokens = tokenizer_memory(m, frames_of(v, b));
  for (int i = 0; i < LATENTS_TILES && tokens <= budget; i++) {
    size_t tile = vae_encode_memory(v, latents_tile[i] + 2 * vae_encoder_halo(&v->cfg));
    *bytes = tile > tokens ? tile : tokens;
    if (tile <= budget) return latents_tile[i];
  }
  return 0;
}

/* Means of the latents, [frames, 64]. */
static ace_status encode_means(tens_ctx *c, const vae *v, latents_cache *cache, const audio_buffer *b, int64_t core,
                               progress *p, float *latents, ace_error *err) {
  float *moments = NULL, *padded = NULL;
  if (b->frames < v->cfg.hop) { /* shorter than a frame */
    padded = calloc((size_t)(v->cfg.hop * b->channels), sizeof *padded);
    if (!padded) return ace_fail(err, ACE_ENOMEM, "recording: out of memory");
    memcpy(padded, b->samples, (size_t)(b->frames * b->channels) * sizeof *padded);
  }
  ace_status status = latents_encode(c, v, cache, padded ? padded : b->samples, padded ? v->cfg.hop : b->frames, core,
                                     p, &moments, err);
  if (status == ACE_OK) status = latents_draw(moments, frames_of(v, b), v->cfg.encoder_hidden / 2, NULL, latents, err);
  free(moments);
  free(padded);
  return status;
}

ace_status recording_codes(tens_ctx *c, const acestep_dit *m, const vae *v, latents_cache *cache, const audio_buffer *b,
                           int64_t core, progress *p, int32_t **codes, size_t *n, ace_error *err) {
  int64_t frames = frames_of(v, b), width = m->cfg.latent_channels;
  *codes = NULL;
  *n = 0;
  ace_status status = latents_check(v, b->channels, width, "recording", err);
  if (status != ACE_OK) return status;
  float *latents = malloc((size_t)(frames * width) * sizeof *latents);
  if (!latents) return ace_fail(err, ACE_ENOMEM, "recording: out of memory");
  status = encode_means(c, v, cache, b, core, p, latents, err);
  if (status == ACE_OK) {
    tens *index = audio_tokenize(c, m, tens_from(c, TENS_F32, TENS_DIMS(1, frames, width), latents)).index;
    *codes = index ? malloc((size_t)tens_count(index) * sizeof **codes) : NULL;
    if (!index) status = tens_error(c, err);
    else if (!*codes) status = ace_fail(err, ACE_ENOMEM, "recording: out of memory");
    else {
      *n = (size_t)tens_count(index);
      memcpy(*codes, tens_i32(index), *n * sizeof **codes);
    }
  }
  free(latents);
  return status;
}
