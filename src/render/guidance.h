/* guidance.h - classifier-free guidance (Ho & Salimans 2022) of base and SFT models: the velocity under the condition
 * is moved away from the velocity without one.
 *
 *   prediction of a step   adaptive projected guidance (Sadat et al. 2024), with a running difference through the song;
 *                          or angle-domain guidance (Jin et al. 2025)
 *   Heun's correction      plain: v_u + scale (v_c - v_u); or angle-domain
 *
 * "No condition" is one token of the checkpoint's null condition. The model was trained on as many copies of it as the
 * condition has tokens; attention to equal tokens gives the same vector for one as for many.
 */
#ifndef ACE_RENDER_GUIDANCE_H
#define ACE_RENDER_GUIDANCE_H

#include "models/dit.h"

typedef struct guidance_params {
  double scale;      /* at most 1: no guidance, and nothing is computed for it */
  bool adg;          /* angle-domain instead of projected */
  double start, end; /* levels of noise at which it applies, both inclusive, compared as float32 */
} guidance_params;

/* Whether the velocity at level t needs its twin without a condition. */
bool guidance_applies(const guidance_params *p, float t);

/* What lives through one run. */
typedef struct guidance {
  const guidance_params *p;
  dit_condition none;
  tens *running; /* [B, T, 64]; NULL for angle-domain guidance */
} guidance;

/* For latents shaped like x [B, T, 64]. False after a failure. */
bool guidance_open(tens_ctx *c, const acestep_dit *m, const guidance_params *p, const tens *x, guidance *g);

/* v [B, T, 64] under the condition becomes the guided velocity; none: the velocity without one; both at x and t.
 * `correction`: Heun's second evaluation. False after a failure. */
bool guidance_into(tens_ctx *c, guidance *g, tens *v, const tens *none, const tens *x, float t, bool correction);

#endif
