/* adapters.c - which adapters an engine has loaded, by name. What they do to the model is in models/adapters.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/engine.h"
#include "request/text.h"

enum { NAME_SIZE = 128, PATH_SIZE = 4096 };
static const double MOST_SCALE = 4;

static int count(const ace_engine *e) {
  return e->adapters ? adapters_count(e->adapters) : 0;
}

static int find(const ace_engine *e, const char *name) {
  for (int i = 0; i < count(e); i++)
    if (strcmp(e->adapter[i].name, name) == 0) return i;
  return -1;
}

/* The index of a name that must be there. */
static int known(const ace_engine *e, const char *name, ace_error *err) {
  int i = find(e, name);
  if (i >= 0) return i;
  char excerpt[REQ_EXCERPT_SIZE], names[300] = "";
  size_t used = 0;
  for (int j = 0; j < count(e) && used < sizeof names; j++)
    used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", j ? ", " : "", e->adapter[j].name);
  ace_fail(err, ACE_ENOTFOUND, "adapter: there is no \"%s\"; %s%s", req_excerpt(name, strlen(name), excerpt),
           used ? "loaded: " : "none is loaded", names);
  return -1;
}

static ace_status check_scale(double scale, ace_error *err) {
  if (isfinite(scale) && fabs(scale) <= MOST_SCALE) return ACE_OK;
  return ace_fail(err, ACE_EINVAL, "adapter: scale %g is outside %g..%g", scale, -MOST_SCALE, MOST_SCALE);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* "final" of "lora/final/", "voice" of "voice.safetensors"; "default" where nothing is left. */
static void name_of_path(const char *path, char out[NAME_SIZE]) {
  static const char extension[] = ".safetensors";
  size_t end = strlen(path), n = sizeof extension - 1;
  while (end > 0 && path[end - 1] == '/') end--;
  size_t from = end;
  while (from > 0 && path[from - 1] != '/') from--;
  if (end - from > n && memcmp(path + end - n, extension, n) == 0) end -= n;
  snprintf(out, NAME_SIZE, "%.*s", (int)(end - from < NAME_SIZE ? end - from : NAME_SIZE - 1), path + from);
  if (!*out || strcmp(out, ".") == 0 || strcmp(out, "..") == 0) snprintf(out, NAME_SIZE, "default");
}

static ace_status choose_name(const ace_engine *e, const char *path, const char *name, char out[NAME_SIZE],
                              ace_error *err) {
  char base[NAME_SIZE];
  if (name) {
    if (!*name || strlen(name) >= NAME_SIZE)
      return ace_fail(err, ACE_EINVAL, "adapter: a name has 1..%d bytes", NAME_SIZE - 1);
    if (find(e, name) >= 0) return ace_fail(err, ACE_EINVAL, "adapter: the name \"%s\" is already in use", name);
    memcpy(out, name, strlen(name) + 1);
    return ACE_OK;
  }
  name_of_path(path, base);
  memcpy(out, base, sizeof base);
  for (int i = 2; find(e, out) >= 0; i++) snprintf(out, NAME_SIZE, "%.*s-%d", NAME_SIZE - 16, base, i);
  return ACE_OK;
}

/* A path that still names the file from another working folder. free() it. */
static char *absolute(const char *path) {
  char here[PATH_SIZE];
  return *path == '/' || !getcwd(here, sizeof here) ? strdup(path) : file_join(here, path);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static void tell_unknown(const adapter_fit *fit, const char *name, const ace_callbacks *notify) {
  char line[320];
  if (fit->n_unknown == 0 || !notify || !notify->log) return;
  snprintf(line, sizeof line, "adapter %s: %d names that this model does not have are left out, the first is %s", name,
           fit->n_unknown, fit->first_unknown);
  notify->log(notify->user, line);
}

/* Adds the file to the set, within the memory. */
static ace_status add(ace_engine *e, adapter_file *file, double scale, ace_error *err) {
  char path[200];
  snprintf(path, sizeof path, "%s", file->path);
  int i = adapters_add(e->adapters, file, scale, err);
  if (i < 0) return err->status;
  size_t bytes = adapters_bytes(e->adapters);
  if (!e->memory || bytes <= e->memory / 2) return ACE_OK;
  adapters_remove(e->adapters, i, NULL);
  return ace_fail(err, ACE_ENOMEM,
                  "adapter: with %s adapters take %zu MiB, more than half of the %llu MiB allowed; raise "
                  "the limit or unload some",
                  path, bytes >> 20, (unsigned long long)(e->memory >> 20));
}

const char *ace_adapter_load(ace_engine *e, const char *path, const char *name, double scale,
                             const ace_callbacks *notify, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  char chosen[NAME_SIZE];
  if (check_scale(scale, err) != ACE_OK || choose_name(e, path, name, chosen, err) != ACE_OK) return NULL;
  adapter_file *file = adapter_file_open(path, err);
  if (!file) return NULL;
  if (!e->adapters) e->adapters = adapters_open(e->dit, e->threads, err);
  engine_adapter *grown = e->adapters ? realloc(e->adapter, (size_t)(count(e) + 1) * sizeof *grown) : NULL;
  if (grown) e->adapter = grown;
  engine_adapter a = {.name = strdup(chosen), .path = absolute(path)};
  ace_status status = grown && a.name && a.path ? ACE_OK : ace_fail(err, ACE_ENOMEM, "adapter: out of memory");
  if (status == ACE_OK) status = add(e, file, scale, err);
  else adapter_file_close(file);
  if (status != ACE_OK) {
    free(a.name), free(a.path);
    return NULL;
  }
  int last = count(e) - 1;
  e->adapter[last] = a;
  tell_unknown(&adapters_at(e->adapters, last)->fit, a.name, notify);
  return a.name;
}

void engine_free_adapters(ace_engine *e) {
  for (int i = 0; i < count(e); i++) free(e->adapter[i].name), free(e->adapter[i].path);
  adapters_close(e->adapters);
  free(e->adapter);
  e->adapters = NULL, e->adapter = NULL;
}

ace_status ace_adapter_unload(ace_engine *e, const char *name, ace_error *err) {
  if (!name) {
    engine_free_adapters(e);
    return ACE_OK;
  }
  ace_error own;
  if (!err) err = &own;
  int i = known(e, name, err);
  ace_status status = i < 0 ? err->status : adapters_remove(e->adapters, i, err);
  if (status != ACE_OK) return status;
  free(e->adapter[i].name), free(e->adapter[i].path);
  memmove(&e->adapter[i], &e->adapter[i + 1], (size_t)(count(e) - i) * sizeof *e->adapter);
  return ACE_OK;
}

ace_status ace_adapter_set_scale(ace_engine *e, const char *name, double scale, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  ace_status status = check_scale(scale, err);
  int i = status == ACE_OK ? known(e, name, err) : -1;
  return i < 0 ? err->status : adapters_set(e->adapters, i, scale, adapters_at(e->adapters, i)->on, err);
}

ace_status ace_adapter_enable(ace_engine *e, const char *name, bool on, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  if (!name) return e->adapters ? adapters_switch(e->adapters, on, err) : ACE_OK;
  int i = known(e, name, err);
  return i < 0 ? err->status : adapters_set(e->adapters, i, adapters_at(e->adapters, i)->scale, on, err);
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

char *ace_adapter_list(const ace_engine *e) {
  json_t *list = json_array();
  for (int i = 0; i < count(e); i++) {
    const adapter *a = adapters_at(e->adapters, i);
    json_t *about = adapter_file_about(a->file);
    json_object_set_new(about, "name", json_string(e->adapter[i].name));
    json_object_set_new(about, "path", json_string(e->adapter[i].path));
    json_object_set_new(about, "scale", json_real(a->scale));
    json_object_set_new(about, "enabled", json_boolean(a->on));
    json_object_set_new(about, "unknown", json_integer(a->fit.n_unknown));
    json_array_append_new(list, about);
  }
  enum { DIGITS = 17 };
  char *text = list ? json_dumps(list, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) : NULL;
  json_decref(list);
  return text;
}

static json_t *one_of_a_song(const ace_engine *e, int i, ace_error *err) {
  const adapter *a = adapters_at(e->adapters, i);
  engine_adapter *own = &e->adapter[i];
  if (!*own->hash && adapter_file_hash(a->file, own->hash, err) != ACE_OK) return NULL;
  json_t *one =
      json_pack("{s:s, s:s, s:s, s:s, s:f}", "name", own->name, "path", own->path, "type",
                a->file->module[0].kind == ADAPTER_LOKR ? "lokr" : "lora", "sha256", own->hash, "scale", a->scale);
  if (!one) ace_fail(err, ACE_ENOMEM, "adapter: out of memory, or a path that is not UTF-8: %s", own->path);
  return one;
}

json_t *engine_adapters(ace_engine *e, ace_error *err) {
  json_t *list = json_array();
  if (!list) ace_fail(err, ACE_ENOMEM, "adapter: out of memory");
  for (int i = 0; list && i < count(e); i++) {
    const adapter *a = adapters_at(e->adapters, i);
    if (!a->on || a->scale == 0) continue;
    json_t *one = one_of_a_song(e, i, err);
    if (one && json_array_append_new(list, one) == 0) continue;
    json_decref(list);
    return NULL;
  }
  return list;
}
