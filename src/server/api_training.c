/* api_training.c - prepared samples, the training of adapters, and trained ones over HTTP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request/text.h"
#include "server/paths.h"
#include "service/training.h"
#include "train/export.h"
#include "train/sample_set.h"
#include "train/settings.h"

enum { MESSAGE = 2048 };

/* ---- how far it is ------------------------------------------------------------------------------------------------ */

/* The job of a training that waits or runs, else of the latest since the program started, a new reference; NULL: there is
 * none. One that an earlier start left in the queue counts too. */
static json_t *latest_job(call *c) {
  jobs *q = service_jobs(c->service);
  json_t *open = jobs_list(q, &(jobs_filter){.kind = "train", .unfinished = true, .whole = true}, NULL);
  json_t *oldest = json_incref(json_array_get(open, json_array_size(open) - 1));
  json_decref(open);
  if (oldest) return oldest;
  char id[JOBS_ID];
  const service_training *t = service_training_lock(c->service);
  memcpy(id, t->job, sizeof id);
  service_training_unlock(c->service);
  return *id ? jobs_get(q, id, NULL) : NULL;
}

static bool is_unfinished(const json_t *job) {
  return job && !route_ended(job);
}

static json_t *text_or_null(const char *text) {
  return text && *text ? json_string(text) : json_null();
}

static json_t *log_text(const json_t *lines) {
  char *text = NULL;
  size_t i, used = 0, all = 1;
  const json_t *line;
  json_array_foreach(lines, i, line) all += json_string_length(line) + 1;
  if (!(text = malloc(all))) return json_null();
  json_array_foreach(lines, i, line) used += (size_t)sprintf(text + used, "%s\n", json_string_value(line));
  text[used] = 0;
  json_t *out = json_string(text);
  free(text);
  return out;
}

/* In words: what it does, or how it ended. */
static void describe(const json_t *job, const service_training *t, char text[MESSAGE]) {
  const char *state = job ? json_text(job, "state") : "";
  if (!job) snprintf(text, MESSAGE, "Idle");
  else if (!route_ended(job) && t->stopping) snprintf(text, MESSAGE, "Stopping...");
  else if (strcmp(state, "queued") == 0 && t->started > 0)
    snprintf(text, MESSAGE, "Paused at step %lld: songs come first", (long long)t->step);
  else if (!route_ended(job) && !t->step) snprintf(text, MESSAGE, "Starting...");
  else if (!route_ended(job))
    snprintf(text, MESSAGE, "Epoch %d/%d, Step %lld, Loss: %.4f", t->epoch, t->epochs, (long long)t->step, t->loss);
  else if (strcmp(state, "succeeded") == 0)
    snprintf(text, MESSAGE, "%s", json_text(json_object_get(job, "result"), "message"));
  else if (strcmp(state, "cancelled") == 0) snprintf(text, MESSAGE, "Training stopped; its checkpoint is kept");
  else
    snprintf(text, MESSAGE, "\xe2\x9d\x8c Training failed: %.1500s",
             json_text(json_object_get(job, "error"), "message"));
}

static void get_status(call *c) {
  json_t *job = latest_job(c);
  bool running = is_unfinished(job), failed = strcmp(json_text(job, "state"), "failed") == 0;
  char text[MESSAGE];
  const service_training *t = service_training_lock(c->service);
  describe(job, t, text);
  json_t *folder = json_object_get(t->settings, "dataset_dir"), *result = json_object_get(job, "result");
  json_t *out =
      json_pack("{s:b, s:b, s:I, s:o, s:s, s:O?, s:O?, s:o, s:n, s:n, s:o, s:o, s:i, s:f, s:f, s:o}", "is_training",
                running, "should_stop", t->stopping && running, "current_step", (json_int_t)t->step, "current_loss",
                t->step ? json_real(t->loss) : json_null(), "status", text, "config", t->settings, "tensor_dir", folder,
                "loss_history", json_copy(t->history), "tensorboard_url", "tensorboard_logdir", "training_log",
                log_text(t->log), "start_time", t->started > 0 ? json_real(t->started) : json_null(), "current_epoch",
                t->epoch, "steps_per_second", t->rate, "estimated_time_remaining", t->left > 0 ? t->left : 0.0, "error",
                text_or_null(failed ? json_text(json_object_get(job, "error"), "message") : NULL));
  json_object_set_new(out, "epochs", json_integer(t->epochs));
  json_object_set_new(out, "steps", json_integer((json_int_t)t->steps));
  json_object_set_new(out, "folder", text_or_null(json_text(result, "folder")));
  service_training_unlock(c->service);
  json_decref(job);
  reply_data(c, out);
}

