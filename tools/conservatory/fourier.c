#include "conservatory/fourier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ace_status fourier_open(fourier *f, int n, ace_error *err) {
  static const double turn = 6.283185307179586;
  *f = (fourier){.n = n};
  f->window = malloc((size_t)n * 5 * sizeof(float));
  if (!f->window) return ace_fail(err, ACE_ENOMEM, "fourier: out of memory");
  f->cosine = f->window + n, f->sine = f->cosine + n, f->re = f->sine + n, f->im = f->re + n;
  for (int i = 0; i < n; i++) {
    f->cosine[i] = (float)cos(turn * i / n), f->sine[i] = (float)sin(turn * i / n);
    f->window[i] = 0.5f - 0.5f * f->cosine[i];
  }
  return ACE_OK;
}

void fourier_close(fourier *f) {
  free(f->window);
  *f = (fourier){0};
}

/* Radix two, decimation in time (Cooley and Tukey, 1965). */
void fourier_run(fourier *f, const float *x) {
  int n = f->n;
  for (int i = 0, mirrored = 0; i < n; i++) {
    f->re[mirrored] = x[i] * f->window[i], f->im[mirrored] = 0;
    int bit = n >> 1;
    for (; bit && mirrored & bit; bit >>= 1) mirrored ^= bit;
    mirrored |= bit;
  }
  for (int half = 1; half < n; half *= 2)
    for (int k = 0, by = n / (2 * half); k < half; k++) {
      float c = f->cosine[k * by], s = -f->sine[k * by];
      for (int a = k; a < n; a += 2 * half) {
        int b = a + half;
        float re = f->re[b] * c - f->im[b] * s, im = f->re[b] * s + f->im[b] * c;
        f->re[b] = f->re[a] - re, f->im[b] = f->im[a] - im;
        f->re[a] += re, f->im[a] += im;
      }
    }
}
