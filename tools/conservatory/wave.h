/* wave.h - band-limited oscillators: one period of each wave as a table, summed from as many harmonics as stay below
 * 20 kHz, a table for every half octave. Read-only after waves_new, so all threads share one. */
#ifndef CONSERVATORY_WAVE_H
#define CONSERVATORY_WAVE_H

#include "base/error.h"

enum { WAVE_SIZE = 2048, WAVE_LEVELS = 20 };

typedef enum wave_kind {
  WAVE_SINE,
  WAVE_SAW,
  WAVE_SQUARE,
  WAVE_ORGAN,
  WAVE_GLOTTIS,
  WAVE_FLUTE,
  WAVE_REED,
  WAVE_COUNT
} wave_kind;

typedef struct waves {
  float table[WAVE_COUNT][WAVE_LEVELS][WAVE_SIZE + 1]; /* the first sample again at the end */
} waves;

/* free() it. */
waves *waves_new(ace_error *err);

/* The table for a tone of at most `hz`. */
const float *waves_at(const waves *w, wave_kind kind, float hz);

/* Phase 0 <= x < 1. */
static inline float wave_read(const float *table, float phase) {
  float x = phase * WAVE_SIZE;
  int i = (int)x;
  return table[i] + (x - (float)i) * (table[i + 1] - table[i]);
}

/* Moves a phase on by `by` (0 <= by < 1) and keeps it within 0..1. */
static inline float wave_step(float phase, float by) {
  phase += by;
  return phase >= 1 ? phase - 1 : phase;
}

#endif
