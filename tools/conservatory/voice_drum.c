/* Drums, percussion and effects, synthesised: skins are sines that fall in pitch, wires and shakers filtered noise, metal
 * clusters of squares that are no harmonics of each other. */
#include "conservatory/drum.h"

#include "conservatory/dice.h"
#include "conservatory/filter.h"
#include "conservatory/voice.h"

static const float TURN = 6.2831853f;

static int frames(double seconds, int room) {
  int n = (int)(seconds * CONS_RATE);
  return n < room ? n : room;
}

/* A struck skin: from hz + drop down to hz; `click` is noise in the first milliseconds. Adds to out. */
static void skin(float *out, int n, float hz, float drop, double drop_time, double ring, float gain) {
  float phase = 0, shrink = decay(ring), fall = decay(drop_time);
  for (int i = 0; i < n; i++) {
    phase = wave_step(phase, (hz + drop) / CONS_RATE);
    drop *= fall, gain *= shrink;
    out[i] += gain * sinf(TURN * phase) * (i < 24 ? (float)i / 24 : 1);
  }
}

/* Noise around `hz` (high: everything above), dying in `ring` seconds. Adds to out. */
static void hiss(float *out, int n, dice *d, float hz, float q, bool high, double ring, float gain) {
  svf f = {0};
  float shrink = decay(ring);
  svf_set(&f, hz, q);
  for (int i = 0; i < n; i++, gain *= shrink) {
    svf_run(&f, dice_noise(d));
    out[i] += gain * (high ? f.high : f.band);
  }
}

/* Six squares over `base`, their highs alone. Adds to out. */
static void metal(const voice_note *v, float *out, int n, float base, float above, double ring, float gain) {
  static const float ratios[6] = {2, 3, 4.16f, 5.43f, 6.79f, 8.21f};
  const float *table[6];
  float phase[6] = {0, 0.2f, 0.4f, 0.6f, 0.8f, 0.1f}, shrink = decay(ring);
  svf f = {0};
  svf_set(&f, above, 0.8f);
  for (int k = 0; k < 6; k++) table[k] = waves_at(v->waves, WAVE_SQUARE, base * ratios[k]);
  for (int i = 0; i < n; i++, gain *= shrink) {
    float x = 0;
    for (int k = 0; k < 6; k++)
      x += wave_read(table[k], phase[k]), phase[k] = wave_step(phase[k], base * ratios[k] / CONS_RATE);
    out[i] += gain * svf_high(&f, x) / 6;
  }
}

static int clap(const voice_note *v, float *out, int room, dice *d) {
  int n = frames(0.3, room);
  for (int burst = 0; burst < 4; burst++) {
    int at = burst * 500 + dice_roll(d, 90);
    if (at < n) hiss(out + at, n - at, d, 1300, 1.4f, false, burst == 3 ? 0.07 : 0.006, 1.1f);
  }
  return n;
}

static int kit(cons_voice voice, const voice_note *v, float *out, int room, dice *d) {
  bool machine = voice == VOICE_MACHINE, brushes = voice == VOICE_BRUSHES;
  int n = room;
  switch ((drum_sound)v->sound) {
    case DRUM_KICK:
      n = frames(machine ? 0.55 : 0.35, room);
      skin(out, n,
           machine   ? 46
           : brushes ? 62
                     : 54,
           machine ? 260 : 150, machine ? 0.022 : 0.014, machine ? 0.17 : 0.1, brushes ? 0.7f : 1);
      hiss(out, n < 1500 ? n : 1500, d, 3200, 0.8f, false, 0.004, brushes ? 0.1f : 0.5f);
      return n;
    case DRUM_SNARE:
      n = frames(0.35, room);
      if (brushes) return hiss(out, n, d, 3500, 0.5f, false, 0.08, 0.7f), n;
      skin(out, n, machine ? 178 : 195, 90, 0.01, machine ? 0.05 : 0.07, 0.55f);
      skin(out, n, 331, 40, 0.01, 0.035, 0.25f);
      hiss(out, n, d, machine ? 1800 : 1400, 0.7f, true, machine ? 0.075 : 0.06, 0.45f);
      return n;
    case DRUM_CLAP: return clap(v, out, room, d);
    case DRUM_RIM:
      n = frames(0.09, room);
      skin(out, n, 1700, 300, 0.002, 0.012, 0.5f);
      skin(out, n, 480, 0, 0.01, 0.02, 0.4f);
      return n;
    case DRUM_HAT:
    case DRUM_OPEN_HAT: {
      double ring = v->sound == DRUM_HAT ? 0.022 : 0.16;
      n = frames(ring * 6, room);
      metal(v, out, n, machine ? 540 : 480, 7000, ring, 0.6f);
      hiss(out, n, d, 8000, 0.7f, true, ring, machine ? 0.2f : 0.35f);
      return n;
    }
    case DRUM_RIDE:
      n = frames(0.9, room);
      metal(v, out, n, 620, 5200, 0.22, 0.35f);
      skin(out, n, 3150, 0, 0.01, 0.12, 0.12f);
      hiss(out, n, d, 9000, 0.7f, true, 0.03, 0.2f);
      return n;
    case DRUM_CRASH:
      n = frames(1.5, room);
      metal(v, out, n, 410, 3500, 0.4, 0.4f);
      hiss(out, n, d, 5000, 0.6f, true, 0.32, 0.5f);
      return n;
    case DRUM_TOM_HIGH:
    case DRUM_TOM_MID:
    case DRUM_TOM_LOW: {
      n = frames(0.5, room);
      float hz = v->sound == DRUM_TOM_HIGH ? 190 : v->sound == DRUM_TOM_MID ? 140 : 98;
      skin(out, n, hz, hz * 0.5f, 0.03, 0.13, 0.9f);
      hiss(out, n, d, hz * 6, 0.7f, false, 0.02, 0.3f);
      return n;
    }
    default: return 0;
  }
}

