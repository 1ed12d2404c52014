/* loudness.h - how loud a sound is (ITU-R BS.1770-4 and EBU R 128, measured by libebur128), and bringing it to a target.
 */
#ifndef ACE_AUDIO_LOUDNESS_H
#define ACE_AUDIO_LOUDNESS_H

#include "audio/buffer.h"

typedef struct audio_loudness {
  double integrated; /* of the whole sound, gated, in LUFS; -infinity where nothing passes the gate */
  double true_peak;  /* between the samples too, in dBTP; -infinity for silence */
} audio_loudness;

/* One or two channels. Fails when memory is short or the sound's rate is none that can be measured. */
ace_status audio_measure(const audio_buffer *b, audio_loudness *out, ace_error *err);

/* Brings the integrated loudness to `target` LUFS by one gain for the whole sound, which is smaller when the true peak
 * would pass `most_peak` dBTP: dynamics stay as they are. Silence stays silence. In place. */
ace_status audio_normalise_loudness(audio_buffer *b, double target, double most_peak, ace_error *err);

#endif
