/* latent.c - arithmetic on latents while sampling, and one level of the wavelet transform over time (Mallat 1989) with
 * zero padding. Latents are small: [B, T, 64] at 25 frames a second. */
#include "tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* ---- mix, blend -------------------------------------------------------------------------------------------------- */

typedef struct mix_job {
  float *dst;
  const float *x, *y, *mask;
  float a, b;
  int64_t width;
} mix_job;

static void mix_values(void *arg, int64_t first, int64_t count, int worker) {
  const mix_job *j = arg;
  for (int64_t i = first; i < first + count; i++) j->dst[i] = j->a * j->x[i] + j->b * j->y[i];
}

static void scale_values(void *arg, int64_t first, int64_t count, int worker) {
  const mix_job *j = arg;
  for (int64_t i = first; i < first + count; i++) j->dst[i] = j->a * j->x[i];
}

void cpu_mix(tens_ctx *c, tens *dst, float a, const tens *x, float b, const tens *y) {
  mix_job j = {.dst = tens_f32(dst), .x = tens_f32(x), .y = y ? tens_f32(y) : NULL, .a = a, .b = b};
  cpu_for(c, tens_count(dst), 1, y ? mix_values : scale_values, &j);
}

static void blend_rows(void *arg, int64_t first, int64_t count, int worker) {
  const mix_job *j = arg;
  for (int64_t r = first; r < first + count; r++) {
    float m = j->mask[r], rest = 1 - m;
    for (int64_t i = r * j->width; i < (r + 1) * j->width; i++) j->dst[i] = m * j->x[i] + rest * j->y[i];
  }
}

void cpu_blend(tens_ctx *c, tens *dst, const tens *mask, const tens *a, const tens *b) {
  mix_job j = {.dst = tens_f32(dst), .x = tens_f32(a), .y = tens_f32(b), .mask = tens_f32(mask), .width = dst->dim[2]};
  cpu_for(c, dst->dim[0] * dst->dim[1], j.width, blend_rows, &j);
}

/* ---- norm_clamp -------------------------------------------------------------------------------------------------- */

static double norm(const float *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
  return sqrt(sum);
}

void cpu_norm_clamp(tens_ctx *c, tens *y, const tens *v, const tens *x, float limit) {
  int64_t B = v->dim[0], n = tens_count(v) / B;
  for (int64_t b = 0; b < B; b++) {
    const float *in = tens_f32(v) + b * n;
    double factor = fmin(1, limit * (norm(tens_f32(x) + b * n, n) + 1e-10) / (norm(in, n) + 1e-10));
    for (int64_t i = 0; i < n; i++) tens_f32(y)[b * n + i] = (float)(in[i] * factor);
  }
}

/* ---- apg: blocks of channels are read row by row, yet each channel's sums keep their order ----------------------- */

enum { BLOCK = 16 };

typedef struct guide_job {
  float *dst, *running;
  const float *x, *cond, *uncond;
  int64_t T, C, blocks;
  const op_apg *apg;
  const op_adg *adg;
} guide_job;

/* Channels at..at+n-1 of one item, frame by frame j->C further on. */
static void apg_block(const guide_job *j, int64_t at, int64_t n) {
  double dd[BLOCK] = {0}, vv[BLOCK] = {0}, dv[BLOCK] = {0};
  float momentum = (float)j->apg->momentum;
  for (int64_t t = 0; t < j->T; t++) {
    const float *cond = j->cond + at + t * j->C, *uncond = j->uncond + at + t * j->C;
    float *running = j->running + at + t * j->C;
    for (int64_t i = 0; i < n; i++) {
      float v = cond[i], d = (v - uncond[i]) + momentum * running[i];
      running[i] = d;
      dd[i] += (double)d * d;
      vv[i] += (double)v * v;
      dv[i] += (double)d * v;
    }
  }
  double step[BLOCK], back[BLOCK]; /* dst = cond + step * running - back * cond */
  for (int64_t i = 0; i < n; i++) {
    double length = fmax(sqrt(vv[i]), 1e-12);
    step[i] = (j->apg->scale - 1) * fmin(1, j->apg->threshold / sqrt(dd[i]));
    back[i] = (1 - j->apg->parallel) * step[i] * dv[i] / length / length;
  }
  for (int64_t t = 0; t < j->T; t++) {
    const float *cond = j->cond + at + t * j->C, *running = j->running + at + t * j->C;
    float *dst = j->dst + at + t * j->C;
    for (int64_t i = 0; i < n; i++) dst[i] = (float)(cond[i] + (step[i] * running[i] - back[i] * cond[i]));
  }
}

static void apg_blocks(void *arg, int64_t first, int64_t count, int worker) {
  const guide_job *j = arg;
  for (int64_t r = first; r < first + count; r++) {
    int64_t b = r / j->blocks, from = r % j->blocks * BLOCK;
    apg_block(j, b * j->T * j->C + from, cpu_min(BLOCK, j->C - from));
  }
}

void cpu_apg(tens_ctx *c, tens *dst, tens *running, const tens *cond, const tens *uncond, const op_apg *p) {
  guide_job j = {.dst = tens_f32(dst),
                 .running = tens_f32(running),
                 .cond = tens_f32(cond),
                 .uncond = tens_f32(uncond),
                 .T = dst->dim[1],
                 .C = dst->dim[2],
                 .blocks = cpu_ceil(dst->dim[2], BLOCK),
                 .apg = p};
  cpu_for(c, dst->dim[0] * j.blocks, j.T * BLOCK, apg_blocks, &j);
}

