/* hash.h - SHA-256 of a stream of bytes.
 *
 *   hash h;
 *   hash_begin(&h);
 *   hash_add(&h, data, length);   // as often as needed
 *   char hex[65];
 *   hash_end(&h, hex);
 */
#ifndef ACE_BASE_HASH_H
#define ACE_BASE_HASH_H

#include <stddef.h>

#include <nettle/sha2.h>

enum { HASH_HEX = 65 }; /* 64 lower-case hex digits and a NUL */

typedef struct hash {
  struct sha256_ctx state;
} hash;

void hash_begin(hash *h);
void hash_add(hash *h, const void *data, size_t length);
void hash_end(hash *h, char out[HASH_HEX]);

/* The hash of one block of memory. */
void hash_memory(const void *data, size_t length, char out[HASH_HEX]);

#endif
