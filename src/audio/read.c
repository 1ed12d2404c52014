/* Sound files into memory by libsndfile. It is given bytes through callbacks and never a path: with a path it would go
 * by the extension and by side files, and a name like "x.gsm" would turn any bytes into noise. */
#include "audio/read.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/ffmpeg.h"
#include "audio/process.h"
#include "audio/resample.h"

/* ---- where the bytes come from --------------------------------------------------------------------------- */

typedef struct source {
  const uint8_t *data; /* or NULL and a file */
  int fd;
  sf_count_t size, position;
  int error; /* errno of the first failed read */
} source;

static sf_count_t source_size(void *user) {
  return ((source *)user)->size;
}

static sf_count_t source_tell(void *user) {
  return ((source *)user)->position;
}

static sf_count_t source_seek(sf_count_t offset, int whence, void *user) {
  source *s = user;
  sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->position : s->size;
  /* Offsets come out of file headers: stay inside, and never overflow on the way. */
  if (offset < -from) s->position = 0;
  else if (offset > s->size - from) s->position = s->size;
  else s->position = from + offset;
  return s->position;
}

static sf_count_t source_read(void *to, sf_count_t count, void *user) {
  source *s = user;
  if (count > s->size - s->position) count = s->size - s->position;
  if (count <= 0) return 0;
  sf_count_t got = 0;
  if (s->data) {
    memcpy(to, s->data + s->position, (size_t)count);
    got = count;
  }
  while (got < count) {
    ssize_t n = pread(s->fd, (char *)to + got, (size_t)(count - got), (off_t)(s->position + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && !s->error) s->error = errno;
    if (n <= 0) break;
    got += n;
  }
  s->position += got;
  return got;
}

/* ---- what they are --------------------------------------------------------------------------------------- */

/* A container that people have sound in, as far as its first bytes tell; libsndfile knows two dozen more that nobody
 * uploads, and each of their parsers would be one more way in. */
static bool known_container(const uint8_t head[16]) {
  static const struct {
    int at;
    const char *magic;
  } known[] = {{0, "RIFF"}, {0, "RIFX"}, {0, "RF64"}, {0, "riff"}, {8, "AIFF"}, {8, "AIFC"},
               {0, ".snd"}, {0, "caff"}, {0, "fLaC"}, {0, "OggS"}, {0, "ID3"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (memcmp(head + known[i].at, known[i].magic, strlen(known[i].magic)) == 0) return true;
  /* An MPEG frame starts with eleven set bits; layer bits 00 are AAC in ADTS, not MP3. */
  return head[0] == 0xFF && (head[1] & 0xE0) == 0xE0 && (head[1] & 0x06) != 0;
}

static bool known_format(int format) {
  switch (format & SF_FORMAT_TYPEMASK) {
    case SF_FORMAT_WAV:
    case SF_FORMAT_WAVEX:
    case SF_FORMAT_RF64:
    case SF_FORMAT_W64:
    case SF_FORMAT_AIFF:
    case SF_FORMAT_AU:
    case SF_FORMAT_CAF:
    case SF_FORMAT_FLAC:
    case SF_FORMAT_OGG:
    case SF_FORMAT_MPEG: return true;
    default: return false;
  }
}

/* *container: what ffmpeg calls it; NULL when libsndfile reads it. */
static ace_status check_head(source *s, const char *where, const char **container, ace_error *err) {
  uint8_t head[16] = {0};
  sf_count_t got = source_read(head, sizeof head, s);
  source_seek(0, SEEK_SET, s);
  if (s->error) {
    errno = s->error;
    return ace_fail_errno(err, "%s: cannot read", where);
  }
  if (got == 0) return ace_fail(err, ACE_EFORMAT, "%s: the file is empty", where);
  *container = ffmpeg_container(head);
  if (!*container && !known_container(head))
    return ace_fail(err, ACE_EFORMAT,
                    "%s: not a sound file (wav, flac, mp3, ogg, opus, m4a, aac, webm, aiff, au and caf are read)",
                    where);
  return ACE_OK;
}

/* ---- decoding -------------------------------------------------------------------------------------------- */

audio_limits audio_default_limits(void) {
  return (audio_limits){.seconds = 3600, .samples = (int64_t)1 << 29};
}

/* Makes room for `frames` more, doubling. Only what was decoded asks for memory, so a header cannot. */
static bool reserve(audio_buffer *b, int64_t *room, int64_t frames) {
  if (b->frames + frames <= *room) return true;
  int64_t wanted = *room * 2 > b->frames + frames ? *room * 2 : b->frames + frames;
  float *p = realloc(b->samples, (size_t)(wanted * b->channels) * sizeof *p);
  if (!p) return false;
  b->samples = p;
  *room = wanted;
  return true;
}

ace_status audio_too_long(const char *where, const audio_limits *limits, const audio_buffer *b, ace_error *err) {
  double seconds = (double)limits->samples / b->channels / b->sample_rate;
  if (seconds > limits->seconds) seconds = limits->seconds;
  return ace_fail(err, ACE_EINVAL, "%s: longer than the %.1f seconds that can be read at %d Hz and %d channels", where,
                  seconds, b->sample_rate, b->channels);
}

static ace_status decode(SNDFILE *file, const char *where, const audio_limits *limits, audio_buffer *b,
                         ace_error *err) {
  /* Small blocks: libsndfile drops the block in which an MP3 stream breaks. */
  enum { BLOCK_SAMPLES = 1 << 12 };
  int64_t block = BLOCK_SAMPLES / b->channels, room = 0, got;
  do {
    if (!reserve(b, &room, block))
      return ace_fail(err, ACE_ENOMEM, "%s: out of memory after %.1f seconds of sound", where, audio_seconds(b));
    got = sf_readf_float(file, b->samples + b->frames * b->channels, block);
    if (got > 0) b->frames += got;
    if (b->frames * b->channels > limits->samples || audio_seconds(b) > limits->seconds)
      return audio_too_long(where, limits, b, err);
  } while (got > 0);
  return ACE_OK;
}

/* Whether everything that the file promised has come out. */
static ace_status check_end(SNDFILE *file, const SF_INFO *info, const source *s, const char *where,
                            const audio_buffer *b, ace_error *err) {
  if (s->error) {
    errno = s->error;
    return ace_fail_errno(err, "%s: cannot read", where);
  }
  int container = info->format & SF_FORMAT_TYPEMASK;
  /* A FLAC header states its length; when it does not, libsndfile says "the largest count there is". */
  bool bad = sf_error(file) != SF_ERR_NO_ERROR ||
             (container == SF_FORMAT_FLAC && info->frames != SF_COUNT_MAX && b->frames < info->frames);
  /* Behind the last frame of an MP3 there may be tags of other kinds, which the decoder takes for a damaged stream. */
  if (container == SF_FORMAT_MPEG && (double)b->frames >= 0.9 * (double)info->frames) bad = false;
  if (bad)
    return ace_fail(err, ACE_EFORMAT, "%s: damaged or cut short after %.2f seconds of sound", where, audio_seconds(b));
  if (b->frames == 0) return ace_fail(err, ACE_EFORMAT, "%s: there is no sound in the file", where);
  return ACE_OK;
}

static ace_status check_shape(int channels, int rate, const char *where, ace_error *err) {
  if (channels < 1 || channels > AUDIO_CHANNELS_MOST)
    return ace_fail(err, ACE_EFORMAT, "%s: %d channels, outside 1..%d", where, channels, AUDIO_CHANNELS_MOST);
  if (rate < AUDIO_RATE_LEAST || rate > AUDIO_RATE_MOST)
    return ace_fail(err, ACE_EFORMAT, "%s: a sample rate of %d Hz, outside %d..%d", where, rate, AUDIO_RATE_LEAST,
                    AUDIO_RATE_MOST);
  return ACE_OK;
}

static ace_status read_open(SNDFILE *file, const SF_INFO *info, const source *s, const char *where,
                            const audio_limits *limits, audio_buffer *b, ace_error *err) {
  if (!known_format(info->format)) return ace_fail(err, ACE_EFORMAT, "%s: not a sound format that is read here", where);
  ace_status status = check_shape(info->channels, info->samplerate, where, err);
  if (status != ACE_OK) return status;
  b->channels = info->channels;
  b->sample_rate = info->samplerate;
  status = decode(file, where, limits, b, err);
  return status == ACE_OK ? check_end(file, info, s, where, b, err) : status;
}

/* ffmpeg is given a file; bytes in memory become one without a name. */
static ace_status read_with_ffmpeg(const source *s, const char *container, const char *where,
                                   const audio_limits *limits, audio_buffer *out, ace_error *err) {
  FILE *copy = NULL;
  ace_status status = ACE_OK;
  if (s->data) {
    copy = tmpfile();
    if (!copy || fwrite(s->data, 1, (size_t)s->size, copy) != (size_t)s->size || fflush(copy) != 0)
      status = ace_fail_errno(err, "%s: cannot make a temporary file of it", where);
  }
  if (status == ACE_OK) status = ffmpeg_decode(copy ? fileno(copy) : s->fd, container, where, limits, out, err);
  if (copy) fclose(copy);
  if (status == ACE_OK) status = check_shape(out->channels, out->sample_rate, where, err);
  if (status != ACE_OK) audio_buffer_free(out);
  return status;
}

/* Opens what libsndfile reads. *container: what ffmpeg is to be told; then there is no *file. */
static ace_status open_source(source *s, const char *where, const char **container, SNDFILE **file, SF_INFO *info,
                              SF_VIRTUAL_IO *io, ace_error *err) {
  *file = NULL;
  ace_status status = check_head(s, where, container, err);
  if (status != ACE_OK || *container) return status;
  *io = (SF_VIRTUAL_IO){source_size, source_seek, source_read, NULL, source_tell};
  *info = (SF_INFO){0};
  *file = sf_open_virtual(io, SFM_READ, info, s);
  if (*file) return ACE_OK;
  return ace_fail(err, ACE_EFORMAT, "%s: the header is damaged or the encoding unknown (libsndfile: %s)", where,
                  sf_error_number(sf_error(NULL)));
}

static ace_status read_source(source *s, const char *where, const audio_limits *limits, audio_buffer *out,
                              ace_error *err) {
  const char *container;
  SNDFILE *file;
  SF_INFO info;
  SF_VIRTUAL_IO io;
  ace_status status = open_source(s, where, &container, &file, &info, &io, err);
  if (status != ACE_OK) return status;
  if (container) return read_with_ffmpeg(s, container, where, limits, out, err);
  status = read_open(file, &info, s, where, limits, out, err);
  sf_close(file);
  if (status != ACE_OK) {
    audio_buffer_free(out);
    return status;
  }
  float *fitted = realloc(out->samples, (size_t)(out->frames * out->channels) * sizeof *fitted);
  if (fitted) out->samples = fitted;
  return ACE_OK;
}

/* The file as a source; s->fd is to be closed. */
static ace_status open_path(const char *path, source *s, ace_error *err) {
  /* O_NONBLOCK: a pipe in the place of a file must not hang the program. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  ace_status status = ACE_OK;
  if (fd < 0 || fstat(fd, &st) != 0) status = ace_fail_errno(err, "%s: cannot open", path);
  else if (!S_ISREG(st.st_mode)) status = ace_fail(err, ACE_EFORMAT, "%s: not a regular file", path);
  if (status == ACE_OK) *s = (source){.fd = fd, .size = st.st_size};
  else if (fd >= 0) close(fd);
  return status;
}

ace_status audio_read(const char *path, audio_buffer *out, ace_error *err) {
  *out = (audio_buffer){0};
  audio_limits limits = audio_default_limits();
  source s;
  ace_status status = open_path(path, &s, err);
  if (status != ACE_OK) return status;
  status = read_source(&s, path, &limits, out, err);
  close(s.fd);
  return status;
}

ace_status audio_length(const char *path, double *seconds, ace_error *err) {
  *seconds = 0;
  const char *container;
  SNDFILE *file;
  SF_INFO info;
  SF_VIRTUAL_IO io;
  source s;
  ace_status status = open_path(path, &s, err);
  if (status != ACE_OK) return status;
  status = open_source(&s, path, &container, &file, &info, &io, err);
  if (file) {
    if (!known_format(info.format))
      status = ace_fail(err, ACE_EFORMAT, "%s: not a sound format that is read here", path);
    if (status == ACE_OK) status = check_shape(info.channels, info.samplerate, path, err);
    if (status == ACE_OK && info.frames > 0 && info.frames < SF_COUNT_MAX)
      *seconds = (double)info.frames / info.samplerate;
    sf_close(file);
  }
  close(s.fd);
  if (status != ACE_OK || *seconds > 0) return status;
  audio_buffer b; /* the file does not say */
  status = audio_read(path, &b, err);
  if (status == ACE_OK) *seconds = audio_seconds(&b);
  audio_buffer_free(&b);
  return status;
}

ace_status audio_read_memory(const void *data, size_t size, const char *where, const audio_limits *limits,
                             audio_buffer *out, ace_error *err) {
  *out = (audio_buffer){0};
  if (!data || size == 0 || size > (size_t)PTRDIFF_MAX)
    return ace_fail(err, ACE_EFORMAT, "%s: the file is empty", where);
  audio_limits defaults = audio_default_limits();
  source s = {.data = data, .fd = -1, .size = (sf_count_t)size};
  return read_source(&s, where, limits ? limits : &defaults, out, err);
}

/* ---- the models' form ------------------------------------------------------------------------------------ */

/* [frames, channels] to [frames, 2]: mono doubled, else the first two. */
static ace_status make_stereo(audio_buffer *b, ace_error *err) {
  if (b->channels == 2) return ACE_OK;
  audio_buffer out;
  ace_status status = audio_buffer_new(&out, b->frames, 2, b->sample_rate, err);
  if (status != ACE_OK) return status;
  int second = b->channels > 1 ? 1 : 0;
  for (int64_t i = 0; i < b->frames; i++) {
    out.samples[2 * i] = b->samples[i * b->channels];
    out.samples[2 * i + 1] = b->samples[i * b->channels + second];
  }
  audio_buffer_free(b);
  *b = out;
  return ACE_OK;
}

ace_status audio_to_model(audio_buffer *b, int sample_rate, ace_error *err) {
  static const char *message = "audio: the sound holds samples that are not numbers or beyond every scale";
  if (b->channels < 1) return ace_fail(err, ACE_EINVAL, "audio: there is no sound to convert");
  ace_status status = make_stereo(b, err);
  if (status != ACE_OK) return status;
  if (!audio_is_finite(b)) return ace_fail(err, ACE_EFORMAT, "%s", message);
  status = audio_resample(b, sample_rate, err);
  if (status != ACE_OK) return status;
  /* Values near the end of the float range may overflow inside the resampler. */
  if (!audio_is_finite(b)) return ace_fail(err, ACE_EFORMAT, "%s", message);
  audio_clip(b->samples, b->samples, (size_t)b->frames * 2);
  return ACE_OK;
}
