#include "render/stages.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "models/condition.h"
#include "models/cost.h"
#include "render/song_inner.h"

struct song_stages {
  tens_ctx *c;
  const song_models *m;
  const song_job *job;
  const song_plan *plan;
  song_ready ready;
  audio_buffer sound; /* to encode, and where decoded sound goes */
  float *moments;     /* [frames, encoder_hidden] */
};

const char *song_stage_name(song_stage stage) {
  static const char *const names[SONG_STAGES] = {"text_encoder", "condition_encoder", "dit_step",
                                                 "linear",       "vae_encode",        "vae_decode"};
  return names[stage];
}

static bool run_text_encoder(song_stages *s, song_timing *t) {
  const bpe_ids *text = &s->ready.in.text;
  tens *ids = song_ids(s->c, text);
  double begin = clock_seconds();
  bool ok = qwen3_hidden(s->c, s->m->text, ids, NULL);
  *t = (song_timing){clock_seconds() - begin, cost_qwen3(&s->m->text->cfg, (int64_t)text->n)};
  return ok;
}

static bool run_condition_encoder(song_stages *s, song_timing *t) {
  const acestep_dit *dit = s->m->dit;
  const song_inputs *in = &s->ready.in;
  int32_t first = 0;
  condition_input input = {.text = qwen3_hidden(s->c, s->m->text, song_ids(s->c, &in->text), NULL),
                           .clips = acestep_silence(s->c, dit, 0, dit->cfg.timbre_frames),
                           .clip_order = &first};
  tens *ids = song_ids(s->c, &in->lyric);
  dit_condition keys;
  double begin = clock_seconds();
  input.lyric = qwen3_embed(s->c, s->m->text, ids);
  bool ok = dit_attend(s->c, dit, condition_encode(s->c, dit, &input, NULL), &keys);
  t->seconds = clock_seconds() - begin;
  t->flops = cost_condition(&dit->cfg, (int64_t)in->text.n, (int64_t)in->lyric.n, dit->cfg.timbre_frames);
  return ok;
}

static bool run_dit_step(song_stages *s, song_timing *t) {
  song_inputs *in = &s->ready.in;
  int group = s->plan->group;
  sampler_condition condition;
  if (!song_condition(s->c, s->m, s->job, in, &s->ready.drawn, 0, group, &condition)) return false;
  sampler_params params = song_sampler_params(s->job, in);
  int64_t channels = s->m->dit->cfg.latent_channels;
  tens *noise = tens_from(s->c, TENS_F32, TENS_DIMS(group, in->frames, channels), s->ready.drawn.noise);
  double begin = clock_seconds();
  bool ok = sampler_run(s->c, s->m->dit, &params, &(sampler_input){.first = &condition, .noise = noise});
  int steps = sampler_steps(&params);
  *t = (song_timing){.seconds = (clock_seconds() - begin) / steps};
  for (int i = 0; i < steps; i++) t->flops += group * song_step_work(s->m, in, &params, i) / steps;
  return ok;
}

/* One product; what comes out is forgotten. */
static bool multiply(song_stages *s, const tens *x, const linear *l, song_timing *t) {
  tens_mark mark = tens_here(s->c);
  bool ok = linear_forward(s->c, x, l, NULL);
  t->flops += 2.0 * (double)tens_count(&l->w) * (double)x->dim[1];
  tens_release(s->c, mark);
  return ok;
}

static bool run_linear(song_stages *s, song_timing *t) {
  const dit_config *cfg = &s->m->dit->cfg;
  const block_config *d = &cfg->decoder;
  int64_t rows = s->plan->group * ((s->ready.in.frames + cfg->patch - 1) / cfg->patch);
  const int64_t widths[] = {d->hidden, (int64_t)d->heads * d->head_dim, d->intermediate};
  tens *x[3];
  for (int i = 0; i < 3; i++) {
    x[i] = tens_new(s->c, TENS_F32, TENS_DIMS(1, rows, widths[i]));
    for (int64_t k = 0; x[i] && k < rows * widths[i]; k++) tens_f32(x[i])[k] = (float)(k % 17 - 8) * 0.1f;
  }
  if (tens_status(s->c) != ACE_OK) return false;
  bool ok = true;
  double begin = clock_seconds();
  for (int i = 0; i < cfg->layers && ok; i++) {
    const dit_layer *l = &s->m->dit->decoder.layers[i];
    ok = multiply(s, x[0], &l->self.q, t) && multiply(s, x[0], &l->self.k, t) && multiply(s, x[0], &l->self.v, t) &&
         multiply(s, x[1], &l->self.o, t) && multiply(s, x[0], &l->cross.q, t) && multiply(s, x[1], &l->cross.o, t) &&
         multiply(s, x[0], &l->mlp.gate, t) && multiply(s, x[0], &l->mlp.up, t) && multiply(s, x[2], &l->mlp.down, t);
  }
  t->seconds = clock_seconds() - begin;
  return ok;
}

