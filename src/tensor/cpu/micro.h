/* micro.h - the innermost loops of the CPU device, one table of them for each instruction set.
 *
 * Everything that is worth vector instructions is here and is written once, in micro_impl.h; micro_plain.c,
 * micro_avx2.c and micro_avx512.c compile it. Every function fixes the order of its sums by the length of a row alone,
 * never by how many rows or columns it is given: a row computed alone equals the same row in a batch, bit for bit.
 */
#ifndef ACE_CPU_MICRO_H
#define ACE_CPU_MICRO_H

#include <float.h>

#include "tensor/ops.h"

/* The running maximum of a query's scores before its first key: no finite score is below it. */
#define CPU_SCORE_FLOOR (-FLT_MAX)

enum {
  CPU_COLUMNS = 4,         /* weight rows of a line tile */
  CPU_MAX_ROWS = 6,        /* input rows of a line tile */
  CPU_MAX_LANES = 16,      /* floats of a vector */
  CPU_MAX_BLOCK_ROWS = 12, /* of a block tile */
  CPU_MAX_BLOCK_COLUMNS = 2 * CPU_MAX_LANES,
  CPU_PIECE = 256,                   /* values of a row that are summed at once */
  CPU_PIECE_PAD = 2 * CPU_MAX_LANES, /* and what rounding them up to whole steps may add */
  CPU_CLASS_PAD = 16,                /* floats between the classes of a panel, which lie a power of two apart */
  CPU_KEY_BLOCK = 64,                /* keys that attention takes at once */
  CPU_MAX_QUERIES = 48,              /* queries that attention takes at once */
  CPU_FEW_QUERIES = 8                /* of attend_few */
};

/* A tile of products: c[i][j] = Σ over segments s and k of x[i][s][k] * w[j][s][k], for `rows` rows of x (the
 * function's own number) and some rows of w. A plain matrix product has one segment, a convolution one for each tap.
 * Both kinds of tile give the same sums; see tile_impl.h. */

/* For few rows. x is packed (pack_line): each segment is padded with zeros to whole steps of 2 vectors. CPU_COLUMNS rows
 * of w are read where they lie; what is left of each of their segments after `steps` whole steps stands, padded with
 * zeros, in `tail`. A row may be several pieces, each but the last CPU_PIECE values long. */
typedef struct cpu_line {
  const float *x;
  int64_t x_row, x_segment; /* floats from row to row and from segment to segment */
  const void *w[CPU_COLUMNS];
  int64_t w_segment;             /* elements */
  const void *next[CPU_COLUMNS]; /* weights to ask memory for meanwhile, as long as these; or NULL */
  int64_t pieces, x_piece;       /* floats from piece to piece of x */
  const void *tail;              /* [segments][CPU_COLUMNS][2 * lanes] of w's type, or NULL when nothing is left */
  int64_t segments, steps;       /* steps: of the last piece */
  float *c;                      /* [rows][c_row] */
  int64_t c_row;
  bool add; /* to what c holds */
} cpu_line;

/* For many rows and `block_columns` columns. */
typedef struct cpu_block {
  const float *x;            /* packed (pack_block) */
  int64_t x_row, x_segment;  /* floats from row to row and from segment to segment */
  const float *w;            /* packed (pack_panel) */
  int64_t segments, vectors; /* of each segment, an even number */
  float *c;                  /* [rows][c_row] */
  int64_t c_row;
  bool add;
} cpu_block;

/* y = residual + gate * act(c + bias), then for convolutions snake (alpha, inv_beta) instead of act and gate; with
 * `up`, y = silu(c) * up. All rows of n values, each may be NULL. */
typedef struct cpu_finish {
  const float *bias, *gate, *residual, *alpha, *inv_beta, *up;
  op_act act;
  bool stream; /* y is written past the caches, where it lies on whole lines */
} cpu_finish;

/* A tile of a gradient's product (panel_impl.h): c[i][j] = Σ_k x[i*x_row + k*x_step] * w[k][j] for `rows` rows (the
 * function's own number) and `columns` <= block_columns columns. */
