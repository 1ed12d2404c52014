/* full_flow.c - the diffusion transformer with its condition encoder: one look at a piece, at one time of the flow. */
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "models/audio_tokenizer.h"
#include "models/condition.h"
#include "models/dit.h"
#include "render/prompt.h"
#include "tensor/ops_train.h"
#include "train/full_inner.h"
#include "train/look.h"
#include "train/stream.h"
#include "train/teacher.h"
#include "train/timestep.h"

typedef struct flow {
  look_options look;
  timesteps times;
  double cfg_ratio;
  size_t lyric_most;    /* tokens of the longest lyrics */
  acestep_dit *teacher; /* owned; NULL: the velocity of the flow itself is learned */
  /* What was prepared. */
  look l;
  float *noise; /* [longest, channels] */
  float t;
  double to; /* the time that a step from t leads to, with a teacher */
  bool unconditioned;
} flow;

/* ---- preparing ---------------------------------------------------------------------------------------------------- */

/* Exactly the times that are sung at: both ends of a step. */
static void choose_time(flow *w, const stream *s) {
  w->t = (float)timestep_draw(&w->times, s);
  if (w->teacher) w->to = timestep_discrete(w->times.shift, timestep_draw_step(s) + 1);
}

static ace_status prepare(full_task *f, full_sample s, ace_error *err) {
  flow *w = f->state;
  uint64_t seed = (uint64_t)f->s->seed;
  uint32_t index = (uint32_t)s.index;
  stream time = stream_of(seed, s.learn ? STREAM_TIME : STREAM_CHECK_TIME, 0, s.epoch, index);
  stream noise = stream_of(seed, s.learn ? STREAM_NOISE : STREAM_CHECK_NOISE, 0, s.epoch, index);
  stream guidance = stream_of(seed, STREAM_GUIDANCE, 0, s.epoch, index);
  float chance;
  look_free(&w->l);
  ace_status status = look_make(&f->piece[s.index], &w->look, s.epoch, index, &w->l, err);
  if (status != ACE_OK) return status;
  stream_normal(&noise, 0, w->l.frames * w->l.channels, w->noise);
  stream_uniform(&guidance, 0, 1, &chance);
  choose_time(w, &time);
  w->unconditioned = s.learn && (double)chance < w->cfg_ratio;
  return ACE_OK;
}

static ace_status fill(bpe_ids *ids, size_t n, ace_error *err) {
  ace_status status = ACE_OK;
  while (ids->n < n && status == ACE_OK) status = bpe_ids_add(ids, 0, err);
  return status;
}

/* Of tasks, the one that needs most. */
static ace_status largest(full_task *f, ace_error *err) {
  flow *w = f->state;
  look_free(&w->l);
  w->l = (look){.task = LOOK_COVER, .frames = f->longest, .channels = f->dit->cfg.latent_channels};
  w->unconditioned = false;
  ace_status status = fill(&w->l.text, PROMPT_TEXT_TOKENS, err);
  return status == ACE_OK ? fill(&w->l.lyric, w->lyric_most, err) : status;
}

/* ---- the loss ----------------------------------------------------------------------------------------------------- */

/* A row as the value of each channel. */
static tens *spread(tens_ctx *c, const float *row, int64_t frames, int64_t channels) {
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(1, frames, channels));
  for (int64_t i = 0; y && !tens_planning(c) && i < frames * channels; i++) tens_f32(y)[i] = row[i / channels];
  return y;
}

/* Source latents | mask. */
static tens *context_of(tens_ctx *c, const acestep_dit *m, const look *l) {
  tens_mark mark = tens_here(c);
  tens *source = tens_from(c, TENS_F32, TENS_DIMS(1, l->frames, l->channels), l->source);
  if (l->task == LOOK_COVER)
    source = op_resize(c, audio_detokenize(c, m, audio_tokenize(c, m, source).quantized), l->frames);
  tens *made = spread(c, l->mask, l->frames, l->channels);
  return tens_keep(c, mark, op_concat(c, 2, (const tens *const[]){source, made}));
}