static vae_tiling tiling_of(const song_stages *s, int halo) {
  return (vae_tiling){.core = s->plan->core, .overlap = halo};
}

static ace_status run_vae_encode(song_stages *s, song_timing *t, ace_error *err) {
  const vae_config *v = &s->m->vae->cfg;
  vae_tiling tiling = tiling_of(s, vae_encoder_halo(v));
  double begin = clock_seconds();
  ace_status status = vae_encode_tiled(s->c, s->m->vae, s->sound.samples, s->sound.frames, &tiling, s->moments, err);
  *t = (song_timing){clock_seconds() - begin, (double)s->ready.in.frames * cost_vae_encode(v)};
  return status;
}

static ace_status run_vae_decode(song_stages *s, song_timing *t, ace_error *err) {
  const vae_config *v = &s->m->vae->cfg;
  vae_tiling tiling = tiling_of(s, vae_decoder_halo(v));
  int64_t frames = s->ready.in.frames;
  double begin = clock_seconds();
  ace_status status = vae_decode_tiled(s->c, s->m->vae, s->ready.drawn.noise, frames, &tiling, s->sound.samples, err);
  *t = (song_timing){clock_seconds() - begin, (double)frames * cost_vae_decode(v)};
  return status;
}

ace_status song_stage_run(song_stages *s, song_stage stage, song_timing *t, ace_error *err) {
  tens_mark mark = tens_here(s->c);
  ace_status status = ACE_OK;
  bool ok = true;
  *t = (song_timing){0};
  switch (stage) {
    case SONG_TEXT_ENCODER: ok = run_text_encoder(s, t); break;
    case SONG_CONDITION_ENCODER: ok = run_condition_encoder(s, t); break;
    case SONG_DIT_STEP: ok = run_dit_step(s, t); break;
    case SONG_LINEAR: ok = run_linear(s, t); break;
    case SONG_VAE_ENCODE: status = run_vae_encode(s, t, err); break;
    case SONG_VAE_DECODE: status = run_vae_decode(s, t, err); break;
    case SONG_STAGES: break;
  }
  if (!ok) status = tens_error(s->c, err);
  tens_release(s->c, mark);
  return status;
}

size_t song_stages_memory(const song_models *m, const song_job *job, const song_plan *plan, ace_error *err) {
  song_inputs in;
  ace_status status = song_inputs_make(m, job, &in, err);
  int64_t frames = in.frames;
  song_inputs_free(&in);
  if (status != ACE_OK) return 0;
  const block_config *d = &m->dit->cfg.decoder;
  size_t encode = vae_encode_memory(m->vae, plan->core + 2 * vae_encoder_halo(&m->vae->cfg));
  size_t row = (size_t)(d->hidden + d->heads * d->head_dim + 2 * d->intermediate) * sizeof(float);
  size_t products = (size_t)(plan->group * frames) * row + ((size_t)1 << 20), most = plan->bytes;
  if (encode > most) most = encode;
  return products > most ? products : most;
}

/* A quiet recording: a sound that is not silent anywhere. */
static void fill_sound(audio_buffer *b) {
  uint32_t state = 1;
  for (int64_t i = 0; i < b->frames * b->channels; i++) {
    state = state * 1664525u + 1013904223u;
    b->samples[i] = (float)(state >> 8) * 0x1p-26f - 0.125f;
  }
}

song_stages *song_stages_open(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan,
                              ace_error *err) {
  song_stages *s = calloc(1, sizeof *s);
  if (!s) {
    ace_fail(err, ACE_ENOMEM, "stages: out of memory");
    return NULL;
  }
  *s = (song_stages){.c = c, .m = m, .job = job, .plan = plan};
  const vae_config *v = &m->vae->cfg;
  progress p;
  progress_start(&p, NULL, 1);
  ace_status status = song_make_ready(c, m, job, plan, &p, &s->ready, err);
  int64_t frames = s->ready.in.frames;
  if (status == ACE_OK) status = audio_buffer_new(&s->sound, frames * v->hop, v->audio_channels, v->sampling_rate, err);
  if (status == ACE_OK) {
    fill_sound(&s->sound);
    s->moments = malloc((size_t)(frames * v->encoder_hidden) * sizeof *s->moments);
    if (!s->moments) status = ace_fail(err, ACE_ENOMEM, "stages: out of memory");
  }
  if (status == ACE_OK) return s;
  song_stages_close(s);
  return NULL;
}

void song_stages_close(song_stages *s) {
  if (!s) return;
  song_unready(&s->ready);
  audio_buffer_free(&s->sound);
  free(s->moments);
  free(s);
}

void song_stages_lengths(const song_stages *s, int64_t *text, int64_t *lyric, int64_t *frames) {
  *text = (int64_t)s->ready.in.text.n;
  *lyric = (int64_t)s->ready.in.lyric.n;
  *frames = s->ready.in.frames;
}
