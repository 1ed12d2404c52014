/* Names, extensions and MIME types of the formats that songs are saved in. */
#include "audio/format.h"

#include <string.h>
#include <strings.h>

static const struct {
  const char *name, *extension, *mime;
} formats[AUDIO_FORMAT_COUNT] = {
    [AUDIO_WAV] = {"wav", "wav", "audio/wav"},     [AUDIO_WAV32] = {"wav32", "wav", "audio/wav"},
    [AUDIO_FLAC] = {"flac", "flac", "audio/flac"}, [AUDIO_MP3] = {"mp3", "mp3", "audio/mpeg"},
    [AUDIO_OPUS] = {"opus", "opus", "audio/ogg"},
};

static bool known(audio_format format) {
  return (unsigned)format < AUDIO_FORMAT_COUNT;
}

const char *audio_format_name(audio_format format) {
  return known(format) ? formats[format].name : "?";
}

const char *audio_format_extension(audio_format format) {
  return known(format) ? formats[format].extension : "bin";
}

const char *audio_format_mime(audio_format format) {
  return known(format) ? formats[format].mime : "application/octet-stream";
}

static bool needs_ffmpeg(const char *name) {
  return strcasecmp(name, "aac") == 0 || strcasecmp(name, "m4a") == 0 || strcasecmp(name, "mp4") == 0;
}

static ace_status refuse_aac(const char *what, ace_error *err) {
  return ace_fail(err, ACE_EUNSUPPORTED,
                  "%s: writing AAC needs FFmpeg's libraries, which this build does not use; choose mp3 or opus, or "
                  "save as flac and convert with ffmpeg",
                  what);
}

ace_status audio_format_from_name(const char *name, audio_format *format, ace_error *err) {
  for (int f = 0; f < AUDIO_FORMAT_COUNT; f++) {
    if (strcasecmp(name, formats[f].name) != 0) continue;
    *format = (audio_format)f;
    return ACE_OK;
  }
  if (needs_ffmpeg(name)) return refuse_aac(name, err);
  return ace_fail(err, ACE_EINVAL, "audio_format: \"%.40s\" is not one of wav, wav32, flac, mp3, opus", name);
}

ace_status audio_format_from_path(const char *path, audio_format *format, ace_error *err) {
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
  const char *extension = dot && dot != base ? dot + 1 : "";
  if (strcasecmp(extension, "ogg") == 0) extension = "opus";
  for (int f = 0; f < AUDIO_FORMAT_COUNT; f++) {
    if (strcasecmp(extension, formats[f].extension) != 0) continue;
    *format = (audio_format)f;
    return ACE_OK;
  }
  if (needs_ffmpeg(extension)) return refuse_aac(path, err);
  return ace_fail(err, ACE_EINVAL, "%s: the file name must end in .wav, .flac, .mp3, .opus or .ogg", path);
}
