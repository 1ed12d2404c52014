#include "conservatory/room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conservatory/filter.h"

/* ---- reverberation ----------------------------------------------------------------------------------------------- */

enum { LINES = 8, LINE_SIZE = 4096, BEFORE = 720 /* 15 ms until the first answer */ };

typedef struct hall {
  float line[LINES][LINE_SIZE], wait[2][BEFORE], soft[LINES], back[LINES];
  int at;
} hall;

static const int lengths[LINES] = {1423, 1637, 1867, 2053, 2311, 2539, 2879, 3163}; /* primes */

/* Sums and differences in three rounds: eight values, each of all eight, energy kept. */
static void mix(float x[LINES]) {
  for (int half = 1; half < LINES; half *= 2)
    for (int i = 0; i < LINES; i += 2 * half)
      for (int k = i; k < i + half; k++) {
        float a = x[k], b = x[k + half];
        x[k] = a + b, x[k + half] = a - b;
      }
  for (int i = 0; i < LINES; i++) x[i] *= 0.35355339f;
}

static void hall_run(hall *h, float left, float right, float out[2]) {
  float x[LINES], in[2];
  int slot = h->at % BEFORE;
  in[0] = h->wait[0][slot], in[1] = h->wait[1][slot];
  h->wait[0][slot] = left, h->wait[1][slot] = right;
  for (int k = 0; k < LINES; k++) {
    float y = h->line[k][(h->at - lengths[k]) & (LINE_SIZE - 1)];
    h->soft[k] += 0.45f * (y - h->soft[k]); /* highs die first */
    x[k] = h->back[k] * h->soft[k];
  }
  out[0] = x[0] + x[2] + x[4] + x[6], out[1] = x[1] + x[3] + x[5] + x[7];
  mix(x);
  for (int k = 0; k < LINES; k++) h->line[k][h->at & (LINE_SIZE - 1)] = x[k] + in[k & 1];
  h->at++;
}

ace_status room_reverb(audio_buffer *b, double send, double seconds, ace_error *err) {
  hall *h = calloc(1, sizeof *h);
  if (!h) return ace_fail(err, ACE_ENOMEM, "room: out of memory");
  for (int k = 0; k < LINES; k++) h->back[k] = (float)pow(0.001, lengths[k] / (seconds * CONS_RATE));
  h->at = LINE_SIZE * BEFORE; /* so that differences stay positive */
  svf low[2] = {0};
  svf_set(&low[0], 25, 0.7f), svf_set(&low[1], 25, 0.7f);
  for (int64_t i = 0; i < b->frames; i++) {
    float *x = b->samples + 2 * i, wet[2];
    if (h->at > 1 << 30) h->at -= LINE_SIZE * BEFORE;
    hall_run(h, (float)send * x[0], (float)send * x[1], wet);
    x[0] = svf_high(&low[0], x[0] + wet[0]), x[1] = svf_high(&low[1], x[1] + wet[1]);
  }
  free(h);
  return ACE_OK;
}

/* ---- the limiter ------------------------------------------------------------------------------------------------- */

enum { AHEAD = 240 };

ace_status room_limit(const audio_buffer *b, float ceiling, float *gain, ace_error *err) {
  int64_t n = b->frames;
  float *need = malloc((size_t)(n + 1) * sizeof *need), back = 1 - decay(0.15), held = 1;
  if (!need) return ace_fail(err, ACE_ENOMEM, "room: out of memory");
  for (int64_t i = 0; i < n; i++) {
    float peak = fmaxf(fabsf(b->samples[2 * i]), fabsf(b->samples[2 * i + 1]));
    need[i] = peak > ceiling ? ceiling / peak : 1;
  }
  /* From behind: the smallest of the next AHEAD samples; then a slow return, then the average over as many samples, none of
   * which asks for more than that smallest one. */
  for (int64_t i = 0; i < n; i++)
    if (need[i] < 1) {
      for (int64_t k = i - 1; k >= 0 && k > i - AHEAD && need[k] > need[i]; k--) need[k] = need[i];
    }
  double sum = AHEAD;
  for (int64_t i = 0; i < n; i++) {
    held += back * (1 - held);
    if (need[i] < held) held = need[i];
    need[i] = held;
    sum += held - (i >= AHEAD ? need[i - AHEAD] : 1);
    gain[i] = (float)fmin(1, sum / AHEAD);
  }
  free(need);
  return ACE_OK;
}
