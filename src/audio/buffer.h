/* buffer.h - sound in memory: interleaved floats, and the few questions asked about them. */
#ifndef ACE_AUDIO_BUFFER_H
#define ACE_AUDIO_BUFFER_H

#include "base/error.h"

/* Of sounds that are read, resampled and written; rates in Hz. */
enum { AUDIO_CHANNELS_MOST = 32, AUDIO_RATE_LEAST = 1000, AUDIO_RATE_MOST = 768000 };

/* Owned by whoever filled it; audio_buffer_free() empties it. A zeroed struct is an empty buffer. */
typedef struct audio_buffer {
  float *samples; /* interleaved [frames, channels], full scale is -1..1 */
  int64_t frames;
  int channels;
  int sample_rate; /* Hz */
} audio_buffer;

/* Silence of that shape. `out` is empty on failure. */
ace_status audio_buffer_new(audio_buffer *out, int64_t frames, int channels, int sample_rate, ace_error *err);
/* Accepts NULL and empty buffers. */
void audio_buffer_free(audio_buffer *b);

/* Length in seconds, 0 for an empty buffer. */
double audio_seconds(const audio_buffer *b);
/* max |x| over all channels, 0 for an empty buffer. */
float audio_peak(const audio_buffer *b);
/* True when every |x| < 1e-6: what every part of the program calls silent. An empty buffer is silent. */
bool audio_is_silent(const audio_buffer *b);
/* False when a sample is NaN or infinite. */
bool audio_is_finite(const audio_buffer *b);

#endif
