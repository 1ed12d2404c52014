#include "train/adamw.h"

#include <math.h>

static const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

enum { CHUNK = 1 << 16, GROUP = 256 };

static int chunks_of(int64_t n) {
  return (int)((n + CHUNK - 1) / CHUNK);
}

/* ---- the step ---------------------------------------------------------------------------------------------------- */

typedef struct update {
  const adamw *a;
  int64_t n;
  const float *g;
  double scale, c1, c2; /* c: 1 - beta^k */
  float *p, *m, *v;
} update;

static void update_chunk(void *arg, int chunk, int worker) {
  const update *u = arg;
  int64_t first = (int64_t)chunk * CHUNK, last = first + CHUNK < u->n ? first + CHUNK : u->n;
  for (int64_t i = first; i < last; i++) {
    double g = u->scale * (double)u->g[i];
    double m = beta1 * (double)u->m[i] + (1 - beta1) * g, v = beta2 * (double)u->v[i] + (1 - beta2) * g * g;
    double p = (double)u->p[i] * (1 - u->a->rate * u->a->decay);
    u->m[i] = (float)m;
    u->v[i] = (float)v;
    u->p[i] = (float)(p - u->a->rate * (m / u->c1) / (sqrt(v / u->c2) + eps));
  }
}

void adamw_step(const adamw *a, pool *threads, int64_t n, const float *g, double scale, float *p, float *m, float *v) {
  update u = {a, n, g, scale, 1 - pow(beta1, (double)a->k), 1 - pow(beta2, (double)a->k), p, m, v};
  pool_run(threads, chunks_of(n), update_chunk, &u);
}

/* ---- the norm ---------------------------------------------------------------------------------------------------- */

typedef struct squares {
  int64_t first, n; /* of this group of chunks */
  const float *g;
  double sum[GROUP];
} squares;

static void square_chunk(void *arg, int chunk, int worker) {
  squares *s = arg;
  int64_t first = s->first + (int64_t)chunk * CHUNK, last = first + CHUNK < s->n ? first + CHUNK : s->n;
  double sum = 0;
  for (int64_t i = first; i < last; i++) sum += (double)s->g[i] * (double)s->g[i];
  s->sum[chunk] = sum;
}

double adamw_norm(pool *threads, int64_t n, const float *g) {
  double sum = 0;
  for (int64_t first = 0; first < n; first += (int64_t)GROUP * CHUNK) {
    squares s = {.first = first, .n = n, .g = g};
    int chunks = chunks_of(n - first) < GROUP ? chunks_of(n - first) : GROUP;
    pool_run(threads, chunks, square_chunk, &s);
    for (int i = 0; i < chunks; i++) sum += s.sum[i];
  }
  return sqrt(sum);
}

double adamw_clip(double norm, double most) {
  double scale = most > 0 ? most / (norm + 1e-6) : 1;
  return scale < 1 ? scale : 1;
}
