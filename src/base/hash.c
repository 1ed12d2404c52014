#include "base/hash.h"

#include <stdint.h>

void hash_begin(hash *h) {
  sha256_init(&h->state);
}

void hash_add(hash *h, const void *data, size_t length) {
  if (length > 0) sha256_update(&h->state, length, data);
}

void hash_end(hash *h, char out[HASH_HEX]) {
  static const char digits[] = "0123456789abcdef";
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_digest(&h->state, sizeof digest, digest);
  for (size_t i = 0; i < sizeof digest; i++) {
    out[2 * i] = digits[digest[i] >> 4];
    out[2 * i + 1] = digits[digest[i] & 15];
  }
  out[2 * sizeof digest] = 0;
}

void hash_memory(const void *data, size_t length, char out[HASH_HEX]) {
  hash h;
  hash_begin(&h);
  hash_add(&h, data, length);
  hash_end(&h, out);
}
