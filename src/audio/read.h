/* read.h - sound files into memory, as 32-bit floats at the file's own rate and channel count: WAV (also RF64, W64),
 * FLAC, Ogg/Vorbis, Ogg/Opus, MP3, AIFF, AU, CAF by libsndfile; M4A, MP4, AAC (ADTS) and WebM by ffmpeg where that is
 * installed (ffmpeg.h).
 *
 *   audio_buffer song;
 *   if (audio_read("song.mp3", &song, &err) == ACE_OK && audio_to_model(&song, 48000, &err) == ACE_OK) ...
 *   audio_buffer_free(&song);
 *
 * Files are hostile: memory follows what was decoded, never what a header claims. A file that was cut short gives what
 * is there, except FLAC, which says how long it should be; a damaged FLAC or MP3 is an error. What would need
 * ffmpeg is refused without it as ACE_EUNSUPPORTED, everything else that is not sound as ACE_EFORMAT. */
#ifndef ACE_AUDIO_READ_H
#define ACE_AUDIO_READ_H

#include "audio/buffer.h"

/* What a file may decode to. */
typedef struct audio_limits {
  double seconds;  /* of sound */
  int64_t samples; /* frames times channels, four bytes each */
} audio_limits;

/* One hour, 2^29 samples (2 GiB). */
audio_limits audio_default_limits(void);

/* Channels and rate as in buffer.h, default limits. `out` is empty on failure. */
ace_status audio_read(const char *path, audio_buffer *out, ace_error *err);
/* The same from memory; `where` names the source in messages. `limits` may be NULL for the default ones. */
ace_status audio_read_memory(const void *data, size_t size, const char *where, const audio_limits *limits,
                             audio_buffer *out, ace_error *err);

/* Seconds of sound as the file's header says, or, where it does not, as decoding it finds. */
ace_status audio_length(const char *path, double *seconds, ace_error *err);

/* Fails: the sound in `b` has passed the limits. */
ace_status audio_too_long(const char *where, const audio_limits *limits, const audio_buffer *b, ace_error *err);

/* Brings a sound into the models' form, in place: two channels (mono doubled, of more than two the first two), the
 * given rate, clamped to -1..1. NaN and infinite samples are refused. On failure the buffer is still valid to free. */
ace_status audio_to_model(audio_buffer *b, int sample_rate, ace_error *err);

#endif
