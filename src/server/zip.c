#include "server/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "server/media.h"

enum { BLOCK = 64 * 1024, KINDS = 4 };

/* What lies beside the sound of a sample. */
static const char *const beside[KINDS - 1] = {"json", "lrc", "vtt"};

typedef struct zipping {
  http *http;
  jobs *jobs;
  json_t *list;
  size_t job, sample;
  int kind; /* of the next file of that sample: 0 its sound, then those beside it */
  struct archive *archive;
  int file;      /* that is being read, or -1 */
  uint64_t left; /* of it */
  char *made;    /* of the zip, not sent yet */
  size_t size, room, sent;
  bool ended, failed;
} zipping;

static la_ssize_t take(struct archive *a, void *user, const void *data, size_t n) {
  zipping *z = user;
  if (z->size + n > z->room) {
    char *grown = realloc(z->made, z->room = 2 * (z->size + n));
    if (!grown) {
      z->failed = true;
      return -1;
    }
    z->made = grown;
  }
  memcpy(z->made + z->size, data, n);
  z->size += n;
  return (la_ssize_t)n;
}

static void end(void *source) {
  zipping *z = source;
  archive_write_free(z->archive);
  if (z->file >= 0) close(z->file);
  json_decref(z->list);
  free(z->made);
  free(z);
}

/* ---- the next file ----------------------------------------------------------------------------------------------- */

/* "batch 3/2 title.mp3" */
static void name_of(const json_t *job, const json_t *sample, const char *extension, char *out, size_t size) {
  char title[MEDIA_NAME], batch[32];
  json_int_t number = json_integer_value(json_object_get(job, "batch"));
  int item = (int)json_integer_value(json_object_get(sample, "item"));
  const char *named = json_text(json_object_get(sample, "about"), "title");
  media_file_name(*named ? named : "song", title);
  if (number) snprintf(batch, sizeof batch, "batch %lld", (long long)number);
  else snprintf(batch, sizeof batch, "%.8s", json_text(job, "id"));
  snprintf(out, size, "%s/%d %s%s", batch, item + 1, title, extension);
}

static bool begin_file(zipping *z, const char *path, const char *name) {
  struct stat st;
  z->file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (z->file < 0 || fstat(z->file, &st) != 0 || !S_ISREG(st.st_mode)) {
    if (z->file >= 0) close(z->file);
    z->file = -1;
    return false;
  }
  struct archive_entry *entry = archive_entry_new();
  archive_entry_set_pathname_utf8(entry, name);
  archive_entry_set_size(entry, st.st_size);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_entry_set_mtime(entry, st.st_mtime, 0);
  z->left = (uint64_t)st.st_size;
  if (archive_write_header(z->archive, entry) != ARCHIVE_OK) z->failed = true;
  archive_entry_free(entry);
  return true;
}

/* One of the files of a sample; false: there is none of that kind. */
static bool begin_kind(zipping *z, const json_t *job, const json_t *sample, int kind) {
  char name[32], path_in_zip[256], extension[16];
  const char *sound = json_text(sample, "file"), *dot = strrchr(sound, '.');
  int item = (int)json_integer_value(json_object_get(sample, "item"));
  if (kind == 0) snprintf(name, sizeof name, "%.20s", sound);
  else snprintf(name, sizeof name, "%d.%s", item + 1, beside[kind - 1]);
  if (kind == 0) snprintf(extension, sizeof extension, "%.10s", dot ? dot : "");
  else snprintf(extension, sizeof extension, ".%s", beside[kind - 1]);
  name_of(job, sample, extension, path_in_zip, sizeof path_in_zip);
  char *folder = jobs_folder(z->jobs, json_text(job, "id")), *path = folder ? file_join(folder, name) : NULL;
  bool begun = path && begin_file(z, path, path_in_zip);
  free(folder), free(path);
  return begun;
}

/* Moves on to the next file that is there; false: there is none left. */
static bool begin_next(zipping *z) {
  while (z->job < json_array_size(z->list)) {
    const json_t *job = json_array_get(z->list, z->job), *samples = json_object_get(job, "samples");
    if (z->sample == json_array_size(samples)) {
      z->job++, z->sample = 0;
      continue;
    }
    int kind = z->kind++;
    if (kind == KINDS) z->sample++, z->kind = 0;
    else if (begin_kind(z, job, json_array_get(samples, z->sample), kind)) return true;
  }
  return false;
}

/* ---- as a stream ------------------------------------------------------------------------------------------------- */

static void copy_some(zipping *z) {
  char block[BLOCK];
  ssize_t n = read(z->file, block, z->left < sizeof block ? (size_t)z->left : sizeof block);
  if (n > 0 && archive_write_data(z->archive, block, (size_t)n) == n) z->left -= (uint64_t)n;
  else if (z->left > 0) z->failed = true; /* it got shorter, or cannot be read: the zip ends unfinished */
  if (z->left > 0) return;
  close(z->file);
  z->file = -1;
}

/* Makes more of the zip. */
static void go_on(zipping *z) {
  if (z->file >= 0) copy_some(z);
  else if (!begin_next(z)) {
    z->ended = true;
    if (archive_write_close(z->archive) != ARCHIVE_OK) z->failed = true;
  }
}

static size_t next(void *source, char *out, size_t room) {
  zipping *z = source;
  while (z->sent == z->size) {
    z->sent = z->size = 0;
    if (z->ended || z->failed || http_closing(z->http)) return 0;
    go_on(z);
  }
  size_t n = z->size - z->sent < room ? z->size - z->sent : room;
  memcpy(out, z->made + z->sent, n);
  z->sent += n;
  return n;
}

void zip_send(call *c, json_t *list) {
  zipping *z = calloc(1, sizeof *z);
  struct archive *a = z ? archive_write_new() : NULL;
  bool ok = a && archive_write_set_format_zip(a) == ARCHIVE_OK &&
            archive_write_zip_set_compression_store(a) == ARCHIVE_OK &&
            archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&
            archive_write_open(a, z, NULL, take, NULL) == ARCHIVE_OK;
  if (!ok) {
    archive_write_free(a);
    free(z);
    json_decref(list);
    refuse(c, 500, NULL, NULL, "out of memory");
    return;
  }
  z->http = http_of(c->http), z->jobs = service_jobs(c->service), z->list = list, z->archive = a, z->file = -1;
  media_set_name(c, "songs.zip");
  http_stream(c->http, 200, "application/zip", next, z, end);
}
