/* timbre.h - a reference recording as the timbre encoder wants it: three slices, one from each third of the recording,
 * as latents of `timbre_frames` frames (750, i.e. 30 s).
 */
#ifndef ACE_RENDER_TIMBRE_H
#define ACE_RENDER_TIMBRE_H

#include "audio/buffer.h"
#include "base/rng.h"
#include "models/acestep_dit.h"
#include "models/vae.h"
#include "render/latents_cache.h"
#include "render/progress.h"

/* reference: stereo at the autoencoder's rate, not silent; shorter ones repeat. Where each slice begins, and with
 * `sample` the autoencoder's noise, comes from `noise`. Encoded in tiles of `core` frames. -> latents [timbre_frames,
 * 64] into `out`. */
ace_status timbre_from_reference(tens_ctx *c, const acestep_dit *m, const vae *v, latents_cache *cache,
                                 const audio_buffer *reference, bool sample, rng_noise *noise, int64_t core,
                                 progress *p, float *out, ace_error *err);

#endif
