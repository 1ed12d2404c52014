#include "train/trainer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "train/adamw.h"
#include "train/checkpoint.h"
#include "train/course.h"
#include "train/order.h"
#include "train/rate.h"

enum { NAME_SIZE = 96, SKIPS_MOST = 20, BATCH_MOST = 8, WINDOW_MOST = BATCH_MOST * 16 };

static const double last_seconds = 600; /* between checkpoints called `last` */

typedef struct running {
  const train_job *job;
  const train_settings *s;
  train_task *task;
  const train_group *group;
  train_state state;
  rate_plan plan;
  train_course course;
  json_t *about;              /* of the checkpoints and run_config.json */
  int *training, *validation; /* samples; one allocation with `order` */
  int *order;                 /* the running epoch's */
  int n, n_validation;
  int skips;          /* steps in a row without finite gradients */
  int64_t saved_step; /* of the newest checkpoint; -1: none yet */
  double saved_at;
  bool stopped;
  char *folder; /* of the newest checkpoint */
} running;

/* Samples of a step. */
static int window_of(const train_settings *s, int processes) {
  return s->batch_size * s->gradient_accumulation * processes;
}

int64_t train_steps(const train_settings *s, int n, int processes) {
  int64_t of_epoch = n > 0 ? (n - 1) / window_of(s, processes) + 1 : 1;
  return of_epoch * s->epochs;
}

static bool asked_to_stop(const running *r) {
  const train_events *e = &r->job->events;
  return e->cancelled && e->cancelled(e->user);
}

