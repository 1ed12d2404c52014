/* ops_kron.c - what adapters need beside matrix products: a factor for each channel, the left factor of a Kronecker
 * product, and the lengths of rows that such a product is part of. */
#include "tensor/grad.h"
#include "tensor/ops_train.h"

/* ---- scale: y[..., n] = x[..., n] * w[n] ------------------------------------------------------------------------ */

tens *op_scale(tens_ctx *c, const tens *x, const tens *w) {
  if (!op_begin(c) || !op_arg(c, "scale", "x", x, OP_F32, 1, 4) ||
      !op_shaped(c, "scale", "w", w, OP_F32, TENS_DIMS(op_last(x))))
    return NULL;
  tens *y = op_new_last(c, TENS_F32, x, op_last(x));
  if (y && !c->plan) c->device->scale(c, y, x, w);
  return tape_note(c, op_end(c, y), grad_scale, TAPE_IN(x, w), NULL, 0);
}

/* ---- mix_blocks: y = residual + gate * (w kron I) x -------------------------------------------------------------- */

tens *op_mix_blocks(tens_ctx *c, const tens *x, const tens *w, const op_epilogue *e) {
  static const op_epilogue none = {0};
  if (!e) e = &none;
  if (!op_begin(c) || !op_arg(c, "mix_blocks", "x", x, OP_F32, 2, 4) || !op_arg(c, "mix_blocks", "w", w, OP_F32, 2, 2))
    return NULL;
  if (op_last(x) % w->dim[1] != 0)
    return tens_fail(c, ACE_EINVAL, "mix_blocks: x %s is not a multiple of w %s", TENS_SHAPE(x), TENS_SHAPE(w));
  if (e->bias || e->act != OP_ACT_NONE)
    return tens_fail(c, ACE_EINVAL, "mix_blocks: takes neither a bias nor an activation");
  int64_t n = op_last(x) / w->dim[1] * w->dim[0];
  if (!op_epilogue_fits(c, "mix_blocks", x, n, e)) return NULL;
  if (tape_wants(c, TAPE_IN(e->gate))) return op_finish(c, op_mix_blocks(c, x, w, NULL), NULL, e);
  tens *y = op_new_last(c, TENS_F32, x, n);
  if (y && !c->plan) c->device->mix_blocks(c, y, x, w, e);
  return tape_note(c, op_end(c, y), grad_mix_blocks, TAPE_IN(x, w, NULL, e->gate, e->residual), NULL, 0);
}

/* ---- kron_lengths: m / (|row of w + w1 kron w2| + eps) ----------------------------------------------------------- */

tens *op_kron_lengths(tens_ctx *c, const tens *w, const tens *w1, const tens *w2, const tens *m, float eps) {
  enum { WIDTH = TENS_WORKER_SCRATCH / 32 }; /* a row and what its gradient needs beside it */
  if (!op_begin(c) || !op_arg(c, "kron_lengths", "w", w, OP_MATRIX, 2, 2) ||
      !op_arg(c, "kron_lengths", "w1", w1, OP_F32, 2, 2) || !op_arg(c, "kron_lengths", "w2", w2, OP_F32, 2, 2) ||
      !op_shaped(c, "kron_lengths", "m", m, OP_F32, TENS_DIMS(w->dim[0])))
    return NULL;
  if (w->dim[0] % w1->dim[0] != 0 || w->dim[0] / w1->dim[0] != w2->dim[0] || w->dim[1] % w1->dim[1] != 0 ||
      w->dim[1] / w1->dim[1] != w2->dim[1])
    return tens_fail(c, ACE_EINVAL, "kron_lengths: w %s is not w1 %s kron w2 %s", TENS_SHAPE(w), TENS_SHAPE(w1),
                     TENS_SHAPE(w2));
  if (w->dim[1] > WIDTH)
    return tens_fail(c, ACE_EINVAL, "kron_lengths: w %s has rows of more than %d", TENS_SHAPE(w), WIDTH);
  if (!(eps >= 0)) return tens_fail(c, ACE_EINVAL, "kron_lengths: eps %g is negative", (double)eps);
  if (!tape_none(c, "kron_lengths", TAPE_IN(w))) return NULL;
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(w->dim[0]));
  if (y && !c->plan) c->device->kron_lengths(c, y, w, w1, w2, m, eps);
  return tape_note(c, op_end(c, y), grad_kron_lengths, TAPE_IN(w, w1, w2, m), &eps, sizeof eps);
}
