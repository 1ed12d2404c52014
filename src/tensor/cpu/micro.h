/* micro.h - the innermost loops of the CPU device, one table of them for each instruction set.
 *
 * Everything that is worth vector instructions is here and is written once, in micro_impl.h; micro_plain.c,
 * micro_avx2.c and micro_avx512.c compile it. Every function fixes the order of its sums by the length of a row alone,
 * never by how many rows or columns it is given: a row computed alone equals the same row in a batch, bit for bit.
 */
#ifndef ACE_CPU_MICRO_H
#define ACE_CPU_MICRO_H

#include "tensor/ops.h"

enum {
  CPU_COLUMNS = 4,     /* weight rows of a tile, at least */
  CPU_MAX_ROWS = 6,    /* input rows of a tile */
  CPU_MAX_LANES = 16,  /* floats of a vector */
  CPU_KEY_BLOCK = 64,  /* keys that attention takes at once */
  CPU_MAX_QUERIES = 48 /* queries that attention takes at once */
};

/* A tile of products: c[i][j] = Σ over segments s and k of x[i][s][k] * w[j][s][k], for `rows` rows of x (the
 * function's own number) and CPU_COLUMNS rows of w. A plain matrix product has one segment, a convolution one for each
 * tap. x is packed (see `pack`): each segment is padded with zeros to whole steps of 2 vectors. w is read where it
 * lies; what is left of each of its segments after `steps` whole steps stands, padded with zeros, in `tail`. */
typedef struct cpu_tile {
  const float *x;
  int64_t x_row, x_segment; /* floats from row to row and from segment to segment */
  const void *w[CPU_COLUMNS];
  int64_t w_segment;             /* elements */
  const void *next[CPU_COLUMNS]; /* weights to ask memory for meanwhile, as long as these; or NULL */
  const void *tail;              /* [segments][CPU_COLUMNS][2 * lanes] of w's type, or NULL when nothing is left */
  int64_t segments, steps;
  float *c; /* [rows][c_row] */
  int64_t c_row;
  bool add; /* to what c holds */
} cpu_tile;

/* y = residual + gate * act(c + bias), then for convolutions snake (alpha, inv_beta) instead of act and gate; with
 * `up`, y = silu(c) * up. All rows of n values, each may be NULL. */
typedef struct cpu_finish {
  const float *bias, *gate, *residual, *alpha, *inv_beta, *up;
  op_act act;
  bool stream; /* y is written past the caches, where it lies on whole lines */
} cpu_finish;

/* Attention of `count` <= queries queries of one head to all keys. */
typedef struct cpu_attend {
  const float *q; /* query `first` */
  int64_t q_row;
  const float *k, *v; /* key 0 of this head */
  int64_t kv_row;
  float *y;            /* like q */
  const int32_t *mask; /* [keys] or NULL */
  int64_t first, count, keys, depth;
  bool causal;
  int64_t window; /* -1: none */
  float *scratch; /* CPU_ATTEND_FLOATS(depth) */
} cpu_attend;

/* Queries transposed, outputs, one block of scores, one block of values. */
#define CPU_ATTEND_DEPTH(depth) (((depth) + 4 * CPU_MAX_LANES - 1) / (4 * CPU_MAX_LANES) * (4 * CPU_MAX_LANES))
#define CPU_ATTEND_FLOATS(depth) \
  (CPU_ATTEND_DEPTH(depth) * (2 * CPU_MAX_QUERIES + CPU_KEY_BLOCK) + CPU_MAX_QUERIES * CPU_KEY_BLOCK)

struct product; /* product.h */

typedef struct cpu_micro cpu_micro;
struct cpu_micro {
  const char *name;
  int lanes;
  int rows;                                          /* of a full tile */
  int queries;                                       /* of a full attention block */
  void (*tile_f32[CPU_MAX_ROWS])(const cpu_tile *t); /* [rows - 1] */
  void (*tile_bf16[CPU_MAX_ROWS])(const cpu_tile *t);
  /* Whole products and attention on matrix tiles, in place of the tiles and `attend` below; NULL: there are none.
   * `attention` returns false, having done nothing, for a width of heads that it is not made for. */
  void (*product)(const cpu_micro *m, tens_ctx *c, const struct product *p);
  bool (*attention)(const cpu_micro *m, tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v,
                    const op_attn *a);
  /* n values of x into whole steps of 2 vectors, zeros after them; `split`, for BF16 weights, puts the even-numbered
   * values of a step before the odd-numbered ones, the order in which pairs of BF16 widen cheapest. */
  void (*pack)(float *out, const float *x, int64_t n, bool split);
  /* n BF16 weights, whole steps, widened into the order of `pack`, for tile_f32 to give what tile_bf16 would. NULL
   * where widening in every tile costs less than more bytes in the first-level cache. */
  void (*widen)(float *out, const uint16_t *w, int64_t n);
  void (*finish)(float *y, const float *c, int64_t n, const cpu_finish *f); /* y may be c */
  /* y = w * x / sqrt(mean(x²) + eps) [* (1 + scale) + shift]; y may be x */
  void (*rms_norm)(float *y, const float *x, const float *w, int64_t n, float eps, const float *scale,
                   const float *shift);
  /* the pairs x[i], x[half + i], i < n, turned by angles given as cosines and sines */
  void (*rotate)(float *x, int64_t half, const float *cosine, const float *sine, int64_t n);
  void (*attend)(const cpu_attend *a);
  float (*dot)(const float *a, const float *b, int64_t n);
  void (*softmax)(float *x, int64_t n); /* -INFINITY gives 0; not all may be */
  /* y = kept * y + Σ_r weight[r] * x[r] over `rows` rows of n values that lie `row` apart */
  void (*weigh_rows)(float *y, float kept, const float *weight, const float *x, int64_t row, int64_t rows, int64_t n);
  /* int8_turn and int8_round of tensor/int8.h, the same bits */
  void (*turn)(float *v, int64_t k);
  float (*round_i8)(int8_t *q, const float *u, int64_t k);
  /* out[j] = Σ_i x[i] w[j][i] over k values, for CPU_COLUMNS rows of weights */
  void (*dot_i8)(int32_t *out, const int8_t *x, const int8_t *const *w, int64_t k);
};

extern const cpu_micro cpu_micro_plain;
#if defined(__x86_64__)
extern const cpu_micro cpu_micro_avx2, cpu_micro_avx512, cpu_micro_amx;
#endif

#endif
