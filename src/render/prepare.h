/* prepare.h - what the diffusion transformer is told: the packed condition and, frame by frame, the context latents.
 *
 *   context [B, T, 128] = source latents | mask
 *   source  = src_latents, or for covers the 25 Hz hints: given ones (decoded audio codes), else src_latents sent
 * through the audio tokenizer and back
 */
#ifndef ACE_RENDER_PREPARE_H
#define ACE_RENDER_PREPARE_H

#include "models/condition.h"

typedef struct prepare_input {
  condition_input condition;
  const tens *source;      /* [B, T, 64] */
  const tens *chunk_mask;  /* [B, T, 64], 1 = generate */
  const int32_t *is_cover; /* [B] */
  const tens *hints; /* [B, T', 64], cut or zero-padded to T; NULL: made from the source when an item is a cover */
} prepare_input;

typedef struct prepared {
  tens *encoded; /* [B, L, He] */
  tens *context; /* [B, T, 128] */
} prepared;

/* Both NULL after a failure. `mask`: as in condition_encode, may be NULL. */
prepared prepare_condition(tens_ctx *c, const acestep_dit *m, const prepare_input *in, int32_t **mask);

#endif
