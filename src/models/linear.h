/* linear.h - a linear layer that adapters may sit on. The weight W [N, K] itself is never touched: it stays mapped, in
 * whatever type it has, and what adapters add runs beside it (LoRA, Hu et al. 2021):
 *
 *   y = epilogue(x Wᵀ + (x Aᵀ) Bᵀ),   A [R, K], B [N, R]
 *
 * R is the sum of the ranks of all adapters on this weight; their scales are part of B. Without a delta this is
 * op_linear, with its cost and its bits.
 */
#ifndef ACE_LINEAR_H
#define ACE_LINEAR_H

#include "tensor/ops.h"

typedef struct linear_delta {
  tens a, b; /* [R, K], [N, R] */
} linear_delta;

typedef struct linear {
  tens w;                    /* [N, K] */
  const linear_delta *delta; /* borrowed; NULL: no adapter */
} linear;

static inline linear linear_plain(tens w) {
  return (linear){.w = w};
}

/* x [..., K] -> [..., N], as op_linear; a gate needs `act` to be none or to stand without a delta. */
tens *linear_forward(tens_ctx *c, const tens *x, const linear *l, const op_epilogue *e);

/* x [..., K] -> [..., N]: silu(gate(x)) * up(x), as op_swiglu. */
tens *linear_swiglu(tens_ctx *c, const tens *x, const linear *gate, const linear *up);

#endif
