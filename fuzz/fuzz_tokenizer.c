/* A checkpoint's tokenizer.json comes from anywhere. Input: the file up to the first NUL, then a text to encode with
 * it. Whatever opens must encode and decode within bounds, and every id it gives must be its own. */
#include <stdlib.h>
#include <string.h>

#include "text/bpe.h"

static void use(const bpe *t, const char *text, size_t n) {
  bpe_ids ids = {0};
  ace_error err = {0};
  if (bpe_encode(t, text, n, BPE_ADDED | BPE_POST, &ids, &err) == ACE_OK) {
    for (size_t i = 0; i < ids.n; i++)
      if (ids.id[i] < 0 || ids.id[i] >= bpe_vocab_size(t)) __builtin_trap();
    size_t length;
    char *back = bpe_decode(t, ids.id, ids.n, BPE_SKIP_SPECIAL, &length);
    if (!back || back[length] != '\0') __builtin_trap();
    free(back);
  } else if (err.status == ACE_EINTERNAL) {
    __builtin_trap();
  }
  bpe_ids_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
  size_t n = nul ? (size_t)(nul - data) : size;
  ace_error err = {0};
  bpe *t = bpe_open_json((const char *)data, n, "input", &err);
  if (!t) {
    if (err.status == ACE_OK || err.message[0] == '\0') __builtin_trap(); /* a refusal says why */
    return 0;
  }
  if (nul) use(t, (const char *)nul + 1, size - n - 1);
  for (int32_t id = -1; id < 300; id++) bpe_is_special(t, id);
  bpe_audio_codes(t, NULL);
  bpe_find(t, "<think>");
  bpe_close(t);
  return 0;
}
