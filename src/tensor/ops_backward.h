/* ops_backward.h - gradients of the heavy operations of ops.h, as plain functions; the tape (tape.h) calls them.
 *
 * Written dy for dLoss/dy. Every function ADDS to the gradients that it is given, so that a tensor used twice gets both
 * shares; one that is not wanted is NULL. Gradients are F32 of the shape of what they belong to. A result depends on the
 * shapes and values alone, never on the number of threads. Memory for intermediate results comes from the context and is
 * given back. False after a failure, also of an earlier operation; when planning only shapes are checked and memory
 * counted.
 */
#ifndef ACE_OPS_BACKWARD_H
#define ACE_OPS_BACKWARD_H

#include "tensor/ops.h"

/* ---- y = x wᵀ: x [..., K], w** [N, K], dy [..., N] ---------------------------------------------------------------- */

/* dx [..., K] += dy w. Of TENS_I8 weights as they are decoded (int8.h), without the rounding of activations. */
bool op_linear_backward_input(tens_ctx *c, tens *dx, const tens *dy, const tens *w);
/* dw [N, K] += dyᵀ x */
bool op_linear_backward_weight(tens_ctx *c, tens *dw, const tens *dy, const tens *x);

/* ---- attention: arguments as op_attention, y its result ----------------------------------------------------------- */

/* dq [B, Sq, heads*D], dk and dv [B, Sk, kv_heads*D], the last two summed over the query heads that share them. Of a
 * query that sees no key op_attention makes the mean of all values: each of them gets its share, query and keys nothing. */
bool op_attention_backward(tens_ctx *c, tens *dq, tens *dk, tens *dv, const tens *dy, const tens *q, const tens *k,
                           const tens *v, const tens *y, const op_attn *a);

/* ---- convolution over time: stride, pad and dilation of p alone; its bias, snake and residual are left out --------- */

/* dy [B, T', O], x [B, T, C], w* [O, taps, C]; dx like x, dw F32 like w. */
bool op_conv1d_backward(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                        const op_conv *p);
/* The same for w* [taps, O, C]. */
bool op_conv_transpose1d_backward(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                                  const op_conv *p);

/* ---- snake: y = x + sin(alpha x)² inv_beta, x [..., C] ------------------------------------------------------------- */

bool op_snake_backward(tens_ctx *c, tens *dx, tens *dalpha, tens *dinv_beta, const tens *dy, const tens *x,
                       const tens *alpha, const tens *inv_beta);

#endif
