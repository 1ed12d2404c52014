/* song_diffuse.c - from prompts, codes and noise to latents. */
#include <math.h>
#include <string.h>

#include "models/audio_tokenizer.h"
#include "render/prepare.h"
#include "render/song_inner.h"

/* One item's [1, S, H] as [n, S, H]. */
static tens *repeat(tens_ctx *c, const tens *x, int n) {
  if (!x || n == 1) return (tens *)x;
  int32_t zero[REQ_BATCH_MAX] = {0};
  tens *flat = tens_view(c, x, TENS_DIMS(1, 1, x->dim[1] * x->dim[2]));
  tens *copies = op_gather(c, flat, tens_from(c, TENS_I32, TENS_DIMS(1, n), zero));
  return tens_view(c, copies, TENS_DIMS(n, x->dim[1], x->dim[2]));
}

static tens *ids_tensor(tens_ctx *c, const bpe_ids *ids) {
  return tens_from(c, TENS_I32, TENS_DIMS(1, (int64_t)ids->n), ids->id);
}

static tens *ones(tens_ctx *c, int64_t frames, int64_t channels) {
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(1, frames, channels));
  if (x && !tens_planning(c))
    for (int64_t i = 0; i < frames * channels; i++) tens_f32(x)[i] = 1;
  return x;
}

/* The codes of `rows` items as latents at 25 Hz [rows, T, 64], silence behind the last one. */
static tens *hints_from_codes(tens_ctx *c, const acestep_dit *m, const song_inputs *in, int first, int rows) {
  tens *index = tens_new(c, TENS_I32, TENS_DIMS(rows, (int64_t)in->n_codes));
  if (!index) return NULL;
  for (int i = 0; i < rows && !tens_planning(c); i++)
    memcpy(tens_i32(index) + (size_t)i * in->n_codes, in->codes[first + i], in->n_codes * sizeof(int32_t));
  tens *hints = audio_detokenize(c, m, audio_dequantize(c, m, index));
  if (!hints || hints->dim[1] >= in->frames) return hints;
  tens *rest = repeat(c, acestep_silence(c, m, 0, in->frames - hints->dim[1]), rows);
  return op_join(c, 2, (const tens *const[]){hints, rest});
}

/* What is the same for both conditions of a job. */
typedef struct shared_parts {
  tens *lyric, *clips, *silence, *hints, *mask;
  int rows; /* 1 when all items share their condition, else the group */
} shared_parts;

static shared_parts make_shared(tens_ctx *c, const song_models *m, const song_job *job, const song_inputs *in,
                                const song_noise *drawn, int first, int group) {
  const acestep_dit *dit = m->dit;
  shared_parts s = {.rows = job->reference || in->own_codes ? group : 1};
  int64_t frames = dit->cfg.timbre_frames, width = dit->cfg.timbre_hidden;
  s.lyric = repeat(c, qwen3_embed(c, m->text, ids_tensor(c, &in->lyric)), s.rows);
  s.clips = job->reference ? tens_from(c, TENS_F32, TENS_DIMS(group, frames, width),
                                       drawn ? drawn->timbre + first * frames * width : NULL)
                           : repeat(c, acestep_silence(c, dit, 0, frames), s.rows);
  s.silence = acestep_silence(c, dit, 0, in->frames);
  s.mask = repeat(c, ones(c, in->frames, dit->cfg.latent_channels), s.rows);
  if (in->n_codes > 0) s.hints = hints_from_codes(c, dit, in, first, s.rows);
  return s;
}

/* Encodes one condition for the group. `covered`: the codes steer it. */
static bool make_condition(tens_ctx *c, const song_models *m, const shared_parts *s, const bpe_ids *text, bool covered,
                           int group, sampler_condition *out) {
  int32_t order[REQ_BATCH_MAX], cover[REQ_BATCH_MAX];
  for (int i = 0; i < REQ_BATCH_MAX; i++) {
    order[i] = i;
    cover[i] = covered;
  }
  prepare_input in = {
      .condition = {.text = repeat(c, qwen3_hidden(c, m->text, ids_tensor(c, text), NULL), s->rows),
                    .lyric = s->lyric,
                    .clips = s->clips,
                    .clip_order = order},
      .source = repeat(c, s->silence, s->rows),
      .chunk_mask = s->mask,
      .is_cover = cover,
      .hints = covered ? s->hints : NULL,
  };
  prepared p = prepare_condition(c, m->dit, &in, NULL);
  out->context = s->rows == group ? p.context : repeat(c, p.context, group);
  return dit_attend(c, m->dit, s->rows == group ? p.encoded : repeat(c, p.encoded, group), &out->attend) &&
         out->context;
}

/* Carries the sampler's calls back to the job. */
typedef struct sampling {
  song_noise *drawn;
  int first, group;
  progress *p;
  const song_models *m;
  const song_inputs *in;
  const sampler_params *params;
} sampling;

static void draw_step_noise(void *user, int step, float *out, int64_t n) {
  sampling *s = user;
  int64_t each = n / s->group;
  for (int i = 0; i < s->group; i++) rng_noise_fill(&s->drawn->generator[s->first + i], out + i * each, each);
}

static void step_done(void *user, int step, int steps) {
  sampling *s = user;
  if (s->p) progress_advance(s->p, s->group * song_step_work(s->m, s->in, s->params, step - 1));
}

static tens *start_noise(tens_ctx *c, const song_job *job, const song_inputs *in, const song_noise *drawn, int first,
                         int group, int64_t channels) {
  int64_t each = in->frames * channels;
  const int64_t dim[] = {group, in->frames, channels};
  tens *noise = tens_from(c, TENS_F32, 3, dim, drawn ? drawn->noise + first * each : NULL);
  if (job->request->retake_variance <= 0) return noise;
  tens *other = tens_from(c, TENS_F32, 3, dim, drawn ? drawn->retake + first * each : NULL);
  return sampler_retake(c, noise, other, job->request->retake_variance);
}

tens *song_diffuse(tens_ctx *c, const song_models *m, const song_job *job, const song_inputs *in, song_noise *drawn,
                   int first, int group, progress *p) {
  sampler_condition main, other;
  shared_parts shared = make_shared(c, m, job, in, drawn, first, group);
  bool two = in->other_text.n > 0;
  if (!make_condition(c, m, &shared, &in->text, in->n_codes > 0, group, &main)) return NULL;
  if (two && !make_condition(c, m, &shared, &in->other_text, false, group, &other)) return NULL;
  sampler_params params = song_sampler_params(job, in);
  sampling s = {.drawn = drawn, .first = first, .group = group, .p = p, .m = m, .in = in, .params = &params};
  sampler_input input = {.first = &main,
                         .then = two ? &other : NULL,
                         .noise = start_noise(c, job, in, drawn, first, group, m->dit->cfg.latent_channels),
                         .source = in->n_codes == 0       ? NULL
                                   : shared.rows == group ? shared.hints
                                                          : repeat(c, shared.hints, group),
                         .renoise = draw_step_noise,
                         .stepped = step_done,
                         .user = &s};
  return sampler_run(c, m->dit, &params, &input);
}
