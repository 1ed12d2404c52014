/* think.h - planning a song: metadata first, then audio codes, as the model was trained to.
 *
 *   plan_song song;
 *   plan_song_make(lm, &(plan_wish){.in = input, .sampling = ..., .items = 2, .seeds = seeds, .codes = true}, &how,
 * &song, &err);
 *   ... song.metadata, song.codes[0], song.n_codes[0] ...
 *   plan_song_free(&song);
 *
 * The metadata is made once for all items, with the first item's seed; the items differ in their codes only. What the
 * user gave is never changed.
 */
#ifndef ACE_PLANNER_THINK_H
#define ACE_PLANNER_THINK_H

#include "planner/answer.h"
#include "planner/lm.h"

typedef struct plan_wish {
  plan_input in;
  plan_sampling sampling;
  double guidance; /* of the codes; at or below 1: none */
  int items;       /* 1..PLAN_MOST_ITEMS */
  const uint32_t *seeds;
  bool codes;         /* metadata and codes, or metadata alone */
  int together;       /* items decoded at a time; 0: as many as the memory holds */
  int max_duration;   /* seconds, 10..600 */
  bool unconstrained; /* without the grammar; the user's values replace the model's afterwards */
  plan_grammar_log log;
} plan_wish;

typedef struct plan_song {
  plan_metadata metadata; /* the user's and the model's */
  bool asked;             /* the model was asked for metadata */
  int items;
  int32_t *codes[PLAN_MOST_ITEMS]; /* at 5 Hz */
  size_t n_codes[PLAN_MOST_ITEMS];
} plan_song;

/* On failure `out` is empty. */
ace_status plan_song_make(const plan_lm *lm, const plan_wish *wish, const plan_how *how, plan_song *out,
                          ace_error *err);
void plan_song_free(plan_song *s);
/* Bytes of working memory that it takes at its fullest with prompts of that many tokens, where as much is free: with
 * less, fewer items are decoded at a time. SIZE_MAX if it cannot be planned. wish->seeds does not count. */
size_t plan_song_memory(const plan_lm *lm, const plan_wish *wish, tens_dtype cache, size_t prompt);

/* ---- single questions -------------------------------------------------------------------------------------------- */

/* Runs a prompt of prompts.h (create, format, understand, metadata) and reads the answer. An answer without any
 * metadata is ACE_EFORMAT. */
ace_status plan_ask(const plan_lm *lm, const plan_prompt *prompt, const plan_settings *settings, plan_sampling sampling,
                    uint32_t seed, int max_duration, plan_grammar_log log, const plan_how *how, plan_answer *out,
                    ace_error *err);

#endif
