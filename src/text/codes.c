/* codes.c - audio codes in their text form, see codes.h. */
#include "text/codes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char opening[] = "<|audio_code_";
enum { OPENING = sizeof opening - 1, LONGEST = OPENING + 10 + 2 };

/* Length of the occurrence at the start of s, 0 when there is none. */
static size_t occurrence(const char *s, size_t n, int32_t *value) {
  if (n < OPENING || memcmp(s, opening, OPENING) != 0) return 0;
  size_t i = OPENING;
  int64_t number = 0;
  for (; i < n && s[i] >= '0' && s[i] <= '9'; i++) {
    number = number * 10 + (s[i] - '0');
    if (number > INT32_MAX) number = INT32_MAX; /* any number of digits */
  }
  if (i == OPENING || n - i < 2 || s[i] != '|' || s[i + 1] != '>') return 0;
  *value = (int32_t)number;
  return i + 2;
}

bool codes_next(const char *text, size_t length, size_t *cursor, codes_match *match) {
  size_t at = *cursor;
  while (at < length) {
    const char *found = memchr(text + at, '<', length - at);
    if (!found) break;
    at = (size_t)(found - text);
    size_t taken = occurrence(found, length - at, &match->value);
    if (taken) {
      match->at = at;
      match->length = taken;
      *cursor = at + taken;
      return true;
    }
    at++;
  }
  *cursor = length;
  return false;
}

ace_status codes_parse(const char *text, size_t length, int32_t max, int32_t **codes, size_t *n, size_t *clamped,
                       ace_error *err) {
  codes_match match;
  size_t count = 0, over = 0;
  for (size_t cursor = 0; codes_next(text, length, &cursor, &match);) count++;
  *codes = NULL;
  *n = 0;
  if (clamped) *clamped = 0;
  if (count == 0) return ACE_OK;
  int32_t *list = malloc(count * sizeof *list);
  if (!list) return ace_fail(err, ACE_ENOMEM, "audio codes: out of memory for %zu codes", count);
  for (size_t cursor = 0, i = 0; i < count && codes_next(text, length, &cursor, &match); i++) {
    if (match.value > max) over++;
    list[i] = match.value > max ? max : match.value;
  }
  *codes = list;
  *n = count;
  if (clamped) *clamped = over;
  return ACE_OK;
}

char *codes_format(const int32_t *codes, size_t n, size_t *length) {
  if (n > (SIZE_MAX - 1) / LONGEST) return NULL;
  char *text = malloc(n * LONGEST + 1);
  if (!text) return NULL;
  size_t used = 0;
  for (size_t i = 0; i < n; i++)
    if (codes[i] >= 0) used += (size_t)snprintf(text + used, LONGEST + 1, "%s%d|>", opening, (int)codes[i]);
  text[used] = '\0';
  if (length) *length = used;
  return text;
}
