/* source.h - the recording that a task works on, as latents. */
#ifndef ACE_RENDER_SOURCE_H
#define ACE_RENDER_SOURCE_H

#include "audio/buffer.h"
#include "models/acestep_dit.h"
#include "render/latents.h"

/* Latents [rows, frames, 64] of a recording of at least one frame, the rest of the frames silence: with `noise` NULL
 * one row, the means; else one row for each of `rows` generators, sampled. A silent recording gives silence and is not
 * encoded. Tiles of `core` frames. */
ace_status source_latents(tens_ctx *c, const acestep_dit *m, const vae *v, latents_cache *cache,
                          const audio_buffer *recording, int64_t core, rng_noise *noise, int rows, int64_t frames,
                          progress *p, float *out, ace_error *err);

#endif
