#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/process.h"
#include "models/cost.h"
#include "render/song_inner.h"
#include "render/source.h"
#include "render/timbre.h"

static void free_noise(song_noise *n) {
  free(n->noise);
  free(n->retake);
  free(n->timbre);
  free(n->source);
}

/* Draws each item's noise, first of all from its generator. */
static ace_status draw_noise(const song_models *m, const song_job *job, const song_inputs *in, song_noise *n,
                             ace_error *err) {
  const ace_request *r = job->request;
  rng_kind kind = r->rng == REQ_RNG_TORCH_CUDA ? RNG_TORCH_CUDA : RNG_TORCH_CPU;
  rng_card card = {.multiprocessors = r->rng_multiprocessors, .threads = r->rng_threads};
  int64_t each = in->frames * m->dit->cfg.latent_channels;
  bool varied = r->retake_variance > 0;
  n->noise = malloc((size_t)(job->items * each) * sizeof *n->noise);
  if (varied) n->retake = malloc((size_t)(job->items * each) * sizeof *n->retake);
  if (!n->noise || (varied && !n->retake)) return ace_fail(err, ACE_ENOMEM, "noise: out of memory");
  for (int i = 0; i < job->items; i++) {
    rng_noise_open(&n->generator[i], kind, &card, job->seeds[i]);
    rng_noise_fill(&n->generator[i], n->noise + i * each, each);
    if (in->task->edit) rng_noise_open(&n->edit[i], kind, &card, varied ? job->retake_seeds[i] : job->seeds[i]);
    if (!varied) continue;
    rng_noise second;
    rng_noise_open(&second, kind, &card, job->retake_seeds[i]);
    rng_noise_fill(&second, n->retake + i * each, each);
  }
  return ACE_OK;
}

