/* Plucked strings: a burst of noise goes round a delay line as long as the period (Karplus and Strong, 1983; tuning and
 * pluck position after Jaffe and Smith, 1983). Distorted guitar drives the string into a valve's curve at twice the rate
 * and through a speaker. */
#include <string.h>

#include "conservatory/dice.h"
#include "conservatory/filter.h"
#include "conservatory/voice.h"

enum { LONGEST = 2048 }; /* samples: down to 24 Hz */

typedef struct string_kind {
  float bright;  /* Hz, of the burst at full velocity */
  double ring;   /* seconds to 1/e at 200 Hz */
  float damping; /* share of the two-point average in the loop, 0..0.5 */
  float pluck;   /* where along the string */
  float body, body_gain;
  double release;
} string_kind;

static string_kind kind_of(cons_voice voice) {
  switch (voice) {
    case VOICE_NYLON: return (string_kind){2600, 1.2, 0.42f, 0.27f, 110, 0.5f, 0.06};
    case VOICE_STEEL: return (string_kind){6500, 1.7, 0.24f, 0.16f, 180, 0.35f, 0.06};
    case VOICE_ELECTRIC: return (string_kind){4200, 1.6, 0.2f, 0.2f, 400, 0, 0.035};
    case VOICE_DISTORTED: return (string_kind){4500, 3.5, 0.12f, 0.12f, 300, 0, 0.03};
    case VOICE_BANJO: return (string_kind){8500, 0.35, 0.3f, 0.08f, 700, 0.6f, 0.04};
    case VOICE_UPRIGHT: return (string_kind){1100, 0.9, 0.45f, 0.3f, 95, 0.7f, 0.07};
    case VOICE_PIZZICATO: return (string_kind){2200, 0.22, 0.5f, 0.3f, 350, 0.5f, 0.08};
    default: return (string_kind){1900, 1.6, 0.35f, 0.22f, 120, 0.2f, 0.05};
  }
}

/* The pluck: noise without its highs, minus itself later, which takes away the harmonics that rest where it is plucked. */
static void burst(const voice_note *n, const string_kind *k, float *line, int length) {
  float raw[LONGEST], sum = 0, peak = 1e-6f;
  dice d = {n->seed};
  svf soft = {0};
  svf_set(&soft, k->bright * (0.35f + 0.65f * n->velocity), 0.6f);
  for (int i = 0; i < length; i++) raw[i] = svf_low(&soft, dice_noise(&d));
  int apart = 1 + (int)(k->pluck * (float)length);
  for (int i = 0; i < length; i++) sum += line[i] = raw[i] - 0.9f * raw[(i + length - apart) % length];
  for (int i = 0; i < length; i++) line[i] -= sum / (float)length, peak = fmaxf(peak, fabsf(line[i]));
  for (int i = 0; i < length; i++) line[i] *= n->velocity / peak;
}

static int string_ring(const voice_note *n, const string_kind *k, float *out, int room) {
  float line[LONGEST], period = CONS_RATE / n->hz, last = 0, before = 0, state = 0;
  /* The average delays by `damping` of a sample, the allpass by the rest. */
  int length = (int)(period - k->damping - 0.1f);
  if (length > LONGEST) length = LONGEST;
  if (length < 2) return 0;
  float rest = period - k->damping - (float)length, tune = (1 - rest) / (1 + rest);
  float held = (float)pow(decay(k->ring * pow(200 / n->hz, 0.4)), period),
        let_go = (float)pow(decay(k->release), period), loop = held;
  svf body = {0};
  svf_set(&body, k->body, 2);
  burst(n, k, line, length);
  for (int i = 0, at = 0; i < room; i++) {
    if (i == n->gate) loop = let_go;
    float x = line[at], average = (1 - k->damping) * x + k->damping * last, y = tune * average + before - tune * state;
    last = x, before = average, state = y;
    line[at] = loop * y;
    if (++at == length) at = 0;
    out[i] = x + k->body_gain * svf_band(&body, x);
  }
  return room;
}

/* x / (1 + |x|) with more room on one side, as valves have. */
static float valve(float x) {
  return x > 0 ? x / (1 + x) : x / (1 - 0.8f * x);
}

/* Twice the rate by a straight line between samples and back by averaging: enough below a speaker that ends at 5 kHz. */
static void drive(float *x, int n) {
  svf speaker = {0}, second = {0}, bottom = {0}, edge = {0};
  svf_set(&speaker, 4200, 0.8f), svf_set(&second, 5200, 0.6f), svf_set(&bottom, 90, 0.7f), svf_set(&edge, 500, 0.6f);
  float before = 0;
  for (int i = 0; i < n; i++) {
    float in = x[i] + 0.8f * svf_high(&edge, x[i]), a = valve(14 * 0.5f * (in + before)), b = valve(14 * in);
    before = in;
    x[i] = svf_high(&bottom, svf_low(&second, svf_low(&speaker, 0.5f * (a + b))));
  }
}

int voice_plucked(cons_voice voice, const voice_note *n, float *out, int room) {
  string_kind k = kind_of(voice);
  int length = string_ring(n, &k, out, room);
  if (voice == VOICE_DISTORTED) drive(out, length);
  return length;
}
