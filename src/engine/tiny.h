/* tiny.h - a complete set of models with random weights, small enough to make on the spot: for tests, demonstrations
 * and for trying a build without a download. What it sings is noise, but every part from words to sound runs.
 *
 *   tiny_make("models", NULL, &err);          // then ace_engine_open("models", NULL, &err)
 *
 * The folder gets the published layout: acestep-v15-turbo, acestep-v15-base, vae, Qwen3-Embedding-0.6B and
 * acestep-5Hz-lm-0.6B, which fit each other (text width, latent channels, 400 audio codes). The bytes are the same
 * every time and on every machine.
 */
#ifndef ACE_ENGINE_TINY_H
#define ACE_ENGINE_TINY_H

#include "base/error.h"

/* Makes `folder` if need be; files of an older set in it are replaced one by one, each as a whole. Takes a few seconds:
 * progress goes to `notify` (may be NULL) as stage "make". A set that was cancelled half-way is finished by making it
 * again. */
ace_status tiny_make(const char *folder, const ace_callbacks *notify, ace_error *err);

#endif
