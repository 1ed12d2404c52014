#include "train/sample_set.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"

enum { MANIFEST_LIMIT = 64 << 20, SAMPLES_MOST = 1 << 20, LINE_SIZE = 1024 };

void sample_set_free(sample_set *s) {
  for (int i = 0; i < s->n; i++) free(s->path[i]);
  free(s->path);
  json_decref(s->metadata);
  *s = (sample_set){0};
}

const char *sample_set_text(const sample_set *s, const char *field) {
  return json_text(s->metadata, field);
}

static void say(const ace_callbacks *notify, const char *format, ...) ACE_PRINTF(2, 3);
static void say(const ace_callbacks *notify, const char *format, ...) {
  char line[LINE_SIZE];
  va_list args;
  if (!notify || !notify->log) return;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  notify->log(notify->user, line);
}

/* Takes `path` over. */
static ace_status add(sample_set *s, char *path, ace_error *err) {
  char **more = path && s->n < SAMPLES_MOST ? realloc(s->path, ((size_t)s->n + 1) * sizeof *more) : NULL;
  if (!more) {
    free(path);
    return ace_fail(err, ACE_ENOMEM, "samples: out of memory");
  }
  s->path = more;
  s->path[s->n++] = path;
  return ACE_OK;
}

static bool is_sample(const char *name) {
  bool half_made = string_ends(name, ".part.safetensors") || string_ends(name, ".tmp.pt");
  return name[0] != '.' && !half_made && (string_ends(name, ".safetensors") || string_ends(name, ".pt"));
}

/* A relative name that cannot leave its folder. */
static bool stays_inside(const char *name) {
  if (!*name || *name == '/') return false;
  for (const char *part = name;; part++) {
    if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == 0)) return false;
    part = strchr(part, '/');
    if (!part) return true;
  }
}

static ace_status take_listed(sample_set *s, const char *folder, const json_t *samples, const ace_callbacks *notify,
                              ace_error *err) {
  size_t i;
  const json_t *entry;
  ace_status status = ACE_OK;
  json_array_foreach(samples, i, entry) {
    const char *name = json_string_value(entry);
    bool sane = name && strlen(name) == json_string_length(entry) && stays_inside(name);
    char *path = sane ? file_join(folder, name) : NULL;
    if (!path || !file_exists(path)) {
      say(notify, "%s: sample %zu of the manifest %s; it is left out", folder, i + 1,
          sane ? "is not there" : "is no name of a file in this folder");
      s->missing++;
      free(path);
      continue;
    }
    status = add(s, path, err);
    if (status != ACE_OK) break;
  }
  return status;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names(const json_t *samples, const char *name) {
  size_t i;
  const json_t *entry;
  json_array_foreach(
      samples, i, entry) if (strcmp(json_string_value(entry) ? json_string_value(entry) : "", name) == 0) return true;
  return false;
}

/* All samples of the folder, or the number of those that the manifest does not name. */
static ace_status look_around(sample_set *s, const char *folder, const json_t *samples, ace_error *err) {
  DIR *dir = opendir(folder);
  if (!dir) return ace_fail_errno(err, "%s: cannot open the folder of samples", folder);
  ace_status status = ACE_OK;
  for (struct dirent *e; status == ACE_OK && (e = readdir(dir));) {
    if (!is_sample(e->d_name)) continue;
    if (!samples) status = add(s, file_join(folder, e->d_name), err);
    else if (!names(samples, e->d_name)) s->unlisted++;
  }
  closedir(dir);
  if (!samples && s->n > 1) qsort(s->path, (size_t)s->n, sizeof *s->path, by_name);
  return status;
}

static ace_status read_manifest(sample_set *s, const char *path, json_t **samples, ace_error *err) {
  json_t *root = json_parse_file(path, MANIFEST_LIMIT, err);
  if (!root) return ACE_EFORMAT;
  *samples = json_incref(json_object_get(root, "samples"));
  s->metadata = json_incref(json_object_get(root, "metadata"));
  json_decref(root);
  if (!json_is_array(*samples)) return ace_fail(err, ACE_EFORMAT, "%s: samples: not an array of file names", path);
  if (s->metadata && !json_is_object(s->metadata))
    return ace_fail(err, ACE_EFORMAT, "%s: metadata: not an object", path);
  s->listed = true;
  return ACE_OK;
}

ace_status sample_set_open(sample_set *s, const char *folder, const ace_callbacks *notify, ace_error *err) {
  *s = (sample_set){0};
  if (!file_is_directory(folder)) return ace_fail(err, ACE_ENOTFOUND, "%s: there is no such folder", folder);
  json_t *samples = NULL;
  char *manifest = file_join(folder, SAMPLE_MANIFEST);
  ace_status status = manifest ? ACE_OK : ace_fail(err, ACE_ENOMEM, "samples: out of memory");
  if (status == ACE_OK && file_exists(manifest)) status = read_manifest(s, manifest, &samples, err);
  if (status == ACE_OK && samples) status = take_listed(s, folder, samples, notify, err);
  if (status == ACE_OK) status = look_around(s, folder, samples, err);
  if (status == ACE_OK && s->unlisted)
    say(notify, "%s: %d files with samples are not in its %s and are left out", folder, s->unlisted, SAMPLE_MANIFEST);
  if (status == ACE_OK && s->n == 0)
    status = ace_fail(err, ACE_ENOTFOUND, "%s: no samples (*.safetensors, *.pt); acestep dataset preprocess makes them",
                      folder);
  if (status == ACE_OK && !s->metadata && !(s->metadata = json_object()))
    status = ace_fail(err, ACE_ENOMEM, "samples: out of memory");
  json_decref(samples);
  free(manifest);
  if (status != ACE_OK) sample_set_free(s);
  return status;
}

ace_status sample_set_write(const char *folder, const json_t *metadata, const json_t *samples, ace_error *err) {
  json_t *root = json_pack("{s:O, s:O, s:I}", "metadata", metadata, "samples", samples, "num_samples",
                           (json_int_t)json_array_size(samples));
  char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL, *path = file_join(folder, SAMPLE_MANIFEST);
  ace_status status =
      text && path ? file_write(path, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  free(text), free(path);
  json_decref(root);
  return status;
}
