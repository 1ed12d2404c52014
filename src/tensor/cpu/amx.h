/* amx.h - matrix products and attention in BF16 on matrix tiles, sums in F32: what the instruction set "amx" adds to the
 * vector loops of "avx512".
 *
 * Factors are rounded to BF16 as they are packed, sums run in tiles. Where a product is fine (product.h), what rounding
 * took away is rounded once more and takes part as a low part. How values are laid out is the one idea of these files
 * (amx_tile.h has the instructions):
 *
 *   rows      the left factor: for every step (AMX_DEPTH values) of every row 64 bytes. Rows lie AMX_LINE bytes apart
 *             within a step, so that a tile is any 16 rows in steady distance, from any row on: the taps of a
 *             convolution are the same rows, some rows further.
 *   panels    the right factor: AMX_PANEL columns together, step after step, two tiles each. AMX_STEPS steps, 32 KB,
 *             are a unit; all panels' first units come first, then all second ones. Products stream through a weight
 *             in this order once, whether they have one row or thousands. A weight in two parts has each step's high
 *             part before its low one.
 *
 * A row's result is the same bits alone, in a batch, for every number of threads, and whether a weight was packed
 * beforehand or not.
 */
#ifndef ACE_CPU_AMX_H
#define ACE_CPU_AMX_H

#include "tensor/cpu/amx_tile.h"
#include "tensor/cpu/product.h"

/* Bytes of scratch memory for each worker (device.h). */
enum { AMX_SCRATCH = 7 << 19 };

/* May this process use matrix tiles? Asks the processor and, once for the process, the system. */
bool amx_usable(void);

void amx_product_run(const cpu_micro *m, tens_ctx *c, const product *p);
/* The packed copy of a weight (device.h): units in the order above. */
size_t amx_packed_bytes(const tens *w, int stride);
void amx_pack(const tens *w, int stride, void *out, int part, int parts);
/* False: heads of a width that is no multiple of AMX_DEPTH; nothing was done. */
bool amx_attention_run(tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v, const op_attn *a);

/* ---- layouts (amx_pack.c) ---------------------------------------------------------------------------------------- */

static inline int64_t amx_steps(int64_t values) {
  return cpu_ceil(values, AMX_DEPTH);
}

/* n values of x times `scale`, rounded to BF16 and filled up with zeros to whole steps, which lie `step` bytes apart; `low`
 * bytes behind each, unless that is 0, what rounding took away. */
void amx_round_row(uint8_t *out, int64_t step, const float *x, int64_t n, float scale, int64_t low);

/* A right factor: element k of tap t of column n is w[n*column + t*tap + k]; taps follow one another in whole steps. */
typedef struct amx_weight {
  const void *w;
  bool bf16; /* else F32 */
  int parts; /* 1, or 2: high and low */
  int64_t columns, taps, width;
  int64_t column, tap; /* elements from one to the next */
} amx_weight;

static inline int64_t amx_unit_steps(const amx_weight *w) {
  return AMX_STEPS / w->parts;
}

/* The weight w of a product. */
amx_weight amx_product_weight(const product *p, const void *w);

/* Steps first..first+steps-1 of panel `panel`; columns past the last are zeros. */
void amx_pack_panel(uint8_t *out, const amx_weight *w, int64_t panel, int64_t first, int64_t steps);
/* Rows of x [n, columns] that lie `row` floats apart as AMX_DEPTH values of a sum: steps of n values for the panel of
 * columns 32*panel.. */
void amx_pack_values(uint8_t *out, const float *x, int64_t row, int64_t n, int64_t columns, int64_t panel);

/* ---- the innermost loop (amx_block.c) ---------------------------------------------------------------------------- */

/* c [rows, 32] (+)= rows of a times one panel, over up to AMX_STEPS steps, of which those with `both` take the rows' low
 * parts as well. */
typedef struct amx_block {
  const uint8_t *a;
  int64_t a_row;             /* bytes from row to row */
  int64_t offset[AMX_STEPS]; /* of each step's rows from `a`, bytes */
  int64_t low;               /* bytes from rows to their low parts; 0: there are none */
  bool both[AMX_STEPS];
  const uint8_t *b;
  int64_t steps;
  float *c;
  int64_t c_row;        /* floats */
  bool add;             /* to what c holds */
  const uint8_t *fetch; /* what to ask memory for meanwhile: `lines` lines of 64 bytes in every step */
  int64_t lines;
} amx_block;

/* 16 or 32 rows. */
void amx_block_16(const amx_block *k);
void amx_block_32(const amx_block *k);

/* The four products of amx_block_32 `rounds` times, with nothing loaded between them: what tiles can do at best. */
enum { AMX_ROUND_FLOPS = 4 * 2 * AMX_ROWS * AMX_ROWS * AMX_DEPTH };
void amx_resident(int64_t rounds);

#endif
