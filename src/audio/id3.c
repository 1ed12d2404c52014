/* ID3v2.4 (id3.org, 2000): a ten-byte header, then frames of ten bytes of header and a body that starts with the text
 * encoding, 3 for UTF-8. Sizes are "synchsafe": 28 bits, seven to a byte. */
#include "audio/id3.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 10, UTF8 = 3 };

static void put_size(uint8_t *p, size_t size) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(size >> (7 * (3 - i)) & 0x7F);
}

/* Bytes between the frame's encoding byte and its text: a language (comments only) and a NUL-ended description. */
static size_t prefix_size(const id3_text *t) {
  if (strcmp(t->id, "COMM") == 0) return 3 + strlen(t->description) + 1;
  return strcmp(t->id, "TXXX") == 0 ? strlen(t->description) + 1 : 0;
}

static size_t body_size(const id3_text *t) {
  return 1 + prefix_size(t) + strlen(t->text);
}

static uint8_t *put_frame(uint8_t *p, const id3_text *t) {
  memcpy(p, t->id, 4);
  put_size(p + 4, body_size(t));
  p[8] = p[9] = 0; /* no flags */
  p += HEADER;
  *p++ = UTF8;
  if (strcmp(t->id, "COMM") == 0) {
    memcpy(p, "und", 3); /* language undetermined */
    p += 3;
  }
  if (prefix_size(t)) {
    memcpy(p, t->description, strlen(t->description) + 1);
    p += strlen(t->description) + 1;
  }
  memcpy(p, t->text, strlen(t->text));
  return p + strlen(t->text);
}

uint8_t *id3_tag(const id3_text *texts, size_t count, size_t *length) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++)
    if (texts[i].text && *texts[i].text) size += HEADER + body_size(&texts[i]);
  *length = size ? HEADER + size : 0;
  uint8_t *tag = malloc(HEADER + size);
  if (!tag || !size) return tag;
  memcpy(tag, "ID3\4\0\0", 6); /* version 2.4.0, no flags */
  put_size(tag + 6, size);
  uint8_t *p = tag + HEADER;
  for (size_t i = 0; i < count; i++)
    if (texts[i].text && *texts[i].text) p = put_frame(p, &texts[i]);
  return tag;
}
