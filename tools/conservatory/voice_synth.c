/* Synthesizers: detuned band-limited oscillators through a filter with an envelope of its own. */
#include "conservatory/dice.h"
#include "conservatory/filter.h"
#include "conservatory/voice.h"

enum { BLOCK = 16 };

typedef struct patch {
  wave_kind wave;
  float detune, sub;    /* of the second oscillator; of a sine an octave below */
  float base, sweep, q; /* lowpass: multiples of the pitch, added by the envelope */
  double filter_fall, attack, fall, level, release;
  float vibrato;
} patch;

static patch patch_of(cons_voice voice) {
  switch (voice) {
    case VOICE_SYNTH_BASS: return (patch){WAVE_SAW, 0.004f, 0.5f, 2, 14, 1.6f, 0.12, 0.003, 0.4, 0.7, 0.03, 0};
    case VOICE_SUB: return (patch){WAVE_SINE, 0, 0, 6, 0, 0.7f, 0.1, 0.006, 0.8, 0.8, 0.05, 0};
    case VOICE_PAD: return (patch){WAVE_SAW, 0.008f, 0.2f, 2.2f, 3, 0.8f, 1.5, 0.35, 2, 0.85, 0.5, 0.001f};
    case VOICE_PLUCK: return (patch){WAVE_SQUARE, 0.005f, 0, 1.2f, 12, 1.3f, 0.09, 0.002, 0.22, 0.05, 0.1, 0};
    default: return (patch){WAVE_SAW, 0.006f, 0, 3, 7, 1.2f, 0.3, 0.008, 0.6, 0.75, 0.06, 0.004f};
  }
}

int voice_synth(cons_voice voice, const voice_note *n, float *out, int room) {
  patch p = patch_of(voice);
  dice d = {n->seed + (uint64_t)n->layer};
  const float *table = waves_at(n->waves, p.wave, n->hz * 1.02f), *sine = n->waves->table[WAVE_SINE][0];
  envelope e = envelope_new(p.attack, p.fall, p.level, p.release, n->gate);
  svf filter = {0};
  float a = (float)dice_unit(&d), b = (float)dice_unit(&d), c = 0, wobble = (float)dice_unit(&d), step = 0, sweep = 1;
  float fall = (float)pow(decay(p.filter_fall), BLOCK), apart = 1 + p.detune * (n->layer ? -1 : 1);
  if (p.wave == WAVE_SINE) a = 0;
  for (int i = 0; i < room; i++) {
    if (i % BLOCK == 0) {
      wobble = wave_step(wobble, 5.5f * BLOCK / CONS_RATE);
      step = n->hz / CONS_RATE * (1 + p.vibrato * fminf(1, (float)i / 16000) * wave_read(sine, wobble));
      svf_set(&filter, fminf(n->hz * (p.base + p.sweep * sweep * n->velocity), 16000), p.q);
      sweep *= fall;
    }
    float x = wave_read(table, a);
    if (p.detune > 0) x = 0.5f * (x + wave_read(table, b)), b = wave_step(b, step * apart);
    if (p.sub > 0) x += p.sub * wave_read(sine, c), c = wave_step(c, step * 0.5f);
    a = wave_step(a, step);
    out[i] = svf_low(&filter, x) * envelope_run(&e) * n->velocity;
  }
  return room;
}
