/* process.h - what happens to a song between the decoder and the file, in this order: decode peak, trim, normalise,
 * fade; the sound itself is changed. */
#ifndef ACE_AUDIO_PROCESS_H
#define ACE_AUDIO_PROCESS_H

#include "audio/buffer.h"

/* Multiplies every sample. */
void audio_scale(audio_buffer *b, float gain);

/* Divides by the peak if it is above 1, so that nothing clips. */
void audio_limit_peak(audio_buffer *b);

/* Brings the peak to `db` decibels relative to full scale (0 or below), up or down. A silent sound (peak below 1e-6)
 * and db above 0 leave the sound as it is. */
void audio_normalise(audio_buffer *b, double db);

/* Linear ramps at both ends, both end points included (the first sample of a fade in is 0, the last of a fade out is
 * 0); each is round(seconds * rate) frames, at most the whole sound. They may overlap. 0 or below: no ramp. */
void audio_fade(audio_buffer *b, double in_seconds, double out_seconds);

/* Keeps the first `frames` frames; a shorter sound stays as it is, a negative count counts as 0. */
void audio_trim(audio_buffer *b, int64_t frames);

/* `n` samples held within full scale, for files that hold no others; `out` may be `in`. */
void audio_clip(const float *in, float *out, size_t n);

#endif
