/* recording.h - a recording as the models see it: latents at 25 Hz, audio codes at 5 Hz. */
#ifndef ACE_RENDER_RECORDING_H
#define ACE_RENDER_RECORDING_H

#include "audio/buffer.h"
#include "models/acestep_dit.h"
#include "models/vae.h"
#include "render/latents_cache.h"
#include "render/progress.h"

/* The codes of a recording at the autoencoder's rate and channels; v has its encoder. Its last window is filled with
 * silence. *codes is the caller's. */
ace_status recording_codes(tens_ctx *c, const acestep_dit *m, const vae *v, latents_cache *cache, const audio_buffer *b,
                           int64_t core, progress *p, int32_t **codes, size_t *n, ace_error *err);
/* The largest tile, in frames, that `budget` bytes allow, and the bytes that recording_codes then needs. 0 when none
 * do. */
int64_t recording_plan(const acestep_dit *m, const vae *v, const audio_buffer *b, size_t budget, size_t *bytes);

#endif
