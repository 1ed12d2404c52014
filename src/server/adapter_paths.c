#define _XOPEN_SOURCE 700
#include "server/adapter_paths.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/strings.h"
#include "request/text.h"
#include "server/paths.h"

enum { ADAPTERS_MOST = 500, DEPTH_MOST = 4, LOOKED_MOST = 20000 };

/* The path below `folder`, without links; "" when there is none. */
static void find_below(const char *folder, const char *path, char real[PATH_MAX]) {
  char *whole = file_join(folder, path);
  if (!whole || !realpath(whole, real)) *real = 0;
  free(whole);
}

char *path_of_adapter(call *c, const char *path) {
  char real[PATH_MAX] = "", *adapters = file_join(service_data(c->service), "adapters");
  find_below(service_data(c->service), path, real);
  if (!*real && adapters) find_below(adapters, path, real);
  free(adapters);
  if (req_is_blank(path)) refuse(c, 400, "lora_no_path", "lora_path", "\xe2\x9d\x8c Please provide a LoRA path.");
  else if (!*real) refuse(c, 400, "lora_not_found", "lora_path", "\xe2\x9d\x8c LoRA path not found: %.300s", path);
  else if (!path_is_allowed(c, real))
    refuse(c, 400, "path_unsafe", "lora_path", "\xe2\x9d\x8c this path is outside of the allowed folders: %.300s",
           path);
  else return strdup(real);
  return NULL;
}

typedef struct looking {
  json_t *found;
  int looked;
} looking;

static void add(looking *l, const char *path, const char *name) {
  if (json_array_size(l->found) < ADAPTERS_MOST)
    json_array_append_new(l->found, json_pack("{s:s, s:s}", "path", path, "name", name));
}

static bool is_folder(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A folder with an adapter's configuration is one adapter; else what is in it may be. Links to folders are passed over. */
static void look_into(looking *l, const char *folder, const char *name, int depth) {
  char *config = file_join(folder, "adapter_config.json");
  bool is_adapter = config && file_exists(config);
  free(config);
  DIR *dir = is_adapter ? NULL : opendir(folder);
  if (is_adapter) add(l, folder, name);
  for (struct dirent *e; dir && l->looked < LOOKED_MOST && (e = readdir(dir));) {
    char *path = *e->d_name == '.' ? NULL : file_join(folder, e->d_name);
    l->looked++;
    if (path && string_ends(e->d_name, ".safetensors") && (strstr(e->d_name, "lora") || strstr(e->d_name, "lokr")))
      add(l, path, e->d_name);
    else if (path && depth < DEPTH_MOST && is_folder(path)) look_into(l, path, e->d_name, depth + 1);
    free(path);
  }
  if (dir) closedir(dir);
}

json_t *paths_of_adapters(const call *c) {
  looking l = {.found = json_array()};
  char *own = file_join(service_data(c->service), "adapters");
  if (own) look_into(&l, own, "adapters", 0);
  free(own);
  for (const char *const *root = server_settings(c->server)->roots; root && *root; root++)
    look_into(&l, *root, *root, 0);
  return l.found;
}
