/* bench_int8.c - what int8 does to the velocity of a diffusion model of published size whose weights and activations have
 * the heavy tails of trained ones (engine/random.h): cosine and time of an evaluation, BF16 beside int8.
 *
 *   bench_int8 [MODEL [SECONDS [SEEDS]]]     default acestep-v15-turbo 30 1
 *
 * Both models are made from the same numbers, one after the other, so the memory of one is enough (2B: 5 GB).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/random.h"
#include "models/acestep_dit.h"
#include "models/dit.h"

enum { CONDITION = 150, FRAMES_A_SECOND = 25, REPEAT = 3 };

/* Standard normal, but for a thousandth of the values, which are 30 times as large, and log-normal channels. */
static tens *heavy(tens_ctx *c, uint64_t seed, int64_t rows, int64_t channels) {
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(1, rows, channels));
  for (int64_t i = 0; x && i < rows * channels; i++) {
    double value = 0, scale = 0;
    uint64_t channel = seed + (uint64_t)(i % channels) * 977;
    for (int k = 0; k < 12; k++) { /* twelve uniform numbers make nearly a normal one */
      value += (double)(random_word(&seed) >> 11) * 0x1p-53 - 0.5;
      scale += (double)(random_word(&channel) >> 11) * 0x1p-53 - 0.5;
    }
    tens_f32(x)[i] = (float)(value * exp(0.5 * scale) * (random_word(&seed) % 1000 == 0 ? 30 : 1));
  }
  return x;
}

/* The velocity [frames * channels], owned by the caller; NULL after a failure. */
static float *velocity(const random_models *r, const char *name, int64_t frames, int64_t *n, double *seconds,
                       ace_error *err) {
  float *out = NULL;
  enum { LATENTS = 64 };
  tens silence = {.rank = 2, .dim = {1, LATENTS}, .data = calloc(LATENTS, sizeof(float))}; /* nobody asks for it */
  ckpt *k = random_checkpoint(r, name, err);
  acestep_dit *m = k ? acestep_dit_from(k, silence, err) : NULL;
  tens_ctx *c = m ? tens_open(&(tens_options){.threads = r->threads, .capacity = (size_t)2 << 30}, err) : NULL;
  if (c) {
    int64_t channels = m->cfg.latent_channels;
    dit_condition condition;
    tens *context = heavy(c, 2, frames, 2 * channels), *x = heavy(c, 3, frames, channels), *y = NULL;
    const float noon = 0.5f;
    tens *t = tens_from(c, TENS_F32, TENS_DIMS(1), &noon);
    if (dit_attend(c, m, heavy(c, 1, CONDITION, m->cfg.encoder.hidden), &condition)) {
      tens_mark here = tens_here(c);
      *seconds = INFINITY;
      for (int i = 0; i < REPEAT; i++) {
        tens_release(c, here);
        double start = clock_seconds();
        y = dit_velocity(c, m, &condition, context, x, t, t);
        *seconds = fmin(*seconds, clock_seconds() - start);
      }
    }
    *n = y ? tens_count(y) : 0;
    out = y ? malloc((size_t)*n * sizeof *out) : NULL;
    if (out) memcpy(out, tens_f32(y), (size_t)*n * sizeof *out);
    else tens_error(c, err);
  }
  tens_close(c);
  acestep_dit_close(m);
  return out;
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "acestep-v15-turbo";
  int64_t frames = (argc > 2 ? atoi(argv[2]) : 30) * FRAMES_A_SECOND, n = 0;
  int seeds = argc > 3 ? atoi(argv[3]) : 1;
  if (frames < 1 || frames > 600 * FRAMES_A_SECOND || seeds < 1) {
    fprintf(stderr, "usage: bench_int8 [MODEL [SECONDS [SEEDS]]]\n");
    return 2;
  }
  ace_error err = {0};
  random_models r = {.threads = pool_new(0, &err), .heavy = true};
  bool fine = r.threads != NULL;
  for (r.seed = 1; fine && r.seed <= (uint64_t)seeds; r.seed++) {
    double took[2] = {0}, ab = 0, aa = 0, bb = 0;
    float *v[2] = {NULL, NULL};
    for (int i = 0; i < 2 && (i == 0 || v[0]); i++) {
      r.int8 = i == 1;
      v[i] = velocity(&r, name, frames, &n, &took[i], &err);
    }
    fine = v[0] && v[1];
    for (int64_t i = 0; fine && i < n; i++) {
      double a = v[0][i], b = v[1][i];
      ab += a * b, aa += a * a, bb += b * b;
    }
    if (fine)
      printf("%s, %d s, seed %d: cosine %.6f, bf16 %.2f s, int8 %.2f s: %.2f times as fast\n", name,
             (int)(frames / FRAMES_A_SECOND), (int)r.seed, ab / sqrt(aa * bb), took[0], took[1], took[0] / took[1]);
    free(v[0]);
    free(v[1]);
  }
  if (!fine) fprintf(stderr, "bench_int8: %s\n", err.message);
  pool_free(r.threads);
  return fine ? 0 : 1;
}
