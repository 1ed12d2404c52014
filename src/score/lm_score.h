/* lm_score.h - how well the language model finds the words in the codes: it is asked to understand them, and the answer
 * that would be right is held against what it expects.
 *
 *   each of bpm, duration, genres, keyscale, language, timesignature     top-k recall: mean over tokens of
 *                                                                        1 - (rank - 1) / 10, 0 beyond the tenth
 *   caption, lyrics      PMI = mean log p(answer | codes) - mean log p(answer | nothing),  1 / (1 + exp(-PMI / scale))
 *   global               0.5 caption + 0.3 lyrics + 0.2 mean of the others, weights shared among those present
 */
#ifndef ACE_SCORE_LM_SCORE_H
#define ACE_SCORE_LM_SCORE_H

#include "planner/force.h"

typedef struct lm_score_wish {
  const char *codes;             /* in their text form, not blank */
  const plan_metadata *metadata; /* what is present is scored; the caption always is, "" when absent */
  const char *lyrics;            /* blank: not scored */
  double scale;                  /* sensitivity, > 0: smaller tells small differences apart */
} lm_score_wish;

#define LM_SCORE_SCALE 0.5

typedef struct lm_score {
  double global; /* 0..1 as all of them */
  bool has[PLAN_FIELDS], has_lyrics;
  double field[PLAN_FIELDS], lyrics;
} lm_score;

ace_status lm_score_make(const plan_lm *lm, const lm_score_wish *wish, const plan_how *how, lm_score *out,
                         ace_error *err);

/* The formulas. */
double lm_score_pmi(double pmi, double scale);
double lm_score_recall(int rank); /* weight of a token of that rank, 1 the likeliest */
double lm_score_global(const lm_score *s);

#endif