static ace_status encode_reference(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan,
                                   song_noise *n, progress *p, ace_error *err) {
  if (!job->reference) return ACE_OK;
  int64_t each = (int64_t)m->dit->cfg.timbre_frames * m->dit->cfg.timbre_hidden;
  n->timbre = malloc((size_t)(job->items * each) * sizeof *n->timbre);
  if (!n->timbre) return ace_fail(err, ACE_ENOMEM, "reference audio: out of memory");
  bool sample = job->request->vae_encode == REQ_ENCODE_SAMPLE;
  for (int i = 0; i < job->items; i++) {
    ace_status status = timbre_from_reference(c, m->dit, m->vae, m->encoded, job->reference, sample, &n->generator[i],
                                              plan->core, p, n->timbre + i * each, err);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

/* source: with its head and tail. */
static ace_status encode_source(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan,
                                const song_inputs *in, const audio_buffer *source, song_noise *n, progress *p,
                                ace_error *err) {
  if (!job->source) return ACE_OK;
  int rows = in->own_source ? job->items : 1;
  n->source = malloc((size_t)(rows * in->frames * m->dit->cfg.latent_channels) * sizeof *n->source);
  if (!n->source) return ace_fail(err, ACE_ENOMEM, "src_audio: out of memory");
  return source_latents(c, m->dit, m->vae, m->encoded, source, plan->core, in->own_source ? n->generator : NULL, rows,
                        in->frames, p, n->source, err);
}

/* Refuses what no decoder should see. */
static ace_status check_latents(const float *x, int64_t n, ace_error *err) {
  int64_t nan = 0, infinite = 0, zero = 0;
  for (int64_t i = 0; i < n; i++) {
    nan += isnan(x[i]);
    infinite += isinf(x[i]);
    zero += x[i] == 0;
  }
  if (nan || infinite)
    return ace_fail(err, ACE_EFORMAT,
                    "diffusion: %lld NaN and %lld infinite values in %lld latents; the weights do not fit the config, "
                    "or an adapter was made for another model",
                    (long long)nan, (long long)infinite, (long long)n);
  if (zero == n)
    return ace_fail(err, ACE_EFORMAT, "diffusion: every latent is zero; the weights do not fit the config");
  return ACE_OK;
}

/* Mapped weights and the memory of tensors go back to the system. */
static void release_all(tens_ctx *c, const song_models *m) {
  ckpt_release(m->text->checkpoint, "");
  ckpt_release(m->dit->checkpoint, "");
  tens_trim(c);
}

static ace_status diffuse_all(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan,
                              const song_inputs *in, song_noise *drawn, progress *p, song_latents *latents,
                              ace_error *err) {
  int64_t each = in->frames * m->dit->cfg.latent_channels;
  for (int first = 0; first < job->items; first += plan->group) {
    int group = job->items - first < plan->group ? job->items - first : plan->group;
    tens_mark mark = tens_here(c);
    tens *x = song_diffuse(c, m, job, in, plan, drawn, first, group, p);
    if (!x) return tens_error(c, err);
    for (int i = 0; i < group; i++)
      memcpy(latents[first + i].x, tens_f32(x) + i * each, (size_t)each * sizeof *latents->x);
    tens_release(c, mark);
    if (plan->release) release_all(c, m);
  }
  ace_status status = ACE_OK;
  for (int i = 0; i < job->items && status == ACE_OK; i++) status = check_latents(latents[i].x, each, err);
  return status;
}

typedef struct decoding {
  progress *p;
  double frame_work;
  int64_t before;
} decoding;

static void tile_done(void *user, int64_t frames, int64_t total) {
  decoding *d = user;
  progress_advance(d->p, (double)(frames - d->before) * d->frame_work);
  d->before = frames % total;
}

/* From what the decoder gives to the song: its length, and around a region the source. */
static ace_status finish_sound(const song_job *job, const song_inputs *in, const audio_buffer *source, audio_buffer *b,
                               ace_error *err) {
  if (!audio_is_finite(b)) return ace_fail(err, ACE_EFORMAT, "autoencoder: the sound is not finite");
  audio_limit_peak(b);
  double seconds = job->request->duration;
  int64_t made = b->frames;
  if (!job->source) {
    if (seconds > 0 && !job->request->ref_length) audio_trim(b, llround(seconds * b->sample_rate));
    return ACE_OK;
  }
  ace_status status = region_splice(&in->region, source, b, err);
  audio_trim(b, job->request->ref_length ? made : in->region.samples);
  return status;
}

/* Latents as the decoder gets them: with the request's shift and scale. */
static void finish_latents(const ace_request *r, const song_latents *from, int64_t n, float *x) {
  for (int64_t i = 0; i < n; i++) x[i] = from->x[i] * (float)r->latent_rescale + (float)r->latent_shift;
}

static ace_status decode_all(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan,
                             const song_inputs *in, const audio_buffer *source, const song_latents *latents,
                             progress *p, audio_buffer *out, ace_error *err) {
  const vae_config *v = &m->vae->cfg;
  int64_t frames = in->frames;
  decoding d = {.p = p, .frame_work = cost_vae_decode(v)};
  vae_tiling tiling = {.core = plan->core, .overlap = vae_decoder_halo(v), .done = tile_done, .user = &d};
  int64_t tiles = (frames + plan->core - 1) / plan->core, each = frames * m->dit->cfg.latent_channels;
  progress_stage(p, "decode", (int)tiles * job->items);
  float *finished = malloc((size_t)each * sizeof *finished);
  ace_status status = finished ? ACE_OK : ace_fail(err, ACE_ENOMEM, "latents: out of memory");
  for (int i = 0; i < job->items && status == ACE_OK; i++) {
    finish_latents(job->request, &latents[i], each, finished);
    status = audio_buffer_new(&out[i], frames * v->hop, v->audio_channels, v->sampling_rate, err);
    if (status == ACE_OK) status = vae_decode_tiled(c, m->vae, finished, frames, &tiling, out[i].samples, err);
    if (status == ACE_OK) status = finish_sound(job, in, source, &out[i], err);
    if (status == ACE_OK && job->finished) status = job->finished(job->user, i, err);
  }
  free(finished);
  return status;
}

ace_status song_make_ready(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan, progress *p,
                           song_ready *ready, ace_error *err) {
  song_inputs *in = &ready->in;
  *ready = (song_ready){.padded = false};
  ace_status status = song_inputs_make(m, job, in, err);
  if (status == ACE_OK) status = draw_noise(m, job, in, &ready->drawn, err);
  if (status == ACE_OK && job->source)
    status = region_pad(&in->region, job->source, &ready->source, &ready->padded, err);
  if (status == ACE_OK) status = encode_reference(c, m, job, plan, &ready->drawn, p, err);
  if (status == ACE_OK) status = encode_source(c, m, job, plan, in, &ready->source, &ready->drawn, p, err);
  return status;
}

void song_unready(song_ready *ready) {
  if (ready->padded) audio_buffer_free(&ready->source);
  free_noise(&ready->drawn);
  song_inputs_free(&ready->in);
}

static ace_status open_latents(const song_models *m, const song_job *job, int64_t frames, song_latents *latents,
                               ace_error *err) {
  for (int i = 0; i < job->items; i++) {
    latents[i].frames = frames;
    latents[i].x = malloc((size_t)(frames * m->dit->cfg.latent_channels) * sizeof *latents[i].x);
    if (!latents[i].x) return ace_fail(err, ACE_ENOMEM, "latents: out of memory");
  }
  return ACE_OK;
}

static void nothing_made(const song_job *job, song_latents *latents, audio_buffer *out) {
  for (int i = 0; i < job->items; i++) {
    free(latents[i].x);
    latents[i] = (song_latents){0};
    if (out) audio_buffer_free(&out[i]);
  }
}

ace_status song_render(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan, progress *p,
                       song_latents *latents, audio_buffer *out, ace_error *err) {
  song_ready ready;
  memset(latents, 0, (size_t)job->items * sizeof *latents);
  if (out) memset(out, 0, (size_t)job->items * sizeof *out);
  progress_stage(p, "encode", 0);
  if (plan->release) release_all(c, m); /* what earlier jobs left */
  ace_status status = song_make_ready(c, m, job, plan, p, &ready, err);
  if (plan->release) tens_trim(c);
  if (status == ACE_OK) status = open_latents(m, job, ready.in.frames, latents, err);
  if (status == ACE_OK) status = diffuse_all(c, m, job, plan, &ready.in, &ready.drawn, p, latents, err);
  if (status == ACE_OK && out) status = decode_all(c, m, job, plan, &ready.in, &ready.source, latents, p, out, err);
  if (status != ACE_OK) nothing_made(job, latents, out);
  song_unready(&ready);
  return status;
}
