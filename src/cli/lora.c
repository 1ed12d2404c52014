#include "cli/lora.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/engine.h"
#include "request/text.h"

/* "voice:0.5" -> "voice" and 0.5; what is behind a colon but no number belongs to the path, as does all of a path that
 * there is. free() the path. */
static char *take_apart(const char *text, double *scale) {
  const char *colon = strrchr(text, ':');
  *scale = 1;
  if (!colon || file_exists(text) || file_is_directory(text) ||
      !req_number_parse(colon + 1, strlen(colon + 1), scale)) {
    *scale = 1;
    return strdup(text);
  }
  return strndup(text, (size_t)(colon - text));
}

static ace_status load_given(ace_engine *engine, const char *text, const ace_callbacks *notify, ace_error *err) {
  double scale;
  ace_error why = {0};
  char *path = take_apart(text, &scale);
  if (!path) return ace_fail(err, ACE_ENOMEM, "--lora: out of memory");
  bool loaded = ace_adapter_load(engine, path, NULL, scale, notify, &why) != NULL;
  free(path);
  return loaded ? ACE_OK : ace_fail(err, why.status, "--lora: %s", why.message);
}

/* Is the adapter at `index` still the one of the song? */
static ace_status compare(ace_engine *engine, size_t index, const json_t *then, bool strict, report *r,
                          ace_error *err) {
  json_t *list = engine_adapters(engine, err);
  if (!list) return err->status;
  const char *was = json_string_value(json_object_get(then, "sha256"));
  const char *is = json_string_value(json_object_get(json_array_get(list, index), "sha256"));
  const char *path = json_string_value(json_object_get(then, "path"));
  bool differs = was && is && strcmp(was, is) != 0;
  ace_status status = ACE_OK;
  if (differs && strict)
    status =
        ace_fail(err, ACE_EINVAL, "--strict: adapter %s: the song was made with sha256 %.12s..., now it is %.12s...",
                 path, was, is);
  else if (differs)
    report_warning(r, "adapter %s: the song was made with sha256 %.12s..., now it is %.12s...: it will sound different",
                   path, was, is);
  json_decref(list);
  return status;
}

static ace_status load_saved(ace_engine *engine, const json_t *song, bool strict, report *r,
                             const ace_callbacks *notify, ace_error *err) {
  size_t i;
  json_t *one;
  json_array_foreach(json_object_get(song, "adapters"), i, one) {
    const char *path = json_string_value(json_object_get(one, "path"));
    const char *name = json_string_value(json_object_get(one, "name"));
    const json_t *scale = json_object_get(one, "scale");
    ace_error why = {0};
    if (!path || !name || !json_is_number(scale))
      return ace_fail(err, ACE_EFORMAT, "the song's adapters: entry %zu has no path, name or scale", i);
    if (!ace_adapter_load(engine, path, name, json_number_value(scale), notify, &why))
      return ace_fail(err, why.status,
                      "the song was made with an adapter: %.300s; generate --lora PATH takes another, --lora none none",
                      why.message);
    ace_status status = compare(engine, i, one, strict, r, err);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

ace_status lora_load(ace_engine *engine, const args *a, const saved *from, bool strict, report *r, ace_error *err) {
  ace_callbacks notify = report_callbacks(r);
  const char *last = args_value(a, "lora");
  if (!last) return load_saved(engine, from->result, strict, r, &notify, err);
  for (int i = 0; i < a->n_given; i++) {
    const arg *g = &a->given[i];
    if (!g->flag || strcmp(g->flag->name, "lora") != 0 || strcmp(g->value, "none") == 0) continue;
    ace_status status = load_given(engine, g->value, &notify, err);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}
