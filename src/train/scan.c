#define _GNU_SOURCE /* realpath */
#include "train/scan.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audio/read.h"
#include "base/file.h"
#include "base/notify.h"
#include "request/text.h"
#include "train/dataset_inner.h"
#include "train/same.h"
#include "train/sidecar.h"

enum { DEEPEST = 32 /* folders */, CSV_LIMIT = 16 << 20, LINE_SIZE = 1200 };

static void say(const ace_callbacks *notify, const char *line) {
  if (notify && notify->log) notify->log(notify->user, line);
}

static ace_status no_memory(ace_error *err) {
  return ace_fail(err, ACE_ENOMEM, "scan: out of memory");
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *extension) {
  const char *dot = strrchr(name, '.');
  return dot && dot != name && req_same(dot + 1, strlen(dot + 1), extension);
}

static bool is_sound(const char *name) {
  static const char *const extensions[] = {"wav", "mp3", "flac", "ogg", "opus", "m4a"};
  bool sound = false;
  for (size_t i = 0; i < sizeof extensions / sizeof *extensions && !sound; i++) sound = ends_in(name, extensions[i]);
  return sound;
}

/* Takes `path` over. */
static ace_status add_path(scan_paths *p, char *path, ace_error *err) {
  if (path && p->n >= DATASET_MOST) {
    free(path);
    return ace_fail(err, ACE_EINVAL, "scan: more than %d sound files; scan a smaller folder", DATASET_MOST);
  }
  char **more = path ? realloc(p->at, ((size_t)p->n + 1) * sizeof *more) : NULL;
  if (!more) {
    free(path);
    return no_memory(err);
  }
  p->at = more;
  p->at[p->n++] = path;
  return ACE_OK;
}

void scan_paths_free(scan_paths *p) {
  for (int i = 0; i < p->n; i++) free(p->at[i]);
  free(p->at);
  *p = (scan_paths){0};
}

/* Files of a folder and of those in it. A folder that cannot be opened is told, unless it is the first. */
static ace_status walk(const char *folder, int depth, scan_paths *sounds, scan_paths *tables,
                       const ace_callbacks *notify, ace_error *err) {
  DIR *dir = opendir(folder);
  if (!dir) {
    ace_error cause;
    ace_fail_errno(&cause, "%s: cannot open the folder", folder);
    if (depth == 0) return ace_fail(err, cause.status, "%s", cause.message);
    say(notify, cause.message);
    return ACE_OK;
  }
  ace_status status = ACE_OK;
  for (struct dirent *e; status == ACE_OK && (e = readdir(dir));) {
    struct stat st;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    char *path = file_join(folder, e->d_name);
    if (!path) status = no_memory(err);
    else if (notify_stopped(notify)) status = ace_fail(err, ACE_ECANCELED, "scan: cancelled");
    else if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
      if (depth < DEEPEST) status = walk(path, depth + 1, sounds, tables, notify, err);
    } else if (is_sound(e->d_name) && stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
      status = add_path(sounds, path, err);
      path = NULL;
    } else if (depth == 0 && ends_in(e->d_name, "csv")) {
      status = add_path(tables, path, err);
      path = NULL;
    }
    free(path);
  }
  closedir(dir);
  return status;
}

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_paths(scan_paths *p) {
  if (p->n > 1) qsort(p->at, (size_t)p->n, sizeof *p->at, by_bytes);
}

static ace_status no_sounds(const char *folder, ace_error *err) {
  return ace_fail(err, ACE_ENOTFOUND, "No audio files found in %s (supported formats: %s)", folder, SCAN_FORMATS);
}

ace_status scan_sounds(const char *folder, scan_paths *sounds, const ace_callbacks *notify, ace_error *err) {
  scan_paths tables = {0};
  *sounds = (scan_paths){0};
  ace_status status = walk(folder, 0, sounds, &tables, notify, err);
  if (status == ACE_OK && !sounds->n) status = no_sounds(folder, err);
  if (status != ACE_OK) scan_paths_free(sounds);
  sort_paths(sounds);
  scan_paths_free(&tables);
  return status;
}

/* The rows of all tables of the folder, {} when there are none. */
static json_t *read_tables(const scan_paths *tables, const ace_callbacks *notify) {
  json_t *rows = json_object();
  for (int i = 0; i < tables->n; i++) {
    size_t length;
    ace_error cause = {0};
    char *text = file_read(tables->at[i], CSV_LIMIT, &length, &cause);
    if (text) sidecar_read_csv(text, length, tables->at[i], rows, &cause);
    if (cause.status != ACE_OK) say(notify, cause.message);
    free(text);
  }
  return rows;
}

/* ---- one song ---------------------------------------------------------------------------------------------------- */

