/* train_full.c - all weights of a part of an engine's models (train/full_task.h), from their folders. While a diffusion
 * model is trained, the engine sings with it. */
#include <stdlib.h>
#include <string.h>

#include "engine/train_inner.h"

/* The last part of a path. */
static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && slash[1] ? slash + 1 : path;
}

typedef struct folders {
  char *dit, *text, *lm, *teacher; /* owned */
} folders;

static ace_status locate(const ace_engine *e, const char *name, char **out, ace_error *err) {
  *out = engine_locate(e->folder, name);
  return *out ? ACE_OK : ace_fail(err, ACE_ENOTFOUND, "%s: no folder %s in it", e->folder, name);
}

static ace_status find(training *t, folders *at, ace_error *err) {
  ace_engine *e = t->e;
  if (e->random) return ace_fail(err, ACE_EUNSUPPORTED, "train: models that are made in memory have no folder");
  ace_status status = locate(e, e->model_name, &at->dit, err);
  if (status == ACE_OK) status = locate(e, ENGINE_TEXT_ENCODER, &at->text, err);
  if (status == ACE_OK && *t->s->teacher) {
    at->teacher = engine_locate(e->folder, t->s->teacher);
    if (!at->teacher) status = engine_missing(e->folder, t->s->teacher, ENGINE_DIFFUSION, err);
  }
  if (status != ACE_OK || t->s->part != TRAIN_PART_LM) return status;
  status = engine_need_lm(e, err);
  return status == ACE_OK ? locate(e, e->lm_name, &at->lm, err) : status;
}

static ace_status open_task(training *t, ace_error *err) {
  folders at = {0};
  const ace_engine *e = t->e;
  if (e->adapters && adapters_count(e->adapters))
    return ace_fail(err, ACE_EBUSY, "train: an adapter is loaded; unload it first");
  training_say(t, "🚀 Starting training from %s...", t->s->dataset_dir);
  ace_status status = find(t, &at, err);
  if (status == ACE_OK) {
    full_options o = {.settings = t->s,
                      .threads = e->threads,
                      .room = engine_room(e, 0),
                      .dit = {at.dit, name_of(e->model_name)},
                      .text = {at.text, ENGINE_TEXT_ENCODER},
                      .teacher = {at.teacher, t->s->teacher},
                      .words = e->tokenizer,
                      .notify = training_callbacks(t)};
    if (at.lm) o.lm = (full_folder){at.lm, name_of(e->lm_name)}, o.lm_words = e->lm->tokenizer;
    t->full = full_task_open(&o, err);
    if (!t->full) status = err->status;
  }
  free(at.dit), free(at.text), free(at.lm), free(at.teacher);
  if (status != ACE_OK) return status;
  t->caption = full_task_caption(t->full);
  training_say(t, "📂 Loaded %d pieces", full_task_of(t->full)->samples);
  if (full_task_estimate(t->full)->recompute) training_say(t, "🧠 Gradient checkpointing enabled");
  return ACE_OK;
}

static double tell_estimate(training *t) {
  const full_estimate *e = full_task_estimate(t->full);
  double seconds = full_task_epoch_seconds(t->full);
  if (e->teacher)
    training_say(t, "🎓 Teacher: %s, guidance %g, %d of its steps in one, %.0f MB of weights", t->s->teacher,
                 t->s->teacher_guidance, t->s->teacher_steps, (double)e->teacher / 1e6);
  training_say_estimate(t, e->total, e->step, e->parameters, 0, seconds);
  return seconds;
}

json_t *training_full_estimate(training *t, ace_error *err) {
  json_t *found = NULL;
  if (open_task(t, err) == ACE_OK) {
    const full_estimate *e = full_task_estimate(t->full);
    const train_task *task = full_task_of(t->full);
    double seconds = tell_estimate(t);
    bool known = seconds >= 0;
    found = json_pack("{s:i, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o}", "samples", task->samples, "seconds",
                      (double)e->frames / 25, "steps", (json_int_t)train_steps(t->s, task->samples, 1), "parameters",
                      (json_int_t)task->count, "bytes", (json_int_t)e->total, "step_bytes", (json_int_t)e->step,
                      "parameter_bytes", (json_int_t)e->parameters, "teacher_bytes", (json_int_t)e->teacher,
                      "recompute", (int)e->recompute, "epoch_seconds", known ? json_real(seconds) : json_null(),
                      "total_seconds", known ? json_real(seconds * t->s->epochs) : json_null());
    if (!found) ace_fail(err, ACE_ENOMEM, "train: out of memory");
  }
  full_task_close(t->full);
  return found;
}

/* The engine's models and those under training change places. */
static void swap_models(training *t, acestep_dit **dit, qwen3 **text) {
  acestep_dit *own = t->e->dit;
  qwen3 *words = t->e->text;
  if (*dit) t->e->dit = *dit, *dit = own;
  if (*text) t->e->text = *text, *text = words;
}

ace_status training_full(training *t, const train_group *group, train_outcome *out, ace_error *err) {
  static const char *const parts[] = {"dit", "tokenizer", "lm"};
  ace_status status = open_task(t, err);
  if (status != ACE_OK) return status;
  tell_estimate(t);
  acestep_dit *dit = full_task_dit(t->full);
  qwen3 *text = full_task_text(t->full);
  json_t *about = json_pack("{s:s, s:s, s:i}", "model", t->e->model_name, "part", parts[t->s->part], "samples",
                            full_task_of(t->full)->samples);
  swap_models(t, &dit, &text);
  status = training_run(t, full_task_of(t->full), group, about, out, err);
  swap_models(t, &dit, &text);
  full_task_close(t->full);
  return status;
}
