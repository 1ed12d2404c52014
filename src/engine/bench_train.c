/* bench_train.c - one step of training a LoRA adapter, as `acestep train` makes it with its defaults: the loss and its
 * gradients for one song of random latents, and the update of the adapter. The song goes through a file and the very task
 * that trains, so that time and memory are those of a training. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/load.h"
#include "base/notify.h"
#include "engine/bench.h"
#include "engine/random.h"
#include "models/cost.h"
#include "train/adamw.h"
#include "train/flow_task.h"
#include "train/sample.h"
#include "train/stream.h"

/* Rows of the condition: a caption, and lyrics of two verses. */
enum { SEED = 1, TOKENS = 300, FRAMES_A_SECOND = 25 };

typedef struct train_bench {
  acestep_dit *m;
  pool *threads;
  char *folder; /* holds the song; removed when all is closed */
  train_settings s;
  flow_task *flow;
  float *moments; /* [2 count] */
  int64_t steps;
} train_bench;

/* ---- the song ---------------------------------------------------------------------------------------------------- */

static ace_status write_song(const train_bench *b, double duration, ace_error *err) {
  int64_t channels = b->m->cfg.latent_channels, width = b->m->cfg.encoder.hidden;
  sample s = {.shape = {(int64_t)(duration * FRAMES_A_SECOND), channels, TOKENS, width},
              .about = json_object(),
              .tags = json_object()};
  stream target = stream_of(SEED, STREAM_NOISE, 0, 0, 0), condition = stream_of(SEED, STREAM_NOISE, 1, 0, 0);
  char *path = file_join(b->folder, "song.safetensors");
  s.target = malloc((size_t)(s.shape.frames * channels) * sizeof *s.target);
  s.condition = malloc((size_t)(TOKENS * width) * sizeof *s.condition);
  ace_status status = ACE_OK;
  if (path && s.target && s.condition) {
    stream_normal(&target, 0, s.shape.frames * channels, s.target);
    stream_normal(&condition, 0, TOKENS * width, s.condition);
    status = sample_write(path, &s, err);
  } else status = ace_fail(err, ACE_ENOMEM, "bench: out of memory");
  sample_free(&s);
  free(path);
  return status;
}

static ace_status make_folder(train_bench *b, ace_error *err) {
  const char *place = getenv("TMPDIR");
  b->folder = file_join(place && *place ? place : "/tmp", "acestep-bench-XXXXXX");
  if (!b->folder) return ace_fail(err, ACE_ENOMEM, "bench: out of memory");
  if (mkdtemp(b->folder)) return ACE_OK;
  ace_fail_errno(err, "%s: cannot make it", b->folder);
  free(b->folder);
  b->folder = NULL;
  return err->status;
}

/* ---- model and task ---------------------------------------------------------------------------------------------- */

static acestep_dit *open_model(const bench_machine *m, const bench_options *o, ace_error *err) {
  if (o->random) {
    bool tiny = strcmp(o->random, RANDOM_TINY) == 0;
    random_models r = {.threads = m->threads, .seed = SEED, .tiny = tiny, .int8 = o->int8, .notify = m->notify};
    return random_dit(&r, tiny ? published_at(ENGINE_DIFFUSION, 0) : o->random, err);
  }
  if (!o->model) {
    ace_fail(err, ACE_EINVAL, "--model: name the diffusion model below %s to train on", o->models);
    return NULL;
  }
  char *path = file_join(o->models, o->model);
  acestep_dit *dit = path ? acestep_dit_open(path, err) : NULL;
  if (!path) ace_fail(err, ACE_ENOMEM, "bench: out of memory");
  if (dit && o->int8) ckpt_use_int8(dit->checkpoint, m->threads, m->notify);
  free(path);
  return dit;
}

static ace_status open_task(train_bench *b, const bench_machine *m, const bench_options *o, ace_error *err) {
  ace_status status = train_settings_init(&b->s, TRAIN_SURFACE_GUIDE, TRAIN_LORA, err);
  if (status == ACE_OK) status = train_settings_set(&b->s, "dataset_dir", b->folder, err);
  if (status != ACE_OK) return status;
  if (o->lora_rank) b->s.rank = o->lora_rank, b->s.alpha = 2 * o->lora_rank;
  ace_engine limit = {.memory = o->memory};
  flow_options options = {.settings = &b->s,
                          .threads = m->threads,
                          .room = engine_room(&limit, ckpt_mapped_bytes(b->m->checkpoint, "decoder."))};
  if (m->notify) options.notify = (ace_callbacks){.cancelled = m->notify->cancelled, .user = m->notify->user};
  b->flow = flow_task_open(b->m, &options, err);
  if (!b->flow) return err->status;
  b->moments = calloc(2 * (size_t)flow_task_of(b->flow)->count, sizeof *b->moments);
  return b->moments ? ACE_OK : ace_fail(err, ACE_ENOMEM, "bench: out of memory");
}