/* Fields of a song, a new reference; NULL when the file is left out, which `err` explains. */
static json_t *read_song(const dataset *d, const char *path, const char *relative, const json_t *csv,
                         sidecar_found *side, const ace_callbacks *notify, ace_error *err) {
  char id[DATASET_ID];
  double seconds = 0;
  ace_error cause = {0};
  dataset_make_id(d, relative, id);
  if (!req_utf8_valid(path, strlen(path))) {
    ace_fail(err, ACE_EFORMAT, "%s: its name is not text in UTF-8; rename it", id);
    return NULL;
  }
  /* A length that cannot be found is no reason to forget the song: preprocessing will say what is wrong with it. */
  if (audio_length(path, &seconds, &cause) != ACE_OK) say(notify, cause.message);
  json_t *given = json_pack("{s:s, s:s, s:s, s:I}", "id", id, "audio_path", path, "filename", dataset_basename(path),
                            "duration", (json_int_t)seconds);
  json_t *fields = given ? dataset_complete(given, path, err) : NULL;
  if (!given) no_memory(err);
  json_decref(given);
  if (fields && sidecar_read(path, csv, fields, side, notify, err) == ACE_OK) return fields;
  json_decref(fields);
  return NULL;
}

static void count(scan_report *found, const sidecar_found *side) {
  found->json += side->json;
  found->captions += side->caption;
  found->lyrics += side->lyrics;
  found->csv += side->csv;
}

static void report(const ace_callbacks *notify, int done, int all) {
  if (!notify || !notify->progress) return;
  ace_progress p = {
      .stage = "scan", .fraction = all ? (double)done / all : 1, .seconds_left = -1, .step = done, .steps = all};
  notify->progress(notify->user, &p);
}

static ace_status read_songs(dataset *d, const scan_paths *sounds, size_t root, const json_t *csv,
                             const ace_callbacks *notify, scan_report *found, ace_error *err) {
  ace_status status = ACE_OK;
  for (int i = 0; i < sounds->n && status == ACE_OK; i++) {
    if (notify_stopped(notify)) return ace_fail(err, ACE_ECANCELED, "scan: cancelled");
    const char *path = sounds->at[i];
    sidecar_found side = {0};
    ace_error cause = {0};
    json_t *fields = read_song(d, path, path + root, csv, &side, notify, &cause);
    if (fields) status = dataset_add(d, fields, side.decided, path, &cause);
    if (!fields || status == ACE_EFORMAT) {
      char line[LINE_SIZE];
      snprintf(line, sizeof line, "Failed to process %.500s: %s", path, cause.message);
      if (req_utf8_valid(line, strlen(line))) say(notify, line);
      else say(notify, cause.message);
      found->failed++;
      status = cause.status == ACE_ENOMEM ? no_memory(err) : ACE_OK;
    } else if (status == ACE_OK) count(found, &side);
    else ace_fail(err, status, "%s", cause.message);
    json_decref(fields);
    report(notify, i + 1, sounds->n);
  }
  return status;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static void say_same(void *user, int a, int b, bool content, const dataset *d) {
  char line[LINE_SIZE];
  snprintf(line, sizeof line, content ? "%.500s has the same content as %.500s" : "%.500s has the same name as %.500s",
           dataset_text(d, b, "audio_path"), dataset_text(d, a, "audio_path"));
  say(user, line);
}

ace_status dataset_scan(dataset *d, const char *folder, const char *name, const ace_callbacks *notify,
                        scan_report *found, ace_error *err) {
  *d = (dataset){0};
  *found = (scan_report){0};
  if (!*folder) return ace_fail(err, ACE_EINVAL, "scan: name a folder of songs");
  if (!file_exists(folder)) return ace_fail(err, ACE_ENOTFOUND, "Directory not found: %s", folder);
  if (!file_is_directory(folder)) return ace_fail(err, ACE_EINVAL, "Not a directory: %s", folder);
  char *root = realpath(folder, NULL);
  if (!root) return ace_fail_errno(err, "%s: cannot open the folder", folder);
  scan_paths sounds = {0}, tables = {0};
  ace_status status = dataset_new(d, name, err);
  if (status == ACE_OK) status = walk(root, 0, &sounds, &tables, notify, err);
  sort_paths(&sounds), sort_paths(&tables);
  json_t *csv = status == ACE_OK ? read_tables(&tables, notify) : NULL;
  size_t above = strlen(root) + (strcmp(root, "/") != 0);
  if (status == ACE_OK) status = read_songs(d, &sounds, above, csv, notify, found, err);
  if (status == ACE_OK && d->n == 0) status = no_sounds(folder, err);
  if (status == ACE_OK) status = dataset_set_instrumental(d, true, err);
  if (status == ACE_OK) same_names(d, say_same, (void *)notify), same_content(d, say_same, (void *)notify);
  json_decref(csv);
  scan_paths_free(&sounds), scan_paths_free(&tables);
  free(root);
  if (status != ACE_OK) dataset_free(d);
  return status;
}
