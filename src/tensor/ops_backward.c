/* ops_backward.c - gradients of the heavy operations: shapes, and room for what a device keeps in between. */
#include "tensor/ops_backward.h"

#include "tensor/context.h"

/* ---- linear: y = x wᵀ --------------------------------------------------------------------------------------------- */

/* Tensors with equal leading dims, whose last are `a` and `b`. */
static bool rows_fit(tens_ctx *c, const char *op, const char *names, const tens *x, const tens *dy, int64_t a,
                     int64_t b) {
  bool fits = x->rank == dy->rank && op_last(x) == a && op_last(dy) == b;
  for (int i = 0; fits && i < x->rank - 1; i++) fits = x->dim[i] == dy->dim[i];
  if (!fits)
    tens_fail(c, ACE_EINVAL, "%s: %s %s and dy %s do not fit w [%lld, %lld]", op, names, TENS_SHAPE(x), TENS_SHAPE(dy),
              (long long)b, (long long)a);
  return fits;
}

/* A gradient that is not wanted, or has the shape of what it belongs to. */
static bool like(tens_ctx *c, const char *op, const char *name, const tens *grad, const tens *of) {
  return !grad || op_shaped(c, op, name, grad, OP_F32, of->rank, of->dim);
}

bool op_linear_backward_input(tens_ctx *c, tens *dx, const tens *dy, const tens *w) {
  const char *op = "linear_backward_input";
  if (!op_begin(c) || !op_arg(c, op, "dx", dx, OP_F32, 1, 4) || !op_arg(c, op, "dy", dy, OP_F32, 1, 4) ||
      !op_arg(c, op, "w", w, OP_MATRIX, 2, 2) || !rows_fit(c, op, "dx", dx, dy, w->dim[1], w->dim[0]))
    return false;
  if (!c->plan) c->device->linear_backward_input(c, dx, dy, w);
  return op_end(c, dx);
}

bool op_linear_backward_weight(tens_ctx *c, tens *dw, const tens *dy, const tens *x) {
  const char *op = "linear_backward_weight";
  if (!op_begin(c) || !op_arg(c, op, "dw", dw, OP_F32, 2, 2) || !op_arg(c, op, "dy", dy, OP_F32, 1, 4) ||
      !op_arg(c, op, "x", x, OP_F32, 1, 4) || !rows_fit(c, op, "x", x, dy, dw->dim[1], dw->dim[0]))
    return false;
  if (!c->plan) c->device->linear_backward_weight(c, dw, dy, x);
  return op_end(c, dw);
}

/* ---- attention ---------------------------------------------------------------------------------------------------- */

bool op_attention_backward(tens_ctx *c, tens *dq, tens *dk, tens *dv, const tens *dy, const tens *q, const tens *k,
                           const tens *v, const tens *y, const op_attn *a) {
  const char *op = "attention_backward";
  if (!op_begin(c) || !op_attention_fits(c, op, q, k, a) || !op_shaped(c, op, "v", v, OP_F32, 3, k->dim) ||
      !op_shaped(c, op, "y", y, OP_F32, 3, q->dim) || !op_shaped(c, op, "dy", dy, OP_F32, 3, q->dim) ||
      !like(c, op, "dq", dq, q) || !like(c, op, "dk", dk, k) || !like(c, op, "dv", dv, k))
    return false;
  tens_mark mark = tens_here(c);
  size_t queries = (size_t)(q->dim[0] * a->heads * q->dim[1]);
  double *room = tens_scratch(c, 2 * queries * sizeof *room);
  if (c->error.status == ACE_OK && !c->plan) {
    tens_attention_grads g = {.dq = dq, .dk = dk, .dv = dv, .log_sum = room, .delta = room + queries};
    c->device->attention_backward(c, &g, dy, q, k, v, y, a);
  }
  tens_release(c, mark);
  return c->error.status == ACE_OK;
}

/* ---- convolution and snake ---------------------------------------------------------------------------------------- */

bool op_conv1d_backward(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                        const op_conv *p) {
  const char *op = "conv1d_backward";
  int64_t time = op_begin(c) ? op_conv1d_time(c, op, x, w, p) : 0;
  if (!time || !op_shaped(c, op, "dy", dy, OP_F32, TENS_DIMS(x->dim[0], time, w->dim[0])) ||
      !like(c, op, "dx", dx, x) || !like(c, op, "dw", dw, w))
    return false;
  if (!c->plan) c->device->conv1d_backward(c, dx, dw, dy, x, w, p);
  return c->error.status == ACE_OK;
}

bool op_conv_transpose1d_backward(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                                  const op_conv *p) {
  const char *op = "conv1d_transposed_backward";
  int64_t time = op_begin(c) ? op_conv1d_transposed_time(c, op, x, w, p) : 0;
  if (!time || !op_shaped(c, op, "dy", dy, OP_F32, TENS_DIMS(x->dim[0], time, w->dim[1])) ||
      !like(c, op, "dx", dx, x) || !like(c, op, "dw", dw, w))
    return false;
  if (!c->plan) c->device->conv1d_transposed_backward(c, dx, dw, dy, x, w, p);
  return c->error.status == ACE_OK;
}

bool op_snake_backward(tens_ctx *c, tens *dx, tens *dalpha, tens *dinv_beta, const tens *dy, const tens *x,
                       const tens *alpha, const tens *inv_beta) {
  const char *op = "snake_backward";
  if (!op_begin(c) || !op_arg(c, op, "x", x, OP_F32, 1, 4) || !op_shaped(c, op, "dy", dy, OP_F32, x->rank, x->dim) ||
      !op_shaped(c, op, "alpha", alpha, OP_F32, TENS_DIMS(op_last(x))) ||
      !op_shaped(c, op, "inv_beta", inv_beta, OP_F32, 1, alpha->dim) || !like(c, op, "dx", dx, x) ||
      !like(c, op, "dalpha", dalpha, alpha) || !like(c, op, "dinv_beta", dinv_beta, alpha))
    return false;
  int64_t C = op_last(x), blocks = (tens_count(x) / C - 1) / tens_snake_block(C) + 1;
  tens_mark mark = tens_here(c);
  tens_snake_grads g = {dx, dalpha, dinv_beta, tens_scratch(c, (size_t)(blocks * 2 * C) * sizeof *g.sums)};
  if (!c->plan && g.sums) c->device->snake_backward(c, &g, dy, x, alpha, inv_beta);
  tens_release(c, mark);
  return c->error.status == ACE_OK;
}
