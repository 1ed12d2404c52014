/* song_inputs.c - the host side of a job: prompts, codes, length, source, mask and schedule of a request. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render/prompt.h"
#include "render/song_inner.h"
#include "render/tokens.h"
#include "request/text.h"
#include "text/codes.h"

/* Fewer frames than that were never trained on. */
enum { FRAMES_MIN = 128 };

/* Ten minutes at 5 Hz. */
enum { CODES_MAX = 3000 };

/* Seconds of a song whose length nobody knows. */
static const double DURATION_FALLBACK = 120;

static ace_status check_codes(const song_job *job, song_inputs *in, int32_t range, ace_error *err) {
  if (in->n_codes > CODES_MAX)
    return ace_fail(err, ACE_EINVAL, "audio_codes: %zu codes, more than %d (600 s)", in->n_codes, CODES_MAX);
  for (int i = 0; i < job->items; i++)
    for (size_t k = 0; k < in->n_codes; k++)
      if (in->codes[i][k] < 0 || in->codes[i][k] >= range)
        return ace_fail(err, ACE_EINVAL, "audio_codes: %d is outside 0..%d", in->codes[i][k], range - 1);
  return ACE_OK;
}

/* The planned codes, or else those that the request brings, larger ones set to the largest. */
static ace_status take_codes(const song_models *m, const song_job *job, song_inputs *in, ace_error *err) {
  const char *text = job->request->audio_codes;
  int32_t range = 1;
  if (!task_follows_codes(job->request)) return ACE_OK;
  for (int i = 0; i < m->dit->cfg.n_levels; i++) range *= m->dit->cfg.levels[i];
  if (job->codes[0]) {
    memcpy(in->codes, job->codes, sizeof in->codes);
    in->n_codes = job->n_codes;
    in->own_codes = true;
  } else if (!req_is_blank(text)) {
    ace_status status = codes_parse(text, strlen(text), range - 1, &in->pasted, &in->n_codes, NULL, err);
    if (status != ACE_OK) return status;
    if (in->n_codes == 0)
      return ace_fail(err, ACE_EINVAL, "audio_codes: no <|audio_code_N|> in the text; leave it empty for none");
    for (int i = 0; i < job->items; i++) in->codes[i] = in->pasted;
  }
  return check_codes(job, in, range, err);
}

/* An extraction without a description is described by its track: so the models know it. */
static const char *caption_of(const ace_request *r) {
  return r->task_type == REQ_TASK_EXTRACT && req_is_blank(r->caption) ? req_track_name(r->track_name) : r->caption;
}

/* The second prompt with as many tokens as the first: cut, or filled with the end of the text. */
static ace_status fit_prompt(const song_models *m, song_inputs *in, ace_error *err) {
  int32_t end = bpe_find(m->tokenizer, "<|endoftext|>");
  ace_status status = ACE_OK;
  if (in->other_text.n > in->text.n) in->other_text.n = in->text.n;
  while (status == ACE_OK && in->other_text.n < in->text.n) status = bpe_ids_add(&in->other_text, end, err);
  return status;
}

/* What the source of an edit is: the same song under other words. */
static ace_status source_prompts(const song_models *m, const ace_request *r, const prompt_input *target,
                                 song_inputs *in, ace_error *err) {
  prompt_input fields = *target;
  prompt_texts texts;
  fields.caption = r->flow_edit_source_caption;
  fields.lyrics = r->flow_edit_source_lyrics;
  ace_status status = prompt_build(&texts, &fields, err);
  if (status != ACE_OK) return status;
  status = tokens_encode(m->tokenizer, texts.text_prompt, PROMPT_TEXT_TOKENS, &in->other_text, err);
  if (status == ACE_OK)
    status = tokens_encode(m->tokenizer, texts.lyric_prompt, PROMPT_LYRIC_TOKENS, &in->other_lyric, err);
  prompt_free(&texts);
  return status;
}

