#include "conservatory/presence.h"

#include <math.h>
#include <stdlib.h>

#include "conservatory/presence_table.h"
#include "conservatory/render.h"

void presence_traits(const hear_sound *h, double out[PRESENCE_TRAITS]) {
  double n = (double)h->frames, all = 0, *mean = out + HEAR_FEATURES, *spread = mean + HEAR_BANDS,
         *growth = spread + HEAR_BANDS;
  hear_features(h, out);
  for (int k = 0; k < 3 * HEAR_BANDS; k++) mean[k] = 0;
  for (int64_t t = 0; t < h->frames; t++)
    for (int k = 0; k < HEAR_BANDS; k++) {
      double x = h->bands[t * HEAR_BANDS + k], before = t ? h->bands[(t - 1) * HEAR_BANDS + k] : x;
      mean[k] += x / n, spread[k] += x * x / n, growth[k] += fmax(0, x - before) / n;
    }
  for (int k = 0; k < HEAR_BANDS; k++)
    spread[k] = sqrt(fmax(0, spread[k] - mean[k] * mean[k])), all += mean[k] / HEAR_BANDS;
  for (int k = 0; k < HEAR_BANDS; k++) mean[k] -= all;
}

void presence_of(const double traits[PRESENCE_TRAITS], double chance[TRACK_COUNT]) {
  for (int t = 0; t < TRACK_COUNT; t++) {
    double sum = presence_weight[t][PRESENCE_TRAITS];
    for (int i = 0; i < PRESENCE_TRAITS; i++) {
      double x = (traits[i] - presence_mean[i]) * presence_scale[i];
      sum += presence_weight[t][i] * fmin(4, fmax(-4, x)); /* what was never met counts no more than what was rare */
    }
    chance[t] = 1 / (1 + exp(-sum));
  }
}

void presence_hear(const hear_sound *h, double chance[TRACK_COUNT]) {
  double traits[PRESENCE_TRAITS];
  presence_traits(h, traits);
  presence_of(traits, chance);
}

/* ---- learning ------------------------------------------------------------------------------------------------------ */

typedef struct lesson {
  double x[PRESENCE_TRAITS];
  bool has[TRACK_COUNT];
  ace_status status;
} lesson;

typedef struct school {
  const cons_wish *wish;
  const waves *waves;
  lesson *lesson;
} school;

static void prepare(void *arg, int index, int worker) {
  school *s = arg;
  lesson *l = &s->lesson[index];
  cons_wish wish = *s->wish;
  cons_sound sound = {0};
  hear_sound h = {0};
  wish.seed += (uint64_t)index;
  cons_piece *p = cons_compose(&wish, NULL);
  l->status = p ? cons_render(p, s->waves, &sound, NULL) : ACE_ENOMEM;
  if (l->status == ACE_OK) l->status = hear_open(&h, &sound.mix, NULL);
  if (l->status == ACE_OK) {
    presence_traits(&h, l->x);
    for (int t = 0; t < TRACK_COUNT; t++) l->has[t] = cons_plays(p, (cons_track)t);
  }
  hear_close(&h);
  cons_sound_free(&sound);
  cons_piece_free(p);
}

/* Zero mean, unit deviation. */
static void standardise(lesson *l, int n, double mean[], double scale[]) {
  for (int i = 0; i < PRESENCE_TRAITS; i++) {
    double square = 0;
    mean[i] = 0;
    for (int k = 0; k < n; k++) mean[i] += l[k].x[i] / n;
    for (int k = 0; k < n; k++) square += (l[k].x[i] - mean[i]) * (l[k].x[i] - mean[i]) / n;
    scale[i] = 1 / (sqrt(square) + 1e-6);
    for (int k = 0; k < n; k++) l[k].x[i] = fmin(4, fmax(-4, (l[k].x[i] - mean[i]) * scale[i]));
  }
}

/* Gradient descent with momentum on the log loss and a small penalty. */
static void descend(const lesson *l, int n, int track, double weight[PRESENCE_TRAITS + 1]) {
  enum { STEPS = 500 };
  static const double RATE = 0.05, MOMENTUM = 0.9, PENALTY = 0.01;
  double speed[PRESENCE_TRAITS + 1] = {0};
  for (int i = 0; i <= PRESENCE_TRAITS; i++) weight[i] = 0;
  for (int step = 0; step < STEPS; step++) {
    double slope[PRESENCE_TRAITS + 1] = {0};
    for (int k = 0; k < n; k++) {
      double sum = weight[PRESENCE_TRAITS];
      for (int i = 0; i < PRESENCE_TRAITS; i++) sum += weight[i] * l[k].x[i];
      double wrong = (1 / (1 + exp(-sum)) - l[k].has[track]) / n;
      for (int i = 0; i < PRESENCE_TRAITS; i++) slope[i] += wrong * l[k].x[i];
      slope[PRESENCE_TRAITS] += wrong;
    }
    for (int i = 0; i <= PRESENCE_TRAITS; i++) {
      speed[i] = MOMENTUM * speed[i] - RATE * (slope[i] + (i < PRESENCE_TRAITS ? PENALTY * weight[i] : 0));
      weight[i] += speed[i];
    }
  }
}

static void print_row(const double *x, int n, FILE *out) {
  for (int i = 0; i < n; i++) fprintf(out, "%s%.3ef", i ? ", " : "", x[i]);
}

ace_status presence_learn(const cons_wish *wish, int count, const waves *w, pool *threads, FILE *out, ace_error *err) {
  lesson *l = calloc((size_t)count, sizeof *l);
  double mean[PRESENCE_TRAITS], scale[PRESENCE_TRAITS], weight[PRESENCE_TRAITS + 1];
  school s = {wish, w, l};
  if (!l) return ace_fail(err, ACE_ENOMEM, "learn: out of memory");
  pool_run(threads, count, prepare, &s);
  ace_status status = ACE_OK;
  for (int k = 0; k < count && status == ACE_OK; k++)
    if (l[k].status != ACE_OK) status = ace_fail(err, l[k].status, "learn: piece %d could not be made or heard", k);
  if (status == ACE_OK) {
    standardise(l, count, mean, scale);
    fprintf(
        out,
        "/* presence_table.h - made by `conservatory learn --seed %llu --count %d --seconds %g`; see presence.h. */\n",
        (unsigned long long)wish->seed, count, wish->seconds);
    fprintf(out, "#ifndef CONSERVATORY_PRESENCE_TABLE_H\n#define CONSERVATORY_PRESENCE_TABLE_H\n\n");
    fprintf(out, "static const float presence_mean[] = {"), print_row(mean, PRESENCE_TRAITS, out);
    fprintf(out, "};\nstatic const float presence_scale[] = {"), print_row(scale, PRESENCE_TRAITS, out);
    fprintf(out, "};\nstatic const float presence_weight[][%d] = {", PRESENCE_TRAITS + 1);
    for (int t = 0; t < TRACK_COUNT; t++) {
      descend(l, count, t, weight);
      fputs(t ? ",\n{" : "{", out), print_row(weight, PRESENCE_TRAITS + 1, out), fputs("}", out);
    }
    fprintf(out, "};\n\n#endif\n");
  }
  free(l);
  return status;
}
