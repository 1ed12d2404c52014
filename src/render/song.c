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
    ace_status status = timbre_from_reference(c, m->dit, m->vae, job->reference, sample, &n->generator[i], plan->core,
                                              p, n->timbre + i * each, err);
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
  return source_latents(c, m->dit, m->vae, source, plan->core, in->own_source ? n->generator : NULL, rows, in->frames,
                        p, n->source, err);
}

/* Applies the request's shift and scale; refuses what no decoder should see. */
static ace_status finish_latents(const ace_request *r, float *x, int64_t n, ace_error *err) {
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
  for (int64_t i = 0; i < n; i++) x[i] = x[i] * (float)r->latent_rescale + (float)r->latent_shift;
  return ACE_OK;
}

static ace_status diffuse_all(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan,
                              const song_inputs *in, song_noise *drawn, progress *p, float *latents, ace_error *err) {
  sampler_params params = song_sampler_params(job, in);
  int groups = (job->items + plan->group - 1) / plan->group;
  int64_t each = in->frames * m->dit->cfg.latent_channels;
  progress_stage(p, "diffuse", sampler_steps(&params) * groups);
  for (int first = 0; first < job->items; first += plan->group) {
    int group = job->items - first < plan->group ? job->items - first : plan->group;
    tens_mark mark = tens_here(c);
    tens *x = song_diffuse(c, m, job, in, drawn, first, group, p);
    if (!x) return tens_error(c, err);
    memcpy(latents + first * each, tens_f32(x), (size_t)(group * each) * sizeof *latents);
    tens_release(c, mark);
  }
  return finish_latents(job->request, latents, job->items * each, err);
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
  if (!job->source) {
    if (seconds > 0) audio_trim(b, llround(seconds * b->sample_rate));
    return ACE_OK;
  }
  ace_status status = region_splice(&in->region, source, b, err);
  audio_trim(b, in->region.samples);
  return status;
}

static ace_status decode_all(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan,
                             const song_inputs *in, const audio_buffer *source, const float *latents, progress *p,
                             audio_buffer *out, ace_error *err) {
  const vae_config *v = &m->vae->cfg;
  int64_t frames = in->frames;
  decoding d = {.p = p, .frame_work = cost_vae_decode(v)};
  vae_tiling tiling = {.core = plan->core, .overlap = vae_decoder_halo(v), .done = tile_done, .user = &d};
  int64_t tiles = (frames + plan->core - 1) / plan->core, each = frames * m->dit->cfg.latent_channels;
  progress_stage(p, "decode", (int)tiles * job->items);
  for (int i = 0; i < job->items; i++) {
    ace_status status = audio_buffer_new(&out[i], frames * v->hop, v->audio_channels, v->sampling_rate, err);
    if (status == ACE_OK)
      status = vae_decode_tiled(c, m->vae, latents + i * each, frames, &tiling, out[i].samples, err);
    if (status == ACE_OK) status = finish_sound(job, in, source, &out[i], err);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

ace_status song_render(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan, progress *p,
                       audio_buffer *out, ace_error *err) {
  song_inputs in;
  song_noise drawn = {0};
  audio_buffer source = {0}; /* with its head and tail */
  bool padded = false;
  memset(out, 0, (size_t)job->items * sizeof *out);
  progress_stage(p, "encode", 0);
  ace_status status = song_inputs_make(m, job, &in, err);
  float *latents = NULL;
  if (status == ACE_OK) {
    latents = malloc((size_t)(job->items * in.frames * m->dit->cfg.latent_channels) * sizeof *latents);
    status = latents ? draw_noise(m, job, &in, &drawn, err) : ace_fail(err, ACE_ENOMEM, "latents: out of memory");
  }
  if (status == ACE_OK && job->source) status = region_pad(&in.region, job->source, &source, &padded, err);
  if (status == ACE_OK) status = encode_reference(c, m, job, plan, &drawn, p, err);
  if (status == ACE_OK) status = encode_source(c, m, job, plan, &in, &source, &drawn, p, err);
  if (status == ACE_OK) progress_advance(p, song_condition_work(m, &in));
  if (status == ACE_OK) status = diffuse_all(c, m, job, plan, &in, &drawn, p, latents, err);
  if (status == ACE_OK) status = decode_all(c, m, job, plan, &in, &source, latents, p, out, err);
  for (int i = 0; status != ACE_OK && i < job->items; i++) audio_buffer_free(&out[i]);
  if (padded) audio_buffer_free(&source);
  free(latents);
  free_noise(&drawn);
  song_inputs_free(&in);
  return status;
}
