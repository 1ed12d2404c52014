#include "render/latents_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

_Static_assert((int)LATENTS_KEY == (int)HASH_HEX, "a key is a hash in hexadecimal");

typedef struct entry {
  struct entry *next; /* used longer ago */
  char key[LATENTS_KEY];
  size_t count;
  float values[];
} entry;

struct latents_cache {
  entry *first; /* used last */
  size_t bound;
};

static size_t size_of(size_t count) {
  return sizeof(entry) + count * sizeof(float);
}

latents_cache *latents_cache_new(size_t bytes) {
  latents_cache *cache = calloc(1, sizeof *cache);
  if (cache) cache->bound = bytes;
  return cache;
}

/* Forgets an entry and all behind it. */
static void drop(entry **from) {
  entry *e = *from;
  *from = NULL;
  while (e) {
    entry *next = e->next;
    free(e);
    e = next;
  }
}

void latents_cache_free(latents_cache *cache) {
  if (!cache) return;
  drop(&cache->first);
  free(cache);
}

void latents_cache_key(const float *samples, int64_t n, int channels, char key[LATENTS_KEY]) {
  hash h;
  hash_begin(&h);
  hash_add(&h, &channels, sizeof channels);
  hash_add(&h, samples, (size_t)(n * channels) * sizeof *samples);
  hash_end(&h, key);
}

float *latents_cache_get(latents_cache *cache, const char key[LATENTS_KEY], size_t count) {
  for (entry **at = &cache->first; *at; at = &(*at)->next) {
    entry *e = *at;
    if (e->count != count || strcmp(e->key, key) != 0) continue;
    *at = e->next;
    e->next = cache->first;
    cache->first = e;
    float *copy = malloc(count * sizeof *copy);
    if (copy) memcpy(copy, e->values, count * sizeof *copy);
    return copy;
  }
  return NULL;
}

void latents_cache_put(latents_cache *cache, const char key[LATENTS_KEY], const float *values, size_t count) {
  if (cache->bound < sizeof(entry) || count > (cache->bound - sizeof(entry)) / sizeof(float)) return;
  size_t room = cache->bound - size_of(count), kept = 0;
  entry **at = &cache->first;
  for (; *at && kept + size_of((*at)->count) <= room; at = &(*at)->next) kept += size_of((*at)->count);
  drop(at);
  entry *e = malloc(size_of(count));
  if (!e) return;
  e->next = cache->first;
  e->count = count;
  memcpy(e->key, key, LATENTS_KEY);
  memcpy(e->values, values, count * sizeof *values);
  cache->first = e;
}
