/* GGUF files: open, walk through everything, widen each tensor's first block, make a tokenizer of it. */
#include <stdlib.h>
#include <string.h>

#include "text/bpe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ace_error err;
  gguf_file *f = gguf_open_memory(data, size, "fuzz", &err);
  if (!f) return 0;
  for (int i = 0; i < gguf_count(f); i++) {
    const st_tensor *t = gguf_at(f, i);
    float y[256];
    bool wide = t->dtype == ST_F32 || t->dtype == ST_F16 || t->dtype == ST_BF16 || st_dtype_block(t->dtype) > 1;
    if (wide && t->count > 0) st_widen(t, 0, st_dtype_block(t->dtype), y);
    if (gguf_find(f, t->name) != t) abort();
  }
  bpe_close(bpe_open_gguf(f, &err));
  gguf_close(f);
  return 0;
}
