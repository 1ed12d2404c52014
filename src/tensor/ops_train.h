/* ops_train.h - operations that only training uses; rules and letters as in ops.h. */
#ifndef ACE_OPS_TRAIN_H
#define ACE_OPS_TRAIN_H

#include "tensor/ops.h"

/* A stream of random words for each item of a batch: Philox4x32-10 (base/rng.h) with this key, and with (block, word 0,
 * 1, 2) as its counter. */
typedef struct op_stream {
  uint64_t key;
  uint32_t word[3];
} op_stream;

typedef struct op_dropout {
  float p;                 /* 0 <= p < 1 */
  const op_stream *stream; /* [B], of each item; borrowed until the tape has gone back */
} op_dropout;

/* x [B, ...]: y = x / (1 - p) with probability 1 - p, else 0. Value i of an item is decided by the upper 24 bits of word
 * i of its stream: dropped if they, as a number in [0, 1), are below p. */
tens *op_dropout_apply(tens_ctx *c, const tens *x, const op_dropout *d);

/* What op_linear does to its products, on its own, with the same bits: x [..., N] -> residual + gate * act(x + bias); or,
 * with `up` like x and an empty epilogue, what op_swiglu does: silu(x) * up. `e` may be NULL. */
tens *op_finish(tens_ctx *c, const tens *x, const tens *up, const op_epilogue *e);

/* x, y [B, T, C], mask I32 [B, T] or NULL -> [B]: for each item the mean of (x - y)² over its rows with a mask other
 * than 0; such an item must have one. Sums in double. */
tens *op_mean_square(tens_ctx *c, const tens *x, const tens *y, const tens *mask);

/* logits [..., V], labels I32 [...] in 0..V-1, or -1: not counted -> [1]: the mean of -log softmax(logits)[label]. One
 * label must count. Sums in double. */
tens *op_cross_entropy(tens_ctx *c, const tens *logits, const tens *labels);

#endif