typedef struct cpu_panel {
  const float *x;
  int64_t x_row, x_step;
  const float *w; /* [depth][block_columns] */
  int64_t depth, columns;
  float *c; /* [rows][c_row] */
  int64_t c_row;
  bool add;
} cpu_panel;

/* Some columns of rows of weights or activations: what strips are packed from. */
typedef struct cpu_strips {
  const void *const *row; /* [depth] where rows begin; NULL: zeros */
  const float *scale;     /* TENS_I8: [depth] */
  tens_dtype dtype;
  int64_t depth, column, columns; /* column: a multiple of block_columns */
} cpu_strips;

/* One row of snake and its gradients. */
typedef struct cpu_snake_row {
  const float *dy, *x, *alpha, *inv_beta;
  float *dx, *dalpha, *dinv_beta;
} cpu_snake_row;

/* Keys and values of one head in the pages of a cache: [page][depth] in each page. */
typedef struct cpu_pages {
  const void *k, *v;    /* this head's place in page 0 */
  const int32_t *table; /* numbers of the sequence's pages in order */
  int64_t page, stride; /* positions of a page; elements from page to page */
  bool bf16;            /* else F32 */
} cpu_pages;

/* Attention of `count` <= queries queries of one head to all keys. */
typedef struct cpu_attend {
  const float *q; /* query `first` */
  int64_t q_row;
  const float *k, *v; /* key 0 of this head */
  int64_t kv_row;
  const cpu_pages *pages;            /* where keys and values lie instead of that; or NULL */
  float *y;                          /* like q */
  const int32_t *mask;               /* [keys] or NULL */
  int64_t first, count, keys, depth; /* first: its position among the keys */
  bool causal;
  int64_t window; /* -1: none */
  float *scratch; /* CPU_ATTEND_FLOATS(depth) */
} cpu_attend;

/* Queries transposed, outputs, one block of scores, one block each of keys and values. */
#define CPU_ATTEND_DEPTH(depth) (((depth) + 4 * CPU_MAX_LANES - 1) / (4 * CPU_MAX_LANES) * (4 * CPU_MAX_LANES))
#define CPU_ATTEND_FLOATS(depth) \
  (CPU_ATTEND_DEPTH(depth) * (2 * CPU_MAX_QUERIES + 2 * CPU_KEY_BLOCK) + CPU_MAX_QUERIES * CPU_KEY_BLOCK)

/* Frames of two sounds, both left and right, and what their spectra are compared with (spectrum.c). */
typedef struct cpu_spectrum {
  int n, frames;              /* a power of two; up to `lanes`, */
  int64_t hop;                /* so many samples apart */
  const float *x, *y;         /* [..][2], of the first frame */
  const float *window;        /* [n] */
  const float *cosine, *sine; /* [n/2]: of one turn in n steps */
  const uint16_t *mirror;     /* [n]: numbers with their bits in reverse order */
  const float *weight;        /* [n/2 + 1]: of a bin's distance */
  const uint16_t *band;       /* [bands + 1]: their first bins, and n/2 + 1 */
  int bands;
  float floor2, linear, banded, share; /* share: of a frame's distance in the mean */
  float *work;                         /* [4][n][lanes] */
  float *dx;                           /* like x, added to; or NULL */
} cpu_spectrum;

struct product; /* product.h */

