/* tokens.h - prompts as token ids, cut to what the models were trained on. */
#ifndef ACE_RENDER_TOKENS_H
#define ACE_RENDER_TOKENS_H

#include "text/bpe.h"

/* Encodes a prompt to at most `most` ids. The end-of-text id that the text encoder expects last is appended after the
 * cut, unless the tokenizer's own post-processor says that nothing is. Special tokens in the text count as such. */
ace_status tokens_encode(const bpe *tokenizer, const char *prompt, size_t most, bpe_ids *out, ace_error *err);

#endif
