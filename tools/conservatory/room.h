/* room.h - what happens to sounds after their voices: reverberation, and the limiter of the mix. Stereo, interleaved. */
#ifndef CONSERVATORY_ROOM_H
#define CONSERVATORY_ROOM_H

#include "audio/buffer.h"

/* Adds the answer of a small hall to a sound, `send` times as loud as it came in, and takes away what lies below 25 Hz.
 * A feedback delay network of eight lines (Jot and Chaigne, 1991) with a Hadamard mixing matrix. */
ace_status room_reverb(audio_buffer *b, double send, double seconds, ace_error *err);

/* gain[frames], each in 0..1, so that |b * gain| stays below `ceiling`: looks 5 ms ahead, returns in 150 ms. */
ace_status room_limit(const audio_buffer *b, float ceiling, float *gain, ace_error *err);

#endif
