/* dataset_file.c - the dataset JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "train/dataset_inner.h"

enum { FILE_LIMIT = 256 << 20, LINE_SIZE = 600, WHERE_SIZE = 400 };

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void say_missing(const ace_callbacks *notify, const char *where, const char *path) {
  char line[LINE_SIZE];
  if (!notify || !notify->log) return;
  snprintf(line, sizeof line, "%s: %s: there is no such sound file", where, path);
  notify->log(notify->user, line);
}

static ace_status read_metadata(dataset *d, const json_t *in, const char *where, ace_error *err) {
  const char *name, *tag, *position;
  bool all;
  int64_t ratio;
  if (in && !json_is_object(in)) return ace_fail(err, ACE_EFORMAT, "%s: metadata: not an object", where);
  ace_status status = json_string_field(in, "name", "untitled", where, &name, err);
  if (status == ACE_OK) status = json_string_field(in, "custom_tag", "", where, &tag, err);
  if (status == ACE_OK) status = json_string_field(in, "tag_position", "prepend", where, &position, err);
  if (status == ACE_OK) status = json_bool_field(in, "all_instrumental", true, where, &all, err);
  if (status == ACE_OK) status = json_int_field(in, "genre_ratio", 0, 0, 100, where, &ratio, err);
  if (status == ACE_OK) status = dataset_set_name(d, name, err);
  if (status == ACE_OK) status = dataset_set_tag(d, tag, position, err);
  if (status == ACE_OK) status = dataset_set_genre_ratio(d, ratio, err);
  if (status == ACE_OK && json_object_set_new(d->metadata, "all_instrumental", json_boolean(all)) != 0)
    status = ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
  return status;
}

/* Where the sound is: the path as it stands, else from the dataset's folder, else its last part in there. free() it;
 * NULL: nowhere. */
static char *find_sound(const char *path, const char *folder) {
  const char *const tries[] = {*path == '/' ? path : NULL, *path == '/' ? NULL : path, dataset_basename(path)};
  for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
    if (!tries[i] || !*tries[i]) continue;
    char *full = *tries[i] == '/' ? strdup(tries[i]) : file_join(folder, tries[i]);
    if (full && file_exists(full)) return full;
    free(full);
  }
  return NULL;
}

static ace_status locate(dataset_sample *s, const char *folder, const char *where, const ace_callbacks *notify,
                         ace_error *err) {
  const char *path = json_text(s->fields, "audio_path");
  if (!*path) path = json_text(s->fields, "filename");
  char *found = find_sound(path, folder);
  s->missing = !found;
  if (!found) say_missing(notify, where, path);
  else if (json_object_set_new(s->fields, "audio_path", json_string(found)) != 0) {
    free(found);
    return ace_fail(err, ACE_EFORMAT, "%s: audio_path: not text in UTF-8", where);
  }
  free(found);
  return ACE_OK;
}

static ace_status read_samples(dataset *d, const json_t *samples, const char *folder, const char *where,
                               const ace_callbacks *notify, ace_error *err) {
  bool all = json_is_true(json_object_get(d->metadata, "all_instrumental"));
  if (!json_is_array(samples)) return ace_fail(err, ACE_EFORMAT, "%s: samples: not an array", where);
  ace_status status = ACE_OK;
  for (size_t i = 0; i < json_array_size(samples) && status == ACE_OK; i++) {
    char at[WHERE_SIZE];
    const json_t *in = json_array_get(samples, i);
    snprintf(at, sizeof at, "%.300s: sample %zu", where, i);
    if (!json_is_object(in)) return ace_fail(err, ACE_EFORMAT, "%s: not an object", at);
    /* What differs from what the whole set says was said of this one. */
    const json_t *voice = json_object_get(in, "is_instrumental");
    bool decided = json_is_boolean(voice) && json_is_true(voice) != all && !*json_text(in, "raw_lyrics");
    status = dataset_add(d, in, decided, at, err);
    if (status == ACE_OK) status = locate(&d->sample[d->n - 1], folder, at, notify, err);
  }
  return status;
}

ace_status dataset_parse(dataset *d, const char *text, size_t length, const char *folder, const char *where,
                         const ace_callbacks *notify, ace_error *err) {
  *d = (dataset){0};
  json_t *root = json_parse(text, length, where, err);
  if (!root) return ACE_EFORMAT;
  ace_status status = dataset_new(d, "untitled", err);
  bool alone = json_is_array(root);
  if (status == ACE_OK) status = read_metadata(d, alone ? NULL : json_object_get(root, "metadata"), where, err);
  if (status == ACE_OK)
    status = read_samples(d, alone ? root : json_object_get(root, "samples"), folder, where, notify, err);
  json_decref(root);
  if (status != ACE_OK) dataset_free(d);
  return status;
}

ace_status dataset_load(dataset *d, const char *path, const ace_callbacks *notify, ace_error *err) {
  size_t length;
  ace_error own;
  if (!err) err = &own;
  *d = (dataset){0};
  char *text = file_read(path, FILE_LIMIT, &length, err), *folder = strdup(path);
  if (!text || !folder) {
    if (text) ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
    free(text), free(folder);
    return err->status;
  }
  char *slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = 0;
  ace_status status = dataset_parse(d, text, length, slash ? folder : ".", path, notify, err);
  free(text), free(folder);
  return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

json_t *dataset_json(const dataset *d) {
  char now[32] = "";
  time_t seconds = time(NULL);
  struct tm local;
  if (localtime_r(&seconds, &local)) strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%S", &local);
  json_t *samples = json_array(), *metadata = json_copy(d->metadata);
  for (int i = 0; i < d->n; i++) json_array_append_new(samples, json_copy(d->sample[i].fields));
  json_object_set_new(metadata, "created_at", json_string(now));
  json_object_set_new(metadata, "num_samples", json_integer(d->n));
  return json_pack("{s:o, s:o}", "metadata", metadata, "samples", samples);
}

ace_status dataset_save(const dataset *d, const char *path, ace_error *err) {
  json_t *root = dataset_json(d);
  char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
  json_decref(root);
  if (!text) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  ace_status status = file_write(path, text, strlen(text), err);
  free(text);
  return status;
}
