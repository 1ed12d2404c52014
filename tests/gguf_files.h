/* gguf_files.h - GGUF files, written byte by byte. */
#ifndef ACE_TESTS_GGUF_FILES_H
#define ACE_TESTS_GGUF_FILES_H

#include "temp.h"

#include "formats/checkpoint.h"

typedef struct bytes {
  uint8_t *at;
  size_t n, capacity;
} bytes;

static inline void put(bytes *b, const void *data, size_t n) {
  if (b->n + n > b->capacity) {
    b->capacity = (b->n + n) * 2;
    assert_non_null(b->at = realloc(b->at, b->capacity));
  }
  if (n) memcpy(b->at + b->n, data, n);
  b->n += n;
}

static inline void put_uint(bytes *b, uint64_t x, int n) {
  for (int i = 0; i < n; i++) put(b, &(uint8_t){(uint8_t)(x >> (8 * i))}, 1);
}

static inline void put_text(bytes *b, const char *s) {
  put_uint(b, strlen(s), 8);
  put(b, s, strlen(s));
}

static inline void put_pair(bytes *b, const char *key, const char *value) {
  put_text(b, key);
  put_uint(b, 8, 4);
  put_text(b, value);
}

static inline void put_head(bytes *b, uint64_t tensors, uint64_t keys) {
  put(b, "GGUF", 4);
  put_uint(b, 3, 4);
  put_uint(b, tensors, 8);
  put_uint(b, keys, 8);
}

/* dim as in safetensors: the slowest first. */
static inline void put_tensor(bytes *b, const char *name, int rank, const int64_t *dim, uint32_t type,
                              uint64_t offset) {
  put_text(b, name);
  put_uint(b, (uint64_t)rank, 4);
  for (int i = rank - 1; i >= 0; i--) put_uint(b, (uint64_t)dim[i], 8);
  put_uint(b, type, 4);
  put_uint(b, offset, 8);
}

static inline void pad(bytes *b, size_t unit) {
  while (b->n % unit) put_uint(b, 0, 1);
}

/* A checkpoint as acestep.cpp stores it, every tensor in its own type. `architecture`: "acestep-vae". */
static inline bytes gguf_of(const ckpt *k, const char *architecture) {
  int n = ckpt_tensor_count(k);
  bytes b = {0}, data = {0};
  char *config = json_dumps(ckpt_config(k), JSON_COMPACT);
  assert_non_null(config);
  put_head(&b, (uint64_t)n, 2);
  put_pair(&b, "general.architecture", architecture);
  put_pair(&b, "acestep.config_json", config);
  for (int i = 0; i < n; i++) {
    const st_tensor *t = ckpt_at(k, i);
    put_tensor(&b, t->name, t->rank, t->dim, t->dtype == ST_BF16 ? 30 : t->dtype == ST_F16 ? 1 : 0, data.n);
    put(&data, t->data, t->size);
    pad(&data, 32);
  }
  pad(&b, 32);
  put(&b, data.at, data.n);
  free(data.at), free(config);
  return b;
}

/* A file that tells what it is and holds nothing else. */
static inline void put_named_gguf(temp *t, const char *name, const char *architecture, const char *config) {
  bytes b = {0};
  put_head(&b, 0, 2);
  put_pair(&b, "general.architecture", architecture);
  put_pair(&b, "acestep.config_json", config);
  temp_put(t, name, b.at, b.n);
  free(b.at);
}

#endif