/* ---- start and stop ---------------------------------------------------------------------------------------------- */

/* The body's fields that are settings, by any of their names; others are passed over. */
static ace_status read_settings(const json_t *body, train_settings *s, ace_error *err) {
  const char *key;
  json_t *value;
  ace_status status = ACE_OK;
  json_object_foreach((json_t *)body, key, value) {
    char room[VALUE_SIZE];
    const train_setting *t = train_setting_find(key);
    const char *text = value_as_text(value, room);
    if (!t || !text || strcmp(t->name, "adapter") == 0) continue;
    if (strcmp(t->name, "gradient_checkpointing") == 0 && (json_is_boolean(value) || *text == 't' || *text == 'f'))
      text = value_bool(value, false) ? "on" : "auto";
    else if (strcmp(t->name, "lokr_factor") == 0 && json_is_integer(value) && json_integer_value(value) >= 0)
      text = json_integer_value(value) < 1 ? "1" : json_integer_value(value) > 8 ? "8" : text;
    if (status == ACE_OK) status = train_settings_set(s, t->name, text, err);
  }
  return status;
}

/* Folders that callers name become whole paths. False: answered. */
static bool settle_paths(call *c, train_settings *s) {
  char **const path[] = {&s->dataset_dir, &s->output_dir, &s->resume};
  static const char *const what[] = {"tensor directory path", "output directory", "checkpoint"};
  for (size_t i = 0; i < sizeof path / sizeof *path; i++) {
    if (!**path[i]) continue;
    char *whole = path[i] == &s->output_dir ? path_to_write(c, *path[i], what[i]) : path_to_read(c, *path[i], what[i]);
    if (!whole) return false;
    free(*path[i]);
    *path[i] = whole;
  }
  return true;
}

/* As the protocol words what was started. */
static json_t *started_json(const train_settings *s, bool lokr) {
  json_t *config =
      lokr ? json_pack("{s:s, s:i, s:f, s:i, s:b, s:b, s:b, s:b}", "adapter_type", "lokr", "lokr_linear_dim",
                       s->lokr_dim, "lokr_linear_alpha", s->lokr_alpha, "lokr_factor", s->lokr_factor,
                       "lokr_decompose_both", s->lokr_decompose_both, "lokr_use_tucker", s->lokr_use_tucker,
                       "lokr_use_scalar", s->lokr_use_scalar, "lokr_weight_decompose", s->lokr_weight_decompose)
           : json_pack("{s:i, s:f}", "lora_rank", s->rank, "lora_alpha", s->alpha);
  json_object_set_new(config, "learning_rate", json_real(s->learning_rate));
  json_object_set_new(config, "epochs", json_integer(s->epochs));
  json_t *out = json_pack("{s:s, s:s, s:s, s:o}", "message", lokr ? "LoKR training started" : "Training started",
                          "tensor_dir", s->dataset_dir, "output_dir", s->output_dir, "config", config);
  if (!lokr) json_object_set_new(out, "fp8_enabled", json_false());
  return out;
}

