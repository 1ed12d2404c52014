/* harmony.h - scales, chords by their Roman numerals, and voicings that move as little as they can. */
#ifndef CONSERVATORY_HARMONY_H
#define CONSERVATORY_HARMONY_H

#include "conservatory/piece.h"

/* Semitones of the seven degrees above the tonic. */
extern const int harmony_scale[MODE_COUNT][7];

/* The chord that a numeral names in a key: "I", "vi", "bVII", "V7", "Imaj7", "ii7", "iidim", "iidim7". Upper case is
 * major, lower case minor; degrees of minor numerals follow the natural minor scale. False: no such numeral. */
bool harmony_chord(const char *numeral, int key, bool minor, cons_chord *out);

/* The pitch of the chord nearest to `near`; the lower of two. */
int harmony_nearest(const cons_chord *c, double near);
bool harmony_holds(const cons_chord *c, int pitch);

/* A close voicing of the chord with its top within low..high, nearest to the `n_before` pitches in `voicing` (0: to the
 * middle of the range). Replaces them, returns their number. */
int harmony_voice(const cons_chord *c, int low, int high, int voicing[CONS_CHORD_TONES], int n_before);

/* The pitch `steps` scale degrees above the scale tone nearest to `pitch`. */
int harmony_walk(int key, cons_mode mode, int pitch, int steps);

#endif
