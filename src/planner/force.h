/* force.h - what the language model thinks of text that is already there: the probability of each token, given all
 * before it (teacher forcing).
 *
 *   plan_force(lm, &prompt, targets, 3, &how, on_token, user, &err);
 *
 * The prompt is computed once; each target then follows it as if the others were not there.
 */
#ifndef ACE_PLANNER_FORCE_H
#define ACE_PLANNER_FORCE_H

#include "planner/lm.h"

typedef struct plan_forced {
  int32_t id;
  double log_probability; /* natural, over the whole vocabulary, at temperature 1 */
  int rank;               /* 1: the model's first choice; among equals the lower id stands before */
} plan_forced;

/* Calls `take` once for each token of each target, in order. how->step counts tokens, those of the prompt included, and
 * how->cache is the type of the keys and values. */
ace_status plan_force(const plan_lm *lm, const plan_prompt *prompt, const plan_prompt *targets, int n,
                      const plan_how *how, void (*take)(void *user, int target, const plan_forced *token), void *user,
                      ace_error *err);

#endif
