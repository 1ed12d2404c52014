/* tasks.c - what the language model does on its own: create a sample, format one, understand audio codes; and the codes
 * of a recording.
 */
#include <stdlib.h>
#include <string.h>

#include "audio/read.h"
#include "base/notify.h"
#include "engine/engine.h"
#include "models/cost.h"
#include "render/recording.h"
#include "text/codes.h"

enum { USUAL_ANSWER = 400 /* tokens */ };

typedef struct asking {
  const ace_callbacks *notify;
  progress p;
  int before;
} asking;

/* Nobody knows how long an answer will be: while it grows beyond the usual, a fifth of it is always left. */
static void token_done(void *user, int tokens, int expected) {
  asking *a = user;
  const double at_least = 1.25 * tokens;
  if (a->p.total < at_least) a->p.total = at_least;
  progress_count(&a->p, tokens - a->before, tokens, expected);
  a->before = tokens;
}

static bool is_cancelled(void *user) {
  const asking *a = user;
  return notify_stopped(a->notify);
}

static json_t *text_or_null(const char *text) {
  return *text ? json_string(text) : json_null();
}

/* What the question itself says about the answer. */
typedef struct known {
  const char *caption, *lyrics, *language; /* in place of what the model left out */
  double duration;                         /* seconds, exact where the model knows whole ones; not above 0: open */
  bool heard;                              /* codes of a song: nucleus and top-k are off, as the model was used */
  bool created, instrumental;              /* a new sample, to be without voice */
  json_t *asked;                           /* what the user gave, for engine_sources; owned; NULL: nothing */
} known;

/* The answer as the JSON that clients and ace_request_set_json read. */
static char *answer_json(const plan_answer *a, known k, uint32_t seed, ace_error *err) {
  plan_typed t = plan_metadata_typed(&a->metadata);
  double duration = k.duration > 0 ? k.duration : t.duration;
  json_t *json = json_object(),
         *about = json_pack("{s:o, s:I}", "genres", text_or_null(t.genres), "seed", (json_int_t)seed);
  json_object_set_new(json, "caption", text_or_null(*t.caption ? t.caption : k.caption));
  json_object_set_new(json, "lyrics", text_or_null(*a->lyrics ? a->lyrics : k.lyrics));
  if (k.created) json_object_set_new(json, "instrumental", json_boolean(k.instrumental));
  json_object_set_new(json, "bpm", t.bpm > 0 ? json_integer(t.bpm) : json_null());
  json_object_set_new(json, "duration", duration > 0 ? json_real(duration) : json_null());
  json_object_set_new(json, "keyscale", text_or_null(t.keyscale));
  json_object_set_new(json, "vocal_language", text_or_null(*t.language ? t.language : k.language));
  json_object_set_new(json, "timesignature", text_or_null(t.timesignature));
  json_object_set_new(about, "sources", engine_sources(json, k.asked));
  json_object_set_new(json, "result", about);
  enum { DIGITS = 17 };
  char *text = json && about ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) : NULL;
  json_decref(json);
  if (!text) ace_fail(err, ACE_ENOMEM, "language model: out of memory");
  return text;
}

static ace_status first_seed(const ace_request *r, uint32_t *seed, ace_error *err) {
  uint32_t seeds[REQ_BATCH_MAX];
  ace_status status = req_resolve_seeds(r, NULL, seeds, err);
  *seed = seeds[0];
  return status;
}

/* Runs a prepared question and frees it. */
static char *ask(ace_engine *e, plan_prompt *prompt, plan_settings *settings, const ace_request *r, known k,
                 const ace_callbacks *notify, ace_error *err) {
  asking a = {.notify = notify};
  plan_how how = {.threads = e->threads,
                  .memory = engine_room(e, engine_lm_mapped(e)),
                  .cache = TENS_BF16,
                  .cancelled = is_cancelled,
                  .step = token_done,
                  .user = &a};
  plan_sampling sampling = {.temperature = r->lm_temperature, .top_k = r->lm_top_k, .top_p = r->lm_top_p};
  if (k.heard) sampling.top_k = 0, sampling.top_p = 0;
  plan_grammar_log log = engine_grammar_log(r, notify);
  settings->unconstrained = !r->use_constrained_decoding;
  progress_start(&a.p, notify, USUAL_ANSWER);
  progress_stage(&a.p, "think", 0);
  uint32_t seed;
  plan_answer answer;
  char *text = NULL;
  ace_error own;
  if (!err) err = &own;
  ace_status status = first_seed(r, &seed, err);
  if (status == ACE_OK) status = engine_server_begin(e, notify, err);
  for (bool again = status == ACE_OK; again; again = status != ACE_OK && engine_server_left(e, err, notify))
    status = plan_ask(e->lm, prompt, settings, sampling, seed, REQ_LONGEST, log, &how, &answer, err);
  if (status == ACE_OK) {
    text = answer_json(&answer, k, seed, err);
    plan_answer_free(&answer);
    a.p.done = a.p.total;
    progress_count(&a.p, 0, a.before, 0);
  }
  plan_prompt_free(prompt);
  plan_settings_free(settings);
  json_decref(k.asked);
  return text;
}

