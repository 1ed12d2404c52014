/* utf8.c - well-formed UTF-8, see utf8.h. */
#include "text/utf8.h"

#include <string.h>

int utf8_step(const uint8_t *s, size_t n) {
  uint8_t lead = s[0], low = 0x80, high = 0xBF;
  int length;
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return -1;
  if (lead < 0xE0) {
    length = 2;
  } else if (lead < 0xF0) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;  /* overlong */
    if (lead == 0xED) high = 0x9F; /* surrogates */
  } else {
    length = 4;
    if (lead == 0xF0) low = 0x90;  /* overlong */
    if (lead == 0xF4) high = 0x8F; /* beyond U+10FFFF */
  }
  for (int i = 1; i < length; i++) {
    if ((size_t)i >= n) return 0;
    if (s[i] < low || s[i] > high) return -i;
    low = 0x80, high = 0xBF;
  }
  return length;
}

size_t utf8_check(const char *s, size_t n) {
  const uint8_t *bytes = (const uint8_t *)s;
  size_t i = 0;
  while (i < n) {
    uint64_t eight;
    if (n - i >= sizeof eight) { /* most text is ASCII */
      memcpy(&eight, bytes + i, sizeof eight);
      if (!(eight & UINT64_C(0x8080808080808080))) {
        i += sizeof eight;
        continue;
      }
    }
    int step = utf8_step(bytes + i, n - i);
    if (step <= 0) return i;
    i += (size_t)step;
  }
  return n;
}

int utf8_put(uint32_t c, char out[4]) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3F));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xE0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3F));
    out[2] = (char)(0x80 | (c & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 0x3F));
  out[2] = (char)(0x80 | (c >> 6 & 0x3F));
  out[3] = (char)(0x80 | (c & 0x3F));
  return 4;
}

uint32_t utf8_get(const char *s, int *length) {
  const uint8_t *b = (const uint8_t *)s;
  if (b[0] < 0x80) {
    *length = 1;
    return b[0];
  }
  if (b[0] < 0xE0) {
    *length = 2;
    return (uint32_t)(b[0] & 0x1F) << 6 | (b[1] & 0x3F);
  }
  if (b[0] < 0xF0) {
    *length = 3;
    return (uint32_t)(b[0] & 0x0F) << 12 | (uint32_t)(b[1] & 0x3F) << 6 | (b[2] & 0x3F);
  }
  *length = 4;
  return (uint32_t)(b[0] & 0x07) << 18 | (uint32_t)(b[1] & 0x3F) << 12 | (uint32_t)(b[2] & 0x3F) << 6 | (b[3] & 0x3F);
}
