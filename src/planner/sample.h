/* sample.h - drawing the next token: temperature, top-k, top-p (nucleus sampling, Holtzman et al. 2020), softmax, in
 * this order. Each draw has its own random number, a function of the item's seed, the phase and the step alone, so that
 * an item is the same whatever else is generated beside it.
 */
#ifndef ACE_PLANNER_SAMPLE_H
#define ACE_PLANNER_SAMPLE_H

#include <stdint.h>

typedef struct plan_sampling {
  double temperature; /* at or below 1e-6: the likeliest token */
  int top_k;          /* 0: off */
  double top_p;       /* 0 and from 1: off */
} plan_sampling;

/* Which random number. */
typedef struct plan_draw_key {
  uint32_t seed, phase, step;
} plan_draw_key;

/* In [0, 1), 53 bits. */
double plan_uniform(plan_draw_key key);

/* The index, 0..n-1, that is drawn from n logits; NaN counts as minus infinity; at least one must be finite, else 0.
 * The lowest index wins ties. The logits are overwritten; `scratch` holds n more values. */
int plan_draw(const plan_sampling *how, plan_draw_key key, float *logits, int n, float *scratch);

#endif
