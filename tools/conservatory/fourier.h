/* fourier.h - the transform that the ear needs: real input, a power of two, in place. */
#ifndef CONSERVATORY_FOURIER_H
#define CONSERVATORY_FOURIER_H

#include "base/error.h"

typedef struct fourier {
  int n;
  float *window, *cosine, *sine; /* Hann; one turn in n steps */
  float *re, *im;                /* [n], the last result: bins 0..n/2 count */
} fourier;

/* n a power of two, 16..65536. */
ace_status fourier_open(fourier *f, int n, ace_error *err);
void fourier_close(fourier *f);
/* The windowed spectrum of x[n] into f->re, f->im. */
void fourier_run(fourier *f, const float *x);

#endif