char *ace_create_sample(ace_engine *e, const char *query, const ace_request *r, const ace_callbacks *notify,
                        ace_error *err) {
  plan_prompt prompt;
  plan_settings settings;
  if (ace_request_validate(r, err) != ACE_OK || engine_need_lm(e, err) != ACE_OK ||
      plan_ask_create(&prompt, &settings, query, r->instrumental, r->vocal_language, err) != ACE_OK)
    return NULL;
  return ask(e, &prompt, &settings, r,
             (known){.caption = "",
                     .lyrics = r->instrumental ? "[Instrumental]" : "",
                     .language = "",
                     .created = true,
                     .asked = json_pack("{s:s}", "vocal_language", r->vocal_language),
                     .instrumental = r->instrumental},
             notify, err);
}

/* What the user gave of the metadata. */
static ace_status given_metadata(const ace_request *r, plan_metadata *given, ace_error *err) {
  plan_input in = {.caption = r->caption,
                   .lyrics = r->lyrics,
                   .bpm = r->bpm,
                   .duration = r->duration,
                   .keyscale = r->keyscale,
                   .timesignature = r->timesignature};
  ace_status status = plan_given(given, &in, err);
  bool language = *r->vocal_language && strcmp(r->vocal_language, "unknown") != 0;
  if (status == ACE_OK && language)
    status = plan_set_text(given, PLAN_LANGUAGE, r->vocal_language, strlen(r->vocal_language), err);
  return status;
}

char *ace_format_sample(ace_engine *e, const ace_request *r, const ace_callbacks *notify, ace_error *err) {
  plan_prompt prompt;
  plan_settings settings;
  plan_metadata given = {0};
  if (ace_request_validate(r, err) != ACE_OK || engine_need_lm(e, err) != ACE_OK ||
      given_metadata(r, &given, err) != ACE_OK)
    return NULL;
  ace_status status = plan_ask_format(&prompt, &settings, r->caption, r->lyrics, &given, err);
  plan_metadata_free(&given);
  if (status != ACE_OK) return NULL;
  return ask(e, &prompt, &settings, r,
             (known){.caption = r->caption,
                     .lyrics = r->lyrics,
                     .language = r->vocal_language,
                     .duration = r->duration,
                     .asked = req_json(r)},
             notify, err);
}

char *ace_understand(ace_engine *e, const char *codes, const ace_request *r, const ace_callbacks *notify,
                     ace_error *err) {
  plan_prompt prompt;
  plan_settings settings;
  if (ace_request_validate(r, err) != ACE_OK || engine_need_lm(e, err) != ACE_OK ||
      plan_ask_understand(&prompt, &settings, codes, err) != ACE_OK)
    return NULL;
  return ask(e, &prompt, &settings, r, (known){.caption = "", .lyrics = "", .language = "", .heard = true}, notify,
             err);
}

/* ---- audio to codes ---------------------------------------------------------------------------------------------- */

static char *codes_of(ace_engine *e, const audio_buffer *b, const ace_callbacks *notify, ace_error *err) {
  size_t bytes = 0, n;
  int64_t core =
      recording_plan(e->dit, e->vae, b, engine_room(e, ckpt_mapped_bytes(e->dit->checkpoint, "tokenizer.")), &bytes);
  if (core == 0) {
    ace_fail(err, ACE_ENOMEM, "memory: a recording of this length needs %zu MiB; raise the limit", bytes >> 20);
    return NULL;
  }
  tens_ctx *c = engine_context(e, bytes, notify, err);
  if (!c) return NULL;
  progress p;
  progress_start(&p, notify, cost_vae_encode(&e->vae->cfg) * (double)(b->frames / e->vae->cfg.hop));
  progress_stage(&p, "encode", 0);
  int32_t *codes;
  char *text = NULL;
  if (recording_codes(c, e->dit, e->vae, e->encoded, b, core, &p, &codes, &n, err) == ACE_OK) {
    text = codes_format(codes, n, NULL);
    free(codes);
    if (!text) ace_fail(err, ACE_ENOMEM, "recording: out of memory");
  }
  tens_close(c);
  return text;
}

char *ace_audio_to_codes(ace_engine *e, const char *path, const ace_callbacks *notify, ace_error *err) {
  audio_buffer b = {0};
  char *text = NULL;
  ace_status status = engine_need_vae(e, VAE_ENCODER, err);
  if (status == ACE_OK) status = audio_read(path, &b, err);
  if (status == ACE_OK) status = audio_to_model(&b, e->vae->cfg.sampling_rate, err);
  if (status == ACE_OK && audio_is_silent(&b)) status = ace_fail(err, ACE_EINVAL, "%s: the recording is silent", path);
  if (status == ACE_OK) text = codes_of(e, &b, notify, err);
  audio_buffer_free(&b);
  return text;
}
