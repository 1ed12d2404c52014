/* spectrum.c - distances of spectra: items on threads, each with its own place for the gradient. */
#include <math.h>
#include <string.h>

#include "tensor/cpu/backward.h"

enum { MOST = OP_SPECTRUM_MOST, SIGNALS = 4, BANDS_MOST = 40 };

static const double turn = 6.283185307179586;

/* What is the same for all frames of one length. */
typedef struct tables {
  float window[MOST], cosine[MOST / 2], sine[MOST / 2], weight[MOST / 2 + 1];
  uint16_t mirror[MOST], band[BANDS_MOST + 1];
  int bands;
  float work[4 * MOST * CPU_MAX_LANES];
} tables;
_Static_assert(sizeof(tables) <= TENS_WORKER_SCRATCH, "scratch");

static void find_bands(tables *t, int n) {
  const double third = 1.2599210498948732; /* of an octave */
  t->bands = 0;
  for (int k = 0; k <= n / 2; k = k ? (int)ceil(k * third) : 1) t->band[t->bands++] = (uint16_t)k;
  t->band[t->bands] = (uint16_t)(n / 2 + 1);
}

static void fill(tables *t, const op_spectrum *s, int n) {
  int bits = __builtin_ctz((unsigned)n);
  double energy = 3.0 * n / 8, all = 0;
  for (int i = 0; i < n; i++) {
    t->window[i] = (float)((0.5 - 0.5 * cos(turn * i / n)) / sqrt(energy));
    t->mirror[i] = 0;
    for (int b = 0; b < bits; b++)
      if (i >> b & 1) t->mirror[i] |= (uint16_t)(1u << (bits - 1 - b));
  }
  for (int i = 0; i < n / 2; i++) t->cosine[i] = (float)cos(turn * i / n), t->sine[i] = (float)sin(turn * i / n);
  for (int k = 0; k <= n / 2; k++) all += 1 / ((double)k / n + (double)s->corner);
  for (int k = 0; k <= n / 2; k++) t->weight[k] = (float)(1 / ((double)k / n + (double)s->corner) / all);
}

typedef struct spectrum_job {
  const cpu_micro *m;
  tens_ctx *c;
  const op_spectrum *s;
  const float *x, *y;
  float *distance, *slope;
  int64_t T;
} spectrum_job;

static void run_item(void *arg, int item, int worker) {
  const spectrum_job *j = arg;
  tables *t = tens_worker_scratch(j->c, worker);
  int64_t at = item * j->T * 2;
  double sum = 0;
  if (j->slope) memset(j->slope + at, 0, (size_t)j->T * 2 * sizeof(float));
  for (int w = 0; w < j->s->windows; w++) {
    int n = j->s->length[w], hop = n / 4;
    int64_t frames = (j->T - n) / hop + 1;
    fill(t, j->s, n);
    find_bands(t, n);
    cpu_spectrum u = {.n = n,
                      .hop = hop,
                      .window = t->window,
                      .cosine = t->cosine,
                      .sine = t->sine,
                      .weight = t->weight,
                      .mirror = t->mirror,
                      .band = t->band,
                      .bands = t->bands,
                      .work = t->work,
                      .floor2 = j->s->floor * j->s->floor,
                      .linear = j->s->linear,
                      .banded = j->s->banded,
                      .share = (float)(1 / ((double)j->s->windows * (double)frames * SIGNALS))};
    for (int64_t f = 0; f < frames; f += j->m->lanes) {
      u.frames = (int)cpu_min(j->m->lanes, frames - f);
      u.x = j->x + at + f * hop * 2, u.y = j->y + at + f * hop * 2;
      u.dx = j->slope ? j->slope + at + f * hop * 2 : NULL;
      sum += j->m->spectrum(&u);
    }
  }
  j->distance[item] = (float)sum;
}

void cpu_spectral_distance(const cpu_micro *m, tens_ctx *c, tens *distance, tens *slope, const tens *x, const tens *y,
                           const op_spectrum *s) {
  spectrum_job j = {m, c, s, tens_f32(x), tens_f32(y), tens_f32(distance), slope ? tens_f32(slope) : NULL, x->dim[1]};
  tens_parallel(c, (int)x->dim[0], run_item, &j);
}
