#include "render/timbre.h"

#include <stdlib.h>
#include <string.h>

enum { SLICES = 3 };

/* Copies `n` frames that start at `from`, the recording repeating, to out [n, channels]. */
static void copy_looped(const audio_buffer *b, int64_t from, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++)
    memcpy(out + i * b->channels, b->samples + (from + i) % b->frames * b->channels,
           (size_t)b->channels * sizeof(float));
}

/* Latents of moments [frames, 2*width]: the mean, plus deviation times noise when sampling. */
static ace_status draw_latents(const float *moments, int64_t frames, int64_t width, bool sample, rng_noise *noise,
                               float *out, ace_error *err) {
  for (int64_t t = 0; t < frames; t++) memcpy(out + t * width, moments + 2 * t * width, (size_t)width * sizeof *out);
  if (!sample) return ACE_OK;
  int64_t n = frames * width;
  float *epsilon = malloc(2 * (size_t)n * sizeof *epsilon);
  if (!epsilon) return ace_fail(err, ACE_ENOMEM, "reference audio: out of memory");
  float *deviation = epsilon + n;
  rng_noise_fill(noise, epsilon, n);
  for (int64_t t = 0; t < frames; t++) vae_deviation(moments + (2 * t + 1) * width, deviation + t * width, width);
  for (int64_t i = 0; i < n; i++) out[i] += deviation[i] * epsilon[i];
  free(epsilon);
  return ACE_OK;
}

ace_status timbre_from_reference(tens_ctx *c, const acestep_dit *m, const vae *v, const audio_buffer *reference,
                                 bool sample, rng_noise *noise, const vae_tiling *tiling, float *out, ace_error *err) {
  int64_t channels = reference->channels, total = (int64_t)m->cfg.timbre_frames * v->cfg.hop;
  int64_t slice = total / SLICES, width = m->cfg.timbre_hidden;
  int64_t repeats = (total + reference->frames - 1) / reference->frames;
  int64_t length = reference->frames * (repeats > 1 ? repeats : 1), third = length / SLICES;
  if (v->cfg.encoder_hidden != 2 * width || v->cfg.audio_channels != channels)
    return ace_fail(err, ACE_EUNSUPPORTED,
                    "reference audio: the autoencoder makes %d channels, the timbre encoder "
                    "takes %lld",
                    v->cfg.encoder_hidden / 2, (long long)width);
  float *audio = calloc((size_t)(total * channels), sizeof *audio);
  float *moments = malloc((size_t)(m->cfg.timbre_frames * 2 * width) * sizeof *moments);
  ace_status status = ACE_OK;
  if (!audio || !moments) status = ace_fail(err, ACE_ENOMEM, "reference audio: out of memory");
  for (int i = 0; status == ACE_OK && i < SLICES; i++) {
    int64_t room = (i == SLICES - 1 ? length - (SLICES - 1) * third : third) - slice;
    int64_t from = i * third + rng_noise_index(noise, (room > 0 ? room : 0) + 1);
    copy_looped(reference, from, slice, audio + i * slice * channels);
  }
  if (status == ACE_OK) status = vae_encode_tiled(c, v, audio, total, tiling, moments, err);
  if (status == ACE_OK) status = draw_latents(moments, m->cfg.timbre_frames, width, sample, noise, out, err);
  free(audio);
  free(moments);
  return status;
}
