/* load.c - models come and go: on the worker's thread, with everybody told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "service/service_inner.h"

/* ---- telling ----------------------------------------------------------------------------------------------------- */

void service_tell(service *s) {
  json_t *data = service_json(s);
  if (data) events_publish(jobs_events(s->jobs), "", "", "service", data);
  json_decref(data);
}

static void begin_loading(service *s, const job_running *j) {
  pthread_mutex_lock(&s->lock);
  s->state.loading = true;
  snprintf(s->state.job, sizeof s->state.job, "%s", job_id(j));
  *s->state.failure = 0;
  pthread_mutex_unlock(&s->lock);
  service_tell(s);
}

static void end_loading(service *s, bool ok, const ace_error *err) {
  pthread_mutex_lock(&s->lock);
  s->state.loading = false;
  *s->state.job = 0;
  if (!ok) snprintf(s->state.failure, sizeof s->state.failure, "%s", err->message);
  pthread_mutex_unlock(&s->lock);
  service_tell(s);
}

/* ---- engines ----------------------------------------------------------------------------------------------------- */

static ace_engine *open_engine(service *s, const char *name, const char *lm, job_running *j, ace_error *err) {
  const service_state *now = &s->state;
  ace_engine_options o = {.model = name,
                          .vae = *now->vae ? now->vae : NULL,
                          .lm = *lm ? lm : NULL,
                          .lm_backend = now->backend,
                          .cache = s->cache,
                          .threads = s->options.threads,
                          .memory = s->options.memory,
                          .int8 = now->int8,
                          .lm_int8 = now->lm_int8,
                          .lm_server = s->options.lm_server,
                          .lm_server_model = s->options.lm_server_model,
                          .lm_server_key = s->options.lm_server_key,
                          .lm_fallback = s->options.lm_fallback,
                          .notify = service_callbacks(j)};
  return ace_engine_open(service_models(s), &o, err);
}

ace_engine *service_engine(service *s, int slot, job_running *j, ace_error *err) {
  if (slot < 1 || slot > SERVICE_SLOTS || !*s->state.slot[slot - 1].name) {
    ace_fail(err, ACE_EINVAL, "slot: %d has no model", slot);
    return NULL;
  }
  ace_engine **e = &s->engines[slot - 1];
  if (*e) return *e;
  begin_loading(s, j);
  service_slot *place = &s->state.slot[slot - 1];
  *e = open_engine(s, place->name, s->state.lm, j, err);
  pthread_mutex_lock(&s->lock);
  place->loaded = *e != NULL;
  if (*e) place->family = engine_family(*e);
  pthread_mutex_unlock(&s->lock);
  end_loading(s, *e != NULL, err);
  return *e;
}

ace_engine *service_engine_lm(service *s, int slot, job_running *j, ace_error *err) {
  ace_engine *e = service_engine(s, slot, j, err);
  if (!e || e->lm) return e;
  if (!s->state.lm_allowed) {
    ace_fail(err, ACE_EUNSUPPORTED,
             "LLM not initialized. Set ACESTEP_INIT_LLM=true or start with --init-llm to load the language model");
    return NULL;
  }
  begin_loading(s, j);
  bool ok = engine_need_lm(e, err) == ACE_OK;
  pthread_mutex_lock(&s->lock);
  if (ok) s->state.lm_loaded = true;
  if (ok) snprintf(s->state.lm, sizeof s->state.lm, "%s", e->lm_name);
  pthread_mutex_unlock(&s->lock);
  end_loading(s, ok, err);
  return ok ? e : NULL;
}

void service_unload(service *s, int slot) {
  bool lm = false;
  for (int i = 0; i < SERVICE_SLOTS; i++) {
    if (slot == 0 || slot == i + 1) {
      ace_engine_close(s->engines[i]);
      s->engines[i] = NULL;
    }
    lm = lm || (s->engines[i] && s->engines[i]->lm);
  }
  pthread_mutex_lock(&s->lock);
  for (int i = 0; i < SERVICE_SLOTS; i++) s->state.slot[i].loaded = s->engines[i] != NULL;
  s->state.lm_loaded = lm;
  if (!s->engines[0]) {
    json_decref(s->adapters);
    s->adapters = NULL, s->use_adapters = false;
  }
  pthread_mutex_unlock(&s->lock);
}

/* ---- the jobs "init" and "unload" -------------------------------------------------------------------------------- */

/* A name in the state changes; what was loaded under the old one goes. */
static void rename_slot(service *s, int slot, const char *name) {
  service_unload(s, slot);
  pthread_mutex_lock(&s->lock);
  snprintf(s->state.slot[slot - 1].name, sizeof s->state.slot[0].name, "%s", name);
  pthread_mutex_unlock(&s->lock);
}

static void rename_lm(service *s, const char *name) {
  service_unload(s, 0); /* an engine keeps its language model as long as it lives */
  pthread_mutex_lock(&s->lock);
  snprintf(s->state.lm, sizeof s->state.lm, "%s", name);
  pthread_mutex_unlock(&s->lock);
}

