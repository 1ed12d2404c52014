/* resample.h - change of sample rate by libsoxr, very high quality, linear phase; the same result on every run. */
#ifndef ACE_AUDIO_RESAMPLE_H
#define ACE_AUDIO_RESAMPLE_H

#include "audio/buffer.h"

/* In place; the result has round(frames * sample_rate / old rate) frames. On failure the buffer is unchanged. Peaks may
 * grow past 1 a little: nothing is clamped here. */
ace_status audio_resample(audio_buffer *b, int sample_rate, ace_error *err);
/* The same into a new buffer, also when the rates are equal. `out` is empty on failure. */
ace_status audio_resampled(const audio_buffer *b, int sample_rate, audio_buffer *out, ace_error *err);

#endif