/* ---- adg: frame by frame ----------------------------------------------------------------------------------------- */

static void adg_row(const guide_job *j, int64_t at) {
  const float *x = j->x + at, *cond = j->cond + at, *uncond = j->uncond + at;
  float t = j->adg->t, *dst = j->dst + at;
  double aa = 0, bb = 0, ab = 0;
  for (int64_t i = 0; i < j->C; i++) {
    float a = x[i] - t * cond[i], b = x[i] - t * uncond[i];
    aa += (double)a * a;
    bb += (double)b * b;
    ab += (double)a * b;
  }
  const double edge = 1 - 1e-6; /* keeps the sine below away from 0 */
  double angle = acos(fmin(fmax(ab / (sqrt(aa) * sqrt(bb)), -edge), edge));
  double turn = fmin(fmax(j->adg->weight * angle, -j->adg->clip), j->adg->clip);
  double stay = cos(turn), go = sin(turn) / sin(angle), along = (ab - bb) / (bb + 1e-8);
  for (int64_t i = 0; i < j->C; i++) {
    float a = x[i] - t * cond[i], b = x[i] - t * uncond[i];
    dst[i] = (float)((x[i] - (stay * a + go * ((double)a - b - along * b))) / t);
  }
}

static void adg_rows(void *arg, int64_t first, int64_t count, int worker) {
  const guide_job *j = arg;
  for (int64_t r = first; r < first + count; r++) adg_row(j, r * j->C);
}

void cpu_adg(tens_ctx *c, tens *dst, const tens *x, const tens *cond, const tens *uncond, const op_adg *p) {
  guide_job j = {.dst = tens_f32(dst),
                 .x = tens_f32(x),
                 .cond = tens_f32(cond),
                 .uncond = tens_f32(uncond),
                 .C = dst->dim[2],
                 .adg = p};
  cpu_for(c, dst->dim[0] * dst->dim[1], 4 * j.C, adg_rows, &j);
}

/* ---- wavelets: one coefficient meets `taps` frames, two frames further for each ---------------------------------- */

typedef struct wavelet_job {
  float *y, *low, *high;
  const float *x, *l, *h, *lo, *hi;
  int64_t T, count, width;
  int taps;
} wavelet_job;

/* low[k] = Σ_m lo[taps-1-m] x[2k + m - (taps-2)]; row r of [B, count, C]. */
static void analyse_rows(void *arg, int64_t first, int64_t count, int worker) {
  const wavelet_job *j = arg;
  size_t bytes = (size_t)j->width * sizeof(float);
  for (int64_t r = first; r < first + count; r++) {
    int64_t b = r / j->count, k = r % j->count;
    float *low = j->low + r * j->width, *high = j->high + r * j->width;
    memset(low, 0, bytes);
    memset(high, 0, bytes);
    for (int m = 0; m < j->taps; m++) {
      int64_t t = 2 * k + m - (j->taps - 2);
      if (t < 0 || t >= j->T) continue;
      const float *x = j->x + (b * j->T + t) * j->width;
      float lo = j->lo[j->taps - 1 - m], hi = j->hi[j->taps - 1 - m];
      for (int64_t i = 0; i < j->width; i++) low[i] += lo * x[i], high[i] += hi * x[i];
    }
  }
}

void cpu_dwt(tens_ctx *c, tens *low, tens *high, const tens *x, const float *lo, const float *hi, int taps) {
  wavelet_job j = {.low = tens_f32(low),
                   .high = tens_f32(high),
                   .x = tens_f32(x),
                   .lo = lo,
                   .hi = hi,
                   .T = x->dim[1],
                   .count = low->dim[1],
                   .width = x->dim[2],
                   .taps = taps};
  cpu_for(c, x->dim[0] * j.count, 2 * taps * j.width, analyse_rows, &j);
}

/* y[t] = Σ low[k] lo[m] + high[k] hi[m] over 2k + m = t + taps - 2; row r of [B, T, C]. */
static void synthesise_rows(void *arg, int64_t first, int64_t count, int worker) {
  const wavelet_job *j = arg;
  for (int64_t r = first; r < first + count; r++) {
    int64_t b = r / j->T, from = r % j->T + j->taps - 2;
    float *y = j->y + r * j->width;
    memset(y, 0, (size_t)j->width * sizeof *y);
    for (int m = (int)(from % 2); m < j->taps; m += 2) {
      int64_t k = (from - m) / 2;
      if (from < m || k >= j->count) continue;
      const float *l = j->l + (b * j->count + k) * j->width, *h = j->h + (b * j->count + k) * j->width;
      for (int64_t i = 0; i < j->width; i++) y[i] += l[i] * j->lo[m] + h[i] * j->hi[m];
    }
  }
}

void cpu_idwt(tens_ctx *c, tens *y, const tens *low, const tens *high, const float *lo, const float *hi, int taps) {
  wavelet_job j = {.y = tens_f32(y),
                   .l = tens_f32(low),
                   .h = tens_f32(high),
                   .lo = lo,
                   .hi = hi,
                   .T = y->dim[1],
                   .count = low->dim[1],
                   .width = y->dim[2],
                   .taps = taps};
  cpu_for(c, y->dim[0] * j.T, taps * j.width, synthesise_rows, &j);
}
