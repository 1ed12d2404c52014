/* condition.h - the condition encoder: text, lyrics and timbre clips packed into one sequence.
 *
 *   text   = text_projector(text hidden states)                                              no layers, no norm
 *   lyric  = norm(blocks(embed(rows of the text encoder's table)))                           bidirectional, padding
 * masked timbre = position 0 of norm(blocks(embed(clip)));  XL: a special token stands in front   no mask packed =
 * pack(pack(lyric, timbre), text), valid tokens first, order otherwise kept
 *
 * Masks and orders are host arrays: they steer shapes, not arithmetic.
 */
#ifndef ACE_CONDITION_H
#define ACE_CONDITION_H

#include "models/acestep_dit.h"

typedef struct condition_input {
  const tens *text;          /* [B, Lt, Dt] hidden states of the text encoder */
  const int32_t *text_mask;  /* [B, Lt]; NULL: all valid */
  const tens *lyric;         /* [B, Ll, Dt] embedding rows */
  const int32_t *lyric_mask; /* [B, Ll]; NULL: all valid */
  const tens *clips;         /* [N, F, 64] timbre clips of all items, packed */
  const int32_t *clip_order; /* [N] batch item of each clip, 0..B-1 */
} condition_input;

/* -> [B, Ll + clips of the fullest item + Lt, He]. If `mask` is not NULL it receives B * L values, 1 where valid; the
 * caller frees it. */
tens *condition_encode(tens_ctx *c, const acestep_dit *m, const condition_input *in, int32_t **mask);

/* The parts, for checking: [B, Ll, He] and [N, He]. */
tens *condition_lyric(tens_ctx *c, const acestep_dit *m, const tens *lyric, const int32_t *mask);
tens *condition_timbre(tens_ctx *c, const acestep_dit *m, const tens *clips);

#endif
