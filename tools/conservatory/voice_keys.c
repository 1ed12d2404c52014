/* Keys: piano as a sum of stretched partials, electric piano and bells by frequency modulation, organ and accordion from
 * tables, vibraphone as three modes of a bar. */
#include "conservatory/dice.h"
#include "conservatory/filter.h"
#include "conservatory/voice.h"

static const float TURN = 6.2831853f;

/* A sine that decays, as a rotating vector. */
typedef struct partial {
  float x, y, c, s;
} partial;

static partial partial_new(float hz, float amplitude, double seconds) {
  float angle = TURN * hz / CONS_RATE, shrink = decay(seconds);
  return (partial){0, amplitude, cosf(angle) * shrink, sinf(angle) * shrink};
}

static float partial_run(partial *p) {
  float x = p->x * p->c + p->y * p->s;
  p->y = p->y * p->c - p->x * p->s;
  return p->x = x;
}

/* Decaying partials, damped behind the gate. */
static int struck(const voice_note *n, partial *p, int count, double release, float *out, int room) {
  float damp = 1, fall = decay(release);
  for (int i = 0; i < room; i++) {
    float sum = 0;
    for (int k = 0; k < count; k++) sum += partial_run(&p[k]);
    if (i >= n->gate) damp *= fall;
    out[i] = sum * damp * n->velocity;
  }
  return room;
}

static int piano(const voice_note *n, float *out, int room) {
  partial p[14];
  int count = 0;
  dice d = {n->seed};
  float stiffness = 0.00025f * n->hz / 262; /* partials of a stiff string lie above the harmonics */
  double ring = 2.2 * pow(262 / n->hz, 0.55);
  for (int k = 1; k <= 12; k++) {
    float hz = n->hz * (float)k * sqrtf(1 + stiffness * (float)(k * k));
    if (hz > 12000) break;
    float tone =
        powf((float)k, -1.1f - 0.9f * (1 - n->velocity)) * fabsf(sinf(TURN * (float)k / 16)); /* hammer at 1/8 */
    p[count++] = partial_new(hz, tone, ring / (0.6 + 0.4 * k));
    if (k <= 2)
      p[count++] = partial_new(hz * (1 + (float)dice_between(&d, 0.0004, 0.0012)), 0.6f * tone, ring * 1.4 / k);
  }
  int length = struck(n, p, count, 0.08, out, room), thump = length < 900 ? length : 900;
  for (int i = 0; i < thump; i++) out[i] += 0.05f * n->velocity * dice_noise(&d) * (float)(thump - i) / (float)thump;
  return length;
}

static int vibes(const voice_note *n, float *out, int room) {
  partial p[3] = {partial_new(n->hz, 0.8f, 1.6), partial_new(fminf(n->hz * 4, 15000), 0.22f, 0.35),
                  partial_new(fminf(n->hz * 10, 18000), 0.08f, 0.07)};
  int length = struck(n, p, 3, 0.35, out, room);
  for (int i = 0; i < length; i++) out[i] *= 0.8f + 0.2f * sinf(TURN * 5.2f * (float)i / CONS_RATE);
  return length;
}

/* One sine bends another's phase; the depth decays. The sidebands stay below half the rate. */
static int bent(const voice_note *n, float ratio, float depth, double bend_time, double ring, double release,
                float *out, int room) {
  const float *sine = n->waves->table[WAVE_SINE][0];
  float carrier = 0, modulator = 0, bend = fminf(depth * n->velocity, 16000 / (ratio * n->hz) - 1), amp = n->velocity,
        fall = decay(bend_time);
  float step = n->hz / CONS_RATE, modulator_step = fminf(ratio * step, 0.4f), ring_fall = decay(ring),
        stop = decay(release);
  if (bend < 0) bend = 0;
  for (int i = 0; i < room; i++) {
    float at = carrier + bend / TURN * wave_read(sine, modulator);
    at -= floorf(at);
    out[i] = amp * wave_read(sine, at < 1 ? at : 0); /* a hair below zero rounds up to one */
    carrier = wave_step(carrier, step), modulator = wave_step(modulator, modulator_step);
    bend *= fall, amp *= i < n->gate ? ring_fall : stop;
    if (i < 48) out[i] *= (float)i / 48;
  }
  return room;
}

static int epiano(const voice_note *n, float *out, int room) {
  int length = bent(n, 1, 2.2f, 0.45, 1.6, 0.09, out, room);
  partial tine = partial_new(fminf(n->hz * 14, 9000), 0.16f * n->velocity * n->velocity, 0.06);
  for (int i = 0; i < length && i < 12000; i++) out[i] += partial_run(&tine);
  return length;
}

/* A table with a slow wobble of pitch and loudness. */
static int blown_reeds(cons_voice voice, const voice_note *n, float *out, int room) {
  bool organ = voice == VOICE_ORGAN;
  const float *table = waves_at(n->waves, organ ? WAVE_ORGAN : WAVE_SAW, n->hz * 1.02f),
              *sine = n->waves->table[WAVE_SINE][0];
  envelope e = organ ? envelope_new(0.008, 1, 1, 0.03, n->gate) : envelope_new(0.05, 1, 1, 0.035, n->gate);
  svf tone = {0};
  svf_set(&tone, organ ? 6500 : 1800 + n->hz, 0.8f);
  float a = 0, b = 0.37f, wobble = 0, step = n->hz / CONS_RATE, rate = 6.3f / CONS_RATE;
  for (int i = 0; i < room; i++) {
    float w = wave_read(sine, wobble), x;
    wobble = wave_step(wobble, rate);
    x = wave_read(table, a);
    if (organ) x *= 0.9f + 0.1f * w;
    else x = 0.5f * (x + wave_read(table, b)), b = wave_step(b, step * 1.006f); /* two reeds, one sharp */
    a = wave_step(a, organ ? step * (1 + 0.0016f * w) : step);
    out[i] = svf_low(&tone, x) * envelope_run(&e) * n->velocity;
  }
  return room;
}

int voice_keys(cons_voice voice, const voice_note *n, float *out, int room) {
  switch (voice) {
    case VOICE_PIANO: return piano(n, out, room);
    case VOICE_VIBES: return vibes(n, out, room);
    case VOICE_EPIANO: return epiano(n, out, room);
    case VOICE_BELL: return bent(n, 3.5f, 1.6f, 0.5, 1.3, 0.6, out, room);
    default: return blown_reeds(voice, n, out, room);
  }
}
