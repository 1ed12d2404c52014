#define _GNU_SOURCE /* realpath */
#include "server/paths.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"

static bool inside(const char *path, const char *folder) {
  char root[PATH_MAX];
  return folder && *folder && realpath(folder, root) && (strcmp(path, root) == 0 || file_is_below(path, root));
}

/* In the data folder or below an allowed one. */
static bool is_granted(const call *c, const char *real) {
  if (inside(real, service_data(c->service))) return true;
  for (const char *const *root = server_settings(c->server)->roots; root && *root; root++)
    if (inside(real, *root)) return true;
  return false;
}

bool path_is_allowed(const call *c, const char *real) {
  return is_granted(c, real) || inside(real, "/tmp") || inside(real, getenv("TMPDIR"));
}

static bool is_loopback(const char *address) {
  return string_begins(address, "127.") || strcmp(address, "::1") == 0 || string_begins(address, "::ffff:127.");
}

/* Somebody at this machine asks, also behind a proxy, and nobody else can. */
static bool is_private(const call *c) {
  const char *address = server_settings(c->server)->http.address;
  return is_loopback(http_peer(c->http)) && (!address || is_loopback(address) || strcmp(address, "localhost") == 0);
}

bool path_may_read(const call *c, const char *path) {
  char real[PATH_MAX];
  return realpath(path, real) && (is_private(c) || path_is_allowed(c, real));
}

static char *refused(call *c, const char *path, const char *what) {
  reply_error(
      c, 400,
      "\xe2\x9d\x8c Rejected unsafe %s: %.300s (allowed are the data folder %.300s, the folder for temporary files, "
      "and folders named with --allowed-path)",
      what, path, service_data(c->service));
  return NULL;
}

char *path_to_read(call *c, const char *path, const char *what) {
  char real[PATH_MAX];
  char *whole = file_join(service_data(c->service), path);
  bool there = whole && realpath(whole, real);
  if (!there && whole && (is_private(c) || path_is_allowed(c, whole))) return whole; /* whoever opens it says so */
  free(whole);
  return there && (is_private(c) || path_is_allowed(c, real)) ? strdup(real) : refused(c, path, what);
}

/* The path with the links of those of its folders resolved that are there. NULL: it cannot be followed. */
static char *followed(const char *whole) {
  char real[PATH_MAX];
  char *head = strdup(whole), *out = NULL;
  if (strstr(whole, "/../") || string_ends(whole, "/..")) free(head), head = NULL;
  for (char *slash; head && !out && (slash = strrchr(head, '/'));) {
    if (slash == head) break;
    if (realpath(head, real)) out = file_join(real, whole + strlen(head) + (whole[strlen(head)] == '/'));
    else *slash = 0;
  }
  free(head);
  return out;
}

/* What the service itself writes in the data folder is nobody else's to replace: the database, songs, uploads. */
static bool is_ours(const call *c, const char *real) {
  static const char *const names[] = {"acestep.db", "acestep.db-wal", "acestep.db-shm", "outputs",
                                      "uploads",    "cache",          "recordings"};
  char root[PATH_MAX];
  if (!realpath(service_data(c->service), root)) return true;
  if (strcmp(real, root) == 0) return true;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char *mine = file_join(root, names[i]);
    bool hit = !mine || strcmp(real, mine) == 0 || file_is_below(real, mine);
    free(mine);
    if (hit) return true;
  }
  return false;
}

bool path_may_list(const call *c, const char *path) {
  char real[PATH_MAX], data[PATH_MAX];
  if (!realpath(path, real) || !realpath(service_data(c->service), data)) return false;
  return is_private(c) || strcmp(real, data) == 0 || (is_granted(c, real) && !is_ours(c, real));
}

char *path_to_write(call *c, const char *path, const char *what) {
  char *whole = file_join(service_data(c->service), path), *real = whole ? followed(whole) : NULL;
  free(whole);
  size_t n = real ? strlen(real) : 0;
  while (n > 1 && real[n - 1] == '/') real[--n] = 0;
  /* Of a path that is not there yet, its nearest folder that is has been resolved: the rest is plain. */
  char *folder = real ? strdup(real) : NULL;
  char resolved[PATH_MAX];
  while (folder && *folder && !realpath(folder, resolved)) {
    char *slash = strrchr(folder, '/');
    if (!slash) break;
    *slash = 0;
  }
  bool allowed = folder && *folder && path_is_allowed(c, resolved) && !is_ours(c, real);
  free(folder);
  if (allowed) return real;
  free(real);
  return refused(c, path, what);
}

bool path_is_free(call *c, const char *path) {
  if (!file_exists(path)) return true;
  refuse(c, 409, "exists", NULL, "%.1000s is there already", path);
  return false;
}
