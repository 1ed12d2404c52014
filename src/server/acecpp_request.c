#include "server/acecpp_request.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request/params.h"
#include "request/text.h"
#include "text/codes.h"

enum { MOST_BATCH = 9, MOST_CODE = 63999 };

/* Each field of theirs, its default, and the parameter of ours that it becomes as it is; NULL: see below. */
typedef struct field {
  const char *name;
  char type; /* s text, i whole number, f number, b switch */
  const char *text;
  double number;
  const char *ours;
  bool zero_is_open; /* 0: nobody has said anything */
  bool always;       /* written even when it is the default */
} field;

static const field fields[] = {
    {.name = "caption", .type = 's', .text = "", .ours = "caption", .always = true},
    {.name = "lyrics", .type = 's', .text = "", .ours = "lyrics"},
    {.name = "bpm", .type = 'i', .ours = "bpm", .zero_is_open = true},
    {.name = "duration", .type = 'f', .ours = "duration", .zero_is_open = true},
    {.name = "keyscale", .type = 's', .text = "", .ours = "keyscale"},
    {.name = "timesignature", .type = 's', .text = "", .ours = "timesignature"},
    {.name = "vocal_language", .type = 's', .text = ""},
    {.name = "lm_batch_size", .type = 'i', .number = 1},
    {.name = "synth_batch_size", .type = 'i', .number = 1},
    {.name = "seed", .type = 'i', .number = -1, .always = true},
    {.name = "lm_seed", .type = 'i', .number = -1},
    {.name = "lm_temperature", .type = 'f', .number = 0.85, .ours = "lm_temperature"},
    {.name = "lm_cfg_scale", .type = 'f', .number = 2.0, .ours = "lm_cfg_scale"},
    {.name = "lm_top_p", .type = 'f', .number = 0.9, .ours = "lm_top_p"},
    {.name = "lm_top_k", .type = 'i', .ours = "lm_top_k"},
    {.name = "lm_negative_prompt", .type = 's', .text = "", .ours = "lm_negative_prompt"},
    {.name = "use_cot_caption", .type = 'b', .number = 1},
    {.name = "audio_codes", .type = 's', .text = ""},
    {.name = "inference_steps", .type = 'i', .ours = "inference_steps", .zero_is_open = true},
    {.name = "guidance_scale", .type = 'f', .ours = "guidance_scale", .zero_is_open = true},
    {.name = "shift", .type = 'f', .ours = "shift", .zero_is_open = true},
    {.name = "dcw_scaler", .type = 'f', .ours = "dcw_scaler"},
    {.name = "dcw_high_scaler", .type = 'f', .ours = "dcw_high_scaler"},
    {.name = "dcw_mode", .type = 's', .text = "low", .ours = "dcw_mode"},
    {.name = "audio_cover_strength", .type = 'f', .number = 1, .ours = "audio_cover_strength"},
    {.name = "cover_noise_strength", .type = 'f', .ours = "cover_noise_strength"},
    {.name = "repainting_start", .type = 'f', .ours = "repainting_start"},
    {.name = "repainting_end", .type = 'f', .number = -1, .ours = "repainting_end"},
    {.name = "latent_shift", .type = 'f', .ours = "latent_shift"},
    {.name = "latent_rescale", .type = 'f', .number = 1, .ours = "latent_rescale"},
    {.name = "custom_timesteps", .type = 's', .text = "", .ours = "timesteps"},
    {.name = "task_type", .type = 's', .text = "text2music", .ours = "task_type", .always = true},
    {.name = "track", .type = 's', .text = ""},
    {.name = "solver", .type = 's', .text = "euler", .always = true},
    {.name = "stork_substeps", .type = 'i', .number = 10},
    {.name = "lm_mode", .type = 's', .text = "generate", .always = true},
    {.name = "output_format", .type = 's', .text = "mp3", .always = true},
    {.name = "synth_model", .type = 's', .text = ""},
    {.name = "lm_model", .type = 's', .text = ""},
    {.name = "vae", .type = 's', .text = ""},
    {.name = "adapter", .type = 's', .text = ""},
    {.name = "adapter_scale", .type = 'f', .number = 1},
    {.name = "peak_clip", .type = 'i', .number = 10},
    {.name = "mp3_bitrate", .type = 'i', .number = 128},
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static json_t *default_of(const field *f) {
  if (f->type == 's') return json_string(f->text);
  if (f->type == 'b') return json_boolean(f->number != 0);
  return f->type == 'i' ? json_integer((json_int_t)f->number) : json_real(f->number);
}

/* The value if it is of the right type, a new reference, else the default. */
static json_t *value_of(const json_t *object, const field *f) {
  json_t *v = json_object_get(object, f->name);
  const char *text = json_string_value(v);
  bool right = f->type == 's'   ? text != NULL
               : f->type == 'b' ? json_is_boolean(v) || text
                                : json_is_number(v) && isfinite(json_number_value(v));
  if (!right) return default_of(f);
  if (f->type == 'b' && text) return json_boolean(strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
  if (f->type == 'i' && json_is_real(v)) {
    double x = json_real_value(v);
    return fabs(x) < 1e15 ? json_integer((json_int_t)x) : default_of(f);
  }
  return json_incref(v);
}

/* What is known of it: every field, of the right type. */
static json_t *whole(const json_t *object) {
  json_t *all = json_object();
  for (int i = 0; i < FIELDS; i++) json_object_set_new(all, fields[i].name, value_of(object, &fields[i]));
  return all;
}

json_t *acecpp_request_defaults(void) {
  return whole(NULL);
}

/* One parameter; a number out of range takes the nearest one. */
static ace_status put(ace_request *r, const char *name, const json_t *value, ace_error *err) {
  const req_param *p = req_param_find(name);
  json_t *clamped = NULL;
  if (json_is_number(value)) {
    double x = fmin(fmax(json_number_value(value), p->lo), p->hi);
    clamped = p->type == REQ_INT ? json_integer((json_int_t)x) : json_real(x);
  }
  json_t *one = json_pack("{s:O}", name, clamped ? clamped : (json_t *)value);
  char *text = one ? json_dumps(one, JSON_COMPACT) : NULL;
  ace_status status =
      text ? ace_request_set_json(r, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "Out of memory");
  free(text);
  json_decref(one), json_decref(clamped);
  return status;
}

static ace_status put_text(ace_request *r, const char *name, const char *text, ace_error *err) {
  json_t *value = json_string(text);
  ace_status status = value ? put(r, name, value, err) : ace_fail(err, ACE_ENOMEM, "Out of memory");
  json_decref(value);
  return status;
}

static bool one_of(const char *text, const char *const *words) {
  while (*words && strcmp(text, *words) != 0) words++;
  return *words != NULL;
}

/* "3101,11837" as codes of ours; blanks are allowed. */
static ace_status put_codes(ace_request *r, const char *list, ace_error *err) {
  size_t n = 0, room = strlen(list) / 2 + 1;
  int32_t *codes = malloc(room * sizeof *codes);
  if (!codes) return ace_fail(err, ACE_ENOMEM, "Out of memory");
  ace_status status = ACE_OK;
  for (const char *p = list; *p && status == ACE_OK;) {
    char *end;
    long code = strtol(p, &end, 10);
    if (end == p || code < 0 || n == room) status = ace_fail(err, ACE_EINVAL, "Invalid audio_codes");
    else codes[n++] = code > MOST_CODE ? MOST_CODE : (int32_t)code;
    for (p = end; *p == ',' || isspace((unsigned char)*p); p++) continue;
  }
  char *text = status == ACE_OK && n ? codes_format(codes, n, NULL) : NULL;
  if (text) status = put_text(r, "audio_codes", text, err);
  free(text), free(codes);
  return status;
}

static ace_status put_track(ace_request *r, const char *track, ace_error *err) {
  bool complete = r->task_type == REQ_TASK_COMPLETE;
  return *track ? put_text(r, complete ? "complete_track_classes" : "track_name", track, err) : ACE_OK;
}

static ace_status put_format(ace_request *r, const char *format, int bitrate, ace_error *err) {
  static const char *const known[] = {"mp3", "wav16", "wav24", "wav32", NULL};
  if (!one_of(format, known)) return ace_fail(err, ACE_EINVAL, "Invalid output_format (use: mp3, wav16, wav24, wav32)");
  const int rates[] = {128, 192, 256, 320};
  int i = 0;
  char rate[16];
  while (i < 3 && rates[i] < bitrate) i++;
  snprintf(rate, sizeof rate, "%dk", rates[i]);
  bool fine = strcmp(format, "wav24") == 0 || strcmp(format, "wav32") == 0;
  ace_status status = put_text(r, "audio_format", *format == 'm' ? "mp3" : fine ? "wav32" : "wav", err);
  return status == ACE_OK ? put_text(r, "mp3_bitrate", rate, err) : status;
}

/* What needs more than another name. */
static ace_status put_rest(ace_request *r, const json_t *all, ace_error *err) {
  static const char *const modes[] = {"generate", "inspire", "format", NULL}, *const solvers[] = {"euler", "sde", NULL};
  const char *language = json_text(all, "vocal_language"), *solver = json_text(all, "solver");
  if (!one_of(json_text(all, "lm_mode"), modes))
    return ace_fail(err, ACE_EINVAL, "Invalid lm_mode (use: generate, inspire, format)");
  if (!one_of(solver, solvers)) return ace_fail(err, ACE_EINVAL, "Invalid solver (use: euler, sde)");
  r->instrumental = req_same(r->lyrics, strlen(r->lyrics), "[Instrumental]");
  r->dcw_enabled = json_number_value(json_object_get(all, "dcw_scaler")) > 0 ||
                           json_number_value(json_object_get(all, "dcw_high_scaler")) > 0
                       ? REQ_ON
                       : REQ_OFF;
  r->thinking = REQ_OFF;
  r->use_cot_caption = r->use_cot_metas = r->use_cot_language = false;
  ace_status status = put_text(r, "infer_method", strcmp(solver, "sde") == 0 ? "sde" : "ode", err);
  if (status == ACE_OK && *language && !r->instrumental) status = put_text(r, "vocal_language", language, err);
  if (status == ACE_OK) status = put_codes(r, json_text(all, "audio_codes"), err);
  if (status == ACE_OK) status = put_track(r, json_text(all, "track"), err);
  if (status == ACE_OK)
    status = put_format(r, json_text(all, "output_format"),
                        (int)json_integer_value(json_object_get(all, "mp3_bitrate")), err);
  return status;
}

static int batch_of(const json_t *all, const char *name) {
  json_int_t n = json_integer_value(json_object_get(all, name));
  return n < 1 ? 1 : n > MOST_BATCH ? MOST_BATCH : (int)n;
}

/* Texts that live as long as the object that was read. */
static const char *kept_text(const json_t *object, const char *name, const char *usual) {
  const char *text = json_string_value(json_object_get(object, name));
  return text ? text : usual;
}

ace_request *acecpp_request_read(const json_t *object, acecpp_extra *extra, ace_error *err) {
  json_t *all = whole(object);
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  ace_status status = all && r ? ACE_OK : ace_fail(err, ACE_ENOMEM, "Out of memory");
  for (int i = 0; i < FIELDS && status == ACE_OK; i++) {
    const field *f = &fields[i];
    const json_t *v = json_object_get(all, f->name);
    bool open = (f->zero_is_open && json_number_value(v) == 0) || (f->type == 's' && !*json_text(all, f->name));
    if (f->ours && !open) status = put(r, f->ours, v, err);
  }
  if (status == ACE_OK) status = put_rest(r, all, err);
  if (status == ACE_OK)
    *extra = (acecpp_extra){.lm_batch = batch_of(all, "lm_batch_size"),
                            .synth_batch = batch_of(all, "synth_batch_size"),
                            .lm_seed = json_integer_value(json_object_get(all, "lm_seed")),
                            .mode = kept_text(object, "lm_mode", "generate"),
                            .format = kept_text(object, "output_format", "mp3"),
                            .model = kept_text(object, "synth_model", "")};
  json_int_t seed = json_integer_value(json_object_get(all, "seed"));
  if (status == ACE_OK) status = acecpp_request_seeds(r, seed, 1, err);
  json_decref(all);
  if (status == ACE_OK) return r;
  ace_request_free(r);
  return NULL;
}

ace_status acecpp_request_seeds(ace_request *r, int64_t first, int n, ace_error *err) {
  uint32_t drawn[REQ_BATCH_MAX];
  r->batch_size = 1;
  r->use_random_seed = first < 0;
  r->seeds.count = 0;
  r->seed = -1;
  ace_status status = first < 0 ? req_resolve_seeds(r, NULL, drawn, err) : ACE_OK;
  if (status != ACE_OK) return status;
  uint32_t seed = first < 0 ? drawn[0] : (uint32_t)first;
  r->use_random_seed = false;
  r->batch_size = n;
  r->seeds.count = n;
  for (int i = 0; i < n; i++) r->seeds.value[i] = seed + (uint32_t)i;
  return ACE_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Codes of ours as a list of numbers. */
static json_t *codes_of(const char *text) {
  req_text list = {0};
  size_t cursor = 0;
  codes_match m;
  while (codes_next(text, strlen(text), &cursor, &m)) req_text_addf(&list, "%s%d", list.size ? "," : "", m.value);
  char *out = req_text_take(&list);
  json_t *value = json_string(out ? out : "");
  free(out);
  return value;
}

/* What a plan has filled in. */
static void take_plan(json_t *all, const json_t *planned) {
  static const char *const names[] = {"caption",  "lyrics",        "bpm",           "duration",
                                      "keyscale", "timesignature", "vocal_language"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    json_t *v = json_object_get(planned, names[i]);
    bool unknown = strcmp(names[i], "vocal_language") == 0 && strcmp(json_text(planned, names[i]), "unknown") == 0;
    if (v && !json_is_null(v) && !unknown) json_object_set(all, names[i], v);
  }
  if (json_is_true(json_object_get(planned, "instrumental")) && !*json_text(planned, "lyrics"))
    json_object_set_new(all, "lyrics", json_string("[Instrumental]"));
  if (*json_text(planned, "audio_codes"))
    json_object_set_new(all, "audio_codes", codes_of(json_text(planned, "audio_codes")));
  json_t *seed = json_array_get(json_object_get(planned, "seeds"), 0);
  if (json_is_integer(seed) && json_integer_value(json_object_get(all, "seed")) < 0) json_object_set(all, "seed", seed);
}

json_t *acecpp_request_write(const json_t *object, const json_t *planned) {
  json_t *all = whole(object), *out = json_object();
  take_plan(all, planned);
  for (int i = 0; i < FIELDS; i++) {
    json_t *v = json_object_get(all, fields[i].name), *usual = default_of(&fields[i]);
    bool equal = json_is_number(v) ? json_number_value(v) == json_number_value(usual) : json_equal(v, usual);
    bool batch = strstr(fields[i].name, "batch_size") != NULL; /* done: the objects are its items */
    if (fields[i].always || (!equal && !batch)) json_object_set(out, fields[i].name, v);
    json_decref(usual);
  }
  json_decref(all);
  return out;
}
