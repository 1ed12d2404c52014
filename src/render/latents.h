/* latents.h - sound to latents: encoded in tiles as moments, from which the mean is taken or a sample is drawn.
 *
 *   float *moments;
 *   latents_encode(c, v, cache, samples, n, core, p, &moments, &err);    // [frames, 128]
 *   latents_draw(moments, frames, 64, NULL, latents, &err);              // the means, [frames, 64]
 *   free(moments);
 */
#ifndef ACE_RENDER_LATENTS_H
#define ACE_RENDER_LATENTS_H

#include "base/rng.h"
#include "models/vae.h"
#include "render/latents_cache.h"
#include "render/progress.h"

/* Frames that a tile of the autoencoder contributes: tried from the largest down until the memory allows one. A second
 * of sound is 25 frames. The published decoder stays below 1 GB with the largest, its weights included. */
enum { LATENTS_TILES = 4 };
extern const int64_t latents_tile[LATENTS_TILES];

/* Whether the autoencoder takes that many channels and makes latents of that width; `what` names the recording. */
ace_status latents_check(const vae *v, int channels, int64_t width, const char *what, ace_error *err);

/* Moments [n / hop, encoder_hidden] of sound [n, audio_channels], at least one frame of it, in tiles of `core` frames.
 * Taken from the cache when they are there, else left in it. *moments is the caller's, NULL on failure. cache and p may
 * be NULL. */
ace_status latents_encode(tens_ctx *c, const vae *v, latents_cache *cache, const float *samples, int64_t n,
                          int64_t core, progress *p, float **moments, ace_error *err);

/* Latents [frames, width] of moments [frames, 2*width]: the means, plus deviation times `noise` unless that is NULL. */
ace_status latents_draw(const float *moments, int64_t frames, int64_t width, rng_noise *noise, float *out,
                        ace_error *err);

#endif