static void say(const running *r, const char *format, ...) ACE_PRINTF(2, 3);
static void say(const running *r, const char *format, ...) {
  const train_events *e = &r->job->events;
  char line[1024];
  va_list list;
  if (!e->log || r->group->rank > 0) return;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  e->log(e->user, line);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

/* Failing is told; the training goes on. The first process writes for all. */
static bool save(running *r, const char *name) {
  const train_events *e = &r->job->events;
  ace_error why = {0}, *err = &why;
  r->saved_at = clock_seconds();
  if (r->group->rank == 0 && checkpoint_write(r->s->output_dir, name, r->task, &r->state, r->about, err) != ACE_OK) {
    say(r, "⚠️ Checkpoint %s could not be written: %s", name, err->message);
    return false;
  }
  r->saved_step = r->state.step;
  if (r->group->rank > 0) return true;
  char *folder = file_join(r->s->output_dir, CHECKPOINT_FOLDER), *path = folder ? file_join(folder, name) : NULL;
  free(folder);
  if (path && e->saved) e->saved(e->user, path);
  free(r->folder);
  r->folder = path;
  return true;
}

/* What a stop leaves behind. A training that only pauses, maybe often, leaves one checkpoint however often. */
static void save_stopped(running *r, bool stop) {
  char name[NAME_SIZE];
  const train_events *e = &r->job->events;
  bool pause = stop && e->pausing && e->pausing(e->user);
  if (stop) say(r, pause ? "⏸️ Training pauses" : "⏹️ Training stopped by user");
  if (r->saved_step == r->state.step && !r->state.next) return;
  if (pause) {
    save(r, "last");
    return;
  }
  snprintf(name, sizeof name, "epoch_%d_step_%lld_%s", r->state.epoch, (long long)r->state.step,
           stop ? "stopped" : "failed");
  save(r, name);
}

/* ---- one step ---------------------------------------------------------------------------------------------------- */

/* This process's samples of the next `count`, every size-th from its rank on: their number, into `mine`. */
static int share_of(const running *r, int count, int *mine) {
  int n = 0;
  for (int i = r->group->rank; i < count; i += r->group->size) mine[n++] = r->order[r->state.next + i];
  return n;
}

/* Gradients of this process's share of the next `count` samples, and the sum of their losses. ACE_ECANCELED: stop. */
static ace_status own_gradients(running *r, int count, double *sum, ace_error *err) {
  double loss[BATCH_MOST];
  int mine[WINDOW_MOST], all = share_of(r, count, mine);
  memset(r->task->grads, 0, (size_t)r->task->count * sizeof *r->task->grads);
  *sum = 0;
  for (int done = 0, n; done < all; done += n) {
    n = all - done < r->s->batch_size ? all - done : r->s->batch_size;
    if (asked_to_stop(r)) return ace_fail(err, ACE_ECANCELED, "train: stopped");
    train_batch b = {
        .sample = mine + done, .n = n, .epoch = (uint32_t)r->state.epoch, .learn = true, .weight = (double)n / count};
    ace_status status = r->task->run(r->task->user, &b, loss, err);
    if (status != ACE_OK) return status;
    for (int i = 0; i < n; i++) *sum += loss[i];
  }
  return ACE_OK;
}

/* What became of all processes: a stop or a failure of one is everybody's. */
static ace_status agree(const running *r, ace_status own, double *sum, ace_error *err) {
  double all[] = {own == ACE_ECANCELED, own != ACE_OK && own != ACE_ECANCELED, *sum};
  if (r->group->size == 1) return own;
  ace_status status = r->group->sum_doubles(r->group->user, all, 3, own == ACE_OK ? err : NULL);
  *sum = all[2];
  if (own != ACE_OK) return own;
  if (status == ACE_OK && all[1] > 0) status = ace_fail(err, ACE_EINTERNAL, "train: another process failed");
  if (status == ACE_OK && all[0] > 0) status = ace_fail(err, ACE_ECANCELED, "train: stopped");
  return status;
}

/* The same of all processes together. */
static ace_status gradients(running *r, int count, double *sum, ace_error *err) {
  ace_status status = agree(r, own_gradients(r, count, sum, err), sum, err);
  if (status != ACE_OK || r->group->size == 1) return status;
  return r->group->sum_floats(r->group->user, r->task->grads, r->task->count, err);
}

/* No numbers to go on with: the step is left out. A training that only does that has failed. */
static ace_status skip(running *r, ace_error *err) {
  r->skips++;
  say(r, "⚠️ Non-finite gradients (%d/%d); skipping optimizer step", r->skips, SKIPS_MOST);
  if (r->skips < SKIPS_MOST) return ACE_OK;
  const char *name = "the loss";
  for (int i = r->task->tensors - 1; i >= 0; i--) {
    const train_tensor *t = &r->task->tensor[i];
    for (int64_t j = 0; j < t->rows * t->columns; j++)
      if (!isfinite(r->task->grads[t->first + j])) name = t->name;
  }
  return ace_fail(
      err, ACE_EINVAL,
      "train: gradients were not finite in %d steps in a row, first of all in %s; try a smaller learning rate",
      SKIPS_MOST, name);
}

/* One step of the optimiser; gradients are multiplied with `scale`. */
static void descend(running *r, double rate, double scale) {
  const train_task *t = r->task;
  adamw a = {.rate = rate, .decay = r->s->weight_decay, .k = r->state.step + 1};
  int64_t n = t->decaying;
  adamw_step(&a, r->job->threads, n, t->grads, scale, t->values, r->state.m, r->state.v);
  a.decay = 0;
  adamw_step(&a, r->job->threads, t->count - n, t->grads + n, scale, t->values + n, r->state.m + n, r->state.v + n);
}

static ace_status update(running *r, double loss, ace_error *err) {
  train_task *t = r->task;
  double norm = adamw_norm(r->job->threads, t->count, t->grads), rate = rate_at(&r->plan, r->state.step);
  if (!isfinite(norm) || !isfinite(loss)) return skip(r, err);
  r->skips = 0;
  descend(r, rate, adamw_clip(norm, r->s->max_grad_norm));
  r->state.step++;
  r->state.ema = isnan(r->state.ema) ? loss : 0.1 * loss + 0.9 * r->state.ema;
  train_step s = {.epoch = r->state.epoch + 1,
                  .epochs = r->s->epochs,
                  .step = r->state.step,
                  .steps = r->plan.steps,
                  .loss = loss,
                  .ema = r->state.ema,
                  .rate = rate,
                  .norm = norm};
  course_step(&r->course, &s, r->state.history);
  if (r->job->events.step) r->job->events.step(r->job->events.user, &s);
  if (s.step % r->s->log_every == 0 && r->group->rank == 0) {
    say(r, "Epoch %d/%d, Step %lld, Loss: %.4f", s.epoch, s.epochs, (long long)s.step, loss);
    if (!course_write(&r->course, &s)) say(r, "⚠️ %s cannot be written", COURSE_NAME);
  }
  return ACE_OK;
}

static ace_status step(running *r, ace_error *err) {
  int left = r->n - r->state.next, window = window_of(r->s, r->group->size), count = left < window ? left : window;
  double sum;
  ace_status status = gradients(r, count, &sum, err);
  if (status == ACE_OK) status = update(r, sum / count, err);
  if (status != ACE_OK) return status;
  r->state.next += count;
  if (isfinite(sum)) r->state.epoch_loss += sum;
  return ACE_OK;
}

/* ---- between epochs ---------------------------------------------------------------------------------------------- */

/* The sum of the losses of this process's samples for validation. */
static ace_status own_validation(running *r, double *sum, ace_error *err) {
  double loss;
  *sum = 0;
  for (int i = r->group->rank; i < r->n_validation; i += r->group->size) {
    train_batch b = {.sample = &r->validation[i], .n = 1};
    ace_status status =
        asked_to_stop(r) ? ace_fail(err, ACE_ECANCELED, "train: stopped") : r->task->run(r->task->user, &b, &loss, err);
    if (status != ACE_OK) return status;
    *sum += loss;
  }
  return ACE_OK;
}

/* The mean loss on samples that are never trained on. */
static ace_status validate(running *r, ace_error *err) {
  const train_events *e = &r->job->events;
  double sum;
  if (!r->n_validation) return ACE_OK;
  ace_status status = agree(r, own_validation(r, &sum, err), &sum, err);
  if (status != ACE_OK) return status;
  double loss = sum / r->n_validation;
  bool best = !(r->state.best <= loss) && isfinite(loss);
  if (best) r->state.best = loss;
  say(r, "Validation loss: %.4f%s", loss, best ? " (best)" : "");
  if (e->validated) e->validated(e->user, r->state.epoch, loss, best);
  if (best) save(r, "best");
  return ACE_OK;
}

static void preview(running *r) {
  const train_events *e = &r->job->events;
  ace_error why = {0};
  if (!e->preview || r->group->rank > 0 || !r->s->sample_every || r->state.epoch % r->s->sample_every != 0) return;
  if (e->preview(e->user, r->state.epoch, &why) != ACE_OK && why.status != ACE_ECANCELED)
    say(r, "⚠️ No sample song at epoch %d: %s", r->state.epoch, why.message);
}

static ace_status end_epoch(running *r, double began, ace_error *err) {
  double sum = r->state.epoch_loss, loss = sum / r->n;
  r->state.epoch++;
  r->state.next = 0;
  r->state.epoch_loss = 0;
  say(r, "✅ Epoch %d/%d in %.1fs, Loss: %.4f", r->state.epoch, r->s->epochs, clock_seconds() - began, loss);
  ace_status status = validate(r, err);
  if (status != ACE_OK) { /* a training that is resumed ends the epoch again */
    r->state.epoch--, r->state.next = r->n, r->state.epoch_loss = sum;
    return status;
  }
  if (r->state.epoch % r->s->save_every == 0) {
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "epoch_%d_loss_%.4f", r->state.epoch, loss);
    if (save(r, name)) say(r, "💾 Checkpoint saved at epoch %d", r->state.epoch);
  }
  preview(r);
  return ACE_OK;
}

