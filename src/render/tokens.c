#include "render/tokens.h"

#include <string.h>

ace_status tokens_encode(const bpe *tokenizer, const char *prompt, size_t most, bpe_ids *out, ace_error *err) {
  ace_status status = bpe_encode(tokenizer, prompt, strlen(prompt), BPE_ADDED, out, err);
  if (status != ACE_OK) return status;
  bool append = bpe_appends_eot(tokenizer) || bpe_post_unknown(tokenizer);
  if (out->n > most - append) out->n = most - append;
  if (!append) return ACE_OK;
  static const char end_of_text[] = "<|endoftext|>";
  int32_t id = bpe_find(tokenizer, end_of_text);
  if (id < 0) return ace_fail(err, ACE_EFORMAT, "tokenizer: it has no %s token", end_of_text);
  return bpe_encode(tokenizer, end_of_text, sizeof end_of_text - 1, BPE_ADDED, out, err);
}