/* Refuses a name before anything that works is given up for it. */
static ace_status check_name(const service *s, inventory_kind kind, const char *name, ace_error *err) {
  inventory all;
  ace_status status = service_inventory(s, &all, err);
  if (status == ACE_OK && *name != '/' && !inventory_find(&all, kind, name))
    status = ace_fail(err, ACE_ENOTFOUND, "model: there is no complete folder \"%.200s\" in %.250s", name,
                      service_models(s));
  inventory_free(&all);
  return status;
}

/* The settings of a task take the place of those in force; when one differs, what was opened under the old ones goes. */
static void take_settings(service *s, const json_t *settings) {
  service_state old = s->state, *now = &s->state;
  const char *backend = json_text(settings, "backend");
  const json_t *named = json_object_get(settings, "vae"), *int8 = json_object_get(settings, "int8"),
               *lm_int8 = json_object_get(settings, "lm_int8");
  pthread_mutex_lock(&s->lock);
  if (*backend) snprintf(now->backend, sizeof now->backend, "%s", backend);
  if (json_is_string(named)) snprintf(now->vae, sizeof now->vae, "%s", json_string_value(named));
  if (json_is_boolean(int8)) now->int8 = json_is_true(int8);
  if (json_is_boolean(lm_int8)) now->lm_int8 = json_is_true(lm_int8);
  bool differ = strcmp(old.backend, now->backend) != 0 || strcmp(old.vae, now->vae) != 0 || old.int8 != now->int8 ||
                old.lm_int8 != now->lm_int8 || (old.lm_loaded && json_is_false(json_object_get(settings, "init_lm")));
  pthread_mutex_unlock(&s->lock);
  if (differ) service_unload(s, 0);
}

/* A training that gave way to this job goes on with the model that it began with. */
static ace_status check_training(service *s, int slot, const json_t *task, ace_error *err) {
  const char *model = json_text(task, "model");
  const json_t *int8 = json_object_get(json_object_get(task, "settings"), "int8");
  bool changes = slot == 1 && *model && strcmp(model, s->state.slot[0].name) != 0;
  if (json_is_boolean(int8) && json_is_true(int8) != s->state.int8) changes = true;
  if (!changes) return ACE_OK;
  json_t *trainings = jobs_list(s->jobs, &(jobs_filter){.kind = "train", .unfinished = true}, err);
  if (!trainings) return err->status;
  size_t n = json_array_size(trainings);
  json_decref(trainings);
  return n == 0 ? ACE_OK
                : ace_fail(err, ACE_EBUSY, "model: an adapter is being trained on %.200s; stop that first",
                           s->state.slot[0].name);
}

json_t *run_init(service *s, job_running *j, ace_error *err) {
  const json_t *task = job_request(j);
  int slot = (int)json_integer_value(json_object_get(task, "slot"));
  bool with_lm = json_is_true(json_object_get(task, "init_lm"));
  const char *model = json_text(task, "model"), *lm = json_text(task, "lm");
  if (slot < 1 || slot > SERVICE_SLOTS) slot = 1;
  if (*model && check_name(s, INVENTORY_DIFFUSION, model, err) != ACE_OK) return NULL;
  if (*lm && check_name(s, INVENTORY_LANGUAGE, lm, err) != ACE_OK) return NULL;
  if (check_training(s, slot, task, err) != ACE_OK) return NULL;
  if (*model && strcmp(model, s->state.slot[slot - 1].name) != 0) rename_slot(s, slot, model);
  if (*lm && strcmp(lm, s->state.lm) != 0) rename_lm(s, lm);
  take_settings(s, json_object_get(task, "settings"));
  json_t *reloaded = json_array();
  if (!s->engines[slot - 1]) json_array_append_new(reloaded, json_string("DiT/VAE/Text Encoder"));
  const json_t *may = json_object_get(json_object_get(task, "settings"), "init_lm");
  if (with_lm || may) {
    pthread_mutex_lock(&s->lock);
    s->state.lm_allowed = with_lm || json_is_true(may);
    pthread_mutex_unlock(&s->lock);
  }
  bool had_lm = s->state.lm_loaded;
  const ace_engine *e = with_lm ? service_engine_lm(s, slot, j, err) : service_engine(s, slot, j, err);
  if (with_lm && !had_lm) json_array_append_new(reloaded, json_string("LLM"));
  if (!e) {
    json_decref(reloaded);
    return NULL;
  }
  return json_pack("{s:i, s:s, s:o, s:o}", "slot", slot, "model", s->state.slot[slot - 1].name, "lm",
                   s->state.lm_loaded ? json_string(s->state.lm) : json_null(), "reloaded", reloaded);
}

json_t *run_unload(service *s, job_running *j, ace_error *err) {
  service_unload(s, 0);
  service_tell(s);
  return json_object();
}
