#include "train/full_task.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/notify.h"
#include "train/full_inner.h"
#include "train/sample_set.h"

/* A step takes about so many times the time of a loss without gradients. */
static const double step_factor = 3.2;

/* Values, gradients and two moments. */
enum { COPIES = 4 };

void full_record(tens_ctx *c, full_task *f) {
  if (!f->learn) return;
  tape_recompute(f->p->tape, f->estimate.recompute);
  tape_begin(c, f->p->tape);
}

ace_status full_parameters(full_task *f, const parameters_part *part, int n, ace_error *err) {
  f->p = parameters_open(part, n, err);
  return f->p ? ACE_OK : err->status;
}

/* ---- the loss ---------------------------------------------------------------------------------------------------- */

/* The loss that was prepared, and `share` of it in the gradient. Leaves the context as it was. */
static ace_status pass(full_task *f, tens_ctx *c, bool learn, double share, double *loss, ace_error *err) {
  tens_mark mark = tens_here(c);
  f->learn = learn;
  tens *lost = f->part->loss(c, f);
  if (lost && learn) tape_backward(c, lost, (float)share);
  tape_end(c);
  if (lost && !tens_planning(c)) *loss = (double)tens_f32(lost)[0];
  ace_status status = tens_error(c, err);
  if (status == ACE_OK) tens_release(c, mark);
  else tens_reset(c);
  return status;
}

static ace_status run(void *user, const train_batch *b, double *loss, ace_error *err) {
  full_task *f = user;
  ace_status status = ACE_OK;
  parameters_begin(f->p);
  for (int i = 0; i < b->n && status == ACE_OK; i++) {
    full_sample s = {b->sample[i], b->learn ? b->epoch : 0, b->learn};
    status = f->part->prepare(f, s, err);
    if (status == ACE_OK) status = pass(f, f->c, b->learn, b->weight / b->n, &loss[i], err);
  }
  if (b->learn) parameters_end(f->p);
  return status;
}

static ace_status write_models(void *user, const char *folder, ace_error *err) {
  return parameters_write(((full_task *)user)->p, folder, PARAMETERS_F32, err);
}

static ace_status read_models(void *user, const char *folder, ace_error *err) {
  return parameters_read(((full_task *)user)->p, folder, err);
}

