/* api_state.c - what is there, what is loaded, loading: health, models, inventory, init, statistics. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/route.h"

static json_t *text_or_null(const char *text) {
  return text && *text ? json_string(text) : json_null();
}

static const char *last_part(const char *name) {
  const char *slash = strrchr(name, '/');
  return slash && slash[1] ? slash + 1 : name;
}

static void get_health(call *c) {
  service_state now;
  service_look(c->service, &now);
  json_t *data = json_pack("{s:s, s:s, s:s, s:b, s:b, s:o, s:o}", "status", "ok", "service", "ACE-Step API", "version",
                           "1.0", "models_initialized", (int)now.slot[0].loaded, "llm_initialized", (int)now.lm_loaded,
                           "loaded_model", text_or_null(last_part(now.slot[0].name)), "loaded_lm_model",
                           now.lm_loaded ? text_or_null(last_part(now.lm)) : json_null());
  /* clients of older servers look beside the envelope */
  reply_data_beside(c, data, "status", "ok");
}

/* ---- inventory --------------------------------------------------------------------------------------------------- */

static json_t *tasks_of(req_model family) {
  if (family == REQ_MODEL_TURBO) return json_pack("[s, s, s, s]", "text2music", "repaint", "cover", "cover-nofsq");
  return json_pack("[s, s, s, s, s, s, s]", "text2music", "repaint", "cover", "cover-nofsq", "extract", "lego",
                   "complete");
}

static bool is_loaded(const service_state *now, const char *name) {
  for (int i = 0; i < SERVICE_SLOTS; i++)
    if (now->slot[i].loaded && strcmp(last_part(now->slot[i].name), name) == 0) return true;
  return false;
}

/* The keys of the inventory. NULL on failure. */
static json_t *inventory_json(service *s, ace_error *err) {
  service_state now;
  service_look(s, &now);
  inventory all;
  if (service_inventory(s, &all, err) != ACE_OK) return NULL;
  json_t *models = json_array(), *lms = json_array();
  for (int i = 0; i < all.n; i++) {
    const inventory_model *m = &all.models[i];
    if (m->kind == INVENTORY_DIFFUSION)
      json_array_append_new(models,
                            json_pack("{s:s, s:b, s:b, s:o}", "name", m->name, "is_default",
                                      strcmp(m->name, last_part(now.slot[0].name)) == 0, "is_loaded",
                                      (int)is_loaded(&now, m->name), "supported_task_types", tasks_of(m->family)));
    if (m->kind == INVENTORY_LANGUAGE)
      json_array_append_new(lms, json_pack("{s:s, s:b}", "name", m->name, "is_loaded",
                                           now.lm_loaded && strcmp(m->name, last_part(now.lm)) == 0));
  }
  inventory_free(&all);
  return json_pack("{s:o, s:o, s:o, s:o, s:b}", "models", models, "default_model",
                   text_or_null(last_part(now.slot[0].name)), "lm_models", lms, "loaded_lm_model",
                   now.lm_loaded ? text_or_null(last_part(now.lm)) : json_null(), "llm_initialized",
                   (int)now.lm_loaded);
}

static void get_inventory(call *c) {
  ace_error err;
  json_t *all = inventory_json(c->service, &err);
  if (all) reply_data(c, all);
  else reply_failure(c, &err);
}

static json_t *router_entry(const char *name) {
  char id[300], title[300];
  snprintf(id, sizeof id, "acestep/%.250s", name);
  snprintf(title, sizeof title, "ACE-Step %.250s", name);
  const int month = 30 * 24 * 3600;
  return json_pack("{s:s, s:s, s:I, s:[s, s], s:[s, s], s:i, s:i, s:{s:s, s:s, s:s, s:s}, s:s, s:n}", "id", id, "name",
                   title, "created", (json_int_t)time(NULL) - month, "input_modalities", "text", "audio",
                   "output_modalities", "audio", "text", "context_length", 4096, "max_output_length", 300, "pricing",
                   "prompt", "0", "completion", "0", "request", "0", "image", "0", "description",
                   "AI music generation model", "architecture");
}

