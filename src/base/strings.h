/* strings.h - how a name begins and ends. */
#ifndef ACE_BASE_STRINGS_H
#define ACE_BASE_STRINGS_H

#include <stdbool.h>
#include <string.h>

static inline bool string_begins(const char *s, const char *with) {
  return strncmp(s, with, strlen(with)) == 0;
}

static inline bool string_ends(const char *s, const char *with) {
  size_t n = strlen(s), m = strlen(with);
  return n >= m && strcmp(s + n - m, with) == 0;
}

#endif
