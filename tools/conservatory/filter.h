/* filter.h - the small parts that voices are made of: a state-variable filter, one-pole smoothing, an envelope. Rates are
 * per sample at 48 kHz. */
#ifndef CONSERVATORY_FILTER_H
#define CONSERVATORY_FILTER_H

#include <math.h>

#include "conservatory/piece.h"

/* Two poles, lowpass, bandpass and highpass at once; trapezoidal integration (Zavalishin, "The Art of VA Filter Design"),
 * which stays stable while its frequency moves. */
typedef struct svf {
  float g, k, a1, one, two, low, band, high;
} svf;

static inline void svf_set(svf *f, float hz, float q) {
  if (hz > 20000) hz = 20000;
  if (hz < 10) hz = 10;
  f->g = tanf(3.14159265f * hz / CONS_RATE);
  f->k = 1 / q;
  f->a1 = 1 / (1 + f->g * (f->g + f->k));
}

static inline void svf_run(svf *f, float x) {
  float v3 = x - f->two, v1 = f->a1 * (f->one + f->g * v3), v2 = f->two + f->g * v1;
  f->one = 2 * v1 - f->one;
  f->two = 2 * v2 - f->two;
  f->low = v2, f->band = v1 * f->k, f->high = x - f->k * v1 - v2;
}

static inline float svf_low(svf *f, float x) {
  svf_run(f, x);
  return f->low;
}
/* Gain 1 at the middle. */
static inline float svf_band(svf *f, float x) {
  svf_run(f, x);
  return f->band;
}
static inline float svf_high(svf *f, float x) {
  svf_run(f, x);
  return f->high;
}

/* What a value is multiplied with each sample to fall to 1/e in `seconds`. */
static inline float decay(double seconds) {
  return (float)exp(-1 / (seconds * CONS_RATE));
}

/* Attack (linear), decay to a level, release after the gate; all in seconds. */
typedef struct envelope {
  float value, rise, fall, level, release;
  int gate, at;
  bool up;
} envelope;

static inline envelope envelope_new(double attack, double fall, double level, double release, int gate) {
  return (envelope){0, (float)(1 / (attack * CONS_RATE + 1)), decay(fall), (float)level, decay(release), gate, 0, true};
}

static inline float envelope_run(envelope *e) {
  if (e->at++ >= e->gate) return e->value *= e->release;
  if (e->up) {
    e->value += e->rise;
    if (e->value >= 1) e->value = 1, e->up = false;
  } else {
    e->value = e->level + (e->value - e->level) * e->fall;
  }
  return e->value;
}

static inline float midi_hz(double pitch) {
  return (float)(440 * exp2((pitch - 69) / 12));
}

#endif
