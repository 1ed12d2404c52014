/* run_lora.c - the job "lora": adapters of the model in slot 1. An adapter is "active" when it sings as soon as adapters
 * are used; using them or not is one switch for all. */
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "service/service_inner.h"

/* ---- what is remembered of them ---------------------------------------------------------------------------------- */

static json_t *find(const json_t *list, const char *name) {
  size_t i;
  json_t *a;
  json_array_foreach((json_t *)list, i, a) if (strcmp(json_text(a, "name"), name) == 0) return a;
  return NULL;
}

static const char *newest(const json_t *list) {
  size_t n = json_array_size(list);
  return n ? json_text(json_array_get(list, n - 1), "name") : NULL;
}

/* The engine's list becomes the known one. Those that were there keep being active or not; a new one is active, and
 * unless it is stacked on them the only one. */
static ace_status remember(service *s, ace_engine *e, const char *added, bool stack, ace_error *err) {
  json_t *list = run_parsed(ace_adapter_list(e), err), *a;
  size_t i;
  if (!list) return ace_fail(err, ACE_ENOMEM, "adapter: out of memory");
  pthread_mutex_lock(&s->lock);
  json_array_foreach(list, i, a) {
    const char *name = json_text(a, "name");
    bool is_new = added && strcmp(name, added) == 0;
    bool was = json_is_true(json_object_get(find(s->adapters, name), "active"));
    json_object_set_new(a, "active", json_boolean(is_new || (was && (!added || stack))));
  }
  json_decref(s->adapters);
  s->adapters = list;
  s->use_adapters = json_array_size(list) > 0 && (added || s->use_adapters);
  pthread_mutex_unlock(&s->lock);
  return ACE_OK;
}

/* Makes the engine do what is remembered. */
static ace_status apply(service *s, ace_engine *e, ace_error *err) {
  size_t i;
  json_t *a;
  ace_status status = ACE_OK;
  json_array_foreach(s->adapters, i, a) {
    bool on = s->use_adapters && json_is_true(json_object_get(a, "active"));
    if (status == ACE_OK) status = ace_adapter_enable(e, json_text(a, "name"), on, err);
    json_object_set_new(a, "enabled", json_boolean(on));
  }
  return status;
}

/* ---- what a task asks for ---------------------------------------------------------------------------------------- */

static ace_status load(service *s, ace_engine *e, const json_t *task, job_running *j, ace_error *err) {
  const char *name = json_string_value(json_object_get(task, "name"));
  ace_callbacks notify = service_callbacks(j);
  const char *added = ace_adapter_load(e, json_text(task, "path"), name,
                                       json_number_value(json_object_get(task, "scale")), &notify, err);
  return added ? remember(s, e, added, json_is_true(json_object_get(task, "stack")), err) : err->status;
}

static ace_status set_scale(service *s, ace_engine *e, const json_t *task, ace_error *err) {
  const char *name = json_string_value(json_object_get(task, "name"));
  if (!name) name = newest(s->adapters);
  if (!name) return ace_fail(err, ACE_ENOTFOUND, "No LoRA adapter loaded");
  ace_status status = ace_adapter_set_scale(e, name, json_number_value(json_object_get(task, "scale")), err);
  return status == ACE_OK ? remember(s, e, NULL, true, err) : status;
}

static ace_status use(service *s, bool on, ace_error *err) {
  if (on && json_array_size(s->adapters) == 0)
    return ace_fail(err, ACE_ENOTFOUND, "No LoRA adapter loaded. Please load a LoRA first.");
  pthread_mutex_lock(&s->lock);
  s->use_adapters = on;
  pthread_mutex_unlock(&s->lock);
  return ACE_OK;
}

static ace_status do_task(service *s, ace_engine *e, const json_t *task, job_running *j, ace_error *err) {
  const char *what = json_text(task, "do");
  if (strcmp(what, "load") == 0) return load(s, e, task, j, err);
  if (strcmp(what, "use") == 0) return use(s, json_is_true(json_object_get(task, "on")), err);
  if (strcmp(what, "scale") == 0) return set_scale(s, e, task, err);
  if (strcmp(what, "unload") != 0) return ace_fail(err, ACE_EINVAL, "adapter: cannot \"%.32s\"", what);
  if (!s->engines[0]) return ACE_OK;
  ace_status status = ace_adapter_unload(e, json_string_value(json_object_get(task, "name")), err);
  return status == ACE_OK ? remember(s, e, NULL, true, err) : status;
}

json_t *run_lora(service *s, job_running *j, ace_error *err) {
  ace_engine *e = service_engine(s, 1, j, err);
  ace_status status = e ? do_task(s, e, job_request(j), j, err) : err->status;
  if (status == ACE_OK) {
    pthread_mutex_lock(&s->lock);
    status = apply(s, e, err);
    pthread_mutex_unlock(&s->lock);
  }
  service_tell(s);
  if (status != ACE_OK) return NULL;
  const char *name = newest(s->adapters);
  const json_t *type = name ? json_object_get(find(s->adapters, name), "type") : NULL;
  return json_pack("{s:s?, s:O?}", "name", name, "type", type);
}
