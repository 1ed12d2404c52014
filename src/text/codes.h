/* codes.h - audio codes in their text form, "<|audio_code_N|><|audio_code_M|>...".
 *
 * What people paste may hold anything between the codes; only exact, lower-case occurrences with ASCII digits count.
 */
#ifndef ACE_TEXT_CODES_H
#define ACE_TEXT_CODES_H

#include "base/error.h"

/* One occurrence: text[at .. at + length), and its number, INT32_MAX when the number is larger. */
typedef struct codes_match {
  size_t at, length;
  int32_t value;
} codes_match;

/* Finds the next occurrence at or behind *cursor (start with 0) and moves the cursor past it. */
bool codes_next(const char *text, size_t length, size_t *cursor, codes_match *match);

/* All codes of a text, larger ones set to `max`; *clamped (may be NULL) counts those. free(*codes); *codes is NULL when
 * there are none. */
ace_status codes_parse(const char *text, size_t length, int32_t max, int32_t **codes, size_t *n, size_t *clamped,
                       ace_error *err);

/* The concatenated string, NUL-terminated, free() it; *length (may be NULL) counts bytes. Negative codes are left out.
 * NULL when out of memory. */
char *codes_format(const int32_t *codes, size_t n, size_t *length);

#endif
