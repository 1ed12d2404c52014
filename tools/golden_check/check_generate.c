/* Whole sampling runs from recorded inputs and noise, and the chain from token ids to sound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "golden.h"
#include "render/prepare.h"
#include "render/sampler.h"
#include "render/schedule.h"

/* What the sampler gets of recorded SDE noise. */
typedef struct recorded_noise {
  golden_case *k;
} recorded_noise;

static void recorded_renoise(void *user, int step, float *out, int64_t n) {
  recorded_noise *r = user;
  char name[32];
  snprintf(name, sizeof name, "in.sde_noise_%d", step);
  int64_t count = 0;
  const float *noise = case_floats(r->k, name, &count);
  if (noise && count == n) memcpy(out, noise, (size_t)n * sizeof *out);
}

/* Copies a list parameter such as "[11, 22]", or one number, into seeds; returns how many. */
static int read_seeds(const golden_case *k, const char *param, uint64_t *seeds, int capacity) {
  const json_t *v = json_object_get(k->params, param);
  if (json_is_integer(v)) {
    seeds[0] = (uint64_t)json_integer_value(v);
    return 1;
  }
  if (!json_is_string(v)) return 0;
  int n = 0;
  for (const char *p = json_string_value(v); *p && n < capacity;) {
    char *end;
    unsigned long long seed = strtoull(p, &end, 10);
    if (end == p) p++;
    else {
      seeds[n++] = seed;
      p = end;
    }
  }
  return n;
}

/* Draws the recorded initial noise again from its seed: one draw for a number, one an item for a list. */
static void check_noise(golden_case *k, const char *tensor, const char *param) {
  enum { MOST = 16 };
  uint64_t seeds[MOST];
  int n = read_seeds(k, param, seeds, MOST);
  const st_tensor *t = st_find(k->file, tensor);
  if (n == 0 || !t) return;
  float *drawn = malloc((size_t)t->count * sizeof *drawn);
  if (!drawn) return;
  int64_t each = t->count / n;
  for (int i = 0; i < n; i++) {
    rng_noise r;
    rng_noise_open(&r, RNG_TORCH_CPU, NULL, seeds[i]);
    rng_noise_fill(&r, drawn + i * each, each);
  }
  enum { NANOS = 3000 };
  case_compare_absolute(k, tensor, drawn, t->count, NANOS * 1e-9);
  free(drawn);
}

static dcw_params read_dcw(const golden_case *k) {
  if (!case_flag(k, "dcw_enabled", true)) return (dcw_params){.mode = DCW_OFF};
  return (dcw_params){.mode = dcw_mode_find(case_word(k, "dcw_mode", "double")),
                      .scaler = case_number(k, "dcw_scaler", 0.05),
                      .high_scaler = case_number(k, "dcw_high_scaler", 0.02),
                      .wavelet = wavelet_find(case_word(k, "dcw_wavelet", "haar"))};
}

static prepare_input read_inputs(golden_case *k, const char *text, const char *text_mask) {
  return (prepare_input){
      .condition = {.text = case_tensor(k, text),
                    .text_mask = case_ints(k, text_mask, NULL),
                    .lyric = case_tensor(k, "in.lyric_hidden_states"),
                    .lyric_mask = case_ints(k, "in.lyric_attention_mask", NULL),
                    .clips = case_tensor(k, "in.refer_audio_acoustic_hidden_states_packed"),
                    .clip_order = case_ints(k, "in.refer_audio_order_mask", NULL)},
      .source = case_tensor(k, "in.src_latents"),
      .chunk_mask = case_tensor(k, "in.chunk_masks"),
      .is_cover = case_ints(k, "in.is_covers", NULL),
      .hints = case_has(k, "in.precomputed_lm_hints_25Hz") ? case_tensor(k, "in.precomputed_lm_hints_25Hz") : NULL,
  };
}

static bool prepare_one(golden_case *k, const acestep_dit *m, const prepare_input *in, sampler_condition *out) {
  if (!in->is_cover || !in->condition.clip_order) return false;
  prepared p = prepare_condition(k->g->c, m, in, NULL);
  out->context = p.context;
  return p.encoded && dit_attend(k->g->c, m, p.encoded, &out->attend);
}

