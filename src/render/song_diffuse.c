/* song_diffuse.c - from prompts, codes, the source and noise to latents. */
#include <math.h>
#include <string.h>

#include "models/audio_tokenizer.h"
#include "render/prepare.h"
#include "render/song_inner.h"

/* What all items share, [1, S, H], as [n, S, H]; what has n rows already stays as it is. */
static tens *repeat(tens_ctx *c, const tens *x, int n) {
  if (!x || x->dim[0] == n) return (tens *)x;
  int32_t zero[REQ_BATCH_MAX] = {0};
  tens *flat = tens_view(c, x, TENS_DIMS(1, 1, x->dim[1] * x->dim[2]));
  tens *copies = op_gather(c, flat, tens_from(c, TENS_I32, TENS_DIMS(1, n), zero));
  return tens_view(c, copies, TENS_DIMS(n, x->dim[1], x->dim[2]));
}

tens *song_ids(tens_ctx *c, const bpe_ids *ids) {
  return tens_from(c, TENS_I32, TENS_DIMS(1, (int64_t)ids->n), ids->id);
}

/* What the model is told to make, [1, T, 64]: everything, or the region alone where the request is explicit about it.
 */
static tens *chunk_mask(tens_ctx *c, const song_job *job, const song_inputs *in, int64_t channels) {
  bool only_region = in->mask && job->request->chunk_mask_mode == REQ_MASK_EXPLICIT;
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(1, in->frames, channels));
  if (x && !tens_planning(c))
    for (int64_t i = 0; i < in->frames * channels; i++) tens_f32(x)[i] = only_region ? in->mask[i / channels] : 1;
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

/* Latents of the source of `rows` items, [rows, T, 64]. */
static tens *source_rows(tens_ctx *c, const song_models *m, const song_inputs *in, const song_noise *drawn, int first,
                         int rows) {
  int64_t channels = m->dit->cfg.latent_channels;
  const float *from = drawn ? drawn->source + (in->own_source ? first * in->frames * channels : 0) : NULL;
  tens *x = tens_from(c, TENS_F32, TENS_DIMS(in->own_source ? rows : 1, in->frames, channels), from);
  return repeat(c, x, rows);
}

/* The source with silence, [rows, T, 64] too, where the region is. */
static tens *without_region(tens_ctx *c, const song_inputs *in, const tens *source, const tens *silence) {
  if (!source || !silence) return NULL;
  tens *y = tens_new(c, TENS_F32, source->rank, source->dim);
  tens *mask = tens_from(c, TENS_F32, TENS_DIMS(source->dim[0], in->frames), in->mask);
  return op_blend_into(c, y, mask, silence, source) ? y : NULL;
}

/* What is the same for both conditions of a job. */
typedef struct shared_parts {
  tens *lyric, *clips, *mask;
  tens *silence;
  tens *hints;                  /* of codes */
  tens *clean;                  /* latents of the source as it is */
  tens *source;                 /* what the context shows of it */
  int rows;                     /* 1 when all items share their condition, else the group */
  int32_t order[REQ_BATCH_MAX]; /* of the clips */
} shared_parts;

static shared_parts make_shared(tens_ctx *c, const song_models *m, const song_job *job, const song_inputs *in,
                                const song_noise *drawn, int first, int group) {
  const acestep_dit *dit = m->dit;
  shared_parts s = {.rows = job->reference || in->own_codes || in->own_source ? group : 1};
  int64_t frames = dit->cfg.timbre_frames, width = dit->cfg.timbre_hidden;
  for (int i = 0; i < REQ_BATCH_MAX; i++) s.order[i] = i;
  s.lyric = repeat(c, qwen3_embed(c, m->text, song_ids(c, &in->lyric)), s.rows);
  s.clips = job->reference ? tens_from(c, TENS_F32, TENS_DIMS(group, frames, width),
                                       drawn ? drawn->timbre + first * frames * width : NULL)
                           : repeat(c, acestep_silence(c, dit, 0, frames), s.rows);
  s.silence = repeat(c, acestep_silence(c, dit, 0, in->frames), s.rows);
  s.mask = repeat(c, chunk_mask(c, job, in, dit->cfg.latent_channels), s.rows);
  if (in->n_codes > 0) s.hints = hints_from_codes(c, dit, in, first, s.rows);
  if (job->source) s.clean = source_rows(c, m, in, drawn, first, s.rows);
  s.source = !job->source || in->task->unseen ? s.silence
             : in->task->silenced && in->mask ? without_region(c, in, s.clean, s.silence)
                                              : s.clean;
  return s;
}

