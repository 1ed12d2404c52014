/* ops_norm.c - RMS norm (Zhang & Sennrich 2019), plain, modulated, and per head with rotary position embedding. */
#include "tensor/grad.h"

static bool norm_args(tens_ctx *c, const char *op, const tens *x, const tens *w, float eps, int lo, int hi) {
  if (!op_arg(c, op, "x", x, OP_F32, lo, hi) || !op_arg(c, op, "w", w, OP_F32, 1, 1)) return false;
  if (!(eps >= 0)) {
    tens_fail(c, ACE_EINVAL, "%s: eps %g is negative", op, (double)eps);
    return false;
  }
  return true;
}

/* ---- rms_norm: y = w * x / sqrt(mean(x²) + eps) ---------------------------------------------------------------- */

tens *op_rms_norm(tens_ctx *c, const tens *x, const tens *w, float eps) {
  if (!op_begin(c) || !norm_args(c, "rms_norm", x, w, eps, 1, 4)) return NULL;
  if (op_last(x) != w->dim[0])
    return tens_fail(c, ACE_EINVAL, "rms_norm: x %s does not fit w %s", TENS_SHAPE(x), TENS_SHAPE(w));
  tens *y = op_new_last(c, TENS_F32, x, op_last(x));
  if (y && !c->plan) c->device->rms_norm(c, y, x, w, eps, NULL, NULL);
  return tape_note(c, op_end(c, y), grad_rms_norm, TAPE_IN(x, w, NULL, NULL), &(grad_norm){.eps = eps},
                   sizeof(grad_norm));
}

/* ---- rms_norm_modulated: y = rms_norm(x) * (1 + scale) + shift -------------------------------------------------- */

tens *op_rms_norm_modulated(tens_ctx *c, const tens *x, const tens *w, float eps, const tens *scale,
                            const tens *shift) {
  if (!op_begin(c) || !norm_args(c, "rms_norm_modulated", x, w, eps, 3, 3)) return NULL;
  if (x->dim[2] != w->dim[0])
    return tens_fail(c, ACE_EINVAL, "rms_norm_modulated: x %s does not fit w %s", TENS_SHAPE(x), TENS_SHAPE(w));
  if (!op_shaped(c, "rms_norm_modulated", "scale", scale, OP_F32, TENS_DIMS(x->dim[0], x->dim[2])) ||
      !op_shaped(c, "rms_norm_modulated", "shift", shift, OP_F32, TENS_DIMS(x->dim[0], x->dim[2])))
    return NULL;
  tens *y = op_new_last(c, TENS_F32, x, x->dim[2]);
  if (y && !c->plan) c->device->rms_norm(c, y, x, w, eps, scale, shift);
  return tape_note(c, op_end(c, y), grad_rms_norm, TAPE_IN(x, w, scale, shift), &(grad_norm){.eps = eps},
                   sizeof(grad_norm));
}

/* ---- head_norm: RMS norm over each head, then rotation ---------------------------------------------------------- */

tens *op_head_norm(tens_ctx *c, const tens *x, const tens *w, float eps, const op_rope *rope) {
  if (!op_begin(c) || !norm_args(c, "head_norm", x, w, eps, 3, 3)) return NULL;
  if (x->dim[2] % w->dim[0])
    return tens_fail(c, ACE_EINVAL, "head_norm: x %s is not made of heads of w %s", TENS_SHAPE(x), TENS_SHAPE(w));
  if (rope && w->dim[0] % 2)
    return tens_fail(c, ACE_EINVAL, "head_norm: a head of odd width %lld cannot be rotated", (long long)w->dim[0]);
  if (rope && (!(rope->theta > 0) || rope->first < 0))
    return tens_fail(c, ACE_EINVAL, "head_norm: rope theta %g must be positive and first %d not negative", rope->theta,
                     rope->first);
  if (rope && rope->start && !op_shaped(c, "head_norm", "start", rope->start, OP_I32, TENS_DIMS(x->dim[0])))
    return NULL;
  tens *y = op_new_last(c, TENS_F32, x, x->dim[2]);
  if (y && !c->plan) c->device->head_norm(c, y, x, w, eps, rope);
  grad_norm saved = {.eps = eps, .rotated = rope != NULL};
  if (rope) saved.rope = *rope;
  return tape_note(c, op_end(c, y), grad_head_norm, TAPE_IN(x, w), &saved, sizeof saved);
}
