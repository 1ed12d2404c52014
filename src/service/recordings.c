#include "service/recordings.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audio/read.h"
#include "base/file.h"
#include "base/random.h"
#include "base/strings.h"
#include "request/text.h"
#include "service/peaks.h"
#include "service/service_inner.h"

enum { ID_BYTES = 16, ID_SIZE = 2 * ID_BYTES + 1, NAME_MOST = 200 };

static const char kind[] = "upload";

/* ---- places ------------------------------------------------------------------------------------------------------ */

static bool is_id(const char *id) {
  return strlen(id) == ID_SIZE - 1 && strspn(id, "0123456789abcdef") == ID_SIZE - 1;
}

static char *place(const service *s, const char *id, const char *what) {
  char name[ID_SIZE + 16];
  snprintf(name, sizeof name, "%s.%s", id, what);
  return file_join(s->recordings, name);
}

static ace_status new_id(char out[ID_SIZE], ace_error *err) {
  unsigned char b[ID_BYTES];
  if (!random_bytes(b, sizeof b)) return ace_fail_errno(err, "upload: no random numbers");
  for (int i = 0; i < ID_BYTES; i++) snprintf(out + 2 * i, 3, "%02x", b[i]);
  return ACE_OK;
}

static uint64_t bytes_of(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static uint64_t bytes_kept(const service *s) {
  DIR *dir = opendir(s->recordings);
  struct stat st;
  uint64_t sum = 0;
  for (struct dirent *e; dir && (e = readdir(dir));)
    if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
      sum += (uint64_t)st.st_size;
  if (dir) closedir(dir);
  return sum;
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

/* The name without folders, as far as it is text. */
static json_t *label(const char *name) {
  const char *slash = strrchr(name, '/'), *back = strrchr(name, '\\');
  if (back > slash) slash = back;
  if (slash) name = slash + 1;
  size_t n = strnlen(name, NAME_MOST);
  while (n > 0 && !req_utf8_valid(name, n)) n--;
  return json_stringn(name, n);
}

static ace_status refuse(recording_fault *why, recording_fault fault, ace_status status, const char *message,
                         ace_error *err) {
  *why = fault;
  return ace_fail(err, status, "%s", message);
}

/* Sound that can be used? One is decoded at a time: an hour takes more than a gigabyte. */
static ace_status check_sound(service *s, const char *file, const char *id, audio_buffer *sound, recording_fault *why,
                              ace_error *err) {
  ace_error cause;
  if (audio_read(file, sound, &cause) != ACE_OK)
    return refuse(why, RECORDING_BAD, cause.status == ACE_ENOMEM ? ACE_ENOMEM : ACE_EFORMAT,
                  cause.status == ACE_EUNSUPPORTED ? "this kind of file needs ffmpeg on the server; WAV, FLAC, Ogg and "
                                                     "MP3 do not"
                                                   : "this is no sound that can be read; WAV, FLAC, Ogg, Opus and MP3 "
                                                     "are",
                  err);
  if (audio_seconds(sound) > RECORDING_SECONDS)
    return refuse(why, RECORDING_LONG, ACE_EINVAL, "the recording is longer than half an hour", err);
  if (!audio_is_finite(sound)) return refuse(why, RECORDING_BAD, ACE_EFORMAT, "the sound is not finite", err);
  if (audio_is_silent(sound)) return refuse(why, RECORDING_SILENT, ACE_EINVAL, "the recording is silent", err);
  char *path = place(s, id, "peaks");
  ace_status status = path ? peaks_write(path, sound->samples, sound->frames, sound->channels, sound->sample_rate, err)
                           : ace_fail(err, ACE_ENOMEM, "upload: out of memory");
  free(path);
  return status;
}

static json_t *described(const char *id, const char *name, const audio_buffer *sound, uint64_t bytes) {
  return json_pack("{s:s, s:o, s:f, s:i, s:i, s:I}", "id", id, "name", label(name), "seconds", audio_seconds(sound),
                   "channels", sound->channels, "sample_rate", sound->sample_rate, "bytes", (json_int_t)bytes);
}

static ace_status keep(service *s, const char *session, const char *file, const char *id, const json_t *about,
                       recording_fault *why, ace_error *err) {
  char *path = place(s, id, "sound");
  ace_status status = path ? ACE_OK : ace_fail(err, ACE_ENOMEM, "upload: out of memory");
  if (status == ACE_OK && rename(file, path) != 0) status = ace_fail_errno(err, "upload: cannot be stored");
  if (status == ACE_OK) {
    status = jobs_keep(s->jobs, session, kind, id, about, RECORDINGS_MOST, err);
    if (status == ACE_EBUSY) *why = RECORDING_QUOTA;
    if (status != ACE_OK) unlink(path);
  }
  free(path);
  return status;
}

json_t *recording_add(service *s, const char *session, const char *file, const char *name, recording_fault *why,
                      ace_error *err) {
  char id[ID_SIZE];
  audio_buffer sound = {0};
  json_t *about = NULL;
  uint64_t bytes = bytes_of(file);
  *why = RECORDING_ERROR;
  ace_status status = new_id(id, err);
  pthread_mutex_lock(&s->decoding);
  if (status == ACE_OK && bytes_kept(s) + bytes > s->options.most_recordings)
    status = refuse(why, RECORDING_QUOTA, ACE_EBUSY, "there is no more room for uploads; remove some", err);
  if (status == ACE_OK) status = check_sound(s, file, id, &sound, why, err);
  if (status == ACE_OK && !(about = described(id, name, &sound, bytes)))
    status = ace_fail(err, ACE_ENOMEM, "upload: out of memory");
  audio_buffer_free(&sound);
  if (status == ACE_OK) status = keep(s, session, file, id, about, why, err);
  pthread_mutex_unlock(&s->decoding);
  if (status == ACE_OK) {
    *why = RECORDING_FINE;
    return about;
  }
  char *peaks = place(s, id, "peaks");
  if (peaks) unlink(peaks);
  free(peaks);
  json_decref(about);
  return NULL;
}

/* ---- using, removing --------------------------------------------------------------------------------------------- */

static char *known_place(service *s, const char *session, const char *id, const char *what, ace_error *err) {
  json_t *about = is_id(id) ? jobs_recall(s->jobs, session, kind, id, true, err) : NULL;
  if (!about) {
    if (!is_id(id)) ace_fail(err, ACE_ENOTFOUND, "upload %.40s: there is none", id);
    return NULL;
  }
  json_decref(about);
  char *path = place(s, id, what);
  if (!path) ace_fail(err, ACE_ENOMEM, "upload: out of memory");
  return path;
}

char *recording_path(service *s, const char *session, const char *id, ace_error *err) {
  return known_place(s, session, id, "sound", err);
}

char *recording_peaks(service *s, const char *session, const char *id, ace_error *err) {
  return known_place(s, session, id, "peaks", err);
}

static void unlink_both(const service *s, const char *id) {
  char *sound = place(s, id, "sound"), *peaks = place(s, id, "peaks");
  if (sound) unlink(sound);
  if (peaks) unlink(peaks);
  free(sound), free(peaks);
}

ace_status recording_remove(service *s, const char *session, const char *id, ace_error *err) {
  if (!is_id(id)) return ace_fail(err, ACE_ENOTFOUND, "upload %.40s: there is none", id);
  ace_status status = jobs_forget(s->jobs, session, kind, id, err);
  if (status == ACE_OK) unlink_both(s, id);
  return status;
}

json_t *recordings_of(service *s, const char *session, ace_error *err) {
  json_t *all = jobs_recall_all(s->jobs, session, kind, err), *list = all ? json_array() : NULL, *about;
  const char *id;
  json_object_foreach(all, id, about) json_array_append(list, about);
  json_decref(all);
  return list;
}

/* Files that were stored, but of which the database heard nothing: the program died in between. */
static void sweep_unknown(service *s, double age) {
  DIR *dir = opendir(s->recordings);
  struct stat st;
  time_t before = time(NULL) - (time_t)age;
  for (struct dirent *e; dir && (e = readdir(dir));) {
    bool old = fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
               st.st_mtime < before && st.st_atime < before;
    char id[ID_SIZE] = "";
    snprintf(id, sizeof id, "%.*s", ID_SIZE - 1, e->d_name);
    if (old && is_id(id) && !jobs_is_kept(s->jobs, kind, id)) unlinkat(dirfd(dir), e->d_name, 0);
  }
  if (dir) closedir(dir);
}

void recordings_sweep(service *s, double age) {
  for (jobs_kept old; jobs_oldest_kept(s->jobs, kind, age, &old);) {
    bool gone = true;
    if (jobs_mention(s->jobs, old.name)) json_decref(jobs_recall(s->jobs, old.session, kind, old.name, true, NULL));
    else gone = recording_remove(s, old.session, old.name, NULL) == ACE_OK;
    free(old.session), free(old.name);
    json_decref(old.value);
    if (!gone) break;
  }
  sweep_unknown(s, age);
}
