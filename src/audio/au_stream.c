#include "audio/au_stream.h"

#include <stdlib.h>
#include <string.h>

enum { FLOAT_ENCODING = 6, ANNOTATION_MOST = 1 << 16 };

static uint32_t word(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool read_head(au_stream *s) {
  enum { OFFSET = 4, ENCODING = 12, RATE = 16, CHANNELS = 20 };
  uint32_t offset = word(s->head + OFFSET), rate = word(s->head + RATE), channels = word(s->head + CHANNELS);
  s->wrong = memcmp(s->head, ".snd", 4) != 0 || offset < AU_HEAD || offset > ANNOTATION_MOST ||
             word(s->head + ENCODING) != FLOAT_ENCODING || rate < 1 || rate > AUDIO_RATE_MOST || channels < 1 ||
             channels > AUDIO_CHANNELS_MOST;
  if (s->wrong) return false;
  s->skip = offset - AU_HEAD;
  s->out->channels = (int)channels;
  s->out->sample_rate = (int)rate;
  return true;
}

/* Only what has arrived asks for memory. */
static bool add_sample(au_stream *s, const uint8_t *p) {
  if (s->samples == s->room) {
    int64_t room = s->room ? 2 * s->room : 1 << 16;
    float *grown = realloc(s->out->samples, (size_t)room * sizeof *grown);
    s->short_of_memory = !grown;
    if (!grown) return false;
    s->out->samples = grown;
    s->room = room;
  }
  uint32_t bits = word(p);
  memcpy(&s->out->samples[s->samples++], &bits, sizeof bits);
  return true;
}

bool au_stream_take(au_stream *s, const uint8_t *data, size_t size) {
  for (; size > 0 && s->n_head < AU_HEAD; data++, size--) {
    s->head[s->n_head++] = *data;
    if (s->n_head == AU_HEAD && !read_head(s)) return false;
  }
  size_t skipped = s->skip < size ? s->skip : size;
  s->skip -= skipped;
  for (data += skipped, size -= skipped; size > 0; data++, size--) {
    s->part[s->n_part++] = *data;
    if (s->n_part < sizeof s->part) continue;
    s->n_part = 0;
    if (!add_sample(s, s->part)) return false;
  }
  if (s->n_head < AU_HEAD) return true;
  double seconds = (double)(s->samples / s->out->channels) / s->out->sample_rate;
  s->full = s->samples > s->limits->samples || seconds > s->limits->seconds;
  return !s->full;
}

ace_status au_stream_end(au_stream *s, const char *where, ace_error *err) {
  ace_status status = ACE_OK;
  s->out->frames = s->out->channels ? s->samples / s->out->channels : 0;
  if (s->short_of_memory) status = ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
  else if (s->full) status = audio_too_long(where, s->limits, s->out, err);
  else if (s->wrong || s->out->frames == 0)
    status = ace_fail(err, ACE_EFORMAT, "%s: there is no sound in the file", where);
  if (status != ACE_OK) audio_buffer_free(s->out);
  return status;
}