static void close_all(train_bench *b) {
  flow_task_close(b->flow);
  train_settings_free(&b->s);
  acestep_dit_close(b->m);
  if (b->folder) file_remove_tree(b->folder, NULL);
  free(b->folder), free(b->moments);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static ace_status run_batch(train_bench *b, bool learn, ace_error *err) {
  train_task *t = flow_task_of(b->flow);
  double loss;
  return t->run(t->user, &(train_batch){.sample = (const int[]){0}, .n = 1, .learn = learn, .weight = 1}, &loss, err);
}

static ace_status measure_step(void *arg, double *value, ace_error *err) {
  train_bench *b = arg;
  train_task *t = flow_task_of(b->flow);
  double start = clock_seconds();
  memset(t->grads, 0, (size_t)t->count * sizeof *t->grads);
  ace_status status = run_batch(b, true, err);
  if (status != ACE_OK) return status;
  adamw update = {.rate = b->s.learning_rate, .decay = b->s.weight_decay, .k = ++b->steps};
  double scale = adamw_clip(adamw_norm(b->threads, t->count, t->grads), b->s.max_grad_norm);
  adamw_step(&update, b->threads, t->count, t->grads, scale, t->values, b->moments, b->moments + t->count);
  *value = clock_seconds() - start;
  return ACE_OK;
}

static ace_status measure_forward(void *arg, double *value, ace_error *err) {
  double start = clock_seconds();
  ace_status status = run_batch(arg, false, err);
  *value = clock_seconds() - start;
  return status;
}

/* repeat 0: one step, for its memory. */
static ace_status measure_all(bench_machine *m, train_bench *b, const bench_options *o, json_t *stages,
                              ace_error *err) {
  bench_samples steps = {0}, forward = {0};
  if (!o->repeat) return measure_step(b, &(double){0}, err);
  m->total = o->repeat * (bench_ceiling_count() + 2);
  ace_status status = ACE_OK;
  for (int r = 0; r < o->repeat && status == ACE_OK; r++) {
    status = bench_ceilings(m, err);
    if (status == ACE_OK) status = bench_measure(m, measure_forward, b, &forward, err);
    if (status == ACE_OK) status = bench_measure(m, measure_step, b, &steps, err);
  }
  if (status != ACE_OK) return status;
  const flow_estimate *e = flow_task_estimate(b->flow);
  double seconds = bench_median(&steps), once = bench_median(&forward);
  double flops = cost_lora_step(&b->m->cfg, e->frames, TOKENS, b->s.rank, e->recompute);
  json_object_set_new(stages, "train_step",
                      json_pack("{s:f, s:f, s:f, s:f, s:f, s:b}", "seconds", seconds, "flops", flops,
                                "fraction_of_peak", flops / seconds / bench_peak(m), "forward_seconds", once, "ratio",
                                seconds / once, "recompute", (int)e->recompute));
  return ACE_OK;
}

ace_status bench_train(bench_machine *m, const bench_options *o, json_t *stages, json_t *job, json_t *found,
                       ace_error *err) {
  train_bench b = {.m = open_model(m, o, err), .threads = m->threads};
  if (!b.m) return err->status;
  ace_status status = make_folder(&b, err);
  if (status == ACE_OK) status = write_song(&b, o->duration, err);
  size_t before = load_own_memory() + ckpt_mapped_bytes(b.m->checkpoint, "decoder.");
  if (status == ACE_OK) status = open_task(&b, m, o, err);
  if (status == ACE_OK) status = measure_all(m, &b, o, stages, err);
  if (status == ACE_OK) {
    json_object_set_new(job, "model", json_string(o->random ? o->random : o->model));
    json_object_set_new(job, "duration", json_real(o->duration));
    json_object_set_new(job, "lora_rank", json_integer(b.s.rank));
    json_object_set_new(job, "condition_tokens", json_integer(TOKENS));
    json_object_set_new(job, "parameters", json_integer((json_int_t)flow_task_of(b.flow)->count));
    json_object_set_new(
        found, "memory",
        json_pack("{s:I, s:I}", "planned_bytes", (json_int_t)(before + flow_task_estimate(b.flow)->total), "peak_bytes",
                  (json_int_t)load_peak_memory()));
  }
  close_all(&b);
  return status;
}
