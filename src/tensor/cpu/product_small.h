/* product_small.h - products of rows with a TENS_I8 or TENS_Q8_0 weight; see tensor/int8.h for what they are. */
#ifndef ACE_CPU_PRODUCT_SMALL_H
#define ACE_CPU_PRODUCT_SMALL_H

#include "tensor/cpu/cpu.h"

typedef struct product_small {
  const float *x; /* [rows, width] */
  float *y;       /* [rows, columns] */
  int64_t rows, width, columns;
  const tens *w, *w_up; /* w_up: a second weight of the same type, for silu(x w) * (x w_up); else NULL */
  cpu_finish finish;    /* gate: one row of columns for each gate_rows */
  int64_t gate_rows;
} product_small;

void product_small_run(const cpu_micro *m, tens_ctx *c, const product_small *p);

#endif
