#include "engine/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/flow_task.h"

typedef struct training {
  ace_engine *e;
  const train_settings *s;
  const train_events *events;
  flow_task *task;
  bool *sang; /* of each loaded adapter: it was on; NULL: none is loaded */
} training;

static bool stopped(void *user) {
  const training *t = user;
  return t->events->cancelled && t->events->cancelled(t->events->user);
}

static bool pausing(void *user) {
  const training *t = user;
  return t->events->pausing && t->events->pausing(t->events->user);
}

static void tell(void *user, const char *line) {
  const training *t = user;
  if (t->events->log) t->events->log(t->events->user, line);
}

static void say(training *t, const char *format, ...) ACE_PRINTF(2, 3);
static void say(training *t, const char *format, ...) {
  char line[640];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  tell(t, line);
}

static ace_callbacks callbacks_of(training *t) {
  return (ace_callbacks){.log = tell, .cancelled = stopped, .user = t};
}

/* ---- loaded adapters --------------------------------------------------------------------------------------------- */

/* Those that sing are switched off as long as another one is trained: the model is plain, bit for bit. */
static ace_status rest_adapters(training *t, ace_error *err) {
  adapters *all = t->e->adapters;
  int n = all ? adapters_count(all) : 0;
  if (n && !(t->sang = calloc((size_t)n, sizeof *t->sang))) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  for (int i = 0; i < n; i++) {
    t->sang[i] = adapters_at(all, i)->on;
    if (t->sang[i])
      say(t, "⚠️ The adapter \"%s\" is switched off while this one is trained", t->e->adapter[i].name);
  }
  return n ? adapters_switch(all, false, err) : ACE_OK;
}

static ace_status wake_adapters(training *t, ace_error *err) {
  adapters *all = t->e->adapters;
  ace_status status = ACE_OK;
  for (int i = 0; t->sang && i < adapters_count(all) && status == ACE_OK; i++)
    if (t->sang[i]) status = adapters_set(all, i, adapters_at(all, i)->scale, true, err);
  free(t->sang);
  t->sang = NULL;
  return status;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static ace_status open_task(training *t, ace_error *err) {
  acestep_dit *m = t->e->dit;
  ace_status status = rest_adapters(t, err);
  if (status != ACE_OK) return status;
  flow_options o = {.settings = t->s,
                    .threads = t->e->threads,
                    .room = engine_room(t->e, ckpt_mapped_bytes(m->checkpoint, "decoder.")),
                    .model = t->e->model_name,
                    .notify = callbacks_of(t)};
  say(t, "🚀 Starting training from %s...", t->s->dataset_dir);
  t->task = flow_task_open(m, &o, err);
  if (!t->task) return err->status;
  say(t, "📂 Loaded %d preprocessed samples", flow_task_of(t->task)->samples);
  if (flow_task_estimate(t->task)->recompute) say(t, "🧠 Gradient checkpointing enabled for decoder");
  if (t->s->optimizer != TRAIN_OPTIMIZER_ADAMW) say(t, "⚠️ This optimizer is not here; AdamW takes its place");
  if (ckpt_is_int8(m->checkpoint) || t->e->int8)
    say(t, "⚠️ The model is quantized; an adapter trained on it fits it best");
  return ACE_OK;
}

/* The model is as it was before. The outcome of what was done with the task, or that of the adapters' return. */
static ace_status close_task(training *t, ace_status status, ace_error *err) {
  ace_error why = {0};
  flow_task_close(t->task);
  ace_status woken = wake_adapters(t, &why);
  if (status != ACE_OK || woken == ACE_OK) return status;
  if (err) *err = why;
  return woken;
}

/* ---- the estimate ------------------------------------------------------------------------------------------------ */

static json_t *estimate_json(training *t, double epoch_seconds) {
  const flow_estimate *e = flow_task_estimate(t->task);
  const train_task *task = flow_task_of(t->task);
  double cfg_ratio;
  timesteps times = flow_task_times(t->task, &cfg_ratio);
  bool known = epoch_seconds >= 0;
  return json_pack("{s:i, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:s, s:f}", "samples", task->samples,
                   "seconds", (double)e->frames / 25, "steps", (json_int_t)train_steps(t->s, task->samples, 1),
                   "parameters", (json_int_t)task->count, "bytes", (json_int_t)e->total, "step_bytes",
                   (json_int_t)e->step, "parameter_bytes", (json_int_t)e->parameters, "sample_bytes",
                   (json_int_t)e->samples, "recompute", e->recompute, "epoch_seconds",
                   known ? json_real(epoch_seconds) : json_null(), "total_seconds",
                   known ? json_real(epoch_seconds * t->s->epochs) : json_null(), "timesteps",
                   times.mode == TIMESTEP_DISCRETE ? "discrete" : "logit_normal", "cfg_ratio", cfg_ratio);
}

static void say_estimate(training *t, double epoch_seconds) {
  const flow_estimate *e = flow_task_estimate(t->task);
  char epoch[TRAIN_TIME_SIZE], all[TRAIN_TIME_SIZE];
  say(t, "Memory: %.0f MB beside the model (a step %.0f, parameters %.0f, samples %.0f)", (double)e->total / 1e6,
      (double)e->step / 1e6, (double)e->parameters / 1e6, (double)e->samples / 1e6);
  if (epoch_seconds >= 0)
    say(t, "Time: about %s an epoch, %s in all", train_time(epoch_seconds, epoch),
        train_time(epoch_seconds * t->s->epochs, all));
}

json_t *engine_train_estimate(ace_engine *e, const train_settings *s, const train_events *events, ace_error *err) {
  ace_error own = {0};
  training t = {e, s, events, NULL, NULL};
  json_t *found = NULL;
  if (open_task(&t, err ? err : &own) == ACE_OK) {
    double seconds = flow_task_epoch_seconds(t.task);
    say_estimate(&t, seconds);
    found = estimate_json(&t, seconds);
    if (!found) ace_fail(err, ACE_ENOMEM, "train: out of memory");
  }
  if (close_task(&t, ACE_OK, err) == ACE_OK) return found;
  json_decref(found);
  return NULL;
}

/* ---- sample songs ------------------------------------------------------------------------------------------------ */

static ace_status set_number(ace_request *r, const char *name, double x, ace_error *err) {
  char text[40];
  snprintf(text, sizeof text, "%.10g", x);
  return ace_request_set(r, name, text, err);
}

static ace_request *song_request(const training *t, ace_error *err) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  const char *caption = *t->s->sample_caption ? t->s->sample_caption : flow_task_caption(t->task);
  ace_status status = r ? ace_request_set(r, "caption", *caption ? caption : "music", err) : ACE_ENOMEM;
  if (status == ACE_OK) status = ace_request_set(r, "thinking", "false", err);
  if (status == ACE_OK) status = ace_request_set(r, "audio_format", "flac", err);
  if (status == ACE_OK) status = set_number(r, "seed", t->s->seed, err);
  if (status == ACE_OK) status = set_number(r, "duration", t->s->sample_seconds, err);
  if (status == ACE_OK) return r;
  ace_request_free(r);
  return NULL;
}

