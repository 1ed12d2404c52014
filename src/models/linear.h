/* linear.h - a linear layer that adapters may sit on. The weight W [N, K] itself is never touched: it stays mapped, in
 * whatever type it has, and what adapters add runs beside it. Of each adapter the set makes (adapters.h):
 *
 *   LoRA (Hu et al. 2021)        (x Aᵀ) Bᵀ             A [R, K], B [N, R]: R sums the ranks of all adapters here
 *   LoKr (Yeh et al. 2024)       x (w1 kron w2)ᵀ       w1 [P, Q], w2 [C, D], P C = N, Q D = K
 *   DoRA (Liu et al. 2024)       factors for the rows or the columns of W, and the same for what is added to it
 *
 * Scales are part of B, w1 and the factors. Without a delta this is op_linear, with its cost and its bits.
 *
 * While an adapter is trained its scale stands apart from its parameters, LoRA drops some of what goes into A, and a
 * factor of LoKr may be a product of two. Under a magnitude m, whose norms change with every step, the layer as a whole is
 *
 *   V = W + w1 kron w2,   x (m V / (norm(V) + eps))ᵀ = m / (norm(V) + eps) * x Vᵀ,   norms of the rows of V
 *
 * which stands alone: there is no other adapter on the layer.
 */
#ifndef ACE_LINEAR_H
#define ACE_LINEAR_H

#include "tensor/ops_train.h"

/* A member that is not there has rank 0. */
typedef struct linear_kron {
  tens w1, w2;
  tens w1_left, w2_left; /* [P, r], [C, r]: then w1 [r, Q], w2 [r, D] are what follows them in a product */
  tens middle;           /* F32: factors of what comes out of w2, all the same */
  tens scalar;           /* F32 [1]: one more factor, in training */
  tens magnitude;        /* F32 [N]: m, in training */
  float eps;
  tens rows;    /* F32 [N]: factors of its output */
  tens columns; /* F32 [K]: factors of its input */
} linear_kron;

typedef struct linear_delta {
  tens a, b;
  tens middle;       /* F32 [R]: factors of x Aᵀ */
  op_dropout drop;   /* of x in front of A; p 0: none */
  linear_kron *kron; /* n_kron of them, owned by the delta's owner */
  int n_kron;
  tens rows;    /* F32 [N]: factors of x Wᵀ; */
  tens columns; /* or F32 [K]: factors of x in front of W. Never both */
} linear_delta;

typedef struct linear {
  tens w;                    /* [N, K] */
  const linear_delta *delta; /* borrowed; NULL: no adapter */
} linear;

static inline linear linear_plain(tens w) {
  return (linear){.w = w};
}

/* x [..., K] -> [..., N], as op_linear. With a delta an activation stands without gate and residual, and so does a bias
 * where rows have factors: no layer of these models has more. */
tens *linear_forward(tens_ctx *c, const tens *x, const linear *l, const op_epilogue *e);

/* x [..., K] -> [..., N]: silu(gate(x)) * up(x), as op_swiglu. */
tens *linear_swiglu(tens_ctx *c, const tens *x, const linear *gate, const linear *up);

#endif
