/* grad.h - the gradients that the tape calls, one for each operation of ops.h, in the order of their inputs there; and
 * the loops that they share. The heavy ones are in ops_backward.h.
 *
 * These run on the threads of the context for every device: they read and write memory once, and products, attention
 * and convolutions take all of the time. Sums over rows are formed in double, each column in the order of its rows, so
 * that threads change no bit.
 */
#ifndef ACE_GRAD_H
#define ACE_GRAD_H

#include "tensor/context.h"
#include "tensor/ops_backward.h"

/* Inputs: x, w, bias, gate, residual. */
tape_fn grad_linear, grad_mix_blocks;
/* w, w1, w2, m; saved: eps. */
tape_fn grad_kron_lengths;
/* x, bias, gate, residual, up; saved: op_epilogue. */
tape_fn grad_finish;
/* table, ids */
tape_fn grad_embedding;
/* x, w, scale, shift; saved: grad_norm. */
tape_fn grad_rms_norm, grad_head_norm;
/* q, k, v; saved: op_attn. */
tape_fn grad_attention;
/* x, w, bias; saved: op_conv. */
tape_fn grad_conv1d, grad_conv1d_transposed;
/* x, alpha, inv_beta */
tape_fn grad_snake;
/* a, b */
tape_fn grad_sum;
/* x */
tape_fn grad_silu, grad_resize;
/* x, w */
tape_fn grad_scale;
/* table, rows */
tape_fn grad_modulation;
/* The parts. */
tape_fn grad_concat, grad_join;
/* x, index */
tape_fn grad_gather;
/* x, row */
tape_fn grad_prepend;
/* x, rows */
tape_fn grad_outer_add;
/* z; saved: grad_levels. The rounding counts as the identity (straight through). */
tape_fn grad_fsq_quantize;
/* x; saved: op_dropout. */
tape_fn grad_dropout;
/* x, y, mask */
tape_fn grad_mean_square;
/* logits, labels */
tape_fn grad_cross_entropy;
/* x, table, labels */
tape_fn grad_word_entropy;

typedef struct grad_norm {
  float eps;
  bool rotated;
  op_rope rope;
} grad_norm;

typedef struct grad_levels {
  int level[16];
} grad_levels;

/* ---- loops: NULL for a destination that is not wanted; nothing happens when planning or after a failure ------------ */

/* fn(arg, first, count) over 0..n-1 in pieces; `cost` of one, in additions. */
typedef void grad_range(void *arg, int64_t first, int64_t count, int worker);
void grad_for(tens_ctx *c, int64_t n, int64_t cost, grad_range *fn, void *arg);

/* dst += src, elements in order. */
void grad_add(tens_ctx *c, tens *dst, const tens *src);
/* dst += a b, element by element. */
void grad_add_product(tens_ctx *c, tens *dst, const tens *a, const tens *b);
/* dst [B, N] or [N] += sums over the rows of a [..., N] (times b, like a, or NULL): over all of each item of the B that
 * dst's rows stand for. */
void grad_add_columns(tens_ctx *c, tens *dst, const tens *a, const tens *b);
/* gate [B, N] times dy [..., N], new; dy itself for a gate NULL. */
const tens *grad_gated(tens_ctx *c, const tens *dy, const tens *gate);

#endif
