/* ops_spectrum.c - distances between sounds, and their gradients. The spectral one is computed by the device together with
 * its gradient, while the spectra are at hand. */
#include <math.h>

#include "tensor/grad.h"
#include "tensor/ops_train.h"

/* ---- spectral_distance -------------------------------------------------------------------------------------------- */

typedef struct slope_job {
  float *dx;
  const float *slope, *dy;
  int64_t per_item;
} slope_job;

static void add_slopes(void *arg, int64_t first, int64_t count, int worker) {
  const slope_job *j = arg;
  for (int64_t i = first; i < first + count; i++) j->dx[i] += j->dy[i / j->per_item] * j->slope[i];
}

/* Inputs: x, d distance / dx. */
static void grad_spectral_distance(tens_ctx *c, const tape_node *n, const tens *dy) {
  tens *dx = tape_grad(c, n->in[0]);
  if (!dx) return;
  slope_job j = {tens_f32(dx), tens_f32(n->in[1]), tens_f32(dy), tens_count(dx) / dx->dim[0]};
  grad_for(c, tens_count(dx), 2, add_slopes, &j);
}

static bool usable(tens_ctx *c, const char *op, const op_spectrum *s, int64_t samples) {
  bool fits = s->windows >= 1 && s->windows <= OP_SPECTRUM_WINDOWS && s->floor > 0 && s->corner > 0 && s->linear >= 0 &&
              s->banded >= 0;
  for (int i = 0; fits && i < s->windows; i++) {
    int n = s->length[i];
    fits = n >= OP_SPECTRUM_LEAST && n <= OP_SPECTRUM_MOST && (n & (n - 1)) == 0;
    if (fits && n > samples) {
      tens_fail(c, ACE_EINVAL, "%s: %lld samples are less than a window of %d", op, (long long)samples, n);
      return false;
    }
  }
  if (!fits)
    tens_fail(c, ACE_EINVAL, "%s: windows must be powers of two in %d..%d", op, OP_SPECTRUM_LEAST, OP_SPECTRUM_MOST);
  return fits;
}

tens *op_spectral_distance(tens_ctx *c, const tens *x, const tens *y, const op_spectrum *s) {
  const char *op = "spectral_distance";
  if (!op_begin(c) || !op_arg(c, op, "x", x, OP_F32, 3, 3) || !op_shaped(c, op, "y", y, OP_F32, 3, x->dim) ||
      !usable(c, op, s, x->dim[1]) || !tape_none(c, op, TAPE_IN(y)))
    return NULL;
  if (x->dim[2] != 2) return tens_fail(c, ACE_EINVAL, "%s: x %s is not stereo", op, TENS_SHAPE(x));
  tens *distance = tens_new(c, TENS_F32, TENS_DIMS(x->dim[0]));
  tens *slope = tape_wants(c, TAPE_IN(x)) ? tens_new(c, TENS_F32, 3, x->dim) : NULL;
  if (tens_status(c) != ACE_OK) return NULL;
  if (!c->plan) c->device->spectral_distance(c, distance, slope, x, y, s);
  return tape_note(c, op_end(c, distance), grad_spectral_distance, TAPE_IN(x, slope), NULL, 0);
}

/* ---- mean_absolute ------------------------------------------------------------------------------------------------ */

typedef struct absolute_job {
  const float *x, *y, *dloss;
  float *loss, *dx;
  int64_t per_item;
} absolute_job;

static void absolute_items(void *arg, int64_t first, int64_t count, int worker) {
  const absolute_job *j = arg;
  for (int64_t b = first; b < first + count; b++) {
    double sum = 0;
    float share = j->dx ? (float)((double)j->dloss[b] / (double)j->per_item) : 0;
    for (int64_t i = b * j->per_item; i < (b + 1) * j->per_item; i++) {
      float d = j->x[i] - j->y[i];
      if (j->dx) j->dx[i] += d > 0 ? share : d < 0 ? -share : 0;
      else sum += (double)fabsf(d);
    }
    if (j->loss) j->loss[b] = (float)(sum / (double)j->per_item);
  }
}

static void grad_mean_absolute(tens_ctx *c, const tape_node *n, const tens *dloss) {
  const tens *x = n->in[0];
  tens *dx = tape_grad(c, x);
  if (!dx) return;
  absolute_job j = {.x = tens_f32(x), .y = tens_f32(n->in[1]), .dloss = tens_f32(dloss), .dx = tens_f32(dx)};
  j.per_item = tens_count(x) / x->dim[0];
  grad_for(c, x->dim[0], j.per_item, absolute_items, &j);
}

tens *op_mean_absolute(tens_ctx *c, const tens *x, const tens *y) {
  const char *op = "mean_absolute";
  if (!op_begin(c) || !op_arg(c, op, "x", x, OP_F32, 3, 3) || !op_shaped(c, op, "y", y, OP_F32, 3, x->dim) ||
      !tape_none(c, op, TAPE_IN(y)))
    return NULL;
  tens *loss = tens_new(c, TENS_F32, TENS_DIMS(x->dim[0]));
  if (!loss) return NULL;
  absolute_job j = {.x = tens_f32(x), .y = tens_f32(y), .loss = tens_f32(loss)};
  j.per_item = tens_count(x) / x->dim[0];
  grad_for(c, x->dim[0], j.per_item, absolute_items, &j);
  return tape_note(c, op_end(c, loss), grad_mean_absolute, TAPE_IN(x, y), NULL, 0);
}
