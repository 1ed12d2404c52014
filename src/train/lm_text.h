/* lm_text.h - what a language model learns from a piece: a question in the words that inference asks, and its answer.
 *
 *   kind         question                            answer
 *   plan         caption and lyrics                  what song it is, then its audio codes
 *   understand   audio codes                         what song it is, then its lyrics
 *   format       caption and lyrics                  the same
 *   create       a few words                         the same
 *
 *   lm_text t;
 *   if (lm_text_make(&t, LM_PLAN, about, 20, codes, n, tokenizer, &err) == ACE_OK) ...
 *       t.ids.id[0 .. t.question-1] are given, the rest is to be said
 *   lm_text_free(&t);
 *
 * about: a piece's (piece.h). The answer ends with <|im_end|>.
 */
#ifndef ACE_TRAIN_LM_TEXT_H
#define ACE_TRAIN_LM_TEXT_H

#include "base/json.h"
#include "text/bpe.h"

typedef enum lm_kind { LM_PLAN, LM_UNDERSTAND, LM_FORMAT, LM_CREATE, LM_KINDS } lm_kind;

typedef struct lm_text {
  bpe_ids ids; /* owned, lm_text_free */
  size_t question;
} lm_text;

/* seconds: of the piece. On failure `out` is empty. */
ace_status lm_text_make(lm_text *out, lm_kind kind, const json_t *about, double seconds, const int32_t *codes,
                        size_t n_codes, const bpe *tokenizer, ace_error *err);
void lm_text_free(lm_text *t);

#endif
