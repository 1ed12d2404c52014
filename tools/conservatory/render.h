/* render.h - a piece as sound: a stem for each track that plays, and their mix. */
#ifndef CONSERVATORY_RENDER_H
#define CONSERVATORY_RENDER_H

#include "audio/buffer.h"
#include "conservatory/piece.h"
#include "conservatory/wave.h"

/* 48 kHz stereo, all as long as the piece. The limiter of the mix turns the stems down with it, so the mix is the sum of the
 * stems in the order of the tracks, to the bit. Empty buffers for tracks that do not play. Free with cons_sound_free. */
typedef struct cons_sound {
  audio_buffer mix, stem[TRACK_COUNT];
} cons_sound;

/* The same piece gives the same bits, on any thread. `out` is empty on failure. */
ace_status cons_render(const cons_piece *p, const waves *w, cons_sound *out, ace_error *err);
void cons_sound_free(cons_sound *s);

#endif
