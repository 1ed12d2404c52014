#include "train/flow_task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/notify.h"
#include "train/adapter_write.h"
#include "train/loss.h"
#include "train/sample_set.h"

enum { BATCH_MOST = 8, FRAMES_A_SECOND = 25 };

/* A step takes this many times the time of a loss without gradients, with every layer computed once or twice more:
 * the way back costs about twice the way forward (training.md 9.6). */
static const double step_factor = 3.2, recompute_factor = 4.2;

struct flow_task {
  train_task task;
  flow_options options;
  const train_settings *s;
  sample_set set;
  sample_shape *shape; /* [n] */
  sample *kept;        /* [n]; NULL: samples are read when they are needed */
  sample first;        /* its words only */
  trainee *t;
  train_tensor *tensor;
  int64_t *lengths;
  tens_ctx *c;
  timesteps times;
  double cfg_ratio;
  float *noise; /* of a batch: BATCH_MOST pieces of noise_room values */
  size_t noise_room;
  flow_estimate estimate;
};

/* ---- the adapter ------------------------------------------------------------------------------------------------- */

static bool lists(const char *list, const char *name) {
  return strstr(list, name) != NULL;
}

/* Kinds of layers are adapted together: all four projections of attention, all three of the other part, or none. */
static ace_status groups_of(const char *list, bool *attention, bool *mlp, ace_error *err) {
  int a = lists(list, "q_proj") + lists(list, "k_proj") + lists(list, "v_proj") + lists(list, "o_proj");
  int m = lists(list, "gate_proj") + lists(list, "up_proj") + lists(list, "down_proj");
  *attention = a == 4, *mlp = m == 3;
  if ((a == 0 || a == 4) && (m == 0 || m == 3)) return ACE_OK;
  return ace_fail(
      err, ACE_EUNSUPPORTED,
      "target_modules: \"%.120s\": q_proj, k_proj, v_proj, o_proj are adapted together or not at all, and so "
      "are gate_proj, up_proj, down_proj",
      list);
}

static ace_status open_trainee(flow_task *f, acestep_dit *m, ace_error *err) {
  const train_settings *s = f->s;
  bool attention, mlp, lora = s->adapter == TRAIN_LORA;
  ace_status status = groups_of(s->target_modules, &attention, &mlp, err);
  if (status != ACE_OK) return status;
  trainee_options o = {.kind = lora ? TRAINEE_LORA : TRAINEE_LOKR,
                       .rank = lora ? s->rank : s->lokr_dim,
                       .alpha = !lora           ? s->lokr_alpha
                                : s->use_rslora ? s->alpha * sqrt(s->rank)
                                                : s->alpha,
                       .dropout = lora ? (float)s->dropout : 0,
                       .factor = s->lokr_factor,
                       .decompose_both = s->lokr_decompose_both,
                       .scalar = s->lokr_use_scalar,
                       .magnitude = s->lokr_weight_decompose,
                       .self = attention && s->attention_type != TRAIN_ATTENTION_CROSS,
                       .cross = attention && s->attention_type != TRAIN_ATTENTION_SELF,
                       .mlp = mlp,
                       .seed = (uint64_t)s->seed};
  f->t = trainee_open(m, &o, err);
  if (!f->t) return err->status;
  f->tensor = calloc((size_t)f->t->n + 1, sizeof *f->tensor);
  if (!f->tensor) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  for (int i = 0; i < f->t->n; i++) {
    const trainee_tensor *t = &f->t->tensor[i];
    f->tensor[i] = (train_tensor){.rows = t->rows, .columns = t->columns, .first = t->first};
    adapter_tensor_name(t, f->tensor[i].name);
  }
  return ACE_OK;
}

static void settle(void *user) {
  trainee_settle(((flow_task *)user)->t);
}

/* As files have it; the values stay what they are. */
static ace_status write_adapter(void *user, const char *folder, ace_error *err) {
  const flow_task *f = user;
  size_t bytes = (size_t)f->t->count * sizeof *f->t->values;
  float *kept = f->t->options.scalar ? malloc(bytes) : NULL;
  if (f->t->options.scalar && !kept) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  if (kept) memcpy(kept, f->t->values, bytes), trainee_settle(f->t);
  ace_status status = adapter_write(f->t, f->s, f->options.model, folder, err);
  if (kept) memcpy(f->t->values, kept, bytes);
  free(kept);
  return status;
}