/* The condition for the steps behind audio_cover_strength: other text, silence, no cover. */
static bool prepare_second(golden_case *k, const acestep_dit *m, const prepare_input *first, sampler_condition *out) {
  prepare_input in = read_inputs(k, "in.non_cover_text_hidden_states", "in.non_cover_text_attention_mask");
  if (!first->source) return false;
  int64_t batch = first->source->dim[0], frames = first->source->dim[1];
  int32_t *none = calloc((size_t)batch, sizeof *none);
  tens *silence = tens_new(k->g->c, TENS_F32, first->source->rank, first->source->dim);
  bool ok = false;
  if (none && silence) {
    for (int64_t b = 0; b < batch; b++)
      for (int64_t t = 0; t < frames; t++)
        memcpy(tens_f32(silence) + (b * frames + t) * m->cfg.latent_channels,
               tens_f32(&m->silence) + t % m->silence.dim[0] * m->cfg.latent_channels,
               (size_t)m->cfg.latent_channels * sizeof(float));
    in.source = silence;
    in.is_cover = none;
    in.hints = NULL;
    ok = prepare_one(k, m, &in, out);
  }
  free(none);
  return ok;
}

static guidance_params read_guidance(const golden_case *k) {
  const double usual = 7;
  return (guidance_params){.scale = case_number(k, "diffusion_guidance_scale", usual),
                           .adg = case_flag(k, "use_adg", false),
                           .start = case_number(k, "cfg_interval_start", 0),
                           .end = case_number(k, "cfg_interval_end", 1)};
}

/* The schedule of the case, in `levels`. */
static int read_levels(golden_case *k, bool turbo, float levels[SCHEDULE_CAPACITY]) {
  int64_t n_custom = 0;
  const float *custom = case_has(k, "in.timesteps") ? case_floats(k, "in.timesteps", &n_custom) : NULL;
  if (turbo)
    return schedule_turbo(levels, SCHEDULE_CAPACITY, case_number(k, "shift", 3.0),
                          (int)case_number(k, "infer_steps", 0), custom, (int)n_custom);
  const double usual = 30;
  return schedule_base(levels, SCHEDULE_CAPACITY, case_number(k, "shift", 1.0),
                       (int)case_number(k, "infer_steps", usual), custom, (int)n_custom);
}

static void sample(golden_case *k, const acestep_dit *m) {
  tens_ctx *c = k->g->c;
  sampler_condition first, then;
  prepare_input in = read_inputs(k, "in.text_hidden_states", "in.text_attention_mask");
  double cover_strength = case_number(k, "audio_cover_strength", 1.0);
  if (!prepare_one(k, m, &in, &first) || (cover_strength < 1 && !prepare_second(k, m, &in, &then))) return;

  float levels[SCHEDULE_CAPACITY];
  bool turbo = strncmp(k->name, "generate_base", strlen("generate_base")) != 0;
  int n = read_levels(k, turbo, levels);
  bool repaint = case_has(k, "in.repaint_mask");
  sampler_params p = {
      .turbo = turbo,
      .levels = levels,
      .n_levels = n,
      .guidance = turbo ? (guidance_params){0} : read_guidance(k),
      .sde = strcmp(case_word(k, "infer_method", "ode"), "sde") == 0,
      .heun = strcmp(case_word(k, "sampler_mode", "euler"), "heun") == 0,
      .norm_threshold = case_number(k, "velocity_norm_threshold", 0),
      .ema_factor = case_number(k, "velocity_ema_factor", 0),
      .dcw = read_dcw(k),
      .cover_strength = cover_strength,
      .cover_noise = case_number(k, "cover_noise_strength", 0),
      .inject_ratio = case_number(k, "repaint_injection_ratio", 0.5),
      .crossfade = (int)case_number(k, "repaint_crossfade_frames", 10),
  };
  float *mask = NULL;
  if (repaint) {
    int64_t count = 0;
    const int32_t *ints = case_ints(k, "in.repaint_mask", &count);
    mask = ints ? malloc((size_t)count * sizeof *mask) : NULL;
    for (int64_t i = 0; mask && i < count; i++) mask[i] = (float)ints[i];
  }
  recorded_noise noise = {k};
  tens *start = case_tensor(k, "in.noise");
  if (case_has(k, "in.retake_noise"))
    start = sampler_retake(c, start, case_tensor(k, "in.retake_noise"), case_number(k, "retake_variance", 0));
  sampler_input input = {.first = &first,
                         .then = cover_strength < 1 ? &then : NULL,
                         .noise = start,
                         .source = in.source,
                         .repaint_mask = mask,
                         .clean = repaint ? case_tensor(k, "in.clean_src_latents") : NULL,
                         .renoise = recorded_renoise,
                         .user = &noise};
  case_compare_product(k, "out.target_latents", sampler_run(c, m, &p, &input));
  free(mask);
}

