#include "audio/ffmpeg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "audio/au_stream.h"
#include "audio/child.h"
#include "audio/process.h"
#include "base/notify.h"

/* Its input and output files are these, opened again by it so that it can seek in them. */
static const char IN[] = "/dev/fd/0", OUT[] = "/dev/fd/1";

static ace_status absent(const char *task, ace_error *err) {
  return ace_fail(err, ACE_EUNSUPPORTED,
                  "%s needs the program ffmpeg, which is not installed (Debian: apt-get install ffmpeg); or take wav, "
                  "flac, mp3 or opus",
                  task);
}

ace_status ffmpeg_check(const char *task, ace_error *err) {
  char *program = child_find("ffmpeg");
  bool there = program != NULL;
  free(program);
  return there ? ACE_OK : absent(task, err);
}

const char *ffmpeg_container(const uint8_t head[16]) {
  if (memcmp(head + 4, "ftyp", 4) == 0) return "mov";
  if (memcmp(head, "\x1A\x45\xDF\xA3", 4) == 0) return "matroska";
  return head[0] == 0xFF && (head[1] & 0xF6) == 0xF0 ? "aac" : NULL; /* ADTS */
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

static bool take_sound(void *user, const uint8_t *data, size_t size) {
  return au_stream_take(user, data, size);
}

ace_status ffmpeg_decode(int fd, const char *container, const char *where, const audio_limits *limits,
                         audio_buffer *out, ace_error *err) {
  char words[CHILD_WORDS] = "", task[512], seconds[32], *program = child_find("ffmpeg");
  snprintf(task, sizeof task, "%.400s: reading this file", where);
  if (!program) return absent(task, err);
  snprintf(seconds, sizeof seconds, "%.0f", limits->seconds + 2);
  const char *const argv[] = {program, "-nostdin", "-v",      "error",     "-protocol_whitelist",
                              "file",  "-f",       container, "-i",        IN,
                              "-map",  "0:a:0",    "-vn",     "-sn",       "-dn",
                              "-t",    seconds,    "-c:a",    "pcm_f32be", "-f",
                              "au",    "pipe:1",   NULL};
  au_stream sound = {.limits = limits, .out = out};
  child_streams streams = {.in = fd, .out = -1, .take = take_sound, .user = &sound};
  ace_error cause;
  ace_status status = child_run(argv, &streams, words, &cause);
  free(program);
  if (status == ACE_OK) return au_stream_end(&sound, where, err);
  audio_buffer_free(out);
  return ace_fail(err, status == ACE_EIO ? ACE_EFORMAT : status, "%s: damaged or of an unknown kind (ffmpeg: %s)",
                  where, *words ? words : cause.message);
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

typedef struct feeder {
  const audio_buffer *b;
  const ace_callbacks *notify;
  int64_t at; /* frame */
  float block[4096];
} feeder;

/* Samples within full scale: what a listener would get from any other format. */
static void give_sound(void *user, const void **data, size_t *size) {
  feeder *f = user;
  int channels = f->b->channels;
  int64_t most = (int64_t)(sizeof f->block / sizeof *f->block) / channels, left = f->b->frames - f->at;
  int64_t frames = left < most ? left : most;
  audio_clip(f->b->samples + f->at * channels, f->block, (size_t)(frames * channels));
  f->at += frames;
  *data = f->block;
  *size = (size_t)(frames * channels) * sizeof *f->block;
}

static bool stopped(void *user) {
  const feeder *f = user;
  return notify_stopped(f->notify);
}

static bool in_mp4(const char *path) {
  const char *dot = strrchr(path, '.');
  return dot && (strcasecmp(dot, ".m4a") == 0 || strcasecmp(dot, ".mp4") == 0);
}

/* "title=Rain"; free() it. */
static char *tag(const char *name, const char *text) {
  size_t size = strlen(name) + 1 + strlen(text) + 1;
  char *out = malloc(size);
  if (out) snprintf(out, size, "%s=%s", name, text);
  return out;
}

ace_status ffmpeg_encode_aac(int fd, const char *path, const audio_buffer *b, int kbps, const char *title,
                             const char *comment, const ace_callbacks *notify, ace_error *err) {
  char words[CHILD_WORDS] = "", rate[16], channels[16], bits[16], *program = child_find("ffmpeg");
  if (!program) return absent("writing AAC", err);
  char *title_tag = tag("title", title), *comment_tag = tag("comment", comment);
  feeder *f = malloc(sizeof *f);
  ace_status status = ACE_ENOMEM;
  ace_error cause = {.message = "out of memory"};
  if (f && title_tag && comment_tag) {
    snprintf(rate, sizeof rate, "%d", b->sample_rate);
    snprintf(channels, sizeof channels, "%d", b->channels);
    snprintf(bits, sizeof bits, "%dk", kbps);
    /* "bitexact": no dates, no versions, the same file every time. */
    const char *const argv[] = {program,
                                "-nostdin",
                                "-v",
                                "error",
                                "-f",
                                "f32le",
                                "-ar",
                                rate,
                                "-ac",
                                channels,
                                "-i",
                                "pipe:0",
                                "-map_metadata",
                                "-1",
                                "-fflags",
                                "+bitexact",
                                "-flags:a",
                                "+bitexact",
                                "-metadata",
                                title_tag,
                                "-metadata",
                                comment_tag,
                                "-c:a",
                                "aac",
                                "-b:a",
                                bits,
                                "-y",
                                "-f",
                                in_mp4(path) ? "ipod" : "adts",
                                OUT,
                                NULL};
    *f = (feeder){.b = b, .notify = notify};
    child_streams streams = {.in = -1, .out = fd, .give = give_sound, .cancelled = stopped, .user = f};
    status = child_run(argv, &streams, words, &cause);
  }
  free(f), free(title_tag), free(comment_tag), free(program);
  if (status == ACE_OK) return ACE_OK;
  return ace_fail(err, status, "%s: cannot write AAC: %s", path, *words ? words : cause.message);
}
