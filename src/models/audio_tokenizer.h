/* audio_tokenizer.h - latents at 25 Hz to semantic codes at 5 Hz and back to hints at 25 Hz.
 *
 *   encode: windows of 5 frames -> linear -> linear -> [special token | 5 frames] -> blocks -> norm -> position 0
 *           -> project_in -> finite scalar quantisation (Mentzer et al. 2023) -> index
 *   decode: index -> code values -> project_out -> linear -> 5 copies + learned tokens -> blocks -> norm -> 64 channels
 */
#ifndef ACE_AUDIO_TOKENIZER_H
#define ACE_AUDIO_TOKENIZER_H

#include "models/acestep_dit.h"

typedef struct audio_codes {
  tens *index;     /* I32 [B, K], K = ceil(T / 5) */
  tens *quantized; /* [B, K, fsq_dim] */
} audio_codes;

/* latents [B, T, 64]; T is padded to whole windows with the first frames of silence. All members NULL on failure. */
audio_codes audio_tokenize(tens_ctx *c, const acestep_dit *m, const tens *latents);
/* index I32 [B, K] -> [B, K, fsq_dim]. */
tens *audio_dequantize(tens_ctx *c, const acestep_dit *m, const tens *index);
/* quantized [B, K, fsq_dim] -> hints [B, 5K, 64]. */
tens *audio_detokenize(tens_ctx *c, const acestep_dit *m, const tens *quantized);

#endif
