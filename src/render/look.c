#include "render/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/cost.h"
#include "models/dit_probe.h"
#include "render/song_inner.h"

/* ---- the words --------------------------------------------------------------------------------------------------- */

/* Tokens of what stands before the lyrics in their prompt (prompt.c). */
static ace_status header_tokens(const bpe *tokenizer, const char *language, size_t *n, ace_error *err) {
  static const char form[] = "# Languages\n%s\n\n# Lyric\n";
  bpe_ids ids = {0};
  size_t size = sizeof form + strlen(language);
  char *text = malloc(size);
  if (!text) return ace_fail(err, ACE_ENOMEM, "lyrics: out of memory");
  int length = snprintf(text, size, form, language);
  ace_status status = bpe_encode(tokenizer, text, (size_t)length, BPE_ADDED, &ids, err);
  *n = ids.n;
  bpe_ids_free(&ids);
  free(text);
  return status;
}

/* Takes the tokens between the header and the end of text. */
static ace_status cut_words(const bpe *tokenizer, const bpe_ids *prompt, size_t first, look_words *out,
                            ace_error *err) {
  int32_t end_of_text = bpe_find(tokenizer, "<|endoftext|>");
  size_t end = 0;
  while (end < prompt->n && prompt->id[end] != end_of_text) end++;
  if (first >= end) return ace_fail(err, ACE_EINVAL, "lyrics: there are none that the model reads");
  out->n = end - first;
  out->first = (int64_t)first;
  out->id = malloc(out->n * sizeof *out->id);
  if (!out->id) return ace_fail(err, ACE_ENOMEM, "lyrics: out of memory");
  memcpy(out->id, prompt->id + first, out->n * sizeof *out->id);
  return ACE_OK;
}

ace_status look_words_make(const song_models *m, const song_job *job, look_words *out, ace_error *err) {
  song_inputs in;
  size_t first = 0;
  const ace_request *r = job->request;
  *out = (look_words){0};
  if (req_is_instrumental(r)) return ace_fail(err, ACE_EINVAL, "lyrics: the song has none");
  ace_status status = song_inputs_make(m, job, &in, err);
  if (status == ACE_OK)
    status = header_tokens(m->tokenizer, *r->vocal_language ? r->vocal_language : "unknown", &first, err);
  if (status == ACE_OK) status = cut_words(m->tokenizer, &in.lyric, first, out, err);
  int64_t patch = m->dit->cfg.patch;
  out->patches = (in.frames + patch - 1) / patch;
  out->seconds = (double)(in.frames * m->vae->cfg.hop) / m->vae->cfg.sampling_rate;
  song_inputs_free(&in);
  if (status != ACE_OK) look_words_free(out);
  return status;
}

