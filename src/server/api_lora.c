/* api_lora.c - adapters of the model in slot 1, in the words of the public API. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/adapter_paths.h"
#include "server/route.h"

#define OK_SIGN      "\xe2\x9c\x85 "
#define WARNING_SIGN "\xe2\x9a\xa0\xef\xb8\x8f "
#define ERROR_SIGN   "\xe2\x9d\x8c "

/* The model is there; false: answered. */
static bool has_model(call *c) {
  service_state now;
  service_look(c->service, &now);
  if (now.slot[0].loaded) return true;
  refuse(c, 500, "not_ready", NULL, "Model not initialized");
  return false;
}

static bool may_change(call *c) {
  return route_may_change(c) && has_model(c);
}

/* Between two songs. The finished job; NULL: answered. Takes task. */
static json_t *change(call *c, json_t *task) {
  json_t *job = route_run(c, "lora", task);
  json_decref(task);
  return job;
}

static size_t loaded(call *c) {
  bool use;
  json_t *list = service_adapters(c->service, &use);
  size_t n = json_array_size(list);
  json_decref(list);
  return n;
}

/* Answers with a message and further keys (taken). */
static void answer(call *c, json_t *data, const char *message) {
  json_object_set_new(data, "message", json_string(message));
  reply_data(c, data);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static const char *kind_of(const char *why) {
  return strstr(why, "in use") ? "lora_name" : strstr(why, "memory") ? "lora_memory" : "lora_invalid";
}

static void answer_load(call *c, const json_t *job, const char *path, const char *name) {
  char message[600];
  const json_t *result = json_object_get(job, "result");
  bool lokr = strcmp(json_text(result, "type"), "lokr") == 0;
  json_t *data = json_pack("{s:s}", "lora_path", path);
  if (name) json_object_set_new(data, "adapter_name", json_string(name));
  if (lokr) snprintf(message, sizeof message, OK_SIGN "LoKr loaded from %.400s", path);
  else snprintf(message, sizeof message, OK_SIGN "LoRA '%.120s' loaded from %.400s", json_text(result, "name"), path);
  answer(c, data, message);
}

static void post_load(call *c) {
  const char *path = NULL, *name = NULL;
  double scale = 1;
  bool stack = false, other = json_object_get(c->body, "path") != NULL;
  if (!typed_text(c, other ? "path" : "lora_path", true, &path) || !typed_text(c, "adapter_name", false, &name) ||
      !typed_number(c, "scale", false, -4, 4, &scale) || !typed_bool(c, "stack", false, &stack) || !may_change(c))
    return;
  char *real = path_of_adapter(c, path);
  if (!real) return;
  json_t *task = json_pack("{s:s, s:s, s:s?, s:f, s:b}", "do", "load", "path", real, "name",
                           name && *name ? name : NULL, "scale", scale, "stack", (int)stack);
  json_t *job = change(c, task);
  const char *why = job ? route_failure(job) : NULL;
  if (why) refuse(c, 400, kind_of(why), NULL, ERROR_SIGN "%s", why);
  else if (job) answer_load(c, job, path, name);
  json_decref(job);
  free(real);
}

static void post_unload(call *c) {
  if (!may_change(c)) return;
  if (loaded(c) == 0) {
    answer(c, json_object(), WARNING_SIGN "No LoRA adapter loaded.");
    return;
  }
  const char *name = json_string_value(json_object_get(c->body, "adapter_name"));
  json_t *job = change(c, json_pack("{s:s, s:s?}", "do", "unload", "name", name));
  const char *why = job ? route_failure(job) : NULL;
  if (why) refuse(c, 400, NULL, NULL, ERROR_SIGN "%s", why);
  else if (job) answer(c, json_object(), OK_SIGN "LoRA unloaded, using base model");
  json_decref(job);
}

/* ---- using ------------------------------------------------------------------------------------------------------- */

static void post_toggle(call *c) {
  static const char *const names[] = {"use_lora", "use", "enabled"};
  bool on = false;
  size_t i = 0;
  while (i < 2 && !json_object_get(c->body, names[i])) i++;
  if (!json_object_get(c->body, names[i])) i = 0;
  if (!typed_bool(c, names[i], true, &on) || !may_change(c)) return;
  if (on && loaded(c) == 0) {
    reply_error(c, 400, ERROR_SIGN "No LoRA adapter loaded. Please load a LoRA first.");
    return;
  }
  json_t *job = change(c, json_pack("{s:s, s:b}", "do", "use", "on", (int)on));
  const char *why = job ? route_failure(job) : NULL;
  if (why) reply_error(c, 500, ERROR_SIGN "%s", why);
  else if (job)
    answer(c, json_pack("{s:b}", "use_lora", (int)on), on ? OK_SIGN "LoRA enabled" : OK_SIGN "LoRA disabled");
  json_decref(job);
}

static void answer_scale(call *c, const json_t *job, double scale, const char *name) {
  char message[300];
  json_t *data = json_pack("{s:f}", "scale", scale);
  if (name) json_object_set_new(data, "adapter_name", json_string(name));
  snprintf(message, sizeof message, OK_SIGN "LoRA scale (%.120s): %.2f",
           name ? name : json_text(json_object_get(job, "result"), "name"), scale);
  answer(c, data, message);
}

static void post_scale(call *c) {
  double scale = 1;
  const char *name = NULL;
  if (!typed_number(c, "scale", true, 0, 1, &scale) || !typed_text(c, "adapter_name", false, &name) || !may_change(c))
    return;
  if (name && !*name) name = NULL;
  if (loaded(c) == 0) {
    answer(c, json_pack("{s:f}", "scale", scale), WARNING_SIGN "No LoRA loaded");
    return;
  }
  json_t *job = change(c, json_pack("{s:s, s:f, s:s?}", "do", "scale", "scale", scale, "name", name));
  const char *why = job ? route_failure(job) : NULL;
  if (why) reply_error(c, 400, ERROR_SIGN "%s", why);
  else if (job) answer_scale(c, job, scale, name);
  json_decref(job);
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void get_status(call *c) {
  if (!has_model(c)) return;
  bool use;
  size_t i;
  json_t *list = service_adapters(c->service, &use), *scales = json_object(), *names = json_array(), *a;
  json_array_foreach(list, i, a) {
    json_object_set(scales, json_text(a, "name"), json_object_get(a, "scale"));
    json_array_append(names, json_object_get(a, "name"));
  }
  size_t n = json_array_size(list);
  const json_t *last = n ? json_array_get(list, n - 1) : NULL;
  const char *type = last ? json_text(last, "type") : NULL, *active = last ? json_text(last, "name") : NULL;
  double scale = last ? json_number_value(json_object_get(last, "scale")) : 1;
  reply_data(c, json_pack("{s:b, s:b, s:f, s:s?, s:o, s:s?, s:o, s:b}", "lora_loaded", n > 0, "use_lora", (int)use,
                          "lora_scale", scale, "adapter_type", type, "scales", scales, "active_adapter", active,
                          "adapters", names, "synthetic_default_mode", 0));
  json_decref(list);
}

static void get_list(call *c) {
  bool use;
  json_t *list = service_adapters(c->service, &use);
  reply_data(c, json_pack("{s:o, s:b, s:o}", "loaded", list, "use", (int)use, "found", paths_of_adapters(c)));
}

const route routes_lora[] = {
    {"POST", "/v1/lora/load", AUTH_HEADER, BODY_TYPED, false, post_load, "Load an adapter and use it",
     "lora_path path? adapter_name? scale?:number stack?:bool", "message lora_path adapter_name?"},
    {"POST", "/v1/lora/unload", AUTH_HEADER, BODY_ANY, false, post_unload, "Unload one adapter, or all",
     "adapter_name?", "message"},
    {"POST", "/v1/lora/toggle", AUTH_HEADER, BODY_TYPED, false, post_toggle, "Use adapters or not", "use_lora:bool",
     "message use_lora:bool"},
    {"POST", "/v1/lora/scale", AUTH_HEADER, BODY_TYPED, false, post_scale, "How strongly an adapter acts",
     "scale:number adapter_name?", "message scale:number adapter_name?"},
    {"GET", "/v1/lora/status", AUTH_HEADER, BODY_NONE, false, get_status, "The adapters in short", NULL,
     "lora_loaded:bool use_lora:bool lora_scale:number adapter_type:any scales:object active_adapter:any "
     "adapters:[text] synthetic_default_mode:bool"},
    {"GET", "/v1/lora/list", AUTH_HEADER, BODY_NONE, false, get_list, "The adapters in full, and those that lie here",
     NULL, "loaded:[object] use:bool found:[object]"},
    {0},
};
