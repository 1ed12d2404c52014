/* au_stream.h - sound that arrives as a stream of Sun's AU format: six big-endian words, an annotation, samples as
 * big-endian floats. It is written without knowing the length, and says rate and channels.
 *
 *   au_stream s = {.limits = &limits, .out = &buffer};
 *   while (... && au_stream_take(&s, block, size)) ...
 *   if (au_stream_end(&s, "song.m4a", &err) == ACE_OK) ...
 */
#ifndef ACE_AUDIO_AU_STREAM_H
#define ACE_AUDIO_AU_STREAM_H

#include "audio/read.h"

enum { AU_HEAD = 24 };

typedef struct au_stream {
  const audio_limits *limits;
  audio_buffer *out;              /* empty at the beginning; its `frames` are set at the end */
  uint8_t head[AU_HEAD], part[4]; /* of the header; of the sample that the last block cut */
  size_t n_head, n_part;
  size_t skip; /* bytes of the annotation to come */
  int64_t samples, room;
  bool wrong, full, short_of_memory;
} au_stream;

/* The next bytes; false: the rest is not wanted. */
bool au_stream_take(au_stream *s, const uint8_t *data, size_t size);
/* The whole sound, or why there is none; then `out` is empty. */
ace_status au_stream_end(au_stream *s, const char *where, ace_error *err);

#endif
