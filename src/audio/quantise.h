/* quantise.h - floats to integers for the PCM formats. */
#ifndef ACE_AUDIO_QUANTISE_H
#define ACE_AUDIO_QUANTISE_H

#include <stddef.h>
#include <stdint.h>

/* State of the dither generator; a fixed start makes the same song the same file. */
typedef struct quantise_dither {
  uint64_t state;
} quantise_dither;

/* 16 bits with triangular dither of two steps width (TPDF: Lipshitz, Wannamaker and Vanderkooy, "Quantization and
 * Dither", 1992), which makes the rounding error independent of the music up to its second moment. A sample that is on
 * the 16-bit grid already has no error to hide and is kept: silence stays silence, a 16-bit source stays itself.
 * d NULL: rounded to nearest. */
void quantise_16(quantise_dither *d, const float *in, int16_t *out, size_t count);

/* 24 bits, rounded to nearest, in the upper bits of 32 as libsndfile takes them. */
void quantise_24(const float *in, int32_t *out, size_t count);

#endif
