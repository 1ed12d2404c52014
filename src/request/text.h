/* text.h - growing text, numbers that read back as they were, UTF-8 checks, excerpts for messages. */
#ifndef ACE_REQUEST_TEXT_H
#define ACE_REQUEST_TEXT_H

#include "base/error.h"

/* Text that grows. When memory runs out it stays empty and `failed` is set: check once, at the end. */
typedef struct req_text {
  char *data; /* NUL-terminated once anything was added */
  size_t size, capacity;
  bool failed;
} req_text;

void req_text_add(req_text *t, const char *s);
void req_text_add_bytes(req_text *t, const char *s, size_t n);
void req_text_addf(req_text *t, const char *format, ...) ACE_PRINTF(2, 3);
/* The string in double quotes with JSON's escapes; UTF-8 stays as it is. */
void req_text_add_json(req_text *t, const char *s);
/* The text, to be freed by the caller ("" when nothing was added); NULL when memory ran out. */
char *req_text_take(req_text *t);

/* Shortest decimal that reads back as x (finite): "0.85", "3", "1e-07". Independent of the locale. */
enum { REQ_NUMBER_SIZE = 32 };
const char *req_number_format(double x, char out[REQ_NUMBER_SIZE]);
/* A decimal number, blanks around it allowed: sign, digits, point, exponent. No hex, no infinity, no NaN. A number too
 * large for a double is infinite. False when the text is anything else. Independent of the locale. */
bool req_number_parse(const char *text, size_t length, double *out);

/* Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF, no NUL. */
bool req_utf8_valid(const char *s, size_t length);

/* A printable excerpt for one-line messages: control characters become '?', long text is cut with "...". */
enum { REQ_EXCERPT_SIZE = 64 };
const char *req_excerpt(const char *s, size_t length, char out[REQ_EXCERPT_SIZE]);

/* ASCII: 1 for blank, tab, line feed and the like. Independent of the locale. */
bool req_is_space(char c);
/* Nothing but such characters. */
bool req_is_blank(const char *s);
/* Equal with ASCII case ignored. */
bool req_same(const char *a, size_t na, const char *b);

#endif
