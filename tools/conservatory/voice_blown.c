/* Blown: brass opens its lowpass as it gets louder, flute carries breath around its tone, clarinet is odd harmonics, saxophone
 * a reed with a nasal resonance. */
#include "conservatory/dice.h"
#include "conservatory/filter.h"
#include "conservatory/voice.h"

enum { BLOCK = 32 };

typedef struct pipe {
  wave_kind wave;
  double attack, release;
  float scoop;                 /* starts this share of the pitch below */
  float breath, vibrato;       /* of the tone */
  float open_least, open_most; /* lowpass, in multiples of the pitch plus 300 Hz */
  float nose_hz, nose;
} pipe;

static pipe pipe_of(cons_voice voice) {
  switch (voice) {
    case VOICE_TRUMPET: return (pipe){WAVE_SAW, 0.03, 0.05, 0.02f, 0.01f, 0.003f, 1.2f, 9, 1400, 0.5f};
    case VOICE_HORNS: return (pipe){WAVE_SAW, 0.035, 0.06, 0.025f, 0.01f, 0.0015f, 1, 7, 900, 0.4f};
    case VOICE_FLUTE: return (pipe){WAVE_FLUTE, 0.06, 0.06, 0.004f, 0.16f, 0.005f, 6, 8, 900, 0};
    case VOICE_CLARINET: return (pipe){WAVE_REED, 0.035, 0.05, 0.003f, 0.02f, 0.001f, 4, 8, 1500, 0.2f};
    default: return (pipe){WAVE_SAW, 0.03, 0.05, 0.015f, 0.05f, 0.004f, 3, 8, 750, 0.8f};
  }
}

int voice_blown(cons_voice voice, const voice_note *n, float *out, int room) {
  pipe p = pipe_of(voice);
  bool section = voice == VOICE_HORNS;
  dice d = {n->seed + (uint64_t)n->layer};
  const float *table = waves_at(n->waves, p.wave, n->hz * 1.03f), *sine = n->waves->table[WAVE_SINE][0];
  envelope e = envelope_new(p.attack * dice_between(&d, 0.8, 1.3), 0.25, 0.8, p.release, n->gate);
  svf open = {0}, breath = {0}, nose = {0};
  svf_set(&breath, fminf(n->hz * 2, 9000), 1.2f), svf_set(&nose, p.nose_hz, 1.4f);
  float a = (float)dice_unit(&d), b = (float)dice_unit(&d), wobble = 0, step = 0, loud = 0;
  float apart = 1 + (float)dice_between(&d, 0.003, 0.007) * (n->layer ? -1 : 1);
  for (int i = 0; i < room; i++) {
    if (i % BLOCK == 0) {
      float scoop = p.scoop * expf(-(float)i / 1500), depth = p.vibrato * fminf(1, (float)i / 18000);
      wobble = wave_step(wobble, 5.3f * BLOCK / CONS_RATE);
      step = n->hz / CONS_RATE * (1 - scoop + depth * wave_read(sine, wobble));
      svf_set(&open, 300 + n->hz * (p.open_least + (p.open_most - p.open_least) * loud * loud * n->velocity), 0.8f);
    }
    float x = wave_read(table, a);
    if (section) x = 0.55f * (x + wave_read(table, b)), b = wave_step(b, step * apart);
    a = wave_step(a, step);
    float air = p.breath * svf_band(&breath, dice_noise(&d)) * (1 + 2 * expf(-(float)i / 2000));
    x = svf_low(&open, x);
    loud = envelope_run(&e);
    out[i] = (x + p.nose * svf_band(&nose, x) + air) * loud * n->velocity;
  }
  return room;
}
