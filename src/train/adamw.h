/* adamw.h - AdamW (Loshchilov & Hutter 2019) over one flat list of parameters. With g the gradient and k = 1, 2, ...
 *
 *   p <- p - rate decay p
 *   m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g²
 *   p <- p - rate (m / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + eps)
 *
 * Values, gradients and moments are F32; each update is computed in double and rounded once. Results do not depend on
 * the number of threads.
 */
#ifndef ACE_TRAIN_ADAMW_H
#define ACE_TRAIN_ADAMW_H

#include "base/pool.h"

typedef struct adamw {
  double rate, decay;
  int64_t k; /* of this step: 1 for the first */
} adamw;

/* Of n parameters: values p, moments m and v are changed. The gradient is g times `scale`. threads may be NULL. */
void adamw_step(const adamw *a, pool *threads, int64_t n, const float *g, double scale, float *p, float *m, float *v);

/* The Euclidean norm of n numbers; not finite if one of them is not. */
double adamw_norm(pool *threads, int64_t n, const float *g);
/* What gradients are multiplied with so that their norm is at most `most` (0 or less: no limit). */
double adamw_clip(double norm, double most);

#endif
