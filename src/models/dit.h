/* dit.h - the diffusion transformer (Peebles & Xie 2023, with cross-attention): the velocity of the flow at time t.
 *
 *   x_t = t noise + (1 - t) data,  v = noise - data  (rectified flow, Liu et al. 2022)
 *
 * Patches of 2 frames; adaptive norms driven by t and t - r; even layers see `window` patches to each side, odd layers
 * everything; cross-attention to the packed condition without mask or rotation. The condition's keys and values are the
 * same for every step: dit_attend computes them once.
 */
#ifndef ACE_DIT_H
#define ACE_DIT_H

#include "models/acestep_dit.h"

enum { DIT_MAX_LAYERS = CFG_MAX_LAYERS };

/* Keys (normed) and values of every layer's cross-attention: [B, L, kv_heads*D]. Lives in the context. */
typedef struct dit_condition {
  tens *k[DIT_MAX_LAYERS], *v[DIT_MAX_LAYERS];
} dit_condition;

/* encoded [B, L, He]. False after a failure. */
bool dit_attend(tens_ctx *c, const acestep_dit *m, const tens *encoded, dit_condition *out);

/* context [B, T, 128] = source latents | mask, x [B, T, 64], t and r [B] -> velocity [B, T, 64]. */
tens *dit_velocity(tens_ctx *c, const acestep_dit *m, const dit_condition *condition, const tens *context,
                   const tens *x, const tens *t, const tens *r);

/* ---- where the model looks --------------------------------------------------------------------------------------- */

/* Chosen heads of the cross-attention; see dit_probe.h. */
typedef struct dit_head {
  int layer, head;
} dit_head;

typedef struct dit_look {
  const dit_head *heads; /* of layers and heads that exist */
  int n;
  /* heads[i] gives each patch's attention to each position of the condition: probabilities [B, ceil(T / patch), L],
   * valid during the call. False ends the evaluation. */
  bool (*see)(void *user, int i, const tens *probabilities);
  void *user;
} dit_look;

/* The same evaluation as dit_velocity as far as the last layer that is looked at; x etc. as there. False after a
 * failure, or when `see` said so. */
bool dit_look_at(tens_ctx *c, const acestep_dit *m, const dit_condition *condition, const tens *context, const tens *x,
                 const tens *t, const tens *r, const dit_look *look);

#endif
