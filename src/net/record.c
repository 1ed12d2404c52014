#include "net/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

enum { RECORD_MOST = 4 << 20 };

static json_t *files_json(const hub_listing *l) {
  json_t *files = json_array();
  for (size_t i = 0; i < l->n; i++) {
    const hub_file *f = &l->file[i];
    json_array_append_new(files, json_pack("{s:s, s:I, s:s?}", "path", f->path, "size", (json_int_t)f->size, "sha256",
                                           *f->sha256 ? f->sha256 : NULL));
  }
  return files;
}

ace_status record_write(const char *folder, const download *d, const hub_listing *l, ace_error *err) {
  json_t *record =
      json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o}", "source", hub_word(d->hub->kind), "repository", d->model->repository,
                "revision", l->revision, "licence", l->licence, "include", d->include, "files", files_json(l));
  char *text = record ? json_dumps(record, JSON_INDENT(2)) : NULL, *path = file_join(folder, DOWNLOAD_RECORD);
  ace_status status =
      text && path ? file_write(path, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "download: out of memory");
  free(text), free(path);
  json_decref(record);
  return status;
}

static ace_status read_file_entry(const json_t *e, const char *where, hub_listing *l, ace_error *err) {
  const char *path, *sha256;
  int64_t size;
  ace_status status = json_string_field(e, "path", "", where, &path, err);
  if (status == ACE_OK) status = json_string_field(e, "sha256", "", where, &sha256, err);
  if (status == ACE_OK) status = json_int_field(e, "size", -1, 0, INT64_MAX, where, &size, err);
  return status == ACE_OK ? hub_listing_add(l, path, size, sha256, where, err) : status;
}

ace_status record_read(const char *folder, hub_listing *out, char include[80], ace_error *err) {
  *out = (hub_listing){0};
  ace_error own;
  if (!err) err = &own;
  char *path = file_join(folder, DOWNLOAD_RECORD);
  if (!path) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  json_t *record = json_parse_file(path, RECORD_MOST, err), *e;
  const char *pattern = json_string_value(json_object_get(record, "include"));
  if (include) snprintf(include, 80, "%s", pattern ? pattern : "");
  ace_status status = record ? ACE_OK : err->status;
  const json_t *files = json_object_get(record, "files");
  size_t i;
  json_array_foreach((json_t *)files, i, e) {
    if (status == ACE_OK) status = read_file_entry(e, path, out, err);
  }
  if (status != ACE_OK) hub_listing_free(out);
  json_decref(record);
  free(path);
  return status;
}
