/* ops_latent.c - arithmetic on latents while sampling, and one level of the discrete wavelet transform over time. */
#include "tensor/context.h"

/* ---- mix: dst = a x + b y --------------------------------------------------------------------------------------- */

bool op_mix_into(tens_ctx *c, tens *dst, float a, const tens *x, float b, const tens *y) {
  if (!op_begin(c) || !op_arg(c, "mix", "dst", dst, OP_F32, 1, 4) ||
      !op_shaped(c, "mix", "x", x, OP_F32, dst->rank, dst->dim) ||
      (y && !op_shaped(c, "mix", "y", y, OP_F32, dst->rank, dst->dim)) || !tape_none(c, "mix", TAPE_IN(dst, x, y)))
    return false;
  if (!c->plan) c->device->mix(c, dst, a, x, b, y);
  return tens_status(c) == ACE_OK;
}

/* ---- norm_clamp: v min(1, limit ‖x‖/‖v‖) ---------------------------------------------------------------- */

tens *op_norm_clamp(tens_ctx *c, const tens *v, const tens *x, float limit) {
  if (!op_begin(c) || !op_arg(c, "norm_clamp", "v", v, OP_F32, 2, 4) ||
      !op_shaped(c, "norm_clamp", "x", x, OP_F32, v->rank, v->dim))
    return NULL;
  if (!(limit > 0)) return tens_fail(c, ACE_EINVAL, "norm_clamp: limit %g is not positive", (double)limit);
  tens *y = op_new_last(c, TENS_F32, v, op_last(v));
  if (y && !c->plan) c->device->norm_clamp(c, y, v, x, limit);
  return op_end(c, y);
}

/* ---- blend: dst = mask a + (1 - mask) b ------------------------------------------------------------------------- */

bool op_blend_into(tens_ctx *c, tens *dst, const tens *mask, const tens *a, const tens *b) {
  if (!op_begin(c) || !op_arg(c, "blend", "dst", dst, OP_F32, 3, 3) ||
      !op_shaped(c, "blend", "mask", mask, OP_F32, TENS_DIMS(dst->dim[0], dst->dim[1])) ||
      !op_shaped(c, "blend", "a", a, OP_F32, 3, dst->dim) || !op_shaped(c, "blend", "b", b, OP_F32, 3, dst->dim))
    return false;
  if (!c->plan) c->device->blend(c, dst, mask, a, b);
  return tens_status(c) == ACE_OK;
}

/* ---- apg, adg: classifier-free guidance without its oversaturation ---------------------------------------------- */

/* Velocities [B, T, C] of one shape. */
static bool velocities_fit(tens_ctx *c, const char *op, const tens *dst, const tens *cond, const tens *uncond) {
  return op_begin(c) && op_arg(c, op, "dst", dst, OP_F32, 3, 3) &&
         op_shaped(c, op, "cond", cond, OP_F32, 3, dst->dim) && op_shaped(c, op, "uncond", uncond, OP_F32, 3, dst->dim);
}

bool op_apg_into(tens_ctx *c, tens *dst, tens *running, const tens *cond, const tens *uncond, const op_apg *p) {
  if (!velocities_fit(c, "apg", dst, cond, uncond) || !op_shaped(c, "apg", "running", running, OP_F32, 3, dst->dim))
    return false;
  if (!(p->threshold > 0)) return tens_fail(c, ACE_EINVAL, "apg: threshold %g is not positive", p->threshold);
  if (!c->plan) c->device->apg(c, dst, running, cond, uncond, p);
  return tens_status(c) == ACE_OK;
}

bool op_adg_into(tens_ctx *c, tens *dst, const tens *x, const tens *cond, const tens *uncond, const op_adg *p) {
  if (!velocities_fit(c, "adg", dst, cond, uncond) || !op_shaped(c, "adg", "x", x, OP_F32, 3, dst->dim)) return false;
  if (!(p->t > 0)) return tens_fail(c, ACE_EINVAL, "adg: level %g is not positive", (double)p->t);
  if (!(p->clip >= 0)) return tens_fail(c, ACE_EINVAL, "adg: largest angle %g is negative", p->clip);
  if (!c->plan) c->device->adg(c, dst, x, cond, uncond, p);
  return tens_status(c) == ACE_OK;
}

/* ---- dwt, idwt: wavelet analysis and synthesis (Mallat 1989), zero padding -------------------------------------- */

enum { MAX_TAPS = 256 };

static bool taps_fit(tens_ctx *c, const char *op, int taps) {
  if (taps >= 2 && taps <= MAX_TAPS && taps % 2 == 0) return true;
  tens_fail(c, ACE_EINVAL, "%s: %d filter taps are not an even number in 2..%d", op, taps, (int)MAX_TAPS);
  return false;
}

bool op_dwt(tens_ctx *c, const tens *x, const float *lo, const float *hi, int taps, tens **low, tens **high) {
  *low = *high = NULL;
  if (!op_begin(c) || !op_arg(c, "dwt", "x", x, OP_F32, 3, 3) || !taps_fit(c, "dwt", taps)) return false;
  int64_t count = (x->dim[1] + taps - 1) / 2;
  tens *l = tens_new(c, TENS_F32, TENS_DIMS(x->dim[0], count, x->dim[2]));
  tens *h = tens_new(c, TENS_F32, TENS_DIMS(x->dim[0], count, x->dim[2]));
  if (!l || !h) return false;
  if (!c->plan) c->device->dwt(c, l, h, x, lo, hi, taps);
  *low = l;
  *high = h;
  return true;
}

tens *op_idwt(tens_ctx *c, const tens *low, const tens *high, const float *lo, const float *hi, int taps, int64_t T) {
  if (!op_begin(c) || !op_arg(c, "idwt", "low", low, OP_F32, 3, 3) ||
      !op_shaped(c, "idwt", "high", high, OP_F32, 3, low->dim) || !taps_fit(c, "idwt", taps))
    return NULL;
  if (T < 1 || T > 2 * low->dim[1] || (T + taps - 1) / 2 != low->dim[1])
    return tens_fail(c, ACE_EINVAL, "idwt: low %s with %d taps does not come from %lld frames", TENS_SHAPE(low), taps,
                     (long long)T);
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(low->dim[0], T, low->dim[2]));
  if (y && !c->plan) c->device->idwt(c, y, low, high, lo, hi, taps);
  return op_end(c, y);
}
