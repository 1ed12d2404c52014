#include "cli/trail.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/output.h"
#include "cli/signals.h"

void trail_begin(trail *t, const char *path) {
  signals_lock();
  t->current = strdup(path);
  t->current_is_new = !file_exists(path);
  signals_unlock();
}

void trail_end(trail *t, const char *path) {
  signals_lock();
  if (path && t->current_is_new && t->n < REQ_BATCH_MAX) t->written[t->n++] = strdup(path);
  free(t->current);
  t->current = NULL;
  signals_unlock();
}

/* The temporary files of a file_writer (base/file.h) that was cut off: ".<name>.<digits>.tmp" beside it. */
static void remove_temporary(const char *path) {
  enum { NAME_SHARE = 40 };
  char prefix[NAME_SHARE + 3];
  const char *slash = strrchr(path, '/');
  char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
  snprintf(prefix, sizeof prefix, ".%.*s.", NAME_SHARE, slash ? slash + 1 : path);
  DIR *dir = folder ? opendir(folder) : NULL;
  for (struct dirent *e; dir && (e = readdir(dir));) {
    size_t n = strlen(e->d_name);
    bool ours = strncmp(e->d_name, prefix, strlen(prefix)) == 0 && n > 4 && strcmp(e->d_name + n - 4, ".tmp") == 0;
    char *found = ours ? file_join(folder, e->d_name) : NULL;
    if (found) unlink(found);
    free(found);
  }
  if (dir) closedir(dir);
  free(folder);
}

static void remove_song(const char *path) {
  char *json = output_json_path(path);
  unlink(path);
  if (json) unlink(json);
  free(json);
}

void trail_remove(const trail *t) {
  if (t->current) {
    char *json = output_json_path(t->current);
    remove_temporary(t->current);
    if (json) remove_temporary(json);
    if (t->current_is_new) remove_song(t->current);
    free(json);
  }
  for (int i = 0; i < t->n; i++)
    if (t->written[i]) remove_song(t->written[i]);
}

void trail_free(trail *t) {
  for (int i = 0; i < t->n; i++) free(t->written[i]);
  free(t->current);
  *t = (trail){0};
}