/* `text` and `lyric` as what the condition encoder reads. */
static condition_input words_of(tens_ctx *c, const song_models *m, const shared_parts *s, const bpe_ids *text,
                                const tens *lyric) {
  return (condition_input){.text = repeat(c, qwen3_hidden(c, m->text, song_ids(c, text), NULL), s->rows),
                           .lyric = lyric,
                           .clips = s->clips,
                           .clip_order = s->order};
}

/* What the source of an edit is, where `target` says what it shall be: other words, the same context. */
static bool source_condition(tens_ctx *c, const song_models *m, const shared_parts *s, const song_inputs *inputs,
                             int group, const sampler_condition *target, sampler_condition *out) {
  tens *lyric = repeat(c, qwen3_embed(c, m->text, song_ids(c, &inputs->other_lyric)), s->rows);
  condition_input in = words_of(c, m, s, &inputs->other_text, lyric);
  out->context = target->context;
  return dit_attend(c, m->dit, repeat(c, condition_encode(c, m->dit, &in, NULL), group), &out->attend);
}

/* Encodes one condition for the group. `steered`: codes or the source take part in it. */
static bool make_condition(tens_ctx *c, const song_models *m, const shared_parts *s, const song_inputs *inputs,
                           bool steered, int group, sampler_condition *out) {
  const bpe_ids *text = steered ? &inputs->text : &inputs->other_text;
  int32_t cover[REQ_BATCH_MAX];
  for (int i = 0; i < REQ_BATCH_MAX; i++) cover[i] = steered && (s->hints || (s->clean && inputs->task->round_trip));
  prepare_input in = {
      .condition = words_of(c, m, s, text, s->lyric),
      .source = steered ? s->source : s->silence,
      .chunk_mask = s->mask,
      .is_cover = cover,
      .hints = steered ? s->hints : NULL,
  };
  prepared p = prepare_condition(c, m->dit, &in, NULL);
  out->context = repeat(c, p.context, group);
  return dit_attend(c, m->dit, repeat(c, p.encoded, group), &out->attend) && out->context;
}

bool song_condition(tens_ctx *c, const song_models *m, const song_job *job, const song_inputs *in,
                    const song_noise *drawn, int first, int group, sampler_condition *out) {
  shared_parts shared = make_shared(c, m, job, in, drawn, first, group);
  return make_condition(c, m, &shared, in, true, group, out);
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
  rng_noise *generator = s->in->task->edit ? s->drawn->edit : s->drawn->generator;
  for (int i = 0; i < s->group; i++) rng_noise_fill(&generator[s->first + i], out + i * each, each);
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

/* What made the conditions is not read again before the next group. */
static void release_encoders(const song_models *m) {
  static const char *const parts[] = {"encoder.", "tokenizer.", "detokenizer."};
  ckpt_release(m->text->checkpoint, "");
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) ckpt_release(m->dit->checkpoint, parts[i]);
}

tens *song_diffuse(tens_ctx *c, const song_models *m, const song_job *job, const song_inputs *in, const song_plan *plan,
                   song_noise *drawn, int first, int group, progress *p) {
  sampler_condition main, other;
  shared_parts shared = make_shared(c, m, job, in, drawn, first, group);
  bool edit = in->task->edit, two = in->other_text.n > 0 && !edit;
  if (!make_condition(c, m, &shared, in, true, group, &main)) return NULL;
  if (two && !make_condition(c, m, &shared, in, false, group, &other)) return NULL;
  if (edit && !source_condition(c, m, &shared, in, group, &main, &other)) return NULL;
  if (plan && plan->release) release_encoders(m);
  sampler_params params = song_sampler_params(job, in);
  const tens *clean = shared.hints ? shared.hints : shared.clean;
  const tens *start = shared.hints || edit ? clean : shared.source;
  bool starts = edit || params.cover_noise > 0; /* else from noise alone */
  if (p && first == 0) { /* the conditions are there: what follows is counted in steps of all groups */
    progress_advance(p, song_condition_work(m, in));
    progress_stage(p, "diffuse", sampler_steps(&params) * ((job->items + group - 1) / group));
  }
  sampling s = {.drawn = drawn, .first = first, .group = group, .p = p, .m = m, .in = in, .params = &params};
  sampler_input input = {
      .first = &main,
      .then = two ? &other : NULL,
      .from = edit ? &other : NULL,
      .noise = edit ? NULL : start_noise(c, job, in, drawn, first, group, m->dit->cfg.latent_channels),
      .source = starts ? repeat(c, start, group) : NULL,
      .repaint_mask = in->mask,
      .clean = in->mask ? repeat(c, clean, group) : NULL,
      .renoise = draw_step_noise,
      .stepped = step_done,
      .user = &s};
  return sampler_run(c, m->dit, &params, &input);
}
