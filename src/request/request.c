#include "request/request.h"

#include <stdlib.h>
#include <string.h>

#include "request/value.h"

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool is_string(const req_param *p) {
  return p->type == REQ_STRING || p->type == REQ_PATH;
}

ace_request *ace_request_new(ace_profile profile) {
  if ((unsigned)profile >= ACE_PROFILE_COUNT) return NULL;
  ace_request *r = calloc(1, sizeof *r);
  if (!r) return NULL;
  r->profile = profile;
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    if (req_value_reset(r, &p[i], NULL) != ACE_OK) {
      ace_request_free(r);
      return NULL;
    }
  }
  return r;
}

ace_request *ace_request_copy(const ace_request *request) {
  if (!request) return NULL;
  ace_request *r = malloc(sizeof *r);
  if (!r) return NULL;
  *r = *request;
  size_t n;
  const req_param *p = req_params(&n);
  bool ok = true;
  for (size_t i = 0; i < n; i++) {
    if (!is_string(&p[i])) continue;
    char **field = req_field(r, &p[i]);
    *field = *field ? strdup(*field) : NULL;
    ok = ok && *field;
  }
  if (ok) return r;
  ace_request_free(r);
  return NULL;
}

void ace_request_free(ace_request *request) {
  if (!request) return;
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++)
    if (is_string(&p[i])) free(*(char **)req_field(request, &p[i]));
  free(request);
}

/* ---- by name ----------------------------------------------------------------------------------------------------- */

ace_status ace_request_set(ace_request *request, const char *name, const char *value, ace_error *err) {
  if (!request || !name) return ace_fail(err, ACE_EINVAL, "request: no parameter named");
  const req_param *p = req_param_find(name);
  if (!p) {
    char excerpt[REQ_EXCERPT_SIZE];
    const req_param *near = req_param_nearest(name);
    return ace_fail(err, ACE_EINVAL, "request: there is no parameter \"%s\"%s%s%s",
                    req_excerpt(name, strlen(name), excerpt), near ? "; did you mean \"" : "", near ? near->name : "",
                    near ? "\"?" : "");
  }
  if (p->result)
    return ace_fail(err, ACE_EINVAL, "%s: the language model fills this in; set %s instead", p->name,
                    p->name + strlen("cot_"));
  return req_value_from_text(request, p, value ? value : "", err);
}

char *ace_request_get(const ace_request *request, const char *name) {
  const req_param *p = request && name ? req_param_find(name) : NULL;
  if (!p) return NULL;
  req_text out = {0};
  req_value_to_text(request, p, &out);
  return req_text_take(&out);
}

static const char *enum_name(const char *parameter, int i) {
  const req_param *p = req_param_find(parameter);
  for (int k = 0; p && p->values[k]; k++)
    if (k == i) return p->values[k];
  return "";
}

const char *req_task_name(int task) {
  return enum_name("task_type", task);
}

bool req_task_edits(int task) {
  return task == REQ_TASK_TEXT2MUSIC || task == REQ_TASK_COVER || task == REQ_TASK_COVER_NOFSQ;
}

const char *req_track_name(int track) {
  return enum_name("track_name", track);
}

const char *req_format_name(const ace_request *r) {
  return enum_name("audio_format", r->audio_format);
}

const char *req_chunk_mask_name(const ace_request *r) {
  return enum_name("chunk_mask_mode", r->chunk_mask_mode);
}

int req_mp3_kbps(const ace_request *r) {
  return (int)strtol(enum_name("mp3_bitrate", r->mp3_bitrate), NULL, 10);
}

/* ---- values that depend on the model ----------------------------------------------------------------------------- */

enum { TURBO_STEPS_MAX = 20, REFERENCE_TURBO_STEPS = 8 };

void req_apply_compat(ace_request *r) {
  if (r->compat != REQ_COMPAT_REFERENCE) return;
  r->vae_encode = REQ_ENCODE_SAMPLE;
  r->flac_bits = 16;
  r->dither = false;
  r->ref_length = r->ref_head = r->ref_strengths = r->ref_prompt = true;
  r->ref_steps = r->ref_crossfade = r->ref_language = r->ref_codes = true;
}

