#include "train/rate.h"

#include <math.h>

static const double start = 0.1, end = 0.01; /* of the base rate */

static int64_t at_least(int64_t x, int64_t least) {
  return x > least ? x : least;
}

rate_plan rate_make(rate_curve curve, double base, int64_t steps, int64_t warmup) {
  int64_t most = at_least(steps / 10, 1);
  return (rate_plan){curve, base, steps, warmup < most ? at_least(warmup, 0) : most};
}

/* From 1 down to `end` while x goes from 0 to 1. */
static double cosine(double x) {
  return end + (1 - end) * (1 + cos(3.141592653589793238462643 * x)) / 2;
}

double rate_at(const rate_plan *p, int64_t step) {
  if (step < p->warmup) return p->base * (start + (1 - start) * (double)step / (double)p->warmup);
  int64_t since = step - p->warmup, length = at_least(p->steps - p->warmup, 1), round = at_least(length / 4, 1);
  double x = (double)(since < length ? since : length) / (double)length;
  switch (p->curve) {
    case RATE_COSINE: return p->base * cosine(x);
    case RATE_RESTARTS: return p->base * cosine((double)(since % round) / (double)round);
    case RATE_LINEAR: return p->base * (1 - (1 - end) * x);
    case RATE_CONSTANT:
    case RATE_CONSTANT_WITH_WARMUP: break;
  }
  return p->base;
}