void look_words_free(look_words *w) {
  free(w->id);
  *w = (look_words){0};
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

typedef struct looking {
  const look_job *look;
  const look_words *words;
  float *map; /* [n, patches] */
  int level;
  ace_status status;
  ace_error *err;
} looking;

/* The lyrics' part of probabilities [1, patches, L], turned. */
static bool see_head(void *user, int i, const tens *p) {
  looking *l = user;
  int64_t n = (int64_t)l->words->n, patches = p->dim[1], width = p->dim[2];
  if (patches != l->words->patches || l->words->first + n > width) {
    l->status = ace_fail(l->err, ACE_EINTERNAL, "lyrics: the condition is shorter than they are");
    return false;
  }
  for (int64_t k = 0; k < n; k++)
    for (int64_t j = 0; j < patches; j++) l->map[k * patches + j] = tens_f32(p)[j * width + l->words->first + k];
  l->status = l->look->see(l->look->user, l->level, l->map, l->err);
  return l->status == ACE_OK;
}

static bool see_nothing(void *user, int i, const tens *p) {
  return true;
}

/* x_t of the song at t, [1, T, 64]. */
static tens *noisy(tens_ctx *c, const song_latents *latents, int64_t channels, const float *noise, double t) {
  const int64_t dim[] = {1, latents->frames, channels};
  tens *x = tens_from(c, TENS_F32, 3, dim, latents->x), *n = tens_from(c, TENS_F32, 3, dim, noise);
  if (x) op_mix_into(c, x, (float)t, n, (float)(1 - t), x);
  return x;
}

static bool evaluate(tens_ctx *c, const acestep_dit *dit, const sampler_condition *condition, const tens *x, double t,
                     const dit_look *look) {
  float level = (float)t;
  tens *time = tens_from(c, TENS_F32, TENS_DIMS(1), &level);
  return dit_look_at(c, dit, &condition->attend, condition->context, x, time, time, look);
}

static float *draw_noise(const ace_request *r, int64_t n) {
  enum { SEED = 42 };
  float *noise = malloc((size_t)n * sizeof *noise);
  rng_noise generator;
  rng_card card = {.multiprocessors = r->rng_multiprocessors, .threads = r->rng_threads};
  rng_noise_open(&generator, r->rng == REQ_RNG_TORCH_CUDA ? RNG_TORCH_CUDA : RNG_TORCH_CPU, &card, SEED);
  if (noise) rng_noise_fill(&generator, noise, n);
  return noise;
}

size_t look_memory(const song_models *m, const song_job *job, const song_plan *plan) {
  song_inputs in;
  dit_heads heads;
  size_t bytes = SIZE_MAX;
  tens_ctx *c = tens_open(&(tens_options){.plan = true}, NULL);
  bool ok = c && song_inputs_make(m, job, &in, NULL) == ACE_OK;
  if (ok && dit_lyric_heads(m->dit, &heads, NULL) == ACE_OK) {
    sampler_condition condition;
    song_latents latents = {.frames = in.frames};
    dit_look look = {.heads = heads.head, .n = heads.n, .see = see_nothing};
    ok = song_condition(c, m, job, &in, NULL, 0, 1, &condition) &&
         evaluate(c, m->dit, &condition, noisy(c, &latents, m->dit->cfg.latent_channels, NULL, 1), 1, &look);
    if (ok && tens_status(c) == ACE_OK) bytes = tens_peak(c);
  }
  if (c) song_inputs_free(&in);
  tens_close(c);
  return bytes < plan->bytes ? plan->bytes : bytes;
}

/* Layers that an evaluation goes through, as a share of all. */
static double share_of_layers(const acestep_dit *dit) {
  dit_heads heads;
  int last = -1;
  if (dit_lyric_heads(dit, &heads, NULL) != ACE_OK) return 0;
  for (int i = 0; i < heads.n; i++)
    if (heads.head[i].layer > last) last = heads.head[i].layer;
  return (double)(last + 1) / dit->cfg.layers;
}

static double level_work(const song_models *m, const song_inputs *in) {
  int64_t condition = (int64_t)(in->lyric.n + in->text.n) + 1;
  return share_of_layers(m->dit) * cost_velocity(&m->dit->cfg, in->frames, condition);
}

double look_work(const song_models *m, const song_job *job, int levels) {
  song_inputs in;
  double work = 0;
  if (song_inputs_make(m, job, &in, NULL) == ACE_OK) {
    work = song_condition_work(m, &in) + song_source_work(m, &in) + levels * level_work(m, &in);
    if (job->reference) work += m->dit->cfg.timbre_frames * cost_vae_encode(&m->vae->cfg);
  }
  song_inputs_free(&in);
  return work;
}

static ace_status look_levels(tens_ctx *c, const song_models *m, const song_job *job, const song_ready *ready,
                              const dit_heads *heads, const float *noise, progress *p, looking *l, ace_error *err) {
  sampler_condition condition;
  const look_job *look = l->look;
  int64_t channels = m->dit->cfg.latent_channels;
  dit_look see = {.heads = heads->head, .n = heads->n, .see = see_head, .user = l};
  if (!song_condition(c, m, job, &ready->in, &ready->drawn, 0, 1, &condition)) return tens_error(c, err);
  progress_advance(p, song_condition_work(m, &ready->in));
  for (l->level = 0; l->level < look->n_levels; l->level++) {
    tens_mark mark = tens_here(c);
    double t = look->levels[l->level];
    bool ok = evaluate(c, m->dit, &condition, noisy(c, look->latents, channels, noise, t), t, &see);
    if (l->status != ACE_OK) return l->status;
    if (!ok) return tens_error(c, err);
    tens_release(c, mark);
    progress_advance(p, level_work(m, &ready->in));
  }
  return ACE_OK;
}

ace_status look_run(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan, progress *p,
                    const look_job *look, const look_words *words, ace_error *err) {
  song_ready ready;
  dit_heads heads;
  looking l = {.look = look, .words = words, .err = err};
  ace_status status = dit_lyric_heads(m->dit, &heads, err);
  if (status != ACE_OK) return status;
  progress_stage(p, "align", 0);
  status = song_make_ready(c, m, job, plan, p, &ready, err);
  if (status == ACE_OK && ready.in.frames != look->latents->frames)
    status = ace_fail(err, ACE_EINVAL, "lyrics: the song has %lld frames, this model would make it of %lld",
                      (long long)look->latents->frames, (long long)ready.in.frames);
  float *noise = draw_noise(job->request, look->latents->frames * m->dit->cfg.latent_channels);
  l.map = malloc(words->n * (size_t)words->patches * sizeof *l.map);
  if (status == ACE_OK && (!noise || !l.map)) status = ace_fail(err, ACE_ENOMEM, "lyrics: out of memory");
  if (status == ACE_OK) status = look_levels(c, m, job, &ready, &heads, noise, p, &l, err);
  free(noise), free(l.map);
  song_unready(&ready);
  return status;
}