/* noise_share * noise + music_share * music. */
static tens *mixed(tens_ctx *c, const flow *w, float noise_share, float music_share) {
  const look *l = &w->l;
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(1, l->frames, l->channels));
  for (int64_t i = 0; x && !tens_planning(c) && i < l->frames * l->channels; i++)
    tens_f32(x)[i] = noise_share * w->noise[i] + music_share * l->target[i];
  return x;
}

static tens *ids_of(tens_ctx *c, const bpe_ids *ids) {
  return tens_from(c, TENS_I32, TENS_DIMS(1, (int64_t)ids->n), ids->id);
}

/* The null condition in every row. */
static tens *no_condition(tens_ctx *c, const acestep_dit *m, int64_t rows) {
  tens *index = tens_new(c, TENS_I32, TENS_DIMS(1, rows));
  if (index && !tens_planning(c)) memset(index->data, 0, (size_t)rows * sizeof(int32_t));
  return op_gather(c, tens_view(c, &m->null_condition, TENS_DIMS(1, 1, m->cfg.encoder.hidden)), index);
}

/* What there is to hear and read: nothing without a condition. */
static condition_input told(tens_ctx *c, const full_task *f, const flow *w) {
  static const int32_t first = 0;
  if (w->unconditioned) return (condition_input){0};
  return (condition_input){
      .text = qwen3_hidden(c, f->text, ids_of(c, &w->l.text), NULL),
      .lyric = qwen3_embed(c, f->text, ids_of(c, &w->l.lyric)),
      .clips = tens_from(c, TENS_F32, TENS_DIMS(1, w->look.timbre_frames, w->l.channels), w->l.clip),
      .clip_order = &first};
}

static tens *condition_of(tens_ctx *c, const acestep_dit *m, const flow *w, const condition_input *in) {
  if (w->unconditioned) return no_condition(c, m, (int64_t)(w->l.lyric.n + w->l.text.n) + 1);
  return condition_encode(c, m, in, NULL);
}

/* Without a condition there is nothing to guide by. */
static teacher_path path_of(const full_task *f, const flow *w) {
  return (teacher_path){.t = (double)w->t,
                        .to = w->to,
                        .steps = f->s->teacher_steps,
                        .guidance = w->unconditioned ? 1 : f->s->teacher_guidance};
}

/* The teacher's velocity at x; it has its own view of what there is to hear and read. */
static tens *shown(tens_ctx *c, const full_task *f, const flow *w, const condition_input *in, const tens *x) {
  const acestep_dit *m = w->teacher;
  teacher_path path = path_of(f, w);
  tens_mark mark = tens_here(c);
  const tens *context = context_of(c, m, &w->l), *condition = condition_of(c, m, w, in);
  return tens_keep(c, mark, teacher_velocity(c, m, &path, condition, context, x));
}

