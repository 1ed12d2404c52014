/* Bowed strings: saws that waver, under the resonances of a wooden body; a section is three of them a side. */
#include "conservatory/dice.h"
#include "conservatory/filter.h"
#include "conservatory/voice.h"

enum { MOST_PLAYERS = 3, BLOCK = 32 };

int voice_bowed(cons_voice voice, const voice_note *n, float *out, int room) {
  bool section = voice == VOICE_ENSEMBLE;
  int players = section ? MOST_PLAYERS : 1;
  dice d = {n->seed + (uint64_t)n->layer};
  const float *saw = waves_at(n->waves, WAVE_SAW, n->hz * 1.03f), *sine = n->waves->table[WAVE_SINE][0];
  float phase[MOST_PLAYERS], wobble[MOST_PLAYERS], step[MOST_PLAYERS], rate[MOST_PLAYERS], detune[MOST_PLAYERS];
  for (int k = 0; k < players; k++) {
    phase[k] = (float)dice_unit(&d), wobble[k] = (float)dice_unit(&d);
    rate[k] = (float)dice_between(&d, 5, 6.2) * BLOCK / CONS_RATE;
    detune[k] = section ? (float)dice_between(&d, -0.005, 0.005) : 0;
  }
  envelope e = section ? envelope_new(0.09, 1, 0.95, 0.14, n->gate) : envelope_new(0.045, 1, 0.9, 0.06, n->gate);
  svf top = {0}, body = {0}, nose = {0};
  svf_set(&top, 1500 + 3500 * n->velocity + n->hz, 0.7f), svf_set(&body, 480, 1.2f), svf_set(&nose, 1150, 1.5f);
  for (int i = 0; i < room; i++) {
    if (i % BLOCK == 0)
      for (int k = 0; k < players; k++) {
        float depth = 0.0032f * fminf(1, (float)i / 14000); /* the wavering sets in */
        wobble[k] = wave_step(wobble[k], rate[k]);
        step[k] = n->hz / CONS_RATE * (1 + detune[k] + depth * wave_read(sine, wobble[k]));
      }
    float x = 0;
    for (int k = 0; k < players; k++) x += wave_read(saw, phase[k]), phase[k] = wave_step(phase[k], step[k]);
    x = svf_low(&top, x / (float)players + 0.012f * dice_noise(&d));
    out[i] = (0.6f * x + 0.5f * svf_band(&body, x) + 0.45f * svf_band(&nose, x)) * envelope_run(&e) * n->velocity;
  }
  return room;
}