static ace_status make_prompts(const song_models *m, const song_job *job, song_inputs *in, ace_error *err) {
  const ace_request *r = job->request;
  const char *tracks[REQ_TRACK_COUNT];
  for (int i = 0; i < r->complete_track_classes.count; i++)
    tracks[i] = req_track_name(r->complete_track_classes.value[i]);
  prompt_input fields = {
      .task = req_task_name(r->task_type),
      .caption = caption_of(r),
      .lyrics = req_is_instrumental(r) && r->instrumental ? "[Instrumental]" : r->lyrics,
      .vocal_language = *r->vocal_language ? r->vocal_language : "unknown",
      .bpm = r->bpm,
      .keyscale = r->keyscale,
      .timesignature = r->timesignature,
      .duration = r->duration,
      .source_samples = job->source ? job->source->frames : 0,
      .track_name = req_track_name(r->track_name),
      .track_classes = tracks,
      .n_track_classes = r->complete_track_classes.count,
      .instruction = r->instruction,
      .has_codes = in->n_codes > 0,
      .global_caption = r->global_caption,
      .is_lego_sft = m->dit->cfg.lego_sft,
      .chunk_mask_mode = req_chunk_mask_name(r),
  };
  prompt_texts texts;
  ace_status status = prompt_build(&texts, &fields, err);
  if (status != ACE_OK) return status;
  status = tokens_encode(m->tokenizer, texts.text_prompt, PROMPT_TEXT_TOKENS, &in->text, err);
  if (status == ACE_OK) status = tokens_encode(m->tokenizer, texts.lyric_prompt, PROMPT_LYRIC_TOKENS, &in->lyric, err);
  if (status == ACE_OK && song_sampler_params(job, in).cover_strength < 1)
    status = tokens_encode(m->tokenizer, texts.non_cover_text_prompt, PROMPT_TEXT_TOKENS, &in->other_text, err);
  if (status == ACE_OK && r->ref_prompt && in->other_text.n > 0) status = fit_prompt(m, in, err);
  prompt_free(&texts);
  return status == ACE_OK && in->task->edit ? source_prompts(m, r, &fields, in, err) : status;
}

static int64_t frames_of(const song_models *m, const song_job *job, size_t n_codes, int64_t source_samples) {
  const vae_config *v = &m->vae->cfg;
  int64_t frames;
  if (n_codes > 0) {
    frames = (int64_t)n_codes * m->dit->cfg.pool_window;
  } else if (job->source) {
    frames = source_samples / v->hop;
  } else {
    double seconds = job->request->duration > 0 ? job->request->duration : DURATION_FALLBACK;
    const double tenths = 10;
    seconds = nearbyint(seconds * tenths) / tenths;
    frames = (int64_t)(seconds * v->sampling_rate) / v->hop;
  }
  return frames > FRAMES_MIN ? frames : FRAMES_MIN;
}

/* An edit takes the schedule of base models on every model. */
static bool finishes_at_once(const song_job *job, const song_inputs *in) {
  return job->family == REQ_MODEL_TURBO && !in->task->edit;
}

static int make_levels(const song_job *job, song_inputs *in) {
  const ace_request *r = job->request;
  float custom[REQ_TIMESTEPS_MAX];
  for (int i = 0; i < r->timesteps.count; i++) custom[i] = (float)r->timesteps.value[i];
  int steps = req_steps(r, job->family);
  return finishes_at_once(job, in)
             ? schedule_turbo(in->levels, SCHEDULE_CAPACITY, r->shift, steps, custom, r->timesteps.count)
             : schedule_base(in->levels, SCHEDULE_CAPACITY, r->shift, steps, custom, r->timesteps.count);
}

/* The source, what is added to it, and the part of it that is made. */
static ace_status take_source(const song_models *m, const song_job *job, song_inputs *in, ace_error *err) {
  const vae_config *v = &m->vae->cfg;
  if (!job->source) return ACE_OK;
  if (job->source->frames < v->hop)
    return ace_fail(err, ACE_EINVAL, "src_audio: %lld samples, shorter than %d, the least that is read",
                    (long long)job->source->frames, v->hop);
  in->encodes = !audio_is_silent(job->source);
  in->own_source = in->encodes && job->request->vae_encode == REQ_ENCODE_SAMPLE;
  in->region.samples = job->source->frames;
  return in->task->region ? region_make(job->request, job->source->frames, v->sampling_rate, v->hop, &in->region, err)
                          : ACE_OK;
}

