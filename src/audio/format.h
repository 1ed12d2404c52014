/* format.h - the sound formats that songs are saved in, by name and by file extension. */
#ifndef ACE_AUDIO_FORMAT_H
#define ACE_AUDIO_FORMAT_H

#include "base/error.h"

typedef enum audio_format {
  AUDIO_WAV,   /* 16-bit PCM, dithered */
  AUDIO_WAV32, /* 32-bit float */
  AUDIO_FLAC,  /* 24-bit */
  AUDIO_MP3,   /* constant bit rate */
  AUDIO_OPUS,  /* Ogg/Opus, 48 kHz */
  AUDIO_AAC,   /* ADTS, or MP4 in a file that ends in .m4a or .mp4; 48 kHz; needs ffmpeg */
  AUDIO_FORMAT_COUNT
} audio_format;

/* "wav", "wav32", "flac", "mp3", "opus", "aac". Never NULL. */
const char *audio_format_name(audio_format format);
/* Extension without the dot: the name, but "wav" for wav32. Never NULL. */
const char *audio_format_extension(audio_format format);
/* MIME type, e.g. "audio/flac". Never NULL. */
const char *audio_format_mime(audio_format format);

/* The format of a name, letter case ignored; "m4a" is aac. ACE_EINVAL lists the names. */
ace_status audio_format_from_name(const char *name, audio_format *format, ace_error *err);
/* The format that a file's extension asks for (.wav .flac .mp3 .opus .ogg .aac .m4a .mp4), failing as above. */
ace_status audio_format_from_path(const char *path, audio_format *format, ace_error *err);

/* Whether it can be written here: ACE_EUNSUPPORTED for AAC without ffmpeg. */
ace_status audio_format_check(audio_format format, ace_error *err);

#endif
