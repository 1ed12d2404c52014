/* id3.h - the tag at the head of an MP3 file: ID3v2.4, UTF-8. libsndfile's own way leads to an ID3v1 tag, which cuts
 * every text at 30 bytes and knows Latin letters only. */
#ifndef ACE_AUDIO_ID3_H
#define ACE_AUDIO_ID3_H

#include <stddef.h>
#include <stdint.h>

/* One text of the tag. `id` is the frame: "TIT2" title, "COMM" comment, "TSSE" encoder, "TXXX" with a description. */
typedef struct id3_text {
  const char *id, *description, *text; /* empty or NULL text: no frame */
} id3_text;

/* A whole tag, free() it; NULL when out of memory, *length 0 and non-NULL when there is nothing to say. Texts must be
 * UTF-8 of at most a few megabytes in all. */
uint8_t *id3_tag(const id3_text *texts, size_t count, size_t *length);

#endif