/* OUTPUT/samples/epoch_N.flac; the model sings with the adapter as it is now, since it is being trained on it. */
static ace_status preview(void *user, int epoch, ace_error *err) {
  training *t = user;
  char name[64];
  snprintf(name, sizeof name, "samples/epoch_%d.flac", epoch);
  char *folder = file_join(t->s->output_dir, "samples"), *path = file_join(t->s->output_dir, name);
  ace_callbacks notify = callbacks_of(t);
  notify.log = NULL;
  ace_request *r = song_request(t, err);
  ace_result *song = r ? ace_generate(t->e, r, &notify, err) : NULL;
  ace_status status = song && folder && path ? file_make_directory(folder, err) : ACE_EINVAL;
  if (status == ACE_OK) status = ace_result_save(song, 0, path, err);
  if (status == ACE_OK) say(t, "🎵 Sample song: %s", path);
  else status = err->status != ACE_OK ? err->status : ace_fail(err, ACE_ENOMEM, "train: out of memory");
  ace_result_free(song);
  ace_request_free(r);
  free(folder), free(path);
  return status;
}

/* ---- the training ------------------------------------------------------------------------------------------------ */

/* What becomes of the caller's events: those of the trainer carry the caller's `user`, sample songs are made here. */
static void on_step(void *user, const train_step *s) {
  const training *t = user;
  if (t->events->step) t->events->step(t->events->user, s);
}

static void on_validated(void *user, int epoch, double loss, bool best) {
  const training *t = user;
  if (t->events->validated) t->events->validated(t->events->user, epoch, loss, best);
}

static void on_saved(void *user, const char *folder) {
  const training *t = user;
  if (t->events->saved) t->events->saved(t->events->user, folder);
}

static json_t *about(const training *t) {
  double cfg_ratio;
  timesteps times = flow_task_times(t->task, &cfg_ratio);
  bool turbo = t->e->dit->cfg.turbo;
  return json_pack("{s:s, s:i, s:s, s:f, s:f, s:i, s:b}", "model", t->e->model_name ? t->e->model_name : "", "samples",
                   flow_task_of(t->task)->samples, "timesteps",
                   times.mode == TIMESTEP_DISCRETE ? "discrete" : "logit_normal", "cfg_ratio", cfg_ratio,
                   "inference_shift", turbo ? 3.0 : 1.0, "inference_steps", turbo ? 8 : 50, "quantized",
                   (int)t->e->int8);
}

static ace_status run_task(training *t, const train_group *group, train_outcome *out, ace_error *err) {
  say_estimate(t, flow_task_epoch_seconds(t->task));
  say(t, "🚀 Starting training (device: cpu, precision: fp32)...");
  train_job job = {.settings = t->s,
                   .task = flow_task_of(t->task),
                   .threads = t->e->threads,
                   .group = group,
                   .about = about(t),
                   .events = {tell, on_step, on_validated, on_saved, preview, stopped, pausing, t}};
  ace_status status = train_run(&job, out, err);
  json_decref((json_t *)job.about);
  return status;
}

ace_status engine_train(ace_engine *e, const train_settings *s, const train_group *group, const train_events *events,
                        train_outcome *out, ace_error *err) {
  ace_error own = {0};
  if (!err) err = &own;
  training t = {e, s, events, NULL, NULL};
  *out = (train_outcome){0};
  ace_status status = open_task(&t, err);
  if (status == ACE_OK) status = run_task(&t, group, out, err);
  return close_task(&t, status, err);
}
