/* utf8.h - the one place that knows which byte sequences are UTF-8 (Unicode 15, table 3-7). */
#ifndef ACE_TEXT_UTF8_H
#define ACE_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Looks at the sequence that starts at s[0] (n >= 1 bytes are there):
 *   > 0  a well-formed character of that many bytes;
 *     0  the bytes end inside a character that could still become well-formed;
 *   < 0  ill-formed; minus the length of the maximal subpart, which one U+FFFD stands for. */
int utf8_step(const uint8_t *s, size_t n);

/* Offset of the first byte that is not part of a well-formed character; n when all is well. */
size_t utf8_check(const char *s, size_t n);

/* Writes one code point (a Unicode scalar value) as 1..4 bytes and returns how many. */
int utf8_put(uint32_t code_point, char out[4]);

/* The code point of a well-formed character, whose length goes to *length. */
uint32_t utf8_get(const char *s, int *length);

#endif
