/* lyric_score.h - how well the diffusion transformer sings the lyrics: 0 (not at all) to 1, from the average of the
 * maps of align.h.
 *
 *   E = average, scaled to 0..1;  path = cheapest way through -E²
 *   coverage     share of the sung tokens that some frame looks at (E > 0.1)
 *   monotonicity share of neighbouring sung tokens whose centres do not run backwards by more than 9 frames
 *   confidence   mean of E along the path
 *   score = coverage² monotonicity² confidence
 */
#ifndef ACE_SCORE_LYRIC_SCORE_H
#define ACE_SCORE_LYRIC_SCORE_H

#include "score/align.h"
#include "text/bpe.h"

/* sung[n]: false for the tokens of structural tags "[...]". */
ace_status lyric_sung(const bpe *tokenizer, const int32_t *ids, size_t n, bool *sung, ace_error *err);

typedef struct lyric_parts {
  double coverage, monotonicity, confidence, score; /* the score in steps of 0.0001 */
} lyric_parts;

/* average [tokens, frames]: any finite values. */
ace_status lyric_score(const float *average, int64_t tokens, int64_t frames, const bool *sung, lyric_parts *out,
                       ace_error *err);

#endif
