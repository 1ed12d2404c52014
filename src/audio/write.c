/* Songs to files by libsndfile, through callbacks that remember the first failed write: libsndfile itself loses some,
 * above all those of the last blocks and headers that it writes while closing. */
#include "audio/write.h"

#include <errno.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audio/ffmpeg.h"
#include "audio/id3.h"
#include "audio/ogg_serial.h"
#include "audio/process.h"
#include "audio/quantise.h"
#include "audio/resample.h"
#include "base/file.h"
#include "base/notify.h"

enum { BLOCK_FRAMES = 4096, MAX_CHANNELS = 2, TAG_LIMIT = 8192 };

audio_write_options audio_default_write_options(void) {
  return (audio_write_options){.bitrate_kbps = 128, .mp3_sample_rate = 48000};
}

/* ---- where the bytes go ---------------------------------------------------------------------------------- */

/* A part of a file from `base` on; libsndfile sees it as a file of its own. */
typedef struct sink {
  int fd;
  sf_count_t base, size, position;
  int error; /* errno of the first failure */
} sink;

static sf_count_t sink_size(void *user) {
  return ((sink *)user)->size;
}

static sf_count_t sink_tell(void *user) {
  return ((sink *)user)->position;
}

static sf_count_t sink_seek(sf_count_t offset, int whence, void *user) {
  sink *s = user;
  sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->position : s->size;
  if (from + offset < 0) return -1;
  return s->position = from + offset;
}

static sf_count_t sink_read(void *to, sf_count_t count, void *user) {
  sink *s = user;
  ssize_t n = pread(s->fd, to, (size_t)count, (off_t)(s->base + s->position));
  if (n < 0) return 0;
  s->position += n;
  return n;
}

static sf_count_t sink_write(const void *from, sf_count_t count, void *user) {
  sink *s = user;
  sf_count_t done = 0;
  while (done < count && !s->error) {
    ssize_t n = pwrite(s->fd, (const char *)from + done, (size_t)(count - done), (off_t)(s->base + s->position));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      s->error = n < 0 ? errno : ENOSPC;
      break;
    }
    done += n;
    s->position += n;
    if (s->position > s->size) s->size = s->position;
  }
  return done;
}

/* ---- tags ------------------------------------------------------------------------------------------------ */

typedef struct tag_texts {
  char title[TAG_LIMIT + 1], comment[TAG_LIMIT + 64], seed[32], software[TAG_LIMIT + 1];
} tag_texts;

/* At most `limit` bytes of UTF-8, cut between characters. */
static void copy_text(char *to, const char *from, size_t limit) {
  size_t n = from ? strnlen(from, limit + 1) : 0;
  if (n > limit) {
    n = limit;
    while (n > 0 && ((unsigned char)from[n] & 0xC0) == 0x80) n--;
  }
  if (n) memcpy(to, from, n);
  to[n] = 0;
}

static void make_texts(tag_texts *t, const audio_tags *tags) {
  copy_text(t->title, tags->title, TAG_LIMIT);
  copy_text(t->comment, tags->prompt, TAG_LIMIT);
  copy_text(t->seed, tags->seed, sizeof t->seed - 1);
  copy_text(t->software, tags->software, TAG_LIMIT);
  if (!*t->seed) return;
  size_t n = strlen(t->comment);
  snprintf(t->comment + n, sizeof t->comment - n, "%sseed: %s", n ? "\n" : "", t->seed);
}