/* The list of a model router, with the inventory beside it: clients read the one or the other. */
static void get_models(call *c) {
  ace_error err;
  service_state now;
  service_look(c->service, &now);
  json_t *answer = inventory_json(c->service, &err), *list = json_array();
  if (!answer) {
    json_decref(list);
    reply_failure(c, &err);
    return;
  }
  for (int i = 0; i < SERVICE_SLOTS; i++)
    if (now.slot[i].loaded) json_array_append_new(list, router_entry(last_part(now.slot[i].name)));
  json_object_set_new(answer, "object", json_string("list"));
  json_object_set_new(answer, "data", list);
  http_json(c->http, 200, answer);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

/* The finished job of that kind; NULL: answered. */
static json_t *load(call *c, const json_t *task, const char *failure) {
  json_t *job = route_run(c, "init", task);
  const char *why = job ? route_failure(job) : NULL;
  if (!why) return job;
  reply_error(c, 500, "%s: %s", failure, why);
  json_decref(job);
  return NULL;
}

static void post_init(call *c) {
  double slot = 1;
  bool init_lm = false;
  const char *model = NULL, *lm = NULL;
  if (!typed_number(c, "slot", false, 1, SERVICE_SLOTS, &slot) || !typed_bool(c, "init_llm", false, &init_lm) ||
      !typed_text(c, "model", false, &model) || !typed_text(c, "lm_model_path", false, &lm))
    return;
  service_state now;
  service_look(c->service, &now);
  int n = (int)slot;
  if (!*now.slot[n - 1].name) {
    reply_error(c, 400,
                "Slot %d is not available because ACESTEP_CONFIG_PATH%d was not set at startup. Restart the API with "
                "ACESTEP_CONFIG_PATH%d to enable this slot.",
                n, n, n);
    return;
  }
  json_t *task = json_pack("{s:i, s:b, s:s, s:s}", "slot", n, "init_lm", (int)init_lm, "model",
                           model ? last_part(model) : "", "lm", init_lm && lm ? last_part(lm) : "");
  json_t *job = load(c, task, "Model initialization failed");
  json_decref(task);
  if (!job) return;
  ace_error err;
  json_t *data = inventory_json(c->service, &err);
  const json_t *result = json_object_get(job, "result");
  if (data) {
    json_object_del(data, "default_model");
    json_object_set_new(data, "message", json_string("Model initialization completed"));
    json_object_set_new(data, "slot", json_integer(n));
    json_object_set(data, "loaded_model", json_object_get(result, "model"));
    json_object_set_new(data, "loaded_lm_model", init_lm ? json_incref(json_object_get(result, "lm")) : json_null());
    reply_data(c, data);
  } else {
    reply_failure(c, &err);
  }
  json_decref(job);
}

static void post_reinitialize(call *c) {
  service_state now;
  service_look(c->service, &now);
  json_t *task = json_pack("{s:i, s:b}", "slot", 1, "init_lm", (int)now.lm_allowed);
  json_t *job = load(c, task, "Reinitialization failed");
  json_decref(task);
  if (!job) return;
  json_t *reloaded = json_object_get(json_object_get(job, "result"), "reloaded"), *part;
  char message[256] = "\xe2\x9c\x85 Service reinitialized";
  size_t i;
  json_array_foreach(reloaded, i, part) {
    size_t used = strlen(message);
    snprintf(message + used, sizeof message - used, "%s%s",
             i ? ", " : "\n\xf0\x9f\x94\x84 Reloaded: ", json_string_value(part));
  }
  reply_data(c, json_pack("{s:s, s:O}", "message", message, "reloaded", reloaded));
  json_decref(job);
}

static void get_stats(call *c) {
  ace_error err;
  json_t *n = jobs_counts(service_jobs(c->service), &err);
  if (!n) {
    reply_failure(c, &err);
    return;
  }
  reply_data(c, json_pack("{s:{s:O, s:O, s:O, s:O, s:O}, s:O, s:O, s:O}", "jobs", "total", json_object_get(n, "total"),
                          "queued", json_object_get(n, "queued"), "running", json_object_get(n, "running"), "succeeded",
                          json_object_get(n, "succeeded"), "failed", json_object_get(n, "failed"), "queue_size",
                          json_object_get(n, "queued"), "queue_maxsize", json_object_get(n, "most_waiting"),
                          "avg_job_seconds", json_object_get(n, "average_seconds")));
  json_decref(n);
}

const route routes_state[] = {
    {"GET", "/health", AUTH_NONE, BODY_NONE, false, get_health, "Is it there, what is loaded", NULL,
     "status service version models_initialized:bool llm_initialized:bool loaded_model:any loaded_lm_model:any"},
    {"GET", "/v1/models", AUTH_NONE, BODY_NONE, false, get_models,
     "Loaded models as a model router lists them, the inventory beside it", NULL,
     "=object data:list models:[Model] default_model:any lm_models:[LanguageModel] loaded_lm_model:any "
     "llm_initialized:bool"},
    {"GET", "/v1/model_inventory", AUTH_HEADER, BODY_NONE, false, get_inventory,
     "Models on disk, which are loaded, what each can do", NULL,
     "models:[Model] default_model:any lm_models:[LanguageModel] loaded_lm_model:any llm_initialized:bool"},
    {"POST", "/v1/init", AUTH_HEADER, BODY_TYPED, false, post_init,
     "Load a model into a slot, with init_llm the language model too", "model? slot?:int init_llm?:bool lm_model_path?",
     "message slot:int loaded_model:any loaded_lm_model:any models:[Model] lm_models:[LanguageModel] "
     "llm_initialized:bool"},
    {"POST", "/v1/reinitialize", AUTH_HEADER, BODY_LOOSE, false, post_reinitialize, "Load again what was let go", NULL,
     "message reloaded:[text]"},
    {"GET", "/v1/stats", AUTH_HEADER, BODY_NONE, false, get_stats, "Jobs by state, queue, average time", NULL,
     "jobs:object queue_size:int queue_maxsize:int avg_job_seconds:number"},
    {0},
};
