/* song_memory.c - what a job takes of main memory in each of its phases: the process as it is, weights that are read,
 * the arena that tensors live in, and what stands beside it (noise, latents, recordings, sound).
 */
#include "models/cost.h"
#include "render/latents.h"
#include "render/song_inner.h"
#include "tensor/device.h"

/* What reading one row of the embedding table brings into memory: the system maps some pages around each. */
static const size_t ROW_BYTES = (size_t)64 << 10;
/* Code of the program and its libraries, stacks of the threads, small change. */
static const size_t PROGRAM_BYTES = (size_t)16 << 20;

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static size_t text_weights(const song_models *m, const song_inputs *in) {
  const ckpt *k = m->text->checkpoint;
  size_t table = ckpt_mapped_bytes(k, "embed_tokens") + ckpt_mapped_bytes(k, "model.embed_tokens");
  size_t tokens = in->text.n + in->lyric.n + in->other_text.n + in->other_lyric.n, rows = tokens * ROW_BYTES;
  return ckpt_mapped_bytes(k, "") - table + (rows < table ? rows : table);
}

/* Of the audio tokenizer and its way back, as far as the task sends anything through them. */
static size_t code_weights(const song_models *m, const song_job *job, const song_inputs *in) {
  const ckpt *k = m->dit->checkpoint;
  bool trip = job->source && in->task->round_trip;
  return (trip ? ckpt_mapped_bytes(k, "tokenizer.") : 0) +
         (trip || in->n_codes > 0 ? ckpt_mapped_bytes(k, "detokenizer.") : 0);
}

static void add_weights(const song_models *m, const song_job *job, const song_inputs *in, bool release,
                        song_memory *out) {
  const ckpt *k = m->dit->checkpoint;
  size_t conditions = text_weights(m, in) + ckpt_mapped_bytes(k, "encoder.") + code_weights(m, job, in);
  size_t decoder = ckpt_mapped_bytes(k, "decoder."), both = conditions + decoder;
  /* Without release whatever an earlier job read is still there. */
  out->weights[SONG_ENCODE] = release ? 0 : both;
  out->weights[SONG_CONDITION] = both;
  out->weights[SONG_DIFFUSE] = release ? decoder : both;
  out->weights[SONG_DECODE] = release ? 0 : both;
}

/* ---- host memory ------------------------------------------------------------------------------------------------- */

static void add_host(const song_models *m, const song_job *job, const song_inputs *in, song_memory *out) {
  const dit_config *d = &m->dit->cfg;
  const vae_config *v = &m->vae->cfg;
  size_t one = (size_t)(in->frames * d->latent_channels) * sizeof(float), items = (size_t)job->items;
  size_t sample = (size_t)v->audio_channels * sizeof(float);
  size_t song = one * items * (job->request->retake_variance > 0 ? 2 : 1) + items * (size_t)in->frames * sizeof(float);
  size_t encoding = 0;
  if (job->reference) {
    song += (size_t)(d->timbre_frames * d->timbre_hidden) * sizeof(float) * items;
    encoding += (size_t)d->timbre_frames * ((size_t)v->hop * sample + (size_t)v->encoder_hidden * sizeof(float));
  }
  if (job->source) {
    size_t moments = (size_t)(in->frames * v->encoder_hidden) * sizeof(float);
    song += one * (in->own_source ? items : 1);
    song += (size_t)(in->frames * v->hop) * sample; /* with its head and tail */
    song += moments;                                /* kept for the next job with the same recording */
    encoding += moments;
  }
  out->host[SONG_ENCODE] = song + encoding;
  out->host[SONG_CONDITION] = out->host[SONG_DIFFUSE] = song + one * items;
  out->host[SONG_DECODE] = song + one * items + one + items * (size_t)(in->frames * v->hop) * sample;
}

/* ---- arena ------------------------------------------------------------------------------------------------------- */

/* Bytes of tensors alone; tens_peak adds one worker's scratch. */
static size_t tensors_of(size_t peak) {
  return peak > TENS_WORKER_SCRATCH ? peak - TENS_WORKER_SCRATCH : 0;
}

static size_t diffuse_memory(const song_models *m, const song_job *job, const song_inputs *in, int group,
                             ace_error *err) {
  tens_ctx *c = tens_open(&(tens_options){.plan = true}, err);
  if (!c) return 0;
  tens *latents = song_diffuse(c, m, job, in, NULL, NULL, 0, group, NULL);
  size_t bytes = latents ? tens_peak(c) : 0;
  if (!latents) tens_error(c, err);
  tens_close(c);
  return bytes;
}

/* Frames of the largest tile in a signal of `frames`. */
static int64_t tile_frames(int64_t frames, int64_t core, int64_t halo) {
  return core + 2 * halo < frames ? core + 2 * halo : frames;
}

static size_t encode_memory(const song_models *m, const song_job *job, const song_inputs *in, int64_t core) {
  const vae_config *v = &m->vae->cfg;
  int64_t longest = job->reference ? m->dit->cfg.timbre_frames : 0;
  if (in->encodes && in->region.samples / v->hop > longest) longest = in->region.samples / v->hop;
  return longest ? vae_encode_memory(m->vae, tile_frames(longest, core, vae_encoder_halo(v))) : 0;
}

static size_t most_of(size_t a, size_t b) {
  return a > b ? a : b;
}

song_arenas song_arenas_of(const song_models *m, const song_job *job, const song_inputs *in, int group, int64_t core,
                           ace_error *err) {
  song_arenas a = {.diffuse = diffuse_memory(m, job, in, group, err)};
  a.encode = encode_memory(m, job, in, core);
  a.decode = vae_decode_memory(m->vae, tile_frames(in->frames, core, vae_decoder_halo(&m->vae->cfg)));
  a.most = most_of(a.diffuse, most_of(a.encode, a.decode));
  return a;
}

song_memory song_memory_of(const song_models *m, const song_job *job, const song_inputs *in, const song_budget *b,
                           const song_arenas *a, bool release) {
  song_memory out = {.process = b->process + PROGRAM_BYTES, .scratch = (size_t)b->threads * TENS_WORKER_SCRATCH};
  add_weights(m, job, in, release, &out);
  add_host(m, job, in, &out);
  /* What was written stays in memory until the context closes or is trimmed. */
  out.arena[SONG_ENCODE] = tensors_of(release ? a->encode : a->most);
  out.arena[SONG_CONDITION] = out.arena[SONG_DIFFUSE] = tensors_of(release ? a->diffuse : a->most);
  out.arena[SONG_DECODE] = tensors_of(release ? a->decode : a->most);
  song_memory_add_up(&out);
  return out;
}

size_t song_phase_bytes(const song_memory *m, song_phase phase) {
  return m->process + m->scratch + m->weights[phase] + m->arena[phase] + m->host[phase];
}

void song_memory_add_up(song_memory *m) {
  m->total = 0;
  for (int i = 0; i < SONG_PHASES; i++) m->total = most_of(m->total, song_phase_bytes(m, (song_phase)i));
}

const char *song_phase_name(song_phase phase) {
  static const char *const names[SONG_PHASES] = {"encode", "condition", "diffuse", "decode"};
  return names[phase];
}
