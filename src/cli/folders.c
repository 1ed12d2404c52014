#include "cli/folders.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "service/inventory.h"

static const char local_models[] = "checkpoints";

const char *cli_variable(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

char *folder_data(void) {
  const char *own = cli_variable("ACESTEP_HOME"), *xdg = cli_variable("XDG_DATA_HOME"), *home = cli_variable("HOME");
  if (own) return strdup(own);
  if (xdg && *xdg == '/') return file_join(xdg, "acestep");
  return home ? file_join(home, ".local/share/acestep") : NULL;
}

/* A part of the data folder; NULL when there is no home. */
static char *data_folder(const char *part) {
  char *data = folder_data();
  char *path = data ? file_join(data, part) : NULL;
  free(data);
  return path;
}

char *folder_cache(void) {
  return data_folder("cache");
}

char *folder_built_in(void) {
  static const struct {
    int up; /* from the program's own name */
    const char *below;
  } places[] = {{2, "share/acestep/models"}, {3, "models"}};
  char program[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  if (n <= 0) return NULL;
  program[n] = 0;
  for (size_t i = 0, up = 0; i < sizeof places / sizeof *places; i++) {
    for (char *slash; (int)up < places[i].up && (slash = strrchr(program, '/')); up++) *slash = 0;
    char *path = file_join(program, places[i].below);
    if (path && inventory_can_sing(path)) return path;
    free(path);
  }
  return NULL;
}

bool folder_is_built_in(const char *path) {
  char *small = folder_built_in();
  bool is = small && strcmp(small, path) == 0;
  free(small);
  return is;
}

/* Of the usual places the first that `fits`; NULL: none does. */
static char *usual_place(bool (*fits)(const char *)) {
  char *own = data_folder("models");
  if (own && fits(own)) return own;
  free(own);
  return fits(local_models) ? strdup(local_models) : NULL;
}

static char *must_exist(const char *path, const char *origin, ace_error *err) {
  char *copy = file_is_directory(path) ? strdup(path) : NULL;
  if (!copy)
    ace_fail(
        err, ACE_ENOTFOUND,
        "%s: %s is not a folder; acestep download --models DIR fetches the published models, acestep make-tiny DIR "
        "makes a small untrained set",
        origin, path);
  return copy;
}

char *folder_models(const char *given, ace_error *err) {
  if (given) return must_exist(given, "--models", err);
  const char *set = cli_variable("ACESTEP_CHECKPOINTS_DIR");
  if (set) return must_exist(set, "$ACESTEP_CHECKPOINTS_DIR", err);
  char *found = usual_place(inventory_can_sing);
  if (!found) found = folder_built_in();
  if (!found) found = usual_place(file_is_directory);
  if (found) return found;
  char *own = data_folder("models");
  ace_fail(
      err, ACE_ENOTFOUND,
      "no models: $ACESTEP_CHECKPOINTS_DIR is not set, there is no %s%s./%s; acestep download fetches the published "
      "ones (10 GB), --models DIR names a folder with acestep-v15-turbo, vae and Qwen3-Embedding-0.6B, and "
      "acestep make-tiny DIR makes an untrained set to try the program",
      own ? own : "", own ? " and no " : "", local_models);
  free(own);
  return NULL;
}

char *folder_for_downloads(const char *given, ace_error *err) {
  const char *named = given ? given : cli_variable("ACESTEP_CHECKPOINTS_DIR");
  char *copy = named ? strdup(named) : usual_place(inventory_can_sing);
  if (!named && !copy) copy = usual_place(file_is_directory);
  if (!named && !copy) copy = data_folder("models");
  if (!named && !copy) copy = strdup(local_models);
  if (!copy) ace_fail(err, ACE_ENOMEM, "download: out of memory");
  return copy;
}
