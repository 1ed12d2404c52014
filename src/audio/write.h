/* write.h - songs to files that appear whole or not at all.
 *
 *   audio_write_options o = audio_default_write_options();   // 128 kbit/s, 48 kHz where it matters
 *   audio_tags tags = {.title = "Rain", .prompt = "slow piano", .seed = "42", .software = "acestep 0.1.0"};
 *   audio_write("rain.flac", &song, AUDIO_FLAC, &o, &tags, NULL, &err);
 *
 * The same samples, options and tags always give the same bytes: no dates, no random serial numbers, dither from a
 * fixed generator. */
#ifndef ACE_AUDIO_WRITE_H
#define ACE_AUDIO_WRITE_H

#include "audio/buffer.h"
#include "audio/format.h"

typedef struct audio_write_options {
  int bitrate_kbps;    /* MP3 (constant), Opus and AAC (on average): 128, 192, 256 or 320 */
  int mp3_sample_rate; /* 44100 or 48000; Opus and AAC are always 48000, the others keep the sound's own rate */
  int flac_bits;       /* 16 or 24; 0: 24 */
  bool no_dither;      /* 16 bits are rounded to nearest */
} audio_write_options;

audio_write_options audio_default_write_options(void);

/* UTF-8, each may be NULL or empty and is cut at 8 KiB. The prompt becomes the comment, with a last line "seed: N" when
 * there is a seed, since most formats have no field for it; MP3 carries the seed in a field "seed" as well. */
typedef struct audio_tags {
  const char *title, *prompt, *seed, *software;
} audio_tags;

/* Writes the sound (1 or 2 channels) to `path`, replacing a file that is there. `options` and `tags` may be NULL;
 * `notify` may be NULL, only its `cancelled` is used. Samples outside -1..1 are clipped, except in wav32; NaN and
 * infinite ones are refused. On failure (bad option, full disk, cancelled) `path` is as it was before. */
ace_status audio_write(const char *path, const audio_buffer *b, audio_format format, const audio_write_options *options,
                       const audio_tags *tags, const ace_callbacks *notify, ace_error *err);

#endif