static int hands(const voice_note *v, float *out, int room, dice *d) {
  int n = room;
  switch ((drum_sound)v->sound) {
    case DRUM_SHAKER:
      n = frames(0.12, room);
      hiss(out, n, d, 6500, 1.1f, false, 0.03, 0.8f);
      for (int i = 0; i < n && i < 900; i++) out[i] *= (float)i / 900;
      return n;
    case DRUM_CONGA_HIGH:
    case DRUM_CONGA_LOW: {
      n = frames(0.4, room);
      float hz = v->sound == DRUM_CONGA_HIGH ? 330 : 205;
      skin(out, n, hz, 50, 0.012, 0.09, 0.8f);
      hiss(out, n, d, 1800, 0.8f, false, 0.006, 0.5f);
      return n;
    }
    case DRUM_TAMBOURINE:
      n = frames(0.3, room);
      metal(v, out, n, 1150, 7500, 0.06, 0.6f);
      hiss(out, n, d, 9000, 0.8f, true, 0.05, 0.35f);
      return n;
    case DRUM_COWBELL:
      n = frames(0.3, room);
      skin(out, n, 562, 0, 0.1, 0.07, 0.5f);
      skin(out, n, 845, 0, 0.1, 0.06, 0.5f);
      return n;
    case DRUM_WOODBLOCK:
      n = frames(0.12, room);
      skin(out, n, 920, 60, 0.004, 0.018, 0.8f);
      return n;
    case DRUM_TRIANGLE:
      n = frames(0.8, room);
      skin(out, n, 5100, 0, 0.1, 0.2, 0.3f);
      skin(out, n, 7350, 0, 0.1, 0.15, 0.25f);
      return n;
    default: return 0;
  }
}

int voice_drum(cons_voice voice, const voice_note *v, float *out, int room) {
  dice d = {v->seed};
  for (int i = 0; i < room; i++) out[i] = 0;
  int n = voice == VOICE_HANDS ? hands(v, out, room, &d) : kit(voice, v, out, room, &d);
  for (int i = 0; i < n; i++) out[i] *= v->velocity;
  return n;
}

/* ---- effects ----------------------------------------------------------------------------------------------------- */

/* Noise and a pair of saws, their filter and pitch going up (or down) over the gate. */
static int sweep(const voice_note *v, float *out, int room, bool up, dice *d) {
  int n = v->gate < room ? v->gate : room;
  svf f = {0};
  float phase = (float)dice_unit(d);
  for (int i = 0; i < n; i++) {
    float along = (float)i / (float)n, height = up ? along : 1 - along, hz = 110 * exp2f(2 * height);
    if (i % 32 == 0) svf_set(&f, 300 * exp2f(5 * height), 1.5f);
    phase = wave_step(phase, hz / CONS_RATE);
    float tone = wave_read(waves_at(v->waves, WAVE_SAW, hz), phase);
    out[i] = svf_band(&f, dice_noise(d) + 0.3f * tone) * height * height * v->velocity;
  }
  return n;
}

int voice_effect(cons_voice voice, const voice_note *v, float *out, int room) {
  dice d = {v->seed + (uint64_t)v->layer};
  if (v->sound == FX_RISER || v->sound == FX_FALL) return sweep(v, out, room, v->sound == FX_RISER, &d);
  int n = frames(1.6, room);
  for (int i = 0; i < room; i++) out[i] = 0;
  skin(out, n, 38, 90, 0.08, 0.35, 0.9f);
  hiss(out, n, &d, 700, 0.5f, false, 0.25, 0.5f);
  return n;
}
