/* Names, extensions and MIME types of the formats that songs are saved in. */
#include "audio/format.h"

#include <string.h>
#include <strings.h>

#include "audio/ffmpeg.h"

static const struct {
  const char *name, *extension, *mime;
} formats[AUDIO_FORMAT_COUNT] = {
    [AUDIO_WAV] = {"wav", "wav", "audio/wav"},     [AUDIO_WAV32] = {"wav32", "wav", "audio/wav"},
    [AUDIO_FLAC] = {"flac", "flac", "audio/flac"}, [AUDIO_MP3] = {"mp3", "mp3", "audio/mpeg"},
    [AUDIO_OPUS] = {"opus", "opus", "audio/ogg"},  [AUDIO_AAC] = {"aac", "aac", "audio/aac"},
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

/* By name or by extension, which are often the same; -1: none. */
static int find(const char *text, bool extensions) {
  static const struct {
    const char *other;
    audio_format format;
  } others[] = {{"m4a", AUDIO_AAC}, {"mp4", AUDIO_AAC}, {"ogg", AUDIO_OPUS}};
  for (int f = 0; f < AUDIO_FORMAT_COUNT; f++)
    if (strcasecmp(text, extensions ? formats[f].extension : formats[f].name) == 0) return f;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (strcasecmp(text, others[i].other) == 0) return (int)others[i].format;
  return -1;
}

ace_status audio_format_from_name(const char *name, audio_format *format, ace_error *err) {
  int found = find(name, false);
  if (found < 0)
    return ace_fail(err, ACE_EINVAL, "audio_format: \"%.40s\" is not one of wav, wav32, flac, mp3, opus, aac", name);
  *format = (audio_format)found;
  return ACE_OK;
}

ace_status audio_format_from_path(const char *path, audio_format *format, ace_error *err) {
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
  int found = dot && dot != base ? find(dot + 1, true) : -1;
  if (found < 0)
    return ace_fail(err, ACE_EINVAL, "%s: the file name must end in .wav, .flac, .mp3, .opus, .ogg, .m4a or .aac",
                    path);
  *format = (audio_format)found;
  return ACE_OK;
}

ace_status audio_format_check(audio_format format, ace_error *err) {
  return format == AUDIO_AAC ? ffmpeg_check("audio_format: writing AAC", err) : ACE_OK;
}
