/* product.h - the one matrix product behind linear layers, convolutions and transposed convolutions.
 *
 * Output row r of a batch item meets `taps` input rows, r*stride + tap*dilation + offset for each tap; rows outside
 * the item count as zeros. Their products with the weights of column n, tap by tap, add up to one output. A linear
 * layer is one tap; a transposed convolution of stride s is one with s times the columns and dilation -1, because
 * each of its s output phases meets the same few input rows.
 */
#ifndef ACE_CPU_PRODUCT_H
#define ACE_CPU_PRODUCT_H

#include "tensor/cpu/cpu.h"

typedef struct product {
  const float *x; /* [items, in_rows, width] */
  int64_t items, in_rows, width;
  int64_t out_rows, stride, dilation, offset, taps;

  const void *w, *w_up; /* w_up: a second weight, for silu(x w) * (x w_up); else NULL */
  bool bf16;
  bool fine;                             /* accurate to F32 also where products are formed of factors rounded to BF16 */
  const void *packed, *packed_up;        /* copies of w and w_up (tens_pack); NULL: there is none */
  int64_t packed_columns, packed_column; /* columns of the copies, and which of them is column 0 here */
  int64_t columns, w_column, w_tap;      /* elements from column to column and from tap to tap */

  /* Output row r begins at y + item*y_item + r*columns - y_skip; what falls outside 0..y_item-1 is dropped. Skips are
   * whole multiples of `period`. */
  float *y;
  int64_t y_item, y_skip;

  cpu_finish finish; /* vectors over a period of columns; residual like y; gate one row of columns for each gate_rows */
  int64_t period, gate_rows;
} product;

/* What a product takes from its weight: linear [N, K], convolution [O, taps, C], or, with its stride, transposed
 * convolution [taps, O, C]. */
product product_of_weight(const tens *w, int stride);

/* Would matrix tiles be mostly padding, three times over? Then vectors are faster. */
static inline bool product_is_narrow(const product *p) {
  return p->fine && p->columns < 16;
}

/* Input row `at` of an item; NULL for one outside it, which counts as zeros. */
static inline const float *product_input(const product *p, int64_t item, int64_t at) {
  return at < 0 || at >= p->in_rows ? NULL : p->x + (item * p->in_rows + at) * p->width;
}

/* The rows of all taps of an output row side by side, without gaps: line [taps, width]. */
void product_gather(const product *p, int64_t item, int64_t row, float *line);

/* The epilogue of columns column..column+count-1 of an output row, whose sums are c and, with w_up, c_up. */
void product_finish(const cpu_micro *m, const product *p, int64_t item, int64_t row, int64_t column, int64_t count,
                    const float *c, const float *c_up);

void product_run(const cpu_micro *m, tens_ctx *c, const product *p);

/* The same for a linear layer or gated unit over TENS_I8 or TENS_Q8_0 weights (tensor/int8.h), both of one type: w and
 * w_up in place of those in p. */
void product_small_run(const cpu_micro *m, tens_ctx *c, const product *p, const tens *w, const tens *w_up);

#endif
