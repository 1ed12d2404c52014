/* Sound in memory. */
#include "audio/buffer.h"

#include <math.h>
#include <stdlib.h>

ace_status audio_buffer_new(audio_buffer *out, int64_t frames, int channels, int sample_rate, ace_error *err) {
  *out = (audio_buffer){0};
  if (frames < 0 || channels < 1 || sample_rate < 1)
    return ace_fail(err, ACE_EINVAL, "audio: a sound cannot have %lld frames of %d channels at %d Hz",
                    (long long)frames, channels, sample_rate);
  if (frames > (int64_t)(PTRDIFF_MAX / (ptrdiff_t)sizeof(float)) / channels)
    return ace_fail(err, ACE_ENOMEM, "audio: %lld frames of %d channels do not fit in memory", (long long)frames,
                    channels);
  size_t samples = (size_t)frames * (size_t)channels;
  float *p = calloc(samples ? samples : 1, sizeof *p);
  if (!p) return ace_fail(err, ACE_ENOMEM, "audio: out of memory for %zu samples", samples);
  *out = (audio_buffer){p, frames, channels, sample_rate};
  return ACE_OK;
}

void audio_buffer_free(audio_buffer *b) {
  if (!b) return;
  free(b->samples);
  *b = (audio_buffer){0};
}

double audio_seconds(const audio_buffer *b) {
  return b->sample_rate > 0 ? (double)b->frames / b->sample_rate : 0;
}

float audio_peak(const audio_buffer *b) {
  float peak = 0;
  for (int64_t i = 0, n = b->frames * b->channels; i < n; i++) {
    float x = fabsf(b->samples[i]);
    if (x > peak) peak = x;
  }
  return peak;
}

bool audio_is_silent(const audio_buffer *b) {
  /* Written so that a NaN is not silence. */
  for (int64_t i = 0, n = b->frames * b->channels; i < n; i++)
    if (!(fabsf(b->samples[i]) < 1e-6f)) return false;
  return true;
}

bool audio_is_finite(const audio_buffer *b) {
  for (int64_t i = 0, n = b->frames * b->channels; i < n; i++)
    if (!isfinite(b->samples[i])) return false;
  return true;
}