static ace_status make_mask(const song_job *job, song_inputs *in, ace_error *err) {
  if (!in->region.active) return ACE_OK;
  region_fit(&in->region, in->frames);
  in->mask = malloc((size_t)(job->items * in->frames) * sizeof *in->mask);
  if (!in->mask) return ace_fail(err, ACE_ENOMEM, "region: out of memory");
  for (int i = 0; i < job->items; i++) region_mask(&in->region, in->frames, in->mask + i * in->frames);
  return ACE_OK;
}

ace_status song_inputs_make(const song_models *m, const song_job *job, song_inputs *in, ace_error *err) {
  *in = (song_inputs){.task = task_rule_of(job->request)};
  ace_status status = take_codes(m, job, in, err);
  if (status == ACE_OK) status = take_source(m, job, in, err);
  if (status != ACE_OK) return status;
  in->frames = frames_of(m, job, in->n_codes, in->region.samples);
  status = make_mask(job, in, err);
  if (status != ACE_OK) return status;
  in->n_levels = make_levels(job, in);
  return make_prompts(m, job, in, err);
}

void song_inputs_free(song_inputs *in) {
  bpe_ids_free(&in->text);
  bpe_ids_free(&in->lyric);
  bpe_ids_free(&in->other_text);
  bpe_ids_free(&in->other_lyric);
  free(in->pasted);
  free(in->mask);
  *in = (song_inputs){0};
}

bool song_is_steered(const song_job *job, const song_inputs *in) {
  return in->n_codes > 0 || job->source;
}

sampler_params song_sampler_params(const song_job *job, const song_inputs *in) {
  static const dcw_mode modes[] = {DCW_LOW, DCW_HIGH, DCW_DOUBLE, DCW_PIX};
  static const char *const wavelets[] = {"haar", "db2", "db4", "sym4", "sym8", "coif2"};
  const ace_request *r = job->request;
  bool steered = song_is_steered(job, in), always = r->ref_strengths && !in->task->edit;
  sampler_params p = {
      .turbo = finishes_at_once(job, in),
      .levels = in->levels,
      .n_levels = in->n_levels,
      .guidance = {.scale = r->guidance_scale,
                   .adg = r->use_adg,
                   .start = r->cfg_interval_start,
                   .end = r->cfg_interval_end},
      .sde = r->infer_method == REQ_METHOD_SDE,
      .heun = r->sampler_mode == REQ_SAMPLER_HEUN,
      .norm_threshold = r->velocity_norm_threshold,
      .ema_factor = r->velocity_ema_factor,
      .cover_strength = (steered && in->task->strength) || always ? r->audio_cover_strength : 1,
      .cover_noise = (steered && in->task->noise) || always ? r->cover_noise_strength : 0,
      .inject_ratio = in->region.inject_ratio,
      .crossfade = in->region.crossfade,
  };
  if (job->family == REQ_MODEL_TURBO) p.guidance.scale = 1;
  if (r->ref_steps && job->family == REQ_MODEL_BASE && r->inference_steps > 0) p.nominal_steps = r->inference_steps;
  if (in->task->edit) {
    p.guidance.adg = false;
    p.edit = (sampler_edit){.n_avg = r->flow_edit_n_avg, .n_min = r->flow_edit_n_min, .n_max = r->flow_edit_n_max};
  } else if (req_dcw(r, job->family)) {
    p.dcw = (dcw_params){.mode = modes[r->dcw_mode],
                         .scaler = r->dcw_scaler,
                         .high_scaler = r->dcw_high_scaler,
                         .wavelet = wavelet_find(wavelets[r->dcw_wavelet])};
  }
  return p;
}
