#include "render/latents.h"

#include <stdlib.h>
#include <string.h>

#include "models/cost.h"

const int64_t latents_tile[LATENTS_TILES] = {128, 64, 32, 16};

ace_status latents_check(const vae *v, int channels, int64_t width, const char *what, ace_error *err) {
  if (v->cfg.encoder_hidden != 2 * width)
    return ace_fail(err, ACE_EUNSUPPORTED, "%s: the autoencoder makes %d channels, the diffusion model takes %lld",
                    what, v->cfg.encoder_hidden / 2, (long long)width);
  if (v->cfg.audio_channels != channels)
    return ace_fail(err, ACE_EUNSUPPORTED, "%s: %d channels, the autoencoder takes %d", what, channels,
                    v->cfg.audio_channels);
  return ACE_OK;
}

/* What a tile's end reports. */
typedef struct encoding {
  progress *p;
  double each;
  int64_t before;
} encoding;

static void tile_done(void *user, int64_t frames, int64_t total) {
  encoding *e = user;
  if (e->p) progress_advance(e->p, e->each * (double)(frames - e->before));
  e->before = frames;
}

ace_status latents_encode(tens_ctx *c, const vae *v, latents_cache *cache, const float *samples, int64_t n,
                          int64_t core, progress *p, float **moments, ace_error *err) {
  encoding e = {.p = p, .each = cost_vae_encode(&v->cfg)};
  size_t count = (size_t)(n / v->cfg.hop * v->cfg.encoder_hidden);
  char key[LATENTS_KEY];
  if (cache) latents_cache_key(samples, n, v->cfg.audio_channels, key);
  *moments = cache ? latents_cache_get(cache, key, count) : NULL;
  if (*moments) {
    tile_done(&e, n / v->cfg.hop, n / v->cfg.hop);
    return ACE_OK;
  }
  vae_tiling tiling = {.core = core, .overlap = vae_encoder_halo(&v->cfg), .done = tile_done, .user = &e};
  *moments = malloc(count * sizeof **moments);
  if (!*moments) return ace_fail(err, ACE_ENOMEM, "recording: out of memory");
  ace_status status = vae_encode_tiled(c, v, samples, n, &tiling, *moments, err);
  if (status == ACE_OK && cache) latents_cache_put(cache, key, *moments, count);
  if (status == ACE_OK) return ACE_OK;
  free(*moments);
  *moments = NULL;
  return status;
}

ace_status latents_draw(const float *moments, int64_t frames, int64_t width, rng_noise *noise, float *out,
                        ace_error *err) {
  for (int64_t t = 0; t < frames; t++) memcpy(out + t * width, moments + 2 * t * width, (size_t)width * sizeof *out);
  if (!noise) return ACE_OK;
  int64_t n = frames * width;
  float *epsilon = malloc(2 * (size_t)n * sizeof *epsilon);
  if (!epsilon) return ace_fail(err, ACE_ENOMEM, "recording: out of memory");
  float *deviation = epsilon + n;
  rng_noise_fill(noise, epsilon, n);
  for (int64_t t = 0; t < frames; t++) vae_deviation(moments + (2 * t + 1) * width, deviation + t * width, width);
  for (int64_t i = 0; i < n; i++) out[i] += deviation[i] * epsilon[i];
  free(epsilon);
  return ACE_OK;
}
