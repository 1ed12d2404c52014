/* service.c - opening, closing, and the snapshot of the state; jobs find their function here. */
#include "service/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/pool.h"
#include "base/random.h"
#include "engine/engine.h"
#include "service/service_inner.h"

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/* Files that came with a job go when it has ended, not when it will run again. */
static void drop_uploads(const job_running *j, const json_t *result) {
  size_t i;
  json_t *upload;
  json_array_foreach(json_object_get(job_request(j), "uploads"), i, upload) {
    if (!job_cancelled(j) || result) unlink(json_string_value(upload));
  }
}

static json_t *run(void *user, job_running *j, ace_error *err) {
  static const struct {
    const char *kind;
    json_t *(*run)(service *s, job_running *j, ace_error *err);
  } kinds[] = {
      {"generate", run_generate}, {"create", run_create},    {"format", run_format}, {"understand", run_understand},
      {"codes", run_codes},       {"score", run_score},      {"lrc", run_lrc},       {"init", run_init},
      {"unload", run_unload},     {"lora", run_lora},        {"label", run_label},   {"prepare", run_prepare},
      {"train", run_train},       {"analyze", run_generate}, {"think", run_think},   {"encode", run_encode},
      {"decode", run_decode},     {"hear", run_hear},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kinds[i].kind, job_kind(j)) == 0) {
      service *s = user;
      pthread_mutex_lock(&s->engines_lock);
      json_t *result = kinds[i].run(s, j, err);
      pthread_mutex_unlock(&s->engines_lock);
      drop_uploads(j, result);
      return result;
    }
  ace_fail(err, ACE_EUNSUPPORTED, "job: this program knows no kind \"%.64s\"", job_kind(j));
  return NULL;
}

static void on_progress(void *user, const ace_progress *p) {
  job_progress(user, p);
}

static bool on_cancelled(void *user) {
  return job_cancelled(user);
}

ace_callbacks service_callbacks(job_running *j) {
  return (ace_callbacks){.progress = on_progress, .cancelled = on_cancelled, .user = j};
}

json_t *run_parsed(char *text, ace_error *err) {
  json_t *json = text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
  if (text && !json) ace_fail(err, ACE_ENOMEM, "job: out of memory");
  free(text);
  return json;
}

/* ---- the state --------------------------------------------------------------------------------------------------- */

/* With the language model loaded its limits hold. The lock is held. */
static void set_limits(service_state *state) {
  const tier *t = tier_get(state->machine.id);
  state->seconds = state->lm_loaded ? t->seconds_lm : t->seconds;
  state->batch = state->lm_loaded ? t->batch_lm : t->batch;
}

void service_look(service *s, service_state *out) {
  pthread_mutex_lock(&s->lock);
  set_limits(&s->state);
  *out = s->state;
  pthread_mutex_unlock(&s->lock);
}

bool service_set_tier(service *s, const char *key) {
  tier_id id;
  if (!tier_find(key, &id)) return false;
  pthread_mutex_lock(&s->lock);
  s->state.machine.id = id;
  pthread_mutex_unlock(&s->lock);
  return true;
}

jobs *service_jobs(service *s) {
  return s->jobs;
}

downloads *service_downloads(service *s) {
  return s->downloads;
}

const char *service_models(const service *s) {
  return !s->spare || inventory_can_sing(s->models) ? s->models : s->spare;
}

const char *service_data(const service *s) {
  return s->data;
}

int service_threads(const service *s) {
  return s->options.threads ? s->options.threads : pool_cpus();
}

const char *service_uploads(const service *s) {
  return s->uploads;
}

char *service_upload_path(const service *s, const char *suffix) {
  uint64_t random[2];
  char name[64];
  if (!random_bytes(random, sizeof random)) return NULL;
  snprintf(name, sizeof name, "%016llx%016llx%.16s", (unsigned long long)random[0], (unsigned long long)random[1],
           suffix);
  return file_join(s->uploads, name);
}

