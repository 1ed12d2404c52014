/* rate.h - the learning rate of each step: a ramp from a tenth of it, then the curve that was chosen. */
#ifndef ACE_TRAIN_RATE_H
#define ACE_TRAIN_RATE_H

#include <stdint.h>

typedef enum rate_curve {
  RATE_COSINE,   /* down to a hundredth at the last step, and there it stays */
  RATE_RESTARTS, /* four such cosines */
  RATE_LINEAR,   /* down to a hundredth */
  RATE_CONSTANT,
  RATE_CONSTANT_WITH_WARMUP /* the same: every curve has the ramp */
} rate_curve;

typedef struct rate_plan {
  rate_curve curve;
  double base;
  int64_t steps, warmup; /* all steps of the training; those of the ramp */
} rate_plan;

/* warmup: as asked for; a tenth of all steps is the most that the ramp takes. */
rate_plan rate_make(rate_curve curve, double base, int64_t steps, int64_t warmup);
/* Of step 0, 1, 2, ... */
double rate_at(const rate_plan *p, int64_t step);

#endif
