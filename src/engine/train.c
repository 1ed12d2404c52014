#include "engine/train_inner.h"

#include <stdlib.h>

/* ---- loaded adapters --------------------------------------------------------------------------------------------- */

/* Those that sing are switched off as long as another one is trained: the model is plain, bit for bit. */
static ace_status rest_adapters(training *t, ace_error *err) {
  adapters *all = t->e->adapters;
  int n = all ? adapters_count(all) : 0;
  if (n && !(t->sang = calloc((size_t)n, sizeof *t->sang))) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  for (int i = 0; i < n; i++) {
    t->sang[i] = adapters_at(all, i)->on;
    if (t->sang[i])
      training_say(t, "⚠️ The adapter \"%s\" is switched off while this one is trained", t->e->adapter[i].name);
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
                    .notify = training_callbacks(t)};
  training_say(t, "🚀 Starting training from %s...", t->s->dataset_dir);
  t->flow = flow_task_open(m, &o, err);
  if (!t->flow) return err->status;
  t->caption = flow_task_caption(t->flow);
  training_say(t, "📂 Loaded %d preprocessed samples", flow_task_of(t->flow)->samples);
  if (flow_task_estimate(t->flow)->recompute) training_say(t, "🧠 Gradient checkpointing enabled for decoder");
  if (t->s->optimizer != TRAIN_OPTIMIZER_ADAMW)
    training_say(t, "⚠️ This optimizer is not here; AdamW takes its place");
  if (ckpt_is_int8(m->checkpoint) || t->e->int8)
    training_say(t, "⚠️ The model is quantized; an adapter trained on it fits it best");
  return ACE_OK;
}

/* The model is as it was before. The outcome of what was done with the task, or that of the adapters' return. */
static ace_status close_task(training *t, ace_status status, ace_error *err) {
  ace_error why = {0};
  flow_task_close(t->flow);
  ace_status woken = wake_adapters(t, &why);
  if (status != ACE_OK || woken == ACE_OK) return status;
  if (err) *err = why;
  return woken;
}

/* ---- the estimate ------------------------------------------------------------------------------------------------ */

static json_t *estimate_json(training *t, double epoch_seconds) {
  const flow_estimate *e = flow_task_estimate(t->flow);
  const train_task *task = flow_task_of(t->flow);
  double cfg_ratio;
  timesteps times = flow_task_times(t->flow, &cfg_ratio);
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

static double tell_estimate(const training *t) {
  const flow_estimate *e = flow_task_estimate(t->flow);
  double seconds = flow_task_epoch_seconds(t->flow);
  training_say_estimate(t, e->total, e->step, e->parameters, e->samples, seconds);
  return seconds;
}

json_t *engine_train_estimate(ace_engine *e, const train_settings *s, const train_events *events, ace_error *err) {
  ace_error own = {0};
  training t = {.e = e, .s = s, .events = events};
  json_t *found = NULL;
  if (!err) err = &own;
  if (s->adapter == TRAIN_FULL) return training_full_estimate(&t, err);
  if (open_task(&t, err) == ACE_OK) {
    found = estimate_json(&t, tell_estimate(&t));
    if (!found) ace_fail(err, ACE_ENOMEM, "train: out of memory");
  }
  if (close_task(&t, ACE_OK, err) == ACE_OK) return found;
  json_decref(found);
  return NULL;
}

/* ---- the training ------------------------------------------------------------------------------------------------ */

static json_t *about(const training *t) {
  double cfg_ratio;
  timesteps times = flow_task_times(t->flow, &cfg_ratio);
  bool turbo = t->e->dit->cfg.turbo;
  return json_pack("{s:s, s:i, s:s, s:f, s:f, s:i, s:b}", "model", t->e->model_name ? t->e->model_name : "", "samples",
                   flow_task_of(t->flow)->samples, "timesteps",
                   times.mode == TIMESTEP_DISCRETE ? "discrete" : "logit_normal", "cfg_ratio", cfg_ratio,
                   "inference_shift", turbo ? 3.0 : 1.0, "inference_steps", turbo ? 8 : 50, "quantized",
                   (int)t->e->int8);
}

ace_status engine_train(ace_engine *e, const train_settings *s, const train_group *group, const train_events *events,
                        train_outcome *out, ace_error *err) {
  ace_error own = {0};
  if (!err) err = &own;
  training t = {.e = e, .s = s, .events = events};
  *out = (train_outcome){0};
  if (s->adapter == TRAIN_FULL) return training_full(&t, group, out, err);
  ace_status status = open_task(&t, err);
  if (status == ACE_OK) tell_estimate(&t);
  if (status == ACE_OK) status = training_run(&t, flow_task_of(t.flow), group, about(&t), out, err);
  return close_task(&t, status, err);
}
