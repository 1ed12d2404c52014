/* song_plan.c - memory and work of a job, from shapes alone: the very calls of the run are walked through in a context
 * that only counts.
 */
#include "models/cost.h"
#include "render/latents.h"
#include "render/song_inner.h"

static size_t diffuse_memory(const song_models *m, const song_job *job, const song_inputs *in, int group,
                             ace_error *err) {
  tens_ctx *c = tens_open(&(tens_options){.plan = true}, err);
  if (!c) return 0;
  tens *latents = song_diffuse(c, m, job, in, NULL, 0, group, NULL);
  size_t bytes = latents ? tens_peak(c) : 0;
  if (!latents) tens_error(c, err);
  tens_close(c);
  return bytes;
}

/* Frames of the largest tile in a signal of `frames`. */
static int64_t tile_frames(int64_t frames, int64_t core, int64_t halo) {
  return core + 2 * halo < frames ? core + 2 * halo : frames;
}

/* Recordings are encoded and the song is decoded in tiles of the same size. */
static size_t tile_memory(const song_models *m, const song_job *job, const song_inputs *in, int64_t core) {
  const vae_config *v = &m->vae->cfg;
  size_t bytes = vae_decode_memory(m->vae, tile_frames(in->frames, core, vae_decoder_halo(v)));
  int64_t longest = job->reference ? m->dit->cfg.timbre_frames : 0;
  if (in->encodes && in->region.samples / v->hop > longest) longest = in->region.samples / v->hop;
  if (longest == 0) return bytes;
  size_t encode = vae_encode_memory(m->vae, tile_frames(longest, core, vae_encoder_halo(v)));
  return encode > bytes ? encode : bytes;
}

ace_status song_make_plan(const song_models *m, const song_job *job, size_t budget, song_plan *plan, ace_error *err) {
  song_inputs in;
  ace_status status = song_inputs_make(m, job, &in, err);
  size_t diffuse = 0, decode = 0;
  int group = job->items;
  for (; status == ACE_OK; group = (group + 1) / 2) {
    diffuse = diffuse_memory(m, job, &in, group, err);
    if (diffuse == 0) status = err ? err->status : ACE_EINTERNAL;
    if (diffuse <= budget || group == 1) break;
  }
  int core = 0;
  for (; status == ACE_OK; core++) {
    decode = tile_memory(m, job, &in, latents_tile[core]);
    if (decode <= budget || core == LATENTS_TILES - 1) break;
  }
  size_t bytes = diffuse > decode ? diffuse : decode;
  if (status == ACE_OK && bytes > budget)
    status =
        ace_fail(err, ACE_ENOMEM,
                 "memory: one item of this length needs %zu MiB of working memory, %zu MiB are allowed; %s or raise "
                 "the limit",
                 (bytes >> 20) + 1, budget >> 20, job->source ? "take a shorter source" : "shorten duration");
  if (status == ACE_OK) *plan = (song_plan){.group = group, .core = latents_tile[core], .bytes = bytes};
  song_inputs_free(&in);
  return status;
}

ace_status song_check(const song_models *m, const song_job *job, ace_error *err) {
  song_inputs in;
  ace_status status = song_inputs_make(m, job, &in, err);
  song_inputs_free(&in);
  return status;
}

double song_work(const song_models *m, const song_job *job, bool sound) {
  song_inputs in;
  double work = 0;
  if (song_inputs_make(m, job, &in, NULL) == ACE_OK) {
    sampler_params p = song_sampler_params(job, &in);
    double item = sound ? (double)in.frames * cost_vae_decode(&m->vae->cfg) : 0;
    if (job->reference) item += m->dit->cfg.timbre_frames * cost_vae_encode(&m->vae->cfg);
    for (int step = 0; step < sampler_steps(&p); step++) item += song_step_work(m, &in, &p, step);
    work = song_condition_work(m, &in) + song_source_work(m, &in) + job->items * item;
  }
  song_inputs_free(&in);
  return work;
}

double song_step_work(const song_models *m, const song_inputs *in, const sampler_params *p, int step) {
  const dit_config *cfg = &m->dit->cfg;
  sampler_work w = sampler_step_work(p, step);
  int64_t condition = (int64_t)(in->lyric.n + in->text.n) + 1;
  int64_t source = (int64_t)(in->other_lyric.n + in->other_text.n) + 1;
  return w.conditional * cost_velocity(cfg, in->frames, condition) + w.source * cost_velocity(cfg, in->frames, source) +
         w.unconditional * cost_velocity(cfg, in->frames, 1);
}

static double words_work(const song_models *m, const bpe_ids *text, const bpe_ids *lyric) {
  return cost_qwen3(&m->text->cfg, (int64_t)text->n) +
         cost_condition(&m->dit->cfg, (int64_t)text->n, (int64_t)lyric->n, m->dit->cfg.timbre_frames);
}

double song_condition_work(const song_models *m, const song_inputs *in) {
  double work = words_work(m, &in->text, &in->lyric);
  if (in->other_text.n > 0) work += words_work(m, &in->other_text, in->task->edit ? &in->other_lyric : &in->lyric);
  return work;
}

double song_source_work(const song_models *m, const song_inputs *in) {
  if (!in->encodes) return 0;
  return (double)(in->region.samples / m->vae->cfg.hop) * cost_vae_encode(&m->vae->cfg);
}