ace_status service_inventory(const service *s, inventory *out, ace_error *err) {
  return inventory_read(service_models(s), out, err);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void put(char *out, size_t size, const char *text) {
  snprintf(out, size, "%s", text);
}

/* Which models a user gets who names none. */
static ace_status choose_models(service *s, const service_options *o, ace_error *err) {
  inventory all;
  ace_status status = service_inventory(s, &all, err);
  if (status != ACE_OK) return status;
  const tier *t = tier_get(s->state.machine.id);
  bool card = s->state.machine.card;
  const inventory_model *song = inventory_usual(&all);
  const inventory_model *lm = inventory_language(&all, card && t->sizes ? t->recommended : LM_0_6B);
  const char *first = o->slots[0] ? o->slots[0] : song ? song->name : "acestep-v15-turbo";
  put(s->state.slot[0].name, sizeof s->state.slot[0].name, first);
  for (int i = 1; i < SERVICE_SLOTS; i++)
    if (o->slots[i]) put(s->state.slot[i].name, sizeof s->state.slot[i].name, o->slots[i]);
  put(s->state.lm, sizeof s->state.lm, o->lm ? o->lm : lm ? lm->name : "");
  inventory_free(&all);
  return ACE_OK;
}

static char *copied(const char *text) {
  return text ? strdup(text) : NULL;
}

/* What the worker needs again later, in memory of our own. */
static void keep_options(service *s, const service_options *o) {
  const uint64_t usual = (uint64_t)10 << 30;
  s->options = (service_options){.threads = o->threads,
                                 .memory = o->memory,
                                 .lm_server = copied(o->lm_server),
                                 .lm_server_model = copied(o->lm_server_model),
                                 .lm_server_key = copied(o->lm_server_key),
                                 .lm_fallback = o->lm_fallback,
                                 .most_recordings = o->most_recordings ? o->most_recordings : usual};
}

static void free_options(service_options *o) {
  free((char *)o->lm_server), free((char *)o->lm_server_model);
  if (o->lm_server_key) memset((char *)o->lm_server_key, 0, strlen(o->lm_server_key));
  free((char *)o->lm_server_key);
}

static void detect(service *s, const service_options *o) {
  ace_engine measure = {.memory = o->memory};
  s->state.machine = tier_detect(o->memory ? o->memory : engine_room(&measure, 0));
  json_t *usual = tier_defaults(&s->state.machine);
  bool fits = o->lm_server || json_is_true(json_object_get(usual, "init_lm"));
  s->state.lm_allowed = o->init_lm >= 0 ? o->init_lm > 0 : fits;
  put(s->state.backend, sizeof s->state.backend, o->lm_backend ? o->lm_backend : json_text(usual, "backend"));
  put(s->state.vae, sizeof s->state.vae, o->vae ? o->vae : "");
  s->state.int8 = o->int8, s->state.lm_int8 = o->lm_int8;
  json_decref(usual);
}

static ace_status queue_loading(service *s, ace_error *err) {
  char id[JOBS_ID];
  json_t *task = json_pack("{s:i, s:b}", "slot", 1, "init_lm", (int)s->state.lm_allowed);
  ace_status status = jobs_submit(s->jobs, &(job_new){.session = "", .kind = "init", .request = task}, id, NULL, err);
  json_decref(task);
  return status;
}

static bool make_folders(service *s, ace_error *err) {
  bool ok = s->models && s->data && s->uploads && s->cache && s->recordings;
  if (!ok) ace_fail(err, ACE_ENOMEM, "service: out of memory");
  return ok && file_make_directory(s->uploads, err) == ACE_OK && file_make_directory(s->cache, err) == ACE_OK &&
         file_make_directory(s->recordings, err) == ACE_OK;
}

service *service_open(const service_options *o, ace_error *err) {
  service *s = calloc(1, sizeof *s);
  if (!s) {
    ace_fail(err, ACE_ENOMEM, "service: out of memory");
    return NULL;
  }
  pthread_mutex_init(&s->lock, NULL), pthread_mutex_init(&s->decoding, NULL), pthread_mutex_init(&s->learning, NULL);
  pthread_mutex_init(&s->engines_lock, NULL), pthread_mutex_init(&s->training_lock, NULL);
  service_training_clear(&s->training);
  keep_options(s, o);
  s->models = strdup(o->models), s->spare = o->spare ? strdup(o->spare) : NULL, s->data = strdup(o->data);
  s->uploads = file_join(o->data, "uploads"), s->cache = file_join(o->data, "cache");
  s->recordings = file_join(o->data, "recordings");
  detect(s, o);
  bool ok = make_folders(s, err) && choose_models(s, o, err) == ACE_OK;
  if (ok)
    s->jobs = jobs_open(&(jobs_options){.folder = o->data,
                                        .most_waiting = o->most_waiting,
                                        .window = o->window,
                                        .average = o->average,
                                        .run = run,
                                        .user = s,
                                        .opened = &s->jobs},
                        err);
  if (ok && s->jobs)
    s->downloads = downloads_open(&(downloads_options){.models = o->models,
                                                       .hubs = o->hubs,
                                                       .n_hubs = o->n_hubs,
                                                       .at_once = o->files_at_once,
                                                       .events = jobs_events(s->jobs)},
                                  err);
  ok = ok && s->jobs && s->downloads && (!o->load_now || queue_loading(s, err) == ACE_OK);
  if (ok) return s;
  service_close(s, 0);
  return NULL;
}

void service_close(service *s, double patience) {
  if (!s) return;
  downloads_close(s->downloads);
  jobs_close(s->jobs, patience);
  service_unload(s, 0);
  pthread_mutex_destroy(&s->lock), pthread_mutex_destroy(&s->decoding), pthread_mutex_destroy(&s->learning);
  pthread_mutex_destroy(&s->engines_lock), pthread_mutex_destroy(&s->training_lock);
  json_decref(s->training.settings), json_decref(s->training.history), json_decref(s->training.log);
  dataset_free(&s->dataset.d);
  json_decref(s->adapters);
  free(s->models), free(s->spare), free(s->data), free(s->uploads), free(s->cache), free(s->recordings);
  free_options(&s->options);
  free(s);
}