static ace_status read_adapter(void *user, const char *folder, ace_error *err) {
  return adapter_read(((flow_task *)user)->t, folder, err);
}

static bool is_idle(void *user) {
  return trainee_idle(((flow_task *)user)->t);
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static size_t bytes_of(const sample_shape *s) {
  return (size_t)(3 * s->frames * s->channels + s->tokens * s->width) * sizeof(float);
}

static ace_status check_shape(const flow_task *f, const acestep_dit *m, int i, ace_error *err) {
  const sample_shape *s = &f->shape[i];
  int64_t channels = m->cfg.latent_channels, width = m->cfg.encoder.hidden;
  if (s->channels != channels)
    return ace_fail(err, ACE_EINVAL, "%s: latents of %lld channels, but the model has %lld", f->set.path[i],
                    (long long)s->channels, (long long)channels);
  if (s->width != width)
    return ace_fail(err, ACE_EINVAL,
                    "%s: a condition of width %lld, but the model's is %lld; preprocess the dataset with this model",
                    f->set.path[i], (long long)s->width, (long long)width);
  return ACE_OK;
}

static ace_status look_at_samples(flow_task *f, const acestep_dit *m, ace_error *err) {
  ace_status status = sample_set_open(&f->set, f->s->dataset_dir, &f->options.notify, err);
  if (status != ACE_OK) return status;
  size_t n = (size_t)f->set.n;
  f->shape = calloc(n, sizeof *f->shape);
  f->lengths = calloc(n, sizeof *f->lengths);
  if (!f->shape || !f->lengths) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  for (int i = 0; i < f->set.n && status == ACE_OK; i++) {
    status = sample_look(f->set.path[i], &f->shape[i], err);
    if (status == ACE_OK) status = check_shape(f, m, i, err);
    f->lengths[i] = f->shape[i].frames;
    f->estimate.frames += f->shape[i].frames;
    f->estimate.samples += bytes_of(&f->shape[i]);
    f->estimate.longest = fmax(f->estimate.longest, (double)f->shape[i].frames / FRAMES_A_SECOND);
  }
  return status;
}

/* What it needs was planned when the task was opened: a file that another has taken the place of since is refused. */
static ace_status read_one(const flow_task *f, const acestep_dit *m, int i, sample *out, ace_error *err) {
  ace_status status = sample_read(f->set.path[i], &m->silence, out, err);
  const sample_shape *now = &out->shape, *then = &f->shape[i];
  if (status != ACE_OK) return status;
  if (now->frames == then->frames && now->channels == then->channels && now->tokens == then->tokens &&
      now->width == then->width)
    return ACE_OK;
  sample_free(out);
  return ace_fail(err, ACE_EINVAL, "%s: it has changed since the training began", f->set.path[i]);
}

/* Reads all; keeps them if `keep`. */
static ace_status read_samples(flow_task *f, const acestep_dit *m, bool keep, ace_error *err) {
  if (keep) f->kept = calloc((size_t)f->set.n, sizeof *f->kept);
  if (keep && !f->kept) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  for (int i = 0; i < f->set.n; i++) {
    sample s;
    if (notify_stopped(&f->options.notify)) return ace_fail(err, ACE_ECANCELED, "train: stopped");
    ace_status status = read_one(f, m, i, &s, err);
    if (status != ACE_OK) return status;
    if (i == 0) f->first = (sample){.about = json_incref(s.about)};
    if (keep) f->kept[i] = s;
    else sample_free(&s);
  }
  return ACE_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* The largest batch that there can be: as many of the longest as fit, with the longest condition. */
static size_t step_bytes(flow_task *f, bool recompute, ace_error *err) {
  sample_shape all[BATCH_MOST], most = f->shape[0];
  for (int i = 1; i < f->set.n; i++) {
    if (f->shape[i].frames > most.frames) most.frames = f->shape[i].frames;
    if (f->shape[i].tokens > most.tokens) most.tokens = f->shape[i].tokens;
  }
  for (int i = 0; i < f->s->batch_size; i++) all[i] = most;
  f->noise_room = (size_t)(most.frames * most.channels);
  train_options o = {
      .reference = f->s->padding == TRAIN_PADDING_PARITY, .dropout = true, .gradient = true, .recompute = recompute};
  return train_memory(f->t, all, f->s->batch_size, &o, f->options.threads, err);
}

static ace_status too_large(const flow_task *f, ace_error *err) {
  const flow_estimate *e = &f->estimate;
  return ace_fail(err, ACE_ENOMEM,
                  "train: needs %.0f MB beside the model (%.0f MB for a step on %.0f s of sound, %.0f MB for %lld "
                  "parameters), but %.0f MB are free; use shorter songs, a smaller rank or a smaller batch",
                  (double)e->total / 1e6, (double)e->step / 1e6, e->longest, (double)e->parameters / 1e6,
                  (long long)f->t->count, (double)f->options.room / 1e6);
}

/* Values, gradients, moments of all parameters, and the copy of the values that the model runs. */
enum { COPIES = 5 };

static ace_status plan_memory(flow_task *f, ace_error *err) {
  flow_estimate *e = &f->estimate;
  e->parameters = (size_t)f->t->count * COPIES * sizeof(float);
  e->recompute = f->s->gradient_checkpointing == TRAIN_RECOMPUTE_ON;
  size_t samples = e->samples, noise = 0;
  for (int pass = 0; pass < 2; pass++) {
    e->step = step_bytes(f, e->recompute, err);
    if (!e->step) return err->status;
    noise = f->noise_room * (size_t)f->s->batch_size * sizeof(float);
    e->total = e->step + e->parameters + 2 * noise;
    if (e->total <= f->options.room || e->recompute || f->s->gradient_checkpointing == TRAIN_RECOMPUTE_OFF) break;
    e->recompute = true;
  }
  if (e->total > f->options.room) return too_large(f, err);
  bool keep = samples <= (f->options.room - e->total) / 2;
  e->samples = keep ? samples : 0;
  e->total += e->samples;
  return ACE_OK;
}

static ace_status take_memory(flow_task *f, ace_error *err) {
  f->noise = malloc(f->noise_room * (size_t)f->s->batch_size * sizeof *f->noise);
  if (!f->noise) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  f->c = tens_open(&(tens_options){.threads = f->options.threads,
                                   .capacity = f->estimate.step,
                                   .cancelled = notify_is_stopped,
                                   .user = &f->options.notify},
                   err);
  return f->c ? ACE_OK : err->status;
}

/* ---- the loss ---------------------------------------------------------------------------------------------------- */

/* frames: of the noise, which the reference gives to padding, too. */
static train_item item_of(const flow_task *f, const train_batch *b, int i, const sample *s, int64_t frames) {
  bool fixed = f->options.fixed_time > 0;
  uint64_t seed = (uint64_t)f->s->seed;
  uint32_t index = (uint32_t)b->sample[i], epoch = fixed || !b->learn ? 0 : b->epoch;
  stream time = stream_of(seed, b->learn ? STREAM_TIME : STREAM_CHECK_TIME, 0, epoch, index);
  stream noise = stream_of(seed, b->learn ? STREAM_NOISE : STREAM_CHECK_NOISE, 0, epoch, index);
  stream guidance = stream_of(seed, STREAM_GUIDANCE, 0, epoch, index);
  float *e = f->noise + (size_t)i * f->noise_room, chance;
  stream_normal(&noise, 0, frames * s->shape.channels, e);
  stream_uniform(&guidance, 0, 1, &chance);
  return (train_item){.s = s,
                      .t = timestep_draw(&f->times, &time),
                      .noise = e,
                      .unconditioned = b->learn && (double)chance < f->cfg_ratio,
                      .epoch = epoch,
                      .index = index};
}

static ace_status run(void *user, const train_batch *b, double *loss, ace_error *err) {
  flow_task *f = user;
  sample read[BATCH_MOST];
  train_item items[BATCH_MOST];
  ace_status status = ACE_OK;
  bool parity = f->s->padding == TRAIN_PADDING_PARITY;
  int64_t longest = 0;
  for (int i = 0; i < b->n; i++)
    if (f->shape[b->sample[i]].frames > longest) longest = f->shape[b->sample[i]].frames;
  int n = 0;
  for (; n < b->n && status == ACE_OK; n++) {
    int i = b->sample[n];
    if (!f->kept) status = read_one(f, f->t->m, i, &read[n], err);
    if (status != ACE_OK) break;
    items[n] = item_of(f, b, n, f->kept ? &f->kept[i] : &read[n], parity ? longest : f->shape[i].frames);
  }
  train_options o = {.reference = parity,
                     .dropout = b->learn && !(f->options.fixed_time > 0),
                     .gradient = b->learn,
                     .recompute = f->estimate.recompute,
                     .seed = (uint64_t)f->s->seed,
                     .weight = b->weight};
  if (status == ACE_OK) status = train_loss(f->c, f->t, items, n, &o, loss, err);
  for (int i = 0; i < n && !f->kept; i++) sample_free(&read[i]);
  return status;
}

static void choose_times(flow_task *f, const acestep_dit *m) {
  bool discrete =
      f->s->timestep_mode == TRAIN_TIMESTEP_DISCRETE || (f->s->timestep_mode == TRAIN_TIMESTEP_AUTO && m->cfg.turbo);
  f->times = timesteps_of(ckpt_config(m->checkpoint), discrete, f->s->shift);
  f->times.fixed = f->options.fixed_time;
  if (f->options.fixed_time > 0) f->times.mode = TIMESTEP_FIXED;
  f->cfg_ratio = f->s->cfg_ratio >= 0 ? f->s->cfg_ratio : m->cfg.turbo ? 0 : 0.15;
}

/* ---- open, close ------------------------------------------------------------------------------------------------- */

flow_task *flow_task_open(acestep_dit *m, const flow_options *options, ace_error *err) {
  ace_error own = {0};
  if (!err) err = &own;
  flow_task *f = calloc(1, sizeof *f);
  if (!f) {
    ace_fail(err, ACE_ENOMEM, "train: out of memory");
    return NULL;
  }
  f->options = *options;
  f->s = options->settings;
  ace_status status = train_settings_check(f->s, err);
  if (status == ACE_OK) status = look_at_samples(f, m, err);
  if (status == ACE_OK) status = open_trainee(f, m, err);
  if (status == ACE_OK) status = plan_memory(f, err);
  if (status == ACE_OK) status = read_samples(f, m, f->estimate.samples > 0, err);
  if (status == ACE_OK) status = take_memory(f, err);
  if (status != ACE_OK) {
    flow_task_close(f);
    return NULL;
  }
  choose_times(f, m);
  f->task = (train_task){.samples = f->set.n,
                         .lengths = f->lengths,
                         .tensor = f->tensor,
                         .tensors = f->t->n,
                         .count = f->t->count,
                         .decaying = f->t->count,
                         .values = f->t->values,
                         .grads = f->t->grads,
                         .run = run,
                         .write = write_adapter,
                         .read = read_adapter,
                         .idle = is_idle,
                         .settle = f->t->options.scalar ? settle : NULL,
                         .user = f};
  return f;
}

void flow_task_close(flow_task *f) {
  if (!f) return;
  for (int i = 0; f->kept && i < f->set.n; i++) sample_free(&f->kept[i]);
  free(f->kept);
  json_decref(f->first.about);
  trainee_close(f->t);
  tens_close(f->c);
  free(f->tensor), free(f->shape), free(f->lengths), free(f->noise);
  sample_set_free(&f->set);
  free(f);
}

train_task *flow_task_of(flow_task *f) {
  return &f->task;
}

const flow_estimate *flow_task_estimate(const flow_task *f) {
  return &f->estimate;
}

timesteps flow_task_times(const flow_task *f, double *cfg_ratio) {
  *cfg_ratio = f->cfg_ratio;
  return f->times;
}

const char *flow_task_caption(const flow_task *f) {
  return json_text(f->first.about, "caption");
}

double flow_task_epoch_seconds(flow_task *f) {
  int shortest = 0;
  double loss;
  for (int i = 1; i < f->set.n; i++)
    if (f->shape[i].frames < f->shape[shortest].frames) shortest = i;
  double began = clock_seconds();
  if (run(f, &(train_batch){.sample = &shortest, .n = 1}, &loss, NULL) != ACE_OK) return -1;
  double seconds = clock_seconds() - began, share = (double)f->estimate.frames / (double)f->shape[shortest].frames;
  return seconds * share * (f->estimate.recompute ? recompute_factor : step_factor);
}
