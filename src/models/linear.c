#include "models/linear.h"

/* residual + gate (x Wᵀ + bias), then the same with the low-rank product on top: gate and residual distribute over the
 * sum, so no part of it needs a kernel of its own. */
static tens *adapted(tens_ctx *c, const tens *x, const linear *l, const op_epilogue *e) {
  const linear_delta *d = l->delta;
  tens *base = op_linear(c, x, &l->w, e);
  tens *low = op_linear(c, x, &d->a, NULL);
  return op_linear(c, low, &d->b, &(op_epilogue){.gate = e->gate, .residual = base});
}

tens *linear_forward(tens_ctx *c, const tens *x, const linear *l, const op_epilogue *e) {
  static const op_epilogue none = {0};
  if (!l->delta) return op_linear(c, x, &l->w, e);
  if (!e) e = &none;
  if (e->act == OP_ACT_NONE) return adapted(c, x, l, e);
  if (e->gate || e->residual) return tens_fail(c, ACE_EINTERNAL, "linear: an activation under an adapter stands alone");
  return op_silu(c, adapted(c, x, l, &(op_epilogue){.bias = e->bias}));
}

tens *linear_swiglu(tens_ctx *c, const tens *x, const linear *gate, const linear *up) {
  if (!gate->delta && !up->delta) return op_swiglu(c, x, &gate->w, &up->w);
  tens *open = op_silu(c, linear_forward(c, x, gate, NULL));
  if (!open) return NULL;
  /* Every row its own item: so the gate of a linear layer becomes a product element by element. */
  int64_t width = open->dim[open->rank - 1], rows = tens_count(open) / width;
  tens *each = tens_view(c, x, TENS_DIMS(rows, 1, x->dim[x->rank - 1]));
  tens *wide = linear_forward(c, each, up, &(op_epilogue){.gate = tens_view(c, open, TENS_DIMS(rows, width))});
  return tens_view(c, wide, open->rank, open->dim);
}
