/* ops_conv.c - convolution over time and the snake activation (Ziyin, Hartwig & Ueda 2020). x [batch, time, channels].
 */
#include "tensor/grad.h"

/* Far beyond any model, small enough that products with them cannot overflow. */
enum { MAX_STEP = 1 << 20 };

static bool snake_fits(tens_ctx *c, const char *op, const tens *alpha, const tens *inv_beta, int64_t channels) {
  return op_shaped(c, op, "alpha", alpha, OP_F32, TENS_DIMS(channels)) &&
         op_shaped(c, op, "inv_beta", inv_beta, OP_F32, TENS_DIMS(channels));
}

static bool conv_options(tens_ctx *c, const char *op, const tens *x, const tens *w, const op_conv *p, int64_t in) {
  if (p->stride < 1 || p->stride > MAX_STEP || p->pad < 0 || p->pad > MAX_STEP || p->dilation < 0 ||
      p->dilation > MAX_STEP) {
    tens_fail(c, ACE_EINVAL, "%s: stride %d, pad %d, dilation %d are outside 1..%d, 0..%d, 1..%d", op, p->stride,
              p->pad, p->dilation, (int)MAX_STEP, (int)MAX_STEP, (int)MAX_STEP);
    return false;
  }
  if (x->dim[2] != in) {
    tens_fail(c, ACE_EINVAL, "%s: x %s does not fit w %s", op, TENS_SHAPE(x), TENS_SHAPE(w));
    return false;
  }
  return true;
}

/* The result [B, T', O], once bias, snake and residual fit it. */
static tens *conv_result(tens_ctx *c, const char *op, const tens *x, const op_conv *p, int64_t time, int64_t out) {
  if (p->bias && !op_shaped(c, op, "bias", p->bias, OP_F32, TENS_DIMS(out))) return NULL;
  if ((p->alpha || p->inv_beta) && !snake_fits(c, op, p->alpha, p->inv_beta, out)) return NULL;
  if (p->residual && !op_shaped(c, op, "residual", p->residual, OP_F32, TENS_DIMS(x->dim[0], time, out))) return NULL;
  return tens_new(c, TENS_F32, TENS_DIMS(x->dim[0], time, out));
}

/* Must the products be kept for the way back? */
static bool wants_parts(const tens_ctx *c, const tens *x, const tens *w, const op_conv *p) {
  return (p->alpha || p->residual) && tape_wants(c, TAPE_IN(x, w, p->bias, p->alpha, p->inv_beta, p->residual));
}

#define CONV_PLAIN(p) .stride = (p)->stride, .pad = (p)->pad, .dilation = (p)->dilation, .bias = (p)->bias

/* What is left to do after u, product and bias: the same bits as in one go. */
static tens *in_parts(tens_ctx *c, const op_conv *p, tens *u) {
  if (p->alpha) u = op_snake(c, u, p->alpha, p->inv_beta);
  return p->residual ? op_add(c, u, p->residual) : u;
}

/* ---- conv1d ----------------------------------------------------------------------------------------------------- */

/* T', or 0 and a failure. */
static int64_t time_or_failure(tens_ctx *c, const char *op, const tens *x, const tens *w, int64_t time) {
  if (time >= 1) return time;
  tens_fail(c, ACE_EINVAL, "%s: x %s is too short for w %s", op, TENS_SHAPE(x), TENS_SHAPE(w));
  return 0;
}

int64_t op_conv1d_time(tens_ctx *c, const char *op, const tens *x, const tens *w, const op_conv *p) {
  if (!op_arg(c, op, "x", x, OP_F32, 3, 3) || !op_arg(c, op, "w", w, OP_WEIGHT, 3, 3) ||
      !conv_options(c, op, x, w, p, w->dim[2]))
    return 0;
  if (p->dilation < 1) {
    tens_fail(c, ACE_EINVAL, "%s: dilation %d is below 1", op, p->dilation);
    return 0;
  }
  int64_t span = w->dim[1] - 1 > MAX_STEP ? INT64_MAX / 4 : p->dilation * (w->dim[1] - 1) + 1;
  int64_t room = x->dim[1] + 2 * (int64_t)p->pad - span;
  return time_or_failure(c, op, x, w, room < 0 ? 0 : room / p->stride + 1);
}

tens *op_conv1d(tens_ctx *c, const tens *x, const tens *w, const op_conv *p) {
  int64_t time = op_begin(c) ? op_conv1d_time(c, "conv1d", x, w, p) : 0;
  if (time && wants_parts(c, x, w, p)) return in_parts(c, p, op_conv1d(c, x, w, &(op_conv){CONV_PLAIN(p)}));
  tens *y = time ? conv_result(c, "conv1d", x, p, time, w->dim[0]) : NULL;
  if (y && !c->plan) c->device->conv1d(c, y, x, w, p);
  return tape_note(c, op_end(c, y), grad_conv1d, TAPE_IN(x, w, p->bias), p, sizeof *p);
}

/* ---- conv1d_transposed ------------------------------------------------------------------------------------------ */

int64_t op_conv1d_transposed_time(tens_ctx *c, const char *op, const tens *x, const tens *w, const op_conv *p) {
  if (!op_arg(c, op, "x", x, OP_F32, 3, 3) || !op_arg(c, op, "w", w, OP_WEIGHT, 3, 3) ||
      !conv_options(c, op, x, w, p, w->dim[2]))
    return 0;
  if (w->dim[0] % p->stride) {
    tens_fail(c, ACE_EINVAL, "%s: %lld taps of w %s are not a multiple of stride %d", op, (long long)w->dim[0],
              TENS_SHAPE(w), p->stride);
    return 0;
  }
  if (x->dim[1] > INT64_MAX / 4 / p->stride) {
    tens_fail(c, ACE_EINVAL, "%s: x %s is too long", op, TENS_SHAPE(x));
    return 0;
  }
  return time_or_failure(c, op, x, w, (x->dim[1] - 1) * p->stride - 2 * (int64_t)p->pad + w->dim[0]);
}

tens *op_conv1d_transposed(tens_ctx *c, const tens *x, const tens *w, const op_conv *p) {
  int64_t time = op_begin(c) ? op_conv1d_transposed_time(c, "conv1d_transposed", x, w, p) : 0;
  if (time && wants_parts(c, x, w, p)) return in_parts(c, p, op_conv1d_transposed(c, x, w, &(op_conv){CONV_PLAIN(p)}));
  tens *y = time ? conv_result(c, "conv1d_transposed", x, p, time, w->dim[1]) : NULL;
  if (y && !c->plan) c->device->conv1d_transposed(c, y, x, w, p);
  return tape_note(c, op_end(c, y), grad_conv1d_transposed, TAPE_IN(x, w, p->bias), p, sizeof *p);
}

/* ---- snake: y = x + sin(alpha x)² inv_beta --------------------------------------------------------------------- */

tens *op_snake(tens_ctx *c, const tens *x, const tens *alpha, const tens *inv_beta) {
  if (!op_begin(c) || !op_arg(c, "snake", "x", x, OP_F32, 1, 4) || !snake_fits(c, "snake", alpha, inv_beta, op_last(x)))
    return NULL;
  tens *y = op_new_last(c, TENS_F32, x, op_last(x));
  if (y && !c->plan) c->device->snake(c, y, x, alpha, inv_beta);
  return tape_note(c, op_end(c, y), grad_snake, TAPE_IN(x, alpha, inv_beta), NULL, 0);
}