void check_generate(golden_case *k) {
  check_noise(k, "in.noise", "seed");
  if (case_has(k, "in.retake_noise")) check_noise(k, "in.retake_noise", "retake_seed");
  acestep_dit *m = golden_open_dit(k);
  if (!m) return;
  acestep_dit own = *m;
  tens *silence = case_has(k, "in.silence_latent") ? case_tensor(k, "in.silence_latent") : NULL;
  if (silence && silence->rank == 3)
    own.silence =
        (tens){.dtype = TENS_F32, .rank = 2, .dim = {silence->dim[1], silence->dim[2]}, .data = silence->data};
  sample(k, &own);
  acestep_dit_close(m);
}

/* Token ids to sound with silence as source and as timbre. */
static void run_chain(golden_case *k, const qwen3 *text, const acestep_dit *m, const vae *v) {
  tens_ctx *c = k->g->c;
  int64_t frames = (int64_t)case_number(k, "frames", 0), channels = m->cfg.latent_channels;
  int32_t zero = 0;
  tens *ones = tens_new(c, TENS_F32, TENS_DIMS(1, frames, channels));
  for (int64_t i = 0; ones && i < frames * channels; i++) tens_f32(ones)[i] = 1;
  prepare_input in = {
      .condition = {.text = qwen3_hidden(c, text, case_tensor(k, "in.text_ids"), NULL),
                    .lyric = qwen3_embed(c, text, case_tensor(k, "in.lyric_ids")),
                    .clips = acestep_silence(c, m, 0, m->cfg.timbre_frames),
                    .clip_order = &zero},
      .source = acestep_silence(c, m, 0, frames),
      .chunk_mask = ones,
      .is_cover = &zero,
  };
  sampler_condition condition;
  if (!prepare_one(k, m, &in, &condition)) return;
  float levels[SCHEDULE_CAPACITY];
  sampler_params p = {.turbo = true,
                      .levels = levels,
                      .n_levels = schedule_turbo(levels, SCHEDULE_CAPACITY, case_number(k, "shift", 3.0), 0, NULL, 0),
                      .cover_strength = 1};
  tens *latents = sampler_run(c, m, &p, &(sampler_input){.first = &condition, .noise = case_tensor(k, "in.noise")});
  case_compare_product(k, "out.target_latents", latents);
  tens *audio = vae_decode(c, v, latents);
  if (!audio) return;
  int64_t samples = audio->dim[1], sides = audio->dim[2];
  tens *planar = tens_new(c, TENS_F32, TENS_DIMS(1, sides, samples));
  for (int64_t i = 0; planar && i < samples * sides; i++)
    tens_f32(planar)[i % sides * samples + i / sides] = tens_f32(audio)[i];
  k->tolerance *= 2; /* the golden data allows the sound twice what it allows the latents */
  case_compare_product(k, "out.audio", planar);
}

void check_e2e(golden_case *k) {
  check_noise(k, "in.noise", "seed");
  ace_error err = {.message = "out of memory"};
  char *text_folder = golden_checkpoint(k->g, "Qwen3-Embedding-0.6B"), *vae_folder = golden_checkpoint(k->g, "vae");
  qwen3 *text = text_folder ? qwen3_open(text_folder, &err) : NULL;
  vae *v = vae_folder ? vae_open(vae_folder, VAE_DECODER, &err) : NULL;
  acestep_dit *m = golden_open_dit(k);
  if (!text || !v) case_fail(k, "checkpoint", err.message);
  else if (m) run_chain(k, text, m, v);
  qwen3_close(text);
  vae_close(v);
  acestep_dit_close(m);
  free(text_folder);
  free(vae_folder);
}
