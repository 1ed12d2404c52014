#include "render/timbre.h"

#include <stdlib.h>
#include <string.h>

#include "render/latents.h"

enum { SLICES = 3 };

/* Copies `n` frames that start at `from`, the recording repeating, to out [n, channels]. */
static void copy_looped(const audio_buffer *b, int64_t from, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++)
    memcpy(out + i * b->channels, b->samples + (from + i) % b->frames * b->channels,
           (size_t)b->channels * sizeof(float));
}

ace_status timbre_from_reference(tens_ctx *c, const acestep_dit *m, const vae *v, latents_cache *cache,
                                 const audio_buffer *reference, bool sample, rng_noise *noise, int64_t core,
                                 progress *p, float *out, ace_error *err) {
  int64_t channels = reference->channels, total = (int64_t)m->cfg.timbre_frames * v->cfg.hop;
  int64_t slice = total / SLICES, width = m->cfg.timbre_hidden;
  int64_t repeats = (total + reference->frames - 1) / reference->frames;
  int64_t length = reference->frames * (repeats > 1 ? repeats : 1), third = length / SLICES;
  ace_status status = latents_check(v, reference->channels, width, "reference_audio", err);
  if (status != ACE_OK) return status;
  float *audio = calloc((size_t)(total * channels), sizeof *audio), *moments = NULL;
  if (!audio) return ace_fail(err, ACE_ENOMEM, "reference_audio: out of memory");
  for (int i = 0; i < SLICES; i++) {
    int64_t room = (i == SLICES - 1 ? length - (SLICES - 1) * third : third) - slice;
    int64_t from = i * third + rng_noise_index(noise, (room > 0 ? room : 0) + 1);
    copy_looped(reference, from, slice, audio + i * slice * channels);
  }
  status = latents_encode(c, v, cache, audio, total, core, p, &moments, err);
  if (status == ACE_OK) status = latents_draw(moments, m->cfg.timbre_frames, width, sample ? noise : NULL, out, err);
  free(audio);
  free(moments);
  return status;
}
