/* panel.h - products of gradients, whose second factor is read row by row.
 *
 *   result[r, n] += Σ_k x[r, k] w[k, n]      dx = dy W: k runs through the rows of W
 *                                            dw = dyᵀ x: k runs through time, x is dyᵀ
 *
 * The sum is taken in parts of at most PANEL_DEPTH terms, whose ends depend on the shape alone. The caller says how a part
 * of the first factor is packed and where the rows of a part of the second begin. So convolutions, whose rows are shifted
 * from tap to tap, are products like any other, and nothing is ever copied out as a whole.
 */
#ifndef ACE_CPU_PANEL_H
#define ACE_CPU_PANEL_H

#include "tensor/cpu/cpu.h"

enum { PANEL_DEPTH = 256 };

/* Where a packed block of the first factor lies: value k of row i at x[i*row + k*step]. */
typedef struct panel_block {
  float *x;
  int64_t row, step;
} panel_block;

typedef struct panel_product panel_product;
struct panel_product {
  const void *arg;     /* of the two functions */
  int64_t items;       /* results, one behind the other in first factor and result */
  int64_t rows, depth; /* of an item */
  int64_t taps;        /* the result's columns come in so many groups of */
  int64_t columns;     /* this width */
  bool across;         /* pack_x packs [depth][rows], else [rows][depth] */
  tens_dtype dtype;    /* of the second factor */
  const float *scale;  /* TENS_I8: [depth] */
  /* Terms at..at+depth-1 of rows row..row+rows-1. */
  void (*pack_x)(const panel_product *p, const panel_block *out, int64_t item, int64_t row, int64_t rows, int64_t at,
                 int64_t depth);
  /* Where rows at..at+depth-1 of the second factor begin for one group of columns; NULL: zeros. */
  void (*find_rows)(const panel_product *p, const void **row, int64_t item, int64_t tap, int64_t at, int64_t depth);
  float *y; /* the result, added to */
  int64_t y_item, y_row, y_tap;
};

void panel_product_run(const cpu_micro *m, tens_ctx *c, const panel_product *p);

/* c[i][j] [+]= Σ_k x[i*x_row + k*x_step] w[k][j] of rows x columns values; w is packed as a strip of m->block_columns
 * columns after the other, each [depth][block_columns]. */
typedef struct panel_matrix {
  const float *x;
  int64_t x_row, x_step;
  const float *w;
  int64_t rows, columns, depth;
  float *c;
  int64_t c_row;
  bool add;
} panel_matrix;

void panel_multiply(const cpu_micro *m, const panel_matrix *p);

#endif