typedef struct cpu_micro cpu_micro;
struct cpu_micro {
  const char *name;
  int lanes;
  int rows;                                          /* of a line tile */
  int block_rows, block_columns;                     /* of a block tile */
  int queries;                                       /* of a full attention block */
  void (*line_f32[CPU_MAX_ROWS])(const cpu_line *t); /* [rows - 1] */
  void (*line_bf16[CPU_MAX_ROWS])(const cpu_line *t);
  void (*block[CPU_MAX_BLOCK_ROWS])(const cpu_block *t);
  /* Whole products and attention on matrix tiles, in place of the tiles and `attend` below; NULL: there are none.
   * `attention` returns false, having done nothing, for a width of heads that it is not made for. */
  void (*product)(const cpu_micro *m, tens_ctx *c, const struct product *p);
  bool (*attention)(tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v, const op_attn *a);
  /* n <= CPU_PIECE values of x, with zeros after them up to whole steps of 2 vectors. `split`, for BF16 weights, puts
   * the even-numbered values of a step before the odd-numbered ones, the order in which pairs of BF16 widen cheapest. */
  void (*pack_line)(float *out, const float *x, int64_t n, bool split);
  /* The same, then class by class: the first lane of every vector, the second, ... */
  void (*pack_block)(float *out, const float *x, int64_t n, bool split);
  /* `block_columns` rows of weights, n values of each segment, as floats: [lanes][segments][vectors][block_columns],
   * CPU_CLASS_PAD more floats after each class. */
  void (*pack_panel)(float *out, const void *const *w, int64_t w_segment, int64_t segments, int64_t n, bool bf16);
  void (*panel[CPU_MAX_BLOCK_ROWS])(const cpu_panel *t); /* [rows - 1] */
  /* [strips][depth][block_columns] floats, zeros where there are no more columns. */
  void (*pack_strips)(float *out, const cpu_strips *s);
  /* One strip of the transpose of x [columns][x_row], `depth` values of each row. */
  void (*pack_across)(float *out, const float *x, int64_t x_row, int64_t columns, int64_t depth);
  void (*finish)(float *y, const float *c, int64_t n, const cpu_finish *f); /* y may be c */
  /* y = w * x / sqrt(mean(x²) + eps) [* (1 + scale) + shift]; y may be x */
  void (*rms_norm)(float *y, const float *x, const float *w, int64_t n, float eps, const float *scale,
                   const float *shift);
  /* the pairs x[i], x[half + i], i < n, turned by angles given as cosines and sines */
  void (*rotate)(float *x, int64_t half, const float *cosine, const float *sine, int64_t n);
  void (*attend)(const cpu_attend *a);
  /* The same for up to CPU_FEW_QUERIES query heads that share a key head in `pages`, at one position that sees all
   * `keys`: bound by memory. */
  void (*attend_few)(const cpu_attend *a);
  float (*dot)(const float *a, const float *b, int64_t n);
  void (*softmax)(float *x, int64_t n); /* -INFINITY gives 0; not all may be */
  /* Takes n more scores into a running maximum, at first CPU_SCORE_FLOOR, and the sum of exp(scale s - maximum). s has
   * room for whole vectors and is overwritten. */
  void (*softmax_sum)(float *s, int64_t n, float scale, float *top, float *sum);
  /* Scores p become weights exp(scale p - log_sum); ds, the gradients of the weights, those of the scores. */
  void (*softmax_backward)(float *p, float *ds, int64_t n, float scale, float log_sum, float delta);
  /* Adds to dx (may be NULL), dalpha and dinv_beta, n values of each. */
  void (*snake_backward)(const cpu_snake_row *t, int64_t n);
  /* The distance of `frames` frames at once, of those that it is a mean of; its gradient is added to dx. */
  double (*spectrum)(const cpu_spectrum *t);
  /* int8_turn and int8_round of tensor/int8.h, the same bits */
  void (*turn)(float *v, int64_t k);
  float (*round_i8)(int8_t *q, const float *u, int64_t k);
  /* out[r][j] = Σ_i x[r][i] w[j][i] over k values, for up to `rows` rows of x and CPU_COLUMNS rows of weights; `ahead`:
   * asks memory for the weights that follow the last of these, as many. */
  void (*tile_i8)(int32_t *out, const int8_t *x, int rows, const int8_t *const *w, int64_t k, bool ahead);
};

extern const cpu_micro cpu_micro_plain;
#if defined(__x86_64__)
extern const cpu_micro cpu_micro_avx2, cpu_micro_avx512, cpu_micro_amx;
#endif

#endif