/* One at a time: looking and submitting are one step. */
static void submit(call *c, const train_settings *s, bool lokr) {
  char id[JOBS_ID];
  ace_error err;
  json_t *settings = train_settings_json(s), *task = json_pack("{s:O?}", "settings", settings);
  job_new j = {.session = c->session, .kind = "train", .class = JOB_BACKGROUND, .request = task};
  service_training *t = service_training_lock(c->service);
  json_t *others = jobs_list(service_jobs(c->service), &(jobs_filter){.kind = "train", .unfinished = true}, NULL);
  bool busy = json_array_size(others) > 0;
  ace_status status = busy ? ACE_EBUSY : jobs_submit(service_jobs(c->service), &j, id, NULL, &err);
  if (status == ACE_OK) service_training_begin(t, id, json_incref(settings));
  service_training_unlock(c->service);
  if (busy) {
    reply_detail(c, 400, "Training already in progress");
  } else if (status == ACE_OK) {
    json_t *out = started_json(s, lokr);
    json_object_set_new(out, "task_id", json_string(id));
    reply_data(c, out);
  } else {
    reply_failure(c, &err);
  }
  json_decref(others), json_decref(task), json_decref(settings);
}

static void start(call *c, bool lokr) {
  const char *what = lokr ? "LoKR training" : "training";
  train_settings s;
  ace_error err;
  const char *folder = NULL;
  if (!typed_text(c, "dataset_dir", false, &folder) || (!folder && !typed_text(c, "tensor_dir", true, &folder))) return;
  if (train_settings_init(&s, TRAIN_SURFACE_REST, lokr ? TRAIN_LOKR : TRAIN_LORA, &err) != ACE_OK) {
    reply_failure(c, &err);
    return;
  }
  if (read_settings(c->body, &s, &err) != ACE_OK || train_settings_check(&s, &err) != ACE_OK)
    reply_error(c, 500, "Failed to start %s: %s", what, err.message);
  else if (settle_paths(c, &s)) {
    sample_set set;
    bool there = sample_set_open(&set, s.dataset_dir, NULL, &err) == ACE_OK;
    if (there) sample_set_free(&set);
    if (there) submit(c, &s, lokr);
    else reply_error(c, 500, "Failed to start %s: %s", what, err.message);
  }
  train_settings_free(&s);
}

static void post_start(call *c) {
  start(c, false);
}

static void post_start_lokr(call *c) {
  start(c, true);
}

static void post_stop(call *c) {
  json_t *job = latest_job(c);
  bool running = is_unfinished(job);
  if (running) {
    service_training *t = service_training_lock(c->service);
    service_training_clear(t);
    t->stopping = true;
    service_training_unlock(c->service);
    jobs_cancel(service_jobs(c->service), json_text(job, "id"), NULL);
  }
  json_decref(job);
  reply_data(c, json_pack("{s:s}", "message", running ? "Stopping training..." : "No training in progress"));
}

/* What the forms of the page are made from, with the guide's defaults. */
static void get_settings(call *c) {
  reply_data(c, json_pack("{s:o, s:o}", "lora", train_settings_schema(TRAIN_SURFACE_GUIDE, TRAIN_LORA), "lokr",
                          train_settings_schema(TRAIN_SURFACE_GUIDE, TRAIN_LOKR)));
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static json_t *info_json(const sample_set *set, const char *folder) {
  const char *name = sample_set_text(set, "name"), *tag = sample_set_text(set, "custom_tag");
  char message[MESSAGE];
  if (set->listed)
    snprintf(message, sizeof message,
             "\xf0\x9f\x93\x82 Loaded preprocessed dataset: %.400s\n\xf0\x9f\x94\xa2 Samples: %d preprocessed tensors\n"
             "\xf0\x9f\x8f\xb7\xef\xb8\x8f Custom Tag: %.400s",
             name, set->n, *tag ? tag : "(none)");
  else
    snprintf(message, sizeof message,
             "\xf0\x9f\x93\x82 Found %d tensor files in %.900s\n\xe2\x84\xb9\xef\xb8\x8f No manifest.json found",
             set->n, folder);
  return json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:i}", "dataset_name", name, "num_samples", set->n, "custom_tag",
                   tag, "tensor_dir", folder, "message", message, "missing", set->missing, "unlisted", set->unlisted);
}