static bool set_tags(SNDFILE *file, const tag_texts *t) {
  const struct {
    int key;
    const char *text;
  } all[] = {{SF_STR_TITLE, t->title}, {SF_STR_COMMENT, t->comment}, {SF_STR_SOFTWARE, t->software}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (*all[i].text && sf_set_string(file, all[i].key, all[i].text) != 0) return false;
  return true;
}

/* Writes the tag in front of an MP3 stream and moves the stream behind it. */
static ace_status write_id3(sink *s, const tag_texts *t, const char *path, ace_error *err) {
  const id3_text texts[] = {
      {"TIT2", "", t->title}, {"COMM", "", t->comment}, {"TSSE", "", t->software}, {"TXXX", "seed", t->seed}};
  size_t length;
  uint8_t *tag = id3_tag(texts, sizeof texts / sizeof *texts, &length);
  if (!tag) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  sink_write(tag, (sf_count_t)length, s);
  free(tag);
  s->base = (sf_count_t)length;
  s->size = s->position = 0;
  if (!s->error) return ACE_OK;
  errno = s->error;
  return ace_fail_errno(err, "%s: cannot write", path);
}

/* ---- encoding -------------------------------------------------------------------------------------------- */

typedef struct job {
  const char *path;
  const audio_buffer *sound; /* at the rate of the file */
  audio_format format;
  audio_write_options options;
  const tag_texts *texts;
  const ace_callbacks *notify; /* may be NULL */
} job;

static bool is_short(audio_format format, const audio_write_options *o) {
  return format == AUDIO_WAV || (format == AUDIO_FLAC && o->flac_bits == 16);
}

static int sndfile_format(audio_format format, const audio_write_options *o) {
  if (is_short(format, o)) return (format == AUDIO_WAV ? SF_FORMAT_WAV : SF_FORMAT_FLAC) | SF_FORMAT_PCM_16;
  switch (format) {
    case AUDIO_WAV32: return SF_FORMAT_WAV | SF_FORMAT_FLOAT;
    case AUDIO_FLAC: return SF_FORMAT_FLAC | SF_FORMAT_PCM_24;
    case AUDIO_MP3: return SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III;
    case AUDIO_OPUS: return SF_FORMAT_OGG | SF_FORMAT_OPUS;
    default: return 0;
  }
}

/* Bit rate and whatever else makes the file the same every time. */
static bool configure(SNDFILE *file, const job *j) {
  int kbps = j->options.bitrate_kbps;
  if (j->format == AUDIO_MP3) {
    int mode = SF_BITRATE_MODE_CONSTANT;
    double level = (320.0 - kbps) / 288.0; /* libsndfile spans 32..320 kbit/s with 1..0 */
    /* The level first: the mode is refused while there is none. */
    return sf_command(file, SFC_SET_COMPRESSION_LEVEL, &level, sizeof level) == SF_TRUE &&
           sf_command(file, SFC_SET_BITRATE_MODE, &mode, sizeof mode) == SF_TRUE;
  }
  if (j->format == AUDIO_OPUS) {
    /* and here 6..256 kbit/s for each channel */
    double each = (double)kbps / j->sound->channels, level = each > 256 ? 0 : (256 - each) / 250;
    return sf_command(file, SFC_SET_COMPRESSION_LEVEL, &level, sizeof level) == SF_TRUE;
  }
  /* The peak chunk of a float WAV carries the time of day. */
  if (j->format == AUDIO_WAV32) sf_command(file, SFC_SET_ADD_PEAK_CHUNK, NULL, SF_FALSE);
  return true;
}

/* Writes `frames` of at most BLOCK_FRAMES; false when libsndfile took fewer. */
static bool write_block(SNDFILE *file, const job *j, quantise_dither *dither, const float *in, sf_count_t frames) {
  size_t count = (size_t)frames * (size_t)j->sound->channels;
  union {
    int16_t s16[BLOCK_FRAMES * MAX_CHANNELS];
    int32_t s32[BLOCK_FRAMES * MAX_CHANNELS];
    float f32[BLOCK_FRAMES * MAX_CHANNELS];
  } block;
  if (is_short(j->format, &j->options)) {
    quantise_16(j->options.no_dither ? NULL : dither, in, block.s16, count);
    return sf_writef_short(file, block.s16, frames) == frames;
  }
  switch (j->format) {
    case AUDIO_FLAC: quantise_24(in, block.s32, count); return sf_writef_int(file, block.s32, frames) == frames;
    case AUDIO_WAV32: return sf_writef_float(file, in, frames) == frames;
    default: audio_clip(in, block.f32, count); return sf_writef_float(file, block.f32, frames) == frames;
  }
}

static ace_status write_samples(SNDFILE *file, const job *j, sink *s, ace_error *err) {
  const audio_buffer *b = j->sound;
  quantise_dither dither = {0x5EED};
  for (int64_t at = 0; at < b->frames; at += BLOCK_FRAMES) {
    if (notify_stopped(j->notify)) return ace_fail(err, ACE_ECANCELED, "%s: cancelled", j->path);
    sf_count_t frames = b->frames - at < BLOCK_FRAMES ? b->frames - at : BLOCK_FRAMES;
    bool taken = write_block(file, j, &dither, b->samples + at * b->channels, frames);
    if (s->error) return ACE_OK; /* the caller reports it */
    if (!taken)
      return ace_fail(err, ACE_EINTERNAL, "%s: the %s encoder failed: %s", j->path, audio_format_name(j->format),
                      sf_strerror(file));
  }
  return ACE_OK;
}

/* Encodes into an open file. */
static ace_status encode(const job *j, int fd, ace_error *err) {
  sink s = {.fd = fd};
  if (j->format == AUDIO_AAC)
    return ffmpeg_encode_aac(fd, j->path, j->sound, j->options.bitrate_kbps, j->texts->title, j->texts->comment,
                             j->notify, err);
  ace_status status = j->format == AUDIO_MP3 ? write_id3(&s, j->texts, j->path, err) : ACE_OK;
  if (status != ACE_OK) return status;
  SF_VIRTUAL_IO io = {sink_size, sink_seek, sink_read, sink_write, sink_tell};
  SF_INFO info = {.samplerate = j->sound->sample_rate,
                  .channels = j->sound->channels,
                  .format = sndfile_format(j->format, &j->options)};
  SNDFILE *file = sf_open_virtual(&io, SFM_WRITE, &info, &s);
  if (!file && !s.error)
    return ace_fail(err, ACE_EUNSUPPORTED, "%s: %s at %d Hz cannot be written: %s", j->path,
                    audio_format_name(j->format), info.samplerate, sf_error_number(sf_error(NULL)));
  if (file) {
    if (!configure(file, j) || (j->format != AUDIO_MP3 && !set_tags(file, j->texts)))
      status = ace_fail(err, ACE_EUNSUPPORTED, "%s: the installed libsndfile cannot write such %s files", j->path,
                        audio_format_name(j->format));
    else status = write_samples(file, j, &s, err);
    int closed = sf_close(file);
    if (status == ACE_OK && closed != 0 && !s.error)
      status = ace_fail(err, ACE_EIO, "%s: cannot finish the file: %s", j->path, sf_error_number(closed));
  }
  if (status == ACE_OK && s.error) {
    errno = s.error;
    status = ace_fail_errno(err, "%s: cannot write", j->path);
  }
  if (status == ACE_OK && j->format == AUDIO_OPUS) status = ogg_set_serial(fd, 1, j->path, err);
  return status;
}

/* ---- checks ---------------------------------------------------------------------------------------------- */

static ace_status check(const char *path, const audio_buffer *b, audio_format format, const audio_write_options *o,
                        ace_error *err) {
  if (!sndfile_format(format, o) && format != AUDIO_AAC)
    return ace_fail(err, ACE_EINVAL, "%s: unknown audio format %d", path, (int)format);
  if (b->frames < 1 || b->channels < 1 || b->channels > MAX_CHANNELS)
    return ace_fail(err, ACE_EINVAL, "%s: %lld frames of %d channels cannot be saved, there must be sound in 1 or 2",
                    path, (long long)b->frames, b->channels);
  if (b->sample_rate < AUDIO_RATE_LEAST || b->sample_rate > AUDIO_RATE_MOST)
    return ace_fail(err, ACE_EINVAL, "%s: a sample rate of %d Hz is outside %d..%d", path, b->sample_rate,
                    AUDIO_RATE_LEAST, AUDIO_RATE_MOST);
  if (format == AUDIO_FLAC && o->flac_bits != 0 && o->flac_bits != 16 && o->flac_bits != 24)
    return ace_fail(err, ACE_EINVAL, "%s: flac_bits %d is neither 16 nor 24", path, o->flac_bits);
  int kbps = o->bitrate_kbps;
  bool lossy = format == AUDIO_MP3 || format == AUDIO_OPUS || format == AUDIO_AAC;
  if (lossy && kbps != 128 && kbps != 192 && kbps != 256 && kbps != 320)
    return ace_fail(err, ACE_EINVAL, "%s: a bit rate of %d kbit/s is not one of 128, 192, 256, 320", path, kbps);
  if (format == AUDIO_MP3 && o->mp3_sample_rate != 44100 && o->mp3_sample_rate != 48000)
    return ace_fail(err, ACE_EINVAL, "%s: mp3_sample_rate %d is neither 44100 nor 48000", path, o->mp3_sample_rate);
  int64_t frame = b->channels * (format == AUDIO_WAV ? 2 : 4), most = ((int64_t)1 << 32) - (1 << 20);
  if ((format == AUDIO_WAV || format == AUDIO_WAV32) && b->frames > most / frame)
    return ace_fail(err, ACE_EINVAL, "%s: the sound passes the 4 GiB that a WAV file can hold, choose flac", path);
  if (!audio_is_finite(b))
    return ace_fail(err, ACE_EINVAL, "%s: the sound holds samples that are not numbers and cannot be saved", path);
  return ACE_OK;
}

static int file_rate(const audio_buffer *b, audio_format format, const audio_write_options *o) {
  if (format == AUDIO_MP3) return o->mp3_sample_rate;
  return format == AUDIO_OPUS || format == AUDIO_AAC ? 48000 : b->sample_rate;
}

static ace_status write_job(const job *j, ace_error *err) {
  file_writer w;
  ace_status status = file_writer_open(&w, j->path, err);
  if (status != ACE_OK) return status;
  status = encode(j, w.fd, err);
  if (status == ACE_OK) return file_writer_commit(&w, err);
  file_writer_abort(&w);
  return status;
}

ace_status audio_write(const char *path, const audio_buffer *b, audio_format format, const audio_write_options *options,
                       const audio_tags *tags, const ace_callbacks *notify, ace_error *err) {
  audio_write_options o = options ? *options : audio_default_write_options();
  ace_status status = check(path, b, format, &o, err);
  if (status != ACE_OK) return status;
  tag_texts *texts = calloc(1, sizeof *texts);
  if (!texts) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  if (tags) make_texts(texts, tags);

  audio_buffer resampled = {0};
  if (file_rate(b, format, &o) != b->sample_rate)
    status = audio_resampled(b, file_rate(b, format, &o), &resampled, err);
  if (status == ACE_OK && resampled.samples && !audio_is_finite(&resampled))
    status = ace_fail(err, ACE_EINVAL, "%s: the sound holds samples beyond every scale and cannot be saved", path);
  job j = {path, resampled.samples ? &resampled : b, format, o, texts, notify};
  if (status == ACE_OK) status = write_job(&j, err);
  audio_buffer_free(&resampled);
  free(texts);
  return status;
}