static tens *loss(tens_ctx *c, full_task *f) {
  const flow *w = f->state;
  condition_input in;
  dit_condition condition;
  bool codes_learn = f->s->train_tokenizer;
  const tens *t = tens_from(c, TENS_F32, TENS_DIMS(1), &w->t), *x = mixed(c, w, w->t, 1 - w->t), *context, *wanted;
  if (!codes_learn) context = context_of(c, f->dit, &w->l);
  if (w->teacher) {
    in = told(c, f, w);
    wanted = shown(c, f, w, &in, x);
    full_record(c, f);
  } else {
    wanted = mixed(c, w, 1, -1);
    full_record(c, f);
    in = told(c, f, w);
  }
  if (codes_learn) context = context_of(c, f->dit, &w->l);
  dit_attend(c, f->dit, condition_of(c, f->dit, w, &in), &condition);
  return op_mean_square(c, dit_velocity(c, f->dit, &condition, context, x, t, t), wanted, NULL);
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static bool is_trained(const char *name) {
  return string_begins(name, "decoder.") || string_begins(name, "encoder.") || string_begins(name, "null_condition");
}

static bool is_trained_or_codes(const char *name) {
  return is_trained(name) || string_begins(name, "tokenizer.") || string_begins(name, "detokenizer.");
}

static ace_status open_models(full_task *f, ace_error *err) {
  bool text = f->s->train_text_encoder;
  bool (*const trained)(const char *) = f->s->train_tokenizer ? is_trained_or_codes : is_trained;
  const parameters_part parts[] = {{f->o.dit.folder, f->o.dit.name, trained}, {f->o.text.folder, f->o.text.name, NULL}};
  ace_status status = full_parameters(f, parts, text ? 2 : 1, err);
  if (status != ACE_OK) return status;
  f->dit = acestep_dit_from(parameters_checkpoint(f->p, 0, err), (tens){0}, err);
  if (f->dit) f->text = text ? qwen3_from(parameters_checkpoint(f->p, 1, err), err) : qwen3_open(f->o.text.folder, err);
  if (!f->text) return err->status;
  if (f->dit->cfg.text_hidden != f->text->cfg.block.hidden)
    return ace_fail(err, ACE_EFORMAT, "%s: expects text of width %d, the text encoder gives %d", f->o.dit.name,
                    f->dit->cfg.text_hidden, f->text->cfg.block.hidden);
  if (bpe_vocab_size(f->o.words) > f->text->cfg.vocab)
    return ace_fail(err, ACE_EFORMAT, "%s: the tokenizer has more tokens than the model", f->o.text.name);
  return parameters_watch(f->p, err);
}

static ace_status open_teacher(full_task *f, flow *w, ace_error *err) {
  if (!*f->s->teacher) return ACE_OK;
  w->teacher = teacher_open(f->o.teacher.folder, f->o.teacher.name, f->dit, f->o.dit.name, err);
  if (!w->teacher) return err->status;
  teacher_path path = path_of(f, w);
  f->estimate.teacher = (size_t)ckpt_memory_bytes(w->teacher->checkpoint);
  f->others = teacher_evaluations(&path);
  return ACE_OK;
}

static void choose_times(full_task *f, flow *w) {
  const json_t *config = ckpt_config(f->dit->checkpoint);
  int mode = f->s->timestep_mode;
  bool turbo = f->dit->cfg.turbo, discrete = mode == TRAIN_TIMESTEP_DISCRETE || (mode == TRAIN_TIMESTEP_AUTO && turbo);
  w->times = timesteps_of(config, discrete, f->s->shift);
  w->cfg_ratio = f->s->cfg_ratio >= 0 ? f->s->cfg_ratio : turbo ? 0 : 0.15;
}

/* Lyrics do not depend on the task: any look at a piece tells how long they are. */
static ace_status measure_lyrics(full_task *f, flow *w, ace_error *err) {
  ace_status status = ACE_OK;
  for (int i = 0; i < f->pieces && status == ACE_OK; i++) {
    status = look_make(&f->piece[i], &w->look, 0, (uint32_t)i, &w->l, err);
    if (w->l.lyric.n > w->lyric_most) w->lyric_most = w->l.lyric.n;
    look_free(&w->l);
  }
  return status;
}

static ace_status open(full_task *f, ace_error *err) {
  flow *w = f->state = calloc(1, sizeof *w);
  if (!w) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  ace_status status = open_models(f, err);
  if (status == ACE_OK) status = open_teacher(f, w, err);
  if (status != ACE_OK) return status;
  choose_times(f, w);
  w->look = (look_options){.seed = (uint64_t)f->s->seed,
                           .tokenizer = f->o.words,
                           .silence = &f->dit->silence,
                           .timbre_frames = f->dit->cfg.timbre_frames};
  w->noise = malloc((size_t)(f->longest * f->dit->cfg.latent_channels) * sizeof *w->noise);
  return w->noise ? measure_lyrics(f, w, err) : ace_fail(err, ACE_ENOMEM, "train: out of memory");
}

static void close(full_task *f) {
  flow *w = f->state;
  acestep_dit_close(f->dit);
  qwen3_close(f->text);
  if (w) look_free(&w->l), free(w->noise), acestep_dit_close(w->teacher);
  free(w);
}

const full_part full_flow = {"dit", open, prepare, largest, loss, close};
