/* device.h - what a device implements: one function an operation, called with checked shapes and an allocated result.
 *
 * Rules for a device. Its functions get checked, non-empty shapes and a result that overlaps no input (but `mix`,
 * `blend`, `apg` and `adg`, whose dst may be an input). They cannot fail. They take temporary memory only from
 * tens_worker_scratch, a block for each worker of the pool that was reserved when the context opened, and allocate
 * nothing in the context, so that memory can be planned without asking the device. Work is spread with tens_parallel. A
 * device is a constant table: it has no state.
 */
#ifndef ACE_DEVICE_H
#define ACE_DEVICE_H

#include "tensor/ops_train.h"

/* Bytes of scratch memory that every worker has to itself, at least. */
enum { TENS_WORKER_SCRATCH = 1 << 20 };

/* The block of worker 0..workers-1, 64-byte aligned, uninitialised; what is in it lasts until the operation returns. */
void *tens_worker_scratch(const tens_ctx *c, int worker);
/* Workers of this context: the pool's threads, or 1. */
int tens_workers(const tens_ctx *c);
/* pool_run on the context's pool; without one the chunks run in turn as worker 0. */
void tens_parallel(tens_ctx *c, int chunks, pool_fn fn, void *arg);

/* What attention's gradients are added to, each NULL if not wanted, and room for the device's first pass. */
typedef struct tens_attention_grads {
  tens *dq, *dk, *dv;
  double *log_sum, *delta; /* [B, heads, Sq] */
} tens_attention_grads;

typedef struct tens_snake_grads {
  tens *dx, *dalpha, *dinv_beta; /* each NULL if not wanted */
  double *sums;                  /* [blocks, 2, C]: room for shares of the last two, of blocks of rows */
} tens_snake_grads;
/* Rows of a block. */
static inline int64_t tens_snake_block(int64_t channels) {
  enum { VALUES = 1 << 14, LEAST = 64 };
  return VALUES / channels > LEAST ? VALUES / channels : LEAST;
}

struct tens_device {
  const char *name;
  size_t scratch; /* bytes for each worker, where TENS_WORKER_SCRATCH is too little; else 0 */
  size_t (*packed_bytes)(const tens *w, int stride); /* tens_packed_bytes; NULL: weights are read in place */
  void (*pack)(const tens *w, int stride, void *out, int part, int parts);
  bool (*int8_encode)(int8_t *q, float *scale, float *w, int64_t k); /* tens_int8_encode; NULL: the definition */
  void (*linear)(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e);
  void (*swiglu)(tens_ctx *c, tens *y, const tens *x, const tens *w_gate, const tens *w_up);
  void (*finish)(tens_ctx *c, tens *y, const tens *x, const tens *up, const op_epilogue *e); /* ops_train.h */
  void (*mix_blocks)(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e);
  void (*kron_lengths)(tens_ctx *c, tens *y, const tens *w, const tens *w1, const tens *w2, const tens *m, float eps);
  void (*embedding)(tens_ctx *c, tens *y, const tens *table, const tens *ids);
  void (*rms_norm)(tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const tens *scale, const tens *shift);
  void (*head_norm)(tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const op_rope *rope);
  void (*attention)(tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v, const op_attn *a);
  void (*cache_store)(tens_ctx *c, const op_cache *cache, const tens *k, const tens *v);
  void (*cache_copy)(tens_ctx *c, const op_cache *cache, int64_t from, int64_t to);
  void (*attention_cached)(tens_ctx *c, tens *y, const tens *q, const op_cache *cache, int heads);
  void (*attention_probs)(tens_ctx *c, tens *y, const tens *q, const tens *k, const op_attn *a, const int *heads,
                          int n);
  void (*conv1d)(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p);
  void (*conv1d_transposed)(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p);
  void (*snake)(tens_ctx *c, tens *y, const tens *x, const tens *alpha, const tens *inv_beta);
  void (*add)(tens_ctx *c, tens *y, const tens *a, const tens *b);
  void (*silu)(tens_ctx *c, tens *y, const tens *x);
  void (*scale)(tens_ctx *c, tens *y, const tens *x, const tens *w);
  void (*modulation)(tens_ctx *c, tens *y, const tens *table, const tens *rows);
  void (*sinusoid)(tens_ctx *c, tens *y, const tens *t, float scale);
  void (*concat)(tens_ctx *c, tens *y, int n, const tens *const *parts);
  void (*gather)(tens_ctx *c, tens *y, const tens *x, const tens *index);
  void (*prepend)(tens_ctx *c, tens *y, const tens *x, const tens *row);
  void (*resize)(tens_ctx *c, tens *y, const tens *x);
  void (*outer_add)(tens_ctx *c, tens *y, const tens *x, const tens *rows);
  void (*fsq_quantize)(tens_ctx *c, tens *codes, const tens *z, const int *levels, int d);
  void (*fsq_index)(tens_ctx *c, tens *index, const tens *codes, const int *levels, int d);
  void (*fsq_codes)(tens_ctx *c, tens *codes, const tens *index, const int *levels, int d);
  void (*mix)(tens_ctx *c, tens *dst, float a, const tens *x, float b, const tens *y);
  void (*norm_clamp)(tens_ctx *c, tens *y, const tens *v, const tens *x, float limit);
  void (*blend)(tens_ctx *c, tens *dst, const tens *mask, const tens *a, const tens *b);
  void (*apg)(tens_ctx *c, tens *dst, tens *running, const tens *cond, const tens *uncond, const op_apg *p);
  void (*adg)(tens_ctx *c, tens *dst, const tens *x, const tens *cond, const tens *uncond, const op_adg *p);
  void (*dwt)(tens_ctx *c, tens *low, tens *high, const tens *x, const float *lo, const float *hi, int taps);
  void (*idwt)(tens_ctx *c, tens *y, const tens *low, const tens *high, const float *lo, const float *hi, int taps);
  /* Gradients (ops_backward.h), added to what is there. */
  void (*linear_backward_input)(tens_ctx *c, tens *dx, const tens *dy, const tens *w);
  void (*linear_backward_weight)(tens_ctx *c, tens *dw, const tens *dy, const tens *x);
  void (*attention_backward)(tens_ctx *c, const tens_attention_grads *g, const tens *dy, const tens *q, const tens *k,
                             const tens *v, const tens *y, const op_attn *a);
  void (*conv1d_backward)(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                          const op_conv *p);
  void (*conv1d_transposed_backward)(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                                     const op_conv *p);
  void (*snake_backward)(tens_ctx *c, const tens_snake_grads *g, const tens *dy, const tens *x, const tens *alpha,
                         const tens *inv_beta);
  /* ops_train.h; slope, like x, is d distance / dx, or NULL. */
  void (*spectral_distance)(tens_ctx *c, tens *distance, tens *slope, const tens *x, const tens *y,
                            const op_spectrum *s);
};

#endif
