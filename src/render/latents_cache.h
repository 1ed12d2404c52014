/* latents_cache.h - what the autoencoder made of recordings lately, so that work on one recording encodes it once.
 *
 * The key is the sound itself (SHA-256 of its samples), the value its moments before anything is drawn, so one entry
 * serves every seed and vae_encode. The least recently used go when the whole passes its bound. One cache belongs to
 * one autoencoder and to one thread at a time. Results do not depend on it: encoding again gives the same bits.
 */
#ifndef ACE_RENDER_LATENTS_CACHE_H
#define ACE_RENDER_LATENTS_CACHE_H

#include "base/error.h"

typedef struct latents_cache latents_cache;

enum { LATENTS_KEY = 65 }; /* bytes of a key */

/* Holds at most `bytes`. NULL when out of memory. */
latents_cache *latents_cache_new(size_t bytes);
void latents_cache_free(latents_cache *cache);

/* The key of sound [n, channels]. */
void latents_cache_key(const float *samples, int64_t n, int channels, char key[LATENTS_KEY]);
/* A copy of the `count` values of that key, the caller's; NULL when they are not there, or when memory is short. */
float *latents_cache_get(latents_cache *cache, const char key[LATENTS_KEY], size_t count);
/* Keeps a copy if it fits; that it may not is no failure. */
void latents_cache_put(latents_cache *cache, const char key[LATENTS_KEY], const float *values, size_t count);

#endif