int req_steps(const ace_request *r, req_model model) {
  int steps = r->inference_steps;
  if (r->ref_steps && model == REQ_MODEL_TURBO && steps > REFERENCE_TURBO_STEPS) steps = REFERENCE_TURBO_STEPS;
  if (r->timesteps.count > 0) {
    int n = r->timesteps.count;
    if (model != REQ_MODEL_TURBO) return n - 1;
    while (n > 0 && r->timesteps.value[n - 1] == 0) n--; /* the final 0 is implicit there */
    steps = n < 1 ? 1 : n;
  } else if (steps <= 0) {
    steps = model == REQ_MODEL_TURBO ? 8 : model == REQ_MODEL_SFT ? 50 : 32;
  }
  return model == REQ_MODEL_TURBO && steps > TURBO_STEPS_MAX ? TURBO_STEPS_MAX : steps;
}

bool req_dcw(const ace_request *r, req_model model) {
  return r->dcw_enabled == REQ_AUTO ? model == REQ_MODEL_TURBO : r->dcw_enabled == REQ_ON;
}

bool req_lyrics_instrumental(const char *lyrics) {
  size_t n = strlen(lyrics);
  while (n > 0 && req_is_space(lyrics[n - 1])) n--;
  while (n > 0 && req_is_space(*lyrics)) lyrics++, n--;
  return n == 0 || req_same(lyrics, n, "[inst]") || req_same(lyrics, n, "[instrumental]");
}

bool req_is_instrumental(const ace_request *r) {
  return r->instrumental || req_lyrics_instrumental(r->lyrics);
}

/* ---- seeds ------------------------------------------------------------------------------------------------------- */

ace_status req_resolve_seeds(const ace_request *r, const req_entropy *entropy, uint32_t out[REQ_BATCH_MAX],
                             ace_error *err) {
  req_seeds list = r->seeds;
  if (list.count == 0 && r->seed >= 0) list = (req_seeds){.count = 1, .value = {r->seed}};
  return req_seeds_resolve(&list, r->use_random_seed, r->batch_size, entropy, out, err);
}

ace_status req_resolve_retake(const ace_request *r, const req_entropy *entropy, uint32_t out[REQ_BATCH_MAX],
                              ace_error *err) {
  return req_seeds_resolve(&r->retake_seed, false, r->batch_size, entropy, out, err);
}

void req_pin_seed(ace_request *r, uint32_t seed, const uint32_t *retake) {
  r->use_random_seed = false;
  r->seed = seed;
  r->seeds = (req_seeds){.count = 1, .value = {seed}};
  if (retake) r->retake_seed = (req_seeds){.count = 1, .value = {*retake}};
}

/* ---- custom timesteps -------------------------------------------------------------------------------------------- */

req_timesteps_warning req_timesteps_parse(const char *text, req_timesteps *out, int *steps) {
  req_timesteps list = {0};
  bool closed = false, outside = false;
  *out = (req_timesteps){0};
  for (bool more = true; more;) {
    size_t n = strcspn(text, ",");
    const char *token = text;
    more = token[n] == ',';
    text += n + more;
    while (n > 0 && req_is_space(token[n - 1])) n--;
    while (n > 0 && req_is_space(*token)) token++, n--;
    if (n == 0) continue;
    double x;
    if (list.count >= REQ_TIMESTEPS_MAX - 1 || !req_number_parse(token, n, &x)) return REQ_TIMESTEPS_FORMAT;
    outside = outside || !(x >= 0 && x <= 1);
    list.value[list.count++] = x;
    closed = n == 1 && token[0] == '0'; /* only this spelling counts as the closing zero */
  }
  if (list.count == 0) return REQ_TIMESTEPS_NONE;
  if (outside) return REQ_TIMESTEPS_RANGE;
  if (closed && list.count == 1) return REQ_TIMESTEPS_FORMAT; /* the closing zero alone: no step to take */
  if (!closed) list.value[list.count++] = 0;
  *out = list;
  int asked = *steps;
  *steps = list.count - 1;
  return asked == *steps ? REQ_TIMESTEPS_NONE : REQ_TIMESTEPS_COUNT;
}
