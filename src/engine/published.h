/* published.h - the config.json of the published models, for making models of the same shapes (random.h). Sizes only: a
 * checkpoint that is opened from a folder always brings its own.
 */
#ifndef ACE_ENGINE_PUBLISHED_H
#define ACE_ENGINE_PUBLISHED_H

#include "engine/engine.h"

enum { PUBLISHED_SIZE = 2048 };

/* The text of NAME/config.json; false for a name that is not published. */
bool published_config(const char *name, char out[PUBLISHED_SIZE]);
/* Which kind of model a published folder name means. */
engine_kind published_kind(const char *name);
/* Names of that kind, i from 0; NULL past the last. */
const char *published_at(engine_kind kind, int i);

#endif