static bool is_idle(void *user) {
  return false;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static ace_status open_pieces(full_task *f, ace_error *err) {
  sample_set set;
  ace_status status = sample_set_open(&set, f->s->dataset_dir, &f->o.notify, err);
  if (status != ACE_OK) return status;
  f->piece = calloc((size_t)set.n, sizeof *f->piece);
  f->lengths = calloc((size_t)set.n, sizeof *f->lengths);
  if (!f->piece || !f->lengths) status = ace_fail(err, ACE_ENOMEM, "train: out of memory");
  for (int i = 0; i < set.n && status == ACE_OK; i++) {
    if (notify_stopped(&f->o.notify)) status = ace_fail(err, ACE_ECANCELED, "train: stopped");
    if (status == ACE_OK) status = piece_open(set.path[i], &f->piece[i], err);
    if (status != ACE_OK) break;
    f->pieces++;
    f->lengths[i] = f->piece[i].frames;
    f->estimate.frames += f->lengths[i];
    if (f->lengths[i] > f->longest) f->longest = f->lengths[i];
  }
  sample_set_free(&set);
  return status;
}

static ace_status check_pieces(const full_task *f, ace_error *err) {
  for (int i = 0; f->dit && i < f->pieces; i++)
    if (f->piece[i].channels != f->dit->cfg.latent_channels)
      return ace_fail(err, ACE_EINVAL, "%s: latents of %lld channels, but the model has %d", st_path(f->piece[i].file),
                      (long long)f->piece[i].channels, f->dit->cfg.latent_channels);
  return ACE_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static ace_status plan_step(full_task *f, ace_error *err) {
  double none = 0;
  tens_ctx *c = tens_open(&(tens_options){.threads = f->o.threads, .plan = true}, err);
  if (!c) return err->status;
  ace_status status = f->part->largest(f, err);
  if (status == ACE_OK) status = pass(f, c, true, 1, &none, err);
  f->estimate.step = tens_peak(c);
  tens_close(c);
  return status;
}

static ace_status plan_memory(full_task *f, ace_error *err) {
  full_estimate *e = &f->estimate;
  int wish = f->s->gradient_checkpointing;
  e->parameters = (size_t)f->p->count * COPIES * sizeof(float);
  e->recompute = wish == TRAIN_RECOMPUTE_ON;
  ace_status status = plan_step(f, err);
  size_t kept = e->parameters + e->teacher;
  if (status == ACE_OK && e->step + kept > f->o.room && wish == TRAIN_RECOMPUTE_AUTO) {
    e->recompute = true;
    status = plan_step(f, err);
  }
  e->total = e->step + kept;
  if (status != ACE_OK) return status;
  if (e->total > f->o.room)
    return ace_fail(err, ACE_ENOMEM,
                    "train: needs %.0f MB (%.0f MB for a step on the longest piece, %.0f MB for %lld parameters, "
                    "%.0f MB for a teacher), but %.0f MB are free; use shorter pieces or a smaller model",
                    (double)e->total / 1e6, (double)e->step / 1e6, (double)e->parameters / 1e6, (long long)f->p->count,
                    (double)e->teacher / 1e6, (double)f->o.room / 1e6);
  f->c = tens_open(
      &(tens_options){
          .threads = f->o.threads, .capacity = e->step, .cancelled = notify_is_stopped, .user = &f->o.notify},
      err);
  return f->c ? ACE_OK : err->status;
}

/* ---- open, close ------------------------------------------------------------------------------------------------- */

static void describe(full_task *f) {
  f->task = (train_task){.samples = f->pieces,
                         .lengths = f->lengths,
                         .run = run,
                         .write = write_models,
                         .read = read_models,
                         .idle = is_idle,
                         .user = f};
  parameters_task(f->p, &f->task);
}

full_task *full_task_open(const full_options *options, ace_error *err) {
  static const full_part *const parts[] = {&full_flow, &full_codes, &full_words};
  ace_error own = {0};
  if (!err) err = &own;
  full_task *f = calloc(1, sizeof *f);
  if (!f) {
    ace_fail(err, ACE_ENOMEM, "train: out of memory");
    return NULL;
  }
  f->o = *options;
  f->s = options->settings;
  f->part = parts[f->s->part];
  ace_status status = train_settings_check(f->s, err);
  if (status == ACE_OK) status = open_pieces(f, err);
  if (status == ACE_OK) status = f->part->open(f, err);
  if (status == ACE_OK) status = check_pieces(f, err);
  if (status == ACE_OK) status = plan_memory(f, err);
  if (status != ACE_OK) {
    full_task_close(f);
    return NULL;
  }
  describe(f);
  return f;
}

void full_task_close(full_task *f) {
  if (!f) return;
  f->part->close(f);
  parameters_close(f->p);
  tens_close(f->c);
  for (int i = 0; i < f->pieces; i++) piece_close(&f->piece[i]);
  free(f->piece), free(f->lengths);
  free(f);
}

train_task *full_task_of(full_task *f) {
  return &f->task;
}

const full_estimate *full_task_estimate(const full_task *f) {
  return &f->estimate;
}

double full_task_epoch_seconds(full_task *f) {
  int first = 0;
  double loss, began = clock_seconds();
  if (run(f, &(train_batch){.sample = &first, .n = 1}, &loss, NULL) != ACE_OK) return -1;
  double share = (double)f->estimate.frames / (double)f->lengths[first];
  double own = f->estimate.recompute ? step_factor + 1 : step_factor;
  return (clock_seconds() - began) * share * (own + f->others) / (1 + f->others);
}

acestep_dit *full_task_dit(const full_task *f) {
  return f->dit;
}

qwen3 *full_task_text(const full_task *f) {
  return f->text;
}

const char *full_task_caption(const full_task *f) {
  return json_text(f->piece[0].about, "caption");
}