static void post_info(call *c) {
  const char *given = NULL;
  if (!typed_text(c, "tensor_dir", true, &given)) return;
  if (req_is_blank(given)) {
    reply_detail(c, 400, "Please enter a tensor directory path");
    return;
  }
  char *folder = path_to_read(c, given, "tensor directory path");
  if (!folder) return;
  sample_set set;
  ace_error err;
  if (sample_set_open(&set, folder, NULL, &err) == ACE_OK) {
    reply_data(c, info_json(&set, folder));
    sample_set_free(&set);
  } else {
    reply_detail(c, 400, "%s", err.message);
  }
  free(folder);
}

/* ---- adapters ---------------------------------------------------------------------------------------------------- */

static void post_export(call *c) {
  const char *to = NULL, *from = NULL, *epoch = NULL;
  bool replace = true;
  if (!typed_text(c, "export_path", true, &to) || !typed_text(c, "lora_output_dir", true, &from) ||
      !typed_text(c, "epoch", false, &epoch) || !typed_bool(c, "replace", false, &replace))
    return;
  char *source = path_to_read(c, from, "output directory"),
       *destination = source ? path_to_write(c, to, "export path") : NULL;
  export_options o = {.epoch = epoch};
  export_made made = {0};
  ace_error err;
  if (destination && (replace || path_is_free(c, destination))) {
    ace_status status = export_adapter(source, destination, &o, &made, &err);
    if (status == ACE_OK)
      reply_data(c, json_pack("{s:s, s:s, s:s}", "message", "LoRA exported successfully", "export_path", made.path,
                              "source", made.source));
    else if (status == ACE_ENOTFOUND)
      reply_detail(c, 404, "No trained model found in %.300s: %.500s", from, err.message);
    else reply_error(c, 500, "Export failed: %s", err.message);
  }
  export_made_free(&made);
  free(source), free(destination);
}

#define START                                                                                      \
  "tensor_dir? dataset_dir? output_dir? lora_output_dir? learning_rate?:number train_epochs?:int " \
  "train_batch_size?:int "                                                                         \
  "gradient_accumulation?:int save_every_n_epochs?:int training_shift?:number training_seed?:int "
#define STARTED "message tensor_dir output_dir config:object task_id"

const route routes_training[] = {
    {"GET", "/v1/training/status", AUTH_HEADER, BODY_NONE, false, get_status, "What is being trained", NULL,
     "is_training:bool should_stop:bool current_step:int status config:object loss_history:[object]"},
    {"GET", "/v1/training/settings", AUTH_HEADER, BODY_NONE, false, get_settings,
     "What a training can be asked for, with the guide's defaults", NULL, "lora:[object] lokr:[object]"},
    {"POST", "/v1/training/start", AUTH_HEADER, BODY_TYPED, false, post_start, "Train a LoRA adapter",
     START "lora_rank?:int lora_alpha?:number lora_dropout?:number", STARTED},
    {"POST", "/v1/training/start_lokr", AUTH_HEADER, BODY_TYPED, false, post_start_lokr, "Train a LoKr adapter",
     START "lokr_linear_dim?:int lokr_linear_alpha?:number lokr_factor?:int", STARTED},
    {"POST", "/v1/training/stop", AUTH_HEADER, BODY_LOOSE, false, post_stop, "Stop training, and keep a checkpoint",
     NULL, "message"},
    {"POST", "/v1/training/load_tensor_info", AUTH_HEADER, BODY_TYPED, false, post_info,
     "What is in a folder of samples", "tensor_dir", "dataset_name num_samples:int custom_tag tensor_dir message"},
    {"POST", "/v1/training/export", AUTH_HEADER, BODY_TYPED, false, post_export, "Write a trained adapter",
     "export_path lora_output_dir epoch? replace?:bool", "message export_path source"},
    {0},
};
