/* velocity.h - the velocity of the flow as samplers use it: what the model says under a condition, moved away from what
 * it says without one, held in norm.
 *
 *   velocity_model vm = {.c = c, .m = dit, .norm_threshold = 0};
 *   tens *v = velocity_at(&vm, &condition, &guidance, x, t, false);
 *   velocity_smooth(c, v, previous, 0.1);
 */
#ifndef ACE_RENDER_VELOCITY_H
#define ACE_RENDER_VELOCITY_H

#include "models/dit.h"
#include "render/guidance.h"

/* What the model is told for some of the steps. */
typedef struct sampler_condition {
  dit_condition attend;
  const tens *context; /* [B, T, 128] */
} sampler_condition;

typedef struct velocity_model {
  tens_ctx *c;
  const acestep_dit *m;
  double norm_threshold; /* ‖v‖ is held below this times ‖x‖; 0: off */
} velocity_model;

/* -> v(x, t) [B, T, 64], NULL after a failure. g NULL: no level is guided. `correction`: Heun's second evaluation of a
 * step. A plan takes the memory of guidance at every level. */
tens *velocity_at(const velocity_model *vm, const sampler_condition *condition, guidance *g, const tens *x, float t,
                  bool correction);

/* v = (1 - share) v + share * before; before NULL, or share 0: as it is. */
bool velocity_smooth(tens_ctx *c, tens *v, const tens *before, double share);

#endif
