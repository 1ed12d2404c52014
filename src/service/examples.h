/* examples.h - songs to begin with: what the dice throw. Two sets, built into the program from src/service/examples.
 *
 *   json_t *e = examples_random(EXAMPLES_SIMPLE, random, &err);
 */
#ifndef ACE_SERVICE_EXAMPLES_H
#define ACE_SERVICE_EXAMPLES_H

#include <stdint.h>

#include "base/json.h"

typedef enum examples_kind {
  EXAMPLES_SIMPLE, /* {"description", "instrumental", "vocal_language"}: a wish for the language model */
  EXAMPLES_CUSTOM  /* {"think", "caption", "lyrics", "bpm", "duration" (s), "keyscale", "language", "timesignature"} */
} examples_kind;

/* All of a kind, a new reference. */
json_t *examples_all(examples_kind kind, ace_error *err);
/* How many there are of a kind; 0 when out of memory. */
int examples_count(examples_kind kind);
/* The example `random` modulo their number, a new reference: counting up from anywhere visits each before any comes
 * again. NULL: see err. */
json_t *examples_random(examples_kind kind, uint64_t random, ace_error *err);

#endif
