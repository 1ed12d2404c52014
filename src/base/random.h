/* random.h - bytes that nobody can guess, from the system. For reproducible numbers see rng.h. */
#ifndef ACE_BASE_RANDOM_H
#define ACE_BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/* False when the system has none; errno says why. */
bool random_bytes(void *out, size_t n);

#endif
