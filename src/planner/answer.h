/* answer.h - reading what the language model wrote: metadata, audio codes, lyrics.
 *
 *   plan_answer a;
 *   if (plan_answer_parse(&a, text, length, &err) != ACE_OK) return err.status;
 *   ... a.metadata, a.codes, a.lyrics ...
 *   plan_answer_free(&a);
 *
 * The text has the form
 *
 *     <think>
 *     bpm: 120
 *     caption: A song about
 *       rain.
 *     </think>
 *
 *     # Lyric
 *     [Verse] ...                         or audio codes
 *
 * as far as the model kept to it: nothing in it is taken for granted, and no text is an error.
 */
#ifndef ACE_PLANNER_ANSWER_H
#define ACE_PLANNER_ANSWER_H

#include "planner/metadata.h"

typedef struct plan_answer {
  plan_metadata metadata;
  char *codes;  /* the audio codes as written, "<|audio_code_5|><|audio_code_7|>"; "" when there are none */
  char *lyrics; /* without heading and end mark; "" when there are none */
} plan_answer;

/* Any bytes; NULs are dropped. Fails only when memory runs out, and leaves nothing to free then. */
ace_status plan_answer_parse(plan_answer *out, const char *text, size_t length, ace_error *err);
void plan_answer_free(plan_answer *a);

#endif
