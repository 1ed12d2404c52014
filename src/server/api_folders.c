/* api_folders.c - folders of this machine as far as the caller may know them: what a page's picker shows. */
#define _GNU_SOURCE /* realpath */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/strings.h"
#include "server/paths.h"
#include "train/checkpoint.h"

enum { LISTED_MOST = 2000 };

/* One of the endings in "json,safetensors", in any case, stands at the end of the name behind a dot. */
static bool has_ending(const char *name, const char *endings) {
  const char *dot = strrchr(name, '.');
  for (const char *p = dot ? endings : NULL; p && *p;) {
    size_t n = strcspn(p, ",");
    if (n && strlen(dot + 1) == n && strncasecmp(dot + 1, p, n) == 0) return true;
    p += n + (p[n] == ',');
  }
  return false;
}

/* Where looking may begin: the data folder, the folders that were allowed, and at this machine the user's own. */
static json_t *beginnings(const call *c) {
  json_t *list = json_array();
  const char *home = getenv("HOME");
  char real[PATH_MAX];
  if (realpath(service_data(c->service), real)) json_array_append_new(list, json_string(real));
  for (const char *const *root = server_settings(c->server)->roots; root && *root; root++)
    if (realpath(*root, real) && path_may_list(c, real)) json_array_append_new(list, json_string(real));
  if (home && realpath(home, real) && path_may_list(c, real)) json_array_append_new(list, json_string(real));
  return list;
}

static bool holds(const char *folder, const char *name) {
  char *path = file_existing(folder, name);
  bool there = path != NULL;
  free(path);
  return there;
}

/* What a folder is to a training, by what lies in it. */
static const char *kind_of(const char *folder) {
  if (holds(folder, CHECKPOINT_STATE)) return "checkpoint";
  if (holds(folder, "adapter_config.json") || holds(folder, "lokr_weights.safetensors")) return "adapter";
  return holds(folder, "manifest.json") ? "tensors" : "folder";
}

typedef struct listing {
  json_t *folders, *files;
  bool cut;
} listing;

static void list_one(const call *c, listing *l, const char *folder, const char *name, const char *endings) {
  struct stat st;
  char *path = file_join(folder, name);
  if (path && stat(path, &st) == 0 && path_may_list(c, path)) {
    json_int_t modified = (json_int_t)st.st_mtime * 1000;
    if (json_array_size(l->folders) + json_array_size(l->files) >= LISTED_MOST) l->cut = true;
    else if (S_ISDIR(st.st_mode))
      json_array_append_new(l->folders,
                            json_pack("{s:s, s:s, s:I}", "name", name, "kind", kind_of(path), "modified", modified));
    else if (S_ISREG(st.st_mode) && has_ending(name, endings))
      json_array_append_new(
          l->files, json_pack("{s:s, s:I, s:I}", "name", name, "bytes", (json_int_t)st.st_size, "modified", modified));
  }
  free(path);
}

static json_t *parent_of(const call *c, const char *folder) {
  char *parent = file_parent(folder);
  json_t *out = parent && strcmp(parent, folder) != 0 && path_may_list(c, parent) ? json_string(parent) : json_null();
  free(parent);
  return out;
}

static void list_folder(call *c, const char *folder, const char *endings) {
  ace_error err;
  char **names = file_names(folder, &err);
  if (!names) {
    refuse_error(c, "no_folder", "path", &err);
    return;
  }
  listing l = {json_array(), json_array(), false};
  for (char **name = names; *name && !l.cut; name++) list_one(c, &l, folder, *name, endings);
  file_names_free(names);
  reply_data(c, json_pack("{s:s, s:o, s:o, s:o, s:o, s:b}", "path", folder, "parent", parent_of(c, folder), "roots",
                          beginnings(c), "folders", l.folders, "files", l.files, "cut", l.cut));
}

/* The nearest folder that is there, of a path that may mean a file or nothing yet. */
static void get_folders(call *c) {
  if (!route_may_change(c)) return;
  char real[PATH_MAX];
  const char *given = http_query(c->http, "path"), *endings = http_query(c->http, "files");
  char *whole = file_join(service_data(c->service), given ? given : "");
  char *nearest = whole ? file_nearest(whole) : NULL;
  if (!nearest || !realpath(nearest, real)) *real = 0;
  if (*real && !file_is_directory(real)) *strrchr(real, '/') = 0;
  free(whole), free(nearest);
  if (!*real || !path_may_list(c, real))
    refuse(c, 400, "path_unsafe", "path", "path: outside of the folders that may be read: %.300s", given ? given : "");
  else list_folder(c, real, endings ? endings : "");
}

const route routes_folders[] = {
    {"GET", "/v1/folders", AUTH_SESSION, BODY_NONE, false, get_folders,
     "A folder of this machine that may be read: its folders, and its files with the endings that are asked for",
     "path? files?", "path parent? roots:[text] folders:[object] files:[object] cut:bool"},
    {0},
};
