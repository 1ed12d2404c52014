/* ops_posterior.c - samples of the normal distributions that an encoder gives, and what those tell, with their gradients
 * (Kingma & Welling 2014). They run on the threads of the context for every device. */
#include <math.h>

#include "tensor/grad.h"
#include "tensor/ops_train.h"

static const double least_deviation = 1e-4;

/* softplus(x) + least_deviation; *slope: its derivative. */
static double deviation_of(float scale, double *slope) {
  double x = (double)scale;
  *slope = 1 / (1 + exp(-x));
  return (x > 20 ? x : log1p(exp(x))) + least_deviation;
}

typedef struct posterior_job {
  const float *moments, *noise, *dy; /* dy: of the sample, or [B] of the information */
  float *y, *dmoments;               /* what is not wanted is NULL */
  int64_t C, rows;                   /* rows: of an item */
  double share;                      /* of a value in its item's mean */
} posterior_job;

static posterior_job job_of(const tens *moments) {
  posterior_job j = {.moments = tens_f32(moments), .C = moments->dim[2] / 2, .rows = moments->dim[1]};
  j.share = 1 / (double)(j.rows * j.C);
  return j;
}

/* moments [B, T, 2C] and, beside it, other [B, T, C]. */
static bool fits(tens_ctx *c, const char *op, const tens *moments) {
  if (!op_begin(c) || !op_arg(c, op, "moments", moments, OP_F32, 3, 3)) return false;
  if (moments->dim[2] % 2 == 0) return true;
  tens_fail(c, ACE_EINVAL, "%s: moments %s are not pairs", op, TENS_SHAPE(moments));
  return false;
}

/* ---- sample ------------------------------------------------------------------------------------------------------- */

static void sample_rows(void *arg, int64_t first, int64_t count, int worker) {
  const posterior_job *j = arg;
  for (int64_t r = first; r < first + count; r++)
    for (int64_t i = 0; i < j->C; i++) {
      int64_t mean = r * 2 * j->C + i, at = r * j->C + i;
      double slope, deviation = deviation_of(j->moments[mean + j->C], &slope);
      if (j->y) j->y[at] = (float)((double)j->moments[mean] + deviation * (double)j->noise[at]);
      if (!j->dmoments) continue;
      j->dmoments[mean] += j->dy[at];
      j->dmoments[mean + j->C] += (float)((double)j->dy[at] * (double)j->noise[at] * slope);
    }
}

static void grad_posterior_sample(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *moments = n->in[0];
  tens *dmoments = tape_grad(c, moments);
  if (!dmoments) return;
  posterior_job j = job_of(moments);
  j.noise = tens_f32(n->in[1]);
  j.dy = tens_f32(dy);
  j.dmoments = tens_f32(dmoments);
  grad_for(c, tens_count(dy) / j.C, 32 * j.C, sample_rows, &j);
}

tens *op_posterior_sample(tens_ctx *c, const tens *moments, const tens *noise) {
  const char *op = "posterior_sample";
  if (!fits(c, op, moments)) return NULL;
  posterior_job j = job_of(moments);
  if (!op_shaped(c, op, "noise", noise, OP_F32, TENS_DIMS(moments->dim[0], j.rows, j.C)) ||
      !tape_none(c, op, TAPE_IN(noise)))
    return NULL;
  tens *y = op_new_last(c, TENS_F32, moments, j.C);
  if (!y) return NULL;
  j.noise = tens_f32(noise);
  j.y = tens_f32(y);
  grad_for(c, tens_count(y) / j.C, 32 * j.C, sample_rows, &j);
  return tape_note(c, op_end(c, y), grad_posterior_sample, TAPE_IN(moments, noise), NULL, 0);
}

/* ---- information -------------------------------------------------------------------------------------------------- */

static void information_items(void *arg, int64_t first, int64_t count, int worker) {
  const posterior_job *j = arg;
  for (int64_t b = first; b < first + count; b++) {
    double sum = 0;
    for (int64_t r = b * j->rows; r < (b + 1) * j->rows; r++)
      for (int64_t i = 0; i < j->C; i++) {
        int64_t at = r * 2 * j->C + i;
        double mean = (double)j->moments[at], slope, deviation = deviation_of(j->moments[at + j->C], &slope);
        sum += (mean * mean + deviation * deviation - 1) / 2 - log(deviation);
        if (!j->dmoments) continue;
        double share = (double)j->dy[b] * j->share;
        j->dmoments[at] += (float)(share * mean);
        j->dmoments[at + j->C] += (float)(share * (deviation - 1 / deviation) * slope);
      }
    if (j->y) j->y[b] = (float)(sum * j->share);
  }
}

static void grad_posterior_information(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *moments = n->in[0];
  tens *dmoments = tape_grad(c, moments);
  if (!dmoments) return;
  posterior_job j = job_of(moments);
  j.dy = tens_f32(dy);
  j.dmoments = tens_f32(dmoments);
  grad_for(c, moments->dim[0], 64 * j.rows * j.C, information_items, &j);
}

tens *op_posterior_information(tens_ctx *c, const tens *moments) {
  if (!fits(c, "posterior_information", moments)) return NULL;
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(moments->dim[0]));
  if (!y) return NULL;
  posterior_job j = job_of(moments);
  j.y = tens_f32(y);
  grad_for(c, moments->dim[0], 64 * j.rows * j.C, information_items, &j);
  return tape_note(c, op_end(c, y), grad_posterior_information, TAPE_IN(moments), NULL, 0);
}
