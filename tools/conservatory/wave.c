#include "conservatory/wave.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_HARMONICS = 384 };
static const double LOWEST = 20, HIGHEST = 20000; /* Hz */

/* How loud harmonic k (from 1) is. */
static double amplitude(wave_kind kind, int k) {
  static const double bars[17] = {0, 1, 0.9, 0.55, 0.6, 0, 0.3, 0,   0.35,
                                  0, 0, 0,   0,    0,   0, 0,   0.15}; /* organ drawbars */
  switch (kind) {
    case WAVE_SINE: return k == 1;
    case WAVE_SAW: return 1.0 / k;
    case WAVE_SQUARE: return k % 2 ? 1.0 / k : 0;
    case WAVE_ORGAN: return k <= 16 ? bars[k] : 0;
    case WAVE_GLOTTIS: return 1 / pow(k, 1.35);
    case WAVE_FLUTE: return k <= 8 ? 1 / pow(k, k % 2 ? 2.2 : 1.7) : 0;
    case WAVE_REED: return (k % 2 ? 1 : 0.12) / pow(k, 1.1);
    default: return 0;
  }
}

static void fill(float *table, wave_kind kind, int harmonics, const double *sine) {
  double sum[WAVE_SIZE] = {0}, peak = 1e-9;
  for (int k = 1; k <= harmonics; k++) {
    double a = amplitude(kind, k);
    if (a == 0) continue;
    for (int i = 0; i < WAVE_SIZE; i++) sum[i] += a * sine[(i * k) % WAVE_SIZE];
  }
  for (int i = 0; i < WAVE_SIZE; i++) peak = fmax(peak, fabs(sum[i]));
  if (kind == WAVE_SAW || kind == WAVE_GLOTTIS) peak = 1.6; /* levels must not step between tables */
  if (kind == WAVE_SQUARE || kind == WAVE_REED) peak = 0.9;
  for (int i = 0; i < WAVE_SIZE; i++) table[i] = (float)(sum[i] / peak);
  table[WAVE_SIZE] = table[0];
}

waves *waves_new(ace_error *err) {
  static const double turn = 6.283185307179586;
  double sine[WAVE_SIZE];
  waves *w = malloc(sizeof *w);
  if (!w) {
    ace_fail(err, ACE_ENOMEM, "waves: out of memory");
    return NULL;
  }
  for (int i = 0; i < WAVE_SIZE; i++) sine[i] = sin(turn * i / WAVE_SIZE);
  for (int level = 0; level < WAVE_LEVELS; level++) {
    int harmonics = (int)(HIGHEST / (LOWEST * pow(2, (level + 1) / 2.0)));
    if (harmonics > MOST_HARMONICS) harmonics = MOST_HARMONICS;
    if (harmonics < 1) harmonics = 1;
    for (int kind = 0; kind < WAVE_COUNT; kind++) fill(w->table[kind][level], (wave_kind)kind, harmonics, sine);
  }
  return w;
}

const float *waves_at(const waves *w, wave_kind kind, float hz) {
  int level = hz > (float)LOWEST ? (int)(2 * log2f(hz / (float)LOWEST)) : 0;
  return w->table[kind][level < WAVE_LEVELS ? level : WAVE_LEVELS - 1];
}