static ace_status epochs(running *r, ace_error *err) {
  while (r->state.epoch < r->s->epochs) {
    double began = clock_seconds();
    order_epoch((uint64_t)r->s->seed, r->state.epoch, r->training, r->n, r->order);
    if (r->s->length_buckets && r->task->lengths) order_bucket(r->order, r->n, 8 * r->s->batch_size, r->task->lengths);
    while (r->state.next < r->n) {
      ace_status status = step(r, err);
      if (status != ACE_OK) return status;
      if (clock_seconds() - r->saved_at >= last_seconds) save(r, "last");
    }
    ace_status status = end_epoch(r, began, err);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

/* ---- several processes ------------------------------------------------------------------------------------------- */

/* A number that tells almost all differences of values. */
static double fingerprint(const float *x, int64_t n) {
  uint64_t h = 14695981039346656037u; /* FNV-1a over words */
  for (int64_t i = 0; i < n; i++) {
    uint32_t word;
    memcpy(&word, &x[i], sizeof word);
    h = (h ^ word) * 1099511628211u;
  }
  return (double)(h >> 12);
}

/* Have all processes the same parameters? Other libraries or another seed would make an adapter that none of them means. */
static ace_status check_equal(const running *r, ace_error *err) {
  double own = fingerprint(r->task->values, r->task->count), sum = own;
  ace_status status = r->group->sum_doubles(r->group->user, &sum, 1, err);
  double off = fabs(own - sum / r->group->size);
  if (status == ACE_OK) status = r->group->sum_doubles(r->group->user, &off, 1, err);
  if (status != ACE_OK || off <= 1e-9 * fabs(sum)) return status;
  return ace_fail(err, ACE_EINTERNAL, "train: the processes have different parameters; start them all alike");
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

static bool has_final(const running *r) {
  char *path = file_join(r->s->output_dir, "final");
  bool has = path && file_is_directory(path);
  free(path);
  return has;
}

static ace_status resume(running *r, ace_error *err) {
  bool warm = false;
  if (!*r->s->resume) return ACE_OK;
  char *folder = checkpoint_find(r->s->resume, err);
  if (!folder) return err->status;
  say(r, "🔄 Loading checkpoint from %s...", folder);
  ace_status status = checkpoint_read(folder, r->task, &r->state, &warm, err);
  if (status == ACE_OK && !warm && r->state.samples != r->n) {
    say(r, "⚠️ There were %d samples, now there are %d: the epoch begins anew", r->state.samples, r->n);
    r->state.next = 0;
    r->state.epoch_loss = 0;
  }
  r->state.samples = r->n;
  if (status == ACE_OK && warm)
    say(r, "Resumed from the adapter of epoch %d alone: moments and schedule begin anew", r->state.epoch);
  else if (status == ACE_OK)
    say(r, "✅ Resumed from epoch %d, step %lld, optimizer ✓, scheduler ✓", r->state.epoch, (long long)r->state.step);
  free(folder);
  /* One that was cut off after its last epoch still has its end to write. */
  if (status == ACE_OK && (r->state.epoch > r->s->epochs || (r->state.epoch == r->s->epochs && has_final(r))))
    status = ace_fail(err, ACE_EINVAL, "epochs: this training is already complete with %d of %d epochs; ask for more",
                      r->state.epoch, r->s->epochs);
  return status;
}

static ace_status write_config(running *r, ace_error *err) {
  char *path = file_join(r->s->output_dir, "run_config.json"), *text = json_dumps(r->about, JSON_INDENT(2));
  ace_status status = path && text ? file_write(path, text, strlen(text), err)
                                   : ace_fail(err, ACE_ENOMEM, "%s: out of memory", r->s->output_dir);
  free(path), free(text);
  return status;
}

/* All begin with the same values, or none does. */
static ace_status agree_to_begin(running *r, ace_status status, ace_error *err) {
  double nothing = 0;
  status = agree(r, status, &nothing, err);
  if (status != ACE_OK || r->group->size == 1) return status;
  return check_equal(r, err);
}

static ace_status begin(running *r, ace_error *err) {
  int all = r->task->samples;
  json_t *settings = train_settings_json(r->s);
  r->training = calloc(3 * (size_t)all + 1, sizeof *r->training);
  r->about = json_pack("{s:s, s:o, s:O?}", "version", ACE_VERSION, "settings", settings, "about", r->job->about);
  if (!r->training || !r->about) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  r->validation = r->training + all;
  r->order = r->validation + all;
  r->n_validation = order_split((uint64_t)r->s->seed, all, r->s->val_split, r->training, r->validation);
  r->n = all - r->n_validation;
  if (r->n < 1) return ace_fail(err, ACE_EINVAL, "train: No valid samples found in tensor directory");
  if (!r->task->count) return ace_fail(err, ACE_EINVAL, "train: No trainable parameters found!");
  r->plan = rate_make((rate_curve)r->s->scheduler, r->s->learning_rate, train_steps(r->s, r->n, r->group->size),
                      r->s->warmup_steps);
  r->state.samples = r->n;
  r->saved_at = clock_seconds();
  bool first = r->group->rank == 0;
  ace_status status = first ? file_make_directory(r->s->output_dir, err) : ACE_OK;
  if (status == ACE_OK && first) checkpoint_recover(r->s->output_dir);
  if (status == ACE_OK) status = resume(r, err);
  if (status == ACE_OK && first) status = write_config(r, err);
  if (status == ACE_OK) status = course_open(&r->course, first ? r->s->output_dir : NULL, r->state.step, err);
  return agree_to_begin(r, status, err);
}

static ace_status finish(running *r, ace_error *err) {
  ace_status equal = r->group->size > 1 ? check_equal(r, err) : ACE_OK;
  if (equal != ACE_OK || r->group->rank > 0) return equal;
  ace_status status = checkpoint_write_final(r->s->output_dir, r->task, err);
  if (status != ACE_OK) return status;
  if (r->task->idle(r->task->user))
    say(r, "⚠️ The adapter changes nothing: all of its last factors are still zero. Train longer, or faster");
  free(r->folder);
  r->folder = file_join(r->s->output_dir, "final");
  static const char *const made[] = {"LoRA", "LoKr", "The model"};
  say(r, "✅ Training complete! %s saved to %s", made[r->s->adapter], r->folder ? r->folder : "final");
  return ACE_OK;
}

ace_status train_run(const train_job *job, train_outcome *out, ace_error *err) {
  ace_error own = {0};
  if (!err) err = &own;
  static const train_group alone = {.size = 1};
  running r = {
      .job = job, .s = job->settings, .task = job->task, .group = job->group ? job->group : &alone, .saved_step = -1};
  *out = (train_outcome){.loss = NAN};
  ace_status status = train_settings_check(r.s, err);
  if (status == ACE_OK) status = train_state_open(&r.state, r.task->count, err);
  if (status == ACE_OK) status = begin(&r, err);
  bool began = status == ACE_OK;
  if (began) say(&r, "🎯 Training %lld parameters", (long long)r.task->count);
  if (began) status = epochs(&r, err);
  if (began && status == ACE_OK) status = finish(&r, err);
  if (began && status != ACE_OK) {
    bool stop = status == ACE_ECANCELED;
    save_stopped(&r, stop);
    if (stop) status = ACE_OK;
    out->stopped = stop;
  }
  out->folder = r.folder;
  out->epoch = r.state.epoch;
  out->step = r.state.step;
  if (r.state.m) out->loss = r.state.ema;
  course_close(&r.course);
  train_state_free(&r.state);
  json_decref(r.about);
  free(r.training);
  return status;
}

void train_outcome_free(train_outcome *out) {
  free(out->folder);
  *out = (train_outcome){0};
}
