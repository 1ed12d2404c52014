/* ops_matrix.c - matrix products: linear layers, the gated unit, embeddings. */
#include "tensor/grad.h"
#include "tensor/ops_train.h"

/* ---- linear: y = residual + gate * act(x wᵀ + bias) ----------------------------------------------------------- */

bool op_epilogue_fits(tens_ctx *c, const char *op, const tens *x, int64_t n, const op_epilogue *e) {
  int64_t shape[TENS_MAX_RANK];
  for (int i = 0; i < x->rank; i++) shape[i] = x->dim[i];
  shape[x->rank - 1] = n;
  if (e->act != OP_ACT_NONE && e->act != OP_ACT_SILU) {
    tens_fail(c, ACE_EINTERNAL, "%s: unknown activation %d", op, (int)e->act);
    return false;
  }
  if (e->gate && x->rank < 2) {
    tens_fail(c, ACE_EINVAL, "%s: a gate needs x [batch, ..., k], not x %s", op, TENS_SHAPE(x));
    return false;
  }
  return (!e->bias || op_shaped(c, op, "bias", e->bias, OP_F32, TENS_DIMS(n))) &&
         (!e->gate || op_shaped(c, op, "gate", e->gate, OP_F32, TENS_DIMS(x->dim[0], n))) &&
         (!e->residual || op_shaped(c, op, "residual", e->residual, OP_F32, x->rank, shape));
}

/* Must the product itself be kept for the way back? */
static bool wants_parts(const tens_ctx *c, const tens *x, const tens *w, const op_epilogue *e) {
  bool needed = e->act != OP_ACT_NONE || tape_wants(c, TAPE_IN(e->gate));
  return needed && tape_wants(c, TAPE_IN(x, w, e->bias, e->gate, e->residual));
}

tens *op_linear(tens_ctx *c, const tens *x, const tens *w, const op_epilogue *e) {
  static const op_epilogue none = {0};
  if (!e) e = &none;
  if (!op_begin(c) || !op_arg(c, "linear", "x", x, OP_F32, 1, 4) || !op_arg(c, "linear", "w", w, OP_MATRIX, 2, 2))
    return NULL;
  if (op_last(x) != w->dim[1])
    return tens_fail(c, ACE_EINVAL, "linear: x %s does not fit w %s", TENS_SHAPE(x), TENS_SHAPE(w));
  if (!op_epilogue_fits(c, "linear", x, w->dim[0], e)) return NULL;
  if (wants_parts(c, x, w, e)) {
    tens *u = op_linear(c, x, w, &(op_epilogue){.bias = e->bias});
    return op_finish(c, u, NULL, &(op_epilogue){.act = e->act, .gate = e->gate, .residual = e->residual});
  }
  tens *y = op_new_last(c, TENS_F32, x, w->dim[0]);
  if (y && !c->plan) c->device->linear(c, y, x, w, e);
  return tape_note(c, op_end(c, y), grad_linear, TAPE_IN(x, w, e->bias, e->gate, e->residual), NULL, 0);
}

/* ---- finish: y = residual + gate * act(x + bias), or silu(x) * up ----------------------------------------------- */

tens *op_finish(tens_ctx *c, const tens *x, const tens *up, const op_epilogue *e) {
  static const op_epilogue none = {0};
  if (!e) e = &none;
  if (!op_begin(c) || !op_arg(c, "finish", "x", x, OP_F32, 1, 4) || !op_epilogue_fits(c, "finish", x, op_last(x), e) ||
      (up && !op_shaped(c, "finish", "up", up, OP_F32, x->rank, x->dim)))
    return NULL;
  if (up && (e->bias || e->act != OP_ACT_NONE || e->gate || e->residual))
    return tens_fail(c, ACE_EINTERNAL, "finish: up stands alone");
  tens *y = op_new_last(c, TENS_F32, x, op_last(x));
  if (y && !c->plan) c->device->finish(c, y, x, up, e);
  return tape_note(c, op_end(c, y), grad_finish, TAPE_IN(x, e->bias, e->gate, e->residual, up), e, sizeof *e);
}

/* ---- swiglu: y = silu(x w_gateᵀ) * (x w_upᵀ) ---------------------------------------------------------------- */

tens *op_swiglu(tens_ctx *c, const tens *x, const tens *w_gate, const tens *w_up) {
  if (!op_begin(c) || !op_arg(c, "swiglu", "x", x, OP_F32, 1, 4) ||
      !op_arg(c, "swiglu", "w_gate", w_gate, OP_MATRIX, 2, 2) || !op_arg(c, "swiglu", "w_up", w_up, OP_MATRIX, 2, 2))
    return NULL;
  if (op_last(x) != w_gate->dim[1] || !op_same_shape(w_gate, w_up))
    return tens_fail(c, ACE_EINVAL, "swiglu: x %s does not fit w_gate %s and w_up %s", TENS_SHAPE(x),
                     TENS_SHAPE(w_gate), TENS_SHAPE(w_up));
  if (tape_wants(c, TAPE_IN(x, w_gate, w_up))) {
    tens *open = op_linear(c, x, w_gate, NULL);
    return op_finish(c, open, op_linear(c, x, w_up, NULL), NULL);
  }
  tens *y = op_new_last(c, TENS_F32, x, w_gate->dim[0]);
  if (y && !c->plan) c->device->swiglu(c, y, x, w_gate, w_up);
  return op_end(c, y);
}

/* ---- embedding: rows of a table --------------------------------------------------------------------------------- */

tens *op_embedding(tens_ctx *c, const tens *table, const tens *ids) {
  if (!op_begin(c) || !op_arg(c, "embedding", "table", table, OP_MATRIX, 2, 2) ||
      !op_arg(c, "embedding", "ids", ids, OP_I32, 1, 3))
    return NULL;
  if (!c->plan) {
    int64_t n = tens_count(ids);
    const int32_t *id = tens_i32(ids);
    for (int64_t i = 0; i < n; i++)
      if (id[i] < 0 || id[i] >= table->dim[0])
        return tens_fail(c, ACE_EINVAL, "embedding: id %d at position %lld is outside 0..%lld", id[i], (long long)i,
                         (long long)table->dim[0] - 1);
  }
  int64_t dim[TENS_MAX_RANK];
  for (int i = 0; i < ids->rank; i++) dim[i] = ids->dim[i];
  dim[ids->rank] = table->dim[1];
  tens *y = tens_new(c, TENS_F32, ids->rank + 1, dim);
  if (y && !c->plan) c->device->embedding(c, y, table, ids);
  return tape_note(c, op_end(c, y), grad_embedding, TAPE_IN(table, ids), NULL, 0);
}
