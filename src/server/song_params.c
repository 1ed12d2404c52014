#define _XOPEN_SOURCE 700
#include "server/song_params.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "request/params.h"
#include "request/text.h"
#include "server/paths.h"

enum { NAMES = 7 };

/* ---- sources ----------------------------------------------------------------------------------------------------- */

/* An object, or text that is one; a new reference or NULL. */
static json_t *as_object(const json_t *v) {
  if (json_is_object(v)) return json_incref((json_t *)v);
  const char *text = json_string_value(v);
  json_t *object = text ? json_loadb(text, json_string_length(v), JSON_ALLOW_NUL, NULL) : NULL;
  if (json_is_object(object)) return object;
  json_decref(object);
  return NULL;
}

song_sources song_sources_of(const json_t *body) {
  static const char *const metas[] = {"metas", "meta", "metadata", "user_metadata", "userMetadata"};
  song_sources s = {{json_incref((json_t *)body), as_object(json_object_get(body, "param_obj")), NULL}};
  for (size_t i = 0; i < sizeof metas / sizeof *metas && !s.object[2]; i++) {
    s.object[2] = as_object(json_object_get(body, metas[i]));
    if (s.object[2] && json_object_size(s.object[2]) == 0) json_decref(s.object[2]), s.object[2] = NULL;
  }
  return s;
}

void song_sources_free(song_sources *s) {
  for (int i = 0; i < 3; i++) json_decref(s->object[i]);
}

const json_t *song_value(const song_sources *s, const char *const *names) {
  for (int i = 0; i < 3; i++)
    for (const char *const *name = names; s->object[i] && *name; name++) {
      const json_t *v = json_object_get(s->object[i], *name);
      if (v && !json_is_null(v)) return v;
    }
  return NULL;
}

#define VALUE(s, ...) song_value(s, (const char *const[]){__VA_ARGS__, NULL})

/* ---- parameters -------------------------------------------------------------------------------------------------- */

/* How a value is read. The unreadable counts as not given. */
typedef enum kind {
  TEXT,
  WHOLE,  /* an integer; "120.0" is none */
  NUMBER, /* finite */
  TRUTH,
  CLAMPED, /* a number brought into the parameter's range */
} kind;

/* Names by which clients call a parameter, the canonical one first. */
static const struct {
  const char *param;
  kind kind;
  const char *names[NAMES];
} table[] = {
    {"caption", TEXT, {"prompt", "caption"}},
    {"global_caption", TEXT, {"global_caption"}},
    {"lyrics", TEXT, {"lyrics"}},
    {"thinking", TRUTH, {"thinking"}},
    {"keyscale", TEXT, {"key_scale", "keyscale", "keyScale", "key"}},
    {"timesignature", TEXT, {"time_signature", "timesignature", "timeSignature"}},
    {"vocal_language", TEXT, {"vocal_language", "vocalLanguage", "language"}},
    {"guidance_scale", CLAMPED, {"guidance_scale", "guidanceScale"}},
    {"use_random_seed", TRUTH, {"use_random_seed", "useRandomSeed"}},
    {"task_type", TEXT, {"task_type", "taskType"}},
    {"instruction", TEXT, {"instruction"}},
    {"repainting_start", NUMBER, {"repainting_start"}},
    {"audio_cover_strength",
     CLAMPED,
     {"audio_cover_strength", "audioCoverStrength", "cover_strength", "coverStrength"}},
    {"cover_noise_strength", CLAMPED, {"cover_noise_strength", "coverNoiseStrength"}},
    {"audio_codes", TEXT, {"audio_code_string", "audioCodeString", "audio_codes"}},
    {"chunk_mask_mode", TEXT, {"chunk_mask_mode"}},
    {"repaint_mode", TEXT, {"repaint_mode"}},
    {"repaint_strength", NUMBER, {"repaint_strength"}},
    {"repaint_latent_crossfade_frames", WHOLE, {"repaint_latent_crossfade_frames"}},
    {"repaint_wav_crossfade_sec", NUMBER, {"repaint_wav_crossfade_sec"}},
    {"use_adg", TRUTH, {"use_adg"}},
    {"cfg_interval_start", CLAMPED, {"cfg_interval_start"}},
    {"cfg_interval_end", CLAMPED, {"cfg_interval_end"}},
    {"infer_method", TEXT, {"infer_method", "inferMethod"}},
    {"audio_format", TEXT, {"audio_format"}},
    {"track_name", TEXT, {"track_name", "trackName"}},
    {"lm_temperature", CLAMPED, {"lm_temperature"}},
    {"lm_cfg_scale", CLAMPED, {"lm_cfg_scale"}},
    {"lm_top_k", CLAMPED, {"lm_top_k"}},
    {"lm_negative_prompt", TEXT, {"lm_negative_prompt"}},
    {"use_cot_caption", TRUTH, {"use_cot_caption", "cot_caption", "cot-caption"}},
    {"use_cot_language", TRUTH, {"use_cot_language", "cot_language", "cot-language"}},
    {"allow_lm_batch", TRUTH, {"allow_lm_batch", "allowLmBatch", "parallel_thinking"}},
    {"constrained_decoding_debug", TRUTH, {"constrained_decoding_debug", "constrainedDecodingDebug"}},
    {"timesteps", TEXT, {"timesteps", "custom_timesteps"}},
    {"mp3_bitrate", TEXT, {"mp3_bitrate"}},
    {"mp3_sample_rate", WHOLE, {"mp3_sample_rate"}},
    {"enable_normalization", TRUTH, {"enable_normalization"}},
    {"normalization_db", CLAMPED, {"normalization_db"}},
    {"fade_in_duration", CLAMPED, {"fade_in_duration"}},
    {"fade_out_duration", CLAMPED, {"fade_out_duration"}},
};

/* The text that the parameter is set from, in `room` or borrowed; NULL: not given. */
static const char *read_value(kind how, const json_t *v, const req_param *p, char room[VALUE_SIZE]) {
  char number[REQ_NUMBER_SIZE];
  const char *text = value_as_text(v, room);
  double x = value_number(v, NAN);
  switch (how) {
    case TEXT: return text;
    case TRUTH: return !text || req_is_blank(text) ? NULL : value_bool(v, false) ? "true" : "false";
    case WHOLE: return isnan(x) || x != floor(x) || (text && strpbrk(text, ".eE")) ? NULL : text;
    case NUMBER: return isnan(x) ? NULL : text;
    case CLAMPED: break;
  }
  if (isnan(x)) return NULL;
  x = x < p->lo ? p->lo : x > p->hi ? p->hi : x;
  if (p->type == REQ_INT) x = floor(x);
  snprintf(room, VALUE_SIZE, "%s", req_number_format(x, number));
  return room;
}

/* A refusal names the field as the caller wrote it. */
static bool set(call *c, ace_request *r, const char *name, const char *param, const char *text) {
  ace_error err;
  if (ace_request_set(r, param, text, &err) == ACE_OK) return true;
  if (strcmp(name, param) == 0) reply_detail(c, 400, "%s", err.message);
  else reply_detail(c, 400, "%s: %s", name, err.message);
  return false;
}

static bool set_table(call *c, const song_sources *s, ace_request *r) {
  char room[VALUE_SIZE];
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    const json_t *v = song_value(s, table[i].names);
    const char *text = v ? read_value(table[i].kind, v, req_param_find(table[i].param), room) : NULL;
    if (text && !set(c, r, table[i].names[0], table[i].param, text)) return false;
  }
  return true;
}

static double within(double x, double lo, double hi) {
  return x < lo ? lo : x > hi ? hi : x;
}

/* Parameters that this surface reads in ways of its own. */
static void set_numbers(const song_sources *s, ace_request *r) {
  double bpm = value_number(VALUE(s, "bpm"), 0), top_p = value_number(VALUE(s, "lm_top_p"), 0.9);
  double duration =
      value_number(VALUE(s, "audio_duration", "duration", "audioDuration", "target_duration", "targetDuration"), 0);
  double steps = value_number(VALUE(s, "inference_steps", "inferenceSteps"), 8),
         shift = value_number(VALUE(s, "shift"), 3);
  double batch = value_number(VALUE(s, "batch_size"), 2), end = value_number(VALUE(s, "repainting_end"), 0);
  r->bpm = bpm == floor(bpm) && bpm > 0 ? (int)within(bpm, 30, 300) : 0;
  r->duration = duration > 0 ? within(duration, 10, REQ_LONGEST) : -1;
  r->inference_steps = (int)within(floor(steps), 1, 200);
  r->shift = shift <= 0 ? 1 : within(shift, 1, 5);
  r->batch_size = (int)within(floor(batch), 1, REQ_BATCH_MAX);
  r->repainting_end = end == 0 ? -1 : end;
  r->lm_top_p = top_p >= 1 || top_p <= 0 ? 0.9 : top_p;
}

/* A seed, "42,123", or -1. A fraction is refused. */
static bool set_seed(call *c, const song_sources *s, ace_request *r) {
  char room[VALUE_SIZE];
  const json_t *v = VALUE(s, "seed");
  if (json_is_real(v) && json_real_value(v) != floor(json_real_value(v))) {
    reply_detail(c, 400, "seed: a whole number is needed");
    return false;
  }
  if (json_is_real(v)) snprintf(room, sizeof room, "%.0f", within(json_real_value(v), -1, 1e15));
  const char *text = json_is_real(v) ? room : v ? value_as_text(v, room) : NULL;
  ace_error err;
  if (!text || req_is_blank(text)) return true;
  if (req_seeds_parse(text, "seed", &r->seeds, &err) == ACE_OK) return true;
  reply_detail(c, 400, "%s", err.message);
  return false;
}

/* A list, or one name. */
static bool set_tracks(call *c, const song_sources *s, ace_request *r) {
  const json_t *v = VALUE(s, "track_classes", "trackClasses", "instruments", "complete_track_classes"), *name;
  req_text list = {0};
  size_t i;
  if (json_is_string(v)) req_text_add(&list, json_string_value(v));
  json_array_foreach((json_t *)v, i, name) {
    if (!json_is_string(name)) continue;
    if (list.size) req_text_add(&list, ",");
    req_text_add(&list, json_string_value(name));
  }
  char *text = req_text_take(&list);
  for (char *p = text; p && *p; p++) *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
  bool ok = !text || req_is_blank(text) || set(c, r, "track_classes", "complete_track_classes", text);
  free(text);
  return ok;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* "a/../b" has such a part, "a..b" has not. */
static bool climbs(const char *path) {
  for (const char *p = path; (p = strstr(p, "..")); p += 2)
    if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/')) return true;
  return false;
}

char *song_path(call *c, const char *path) {
  char real[PATH_MAX];
  if (req_is_blank(path)) return strdup("");
  char *whole = file_join(service_data(c->service), path);
  bool there = whole && realpath(whole, real);
  free(whole);
  if (there && path_is_allowed(c, real)) return strdup(real);
  if (*path == '/') reply_detail(c, 400, "absolute audio file paths are not allowed");
  else if (climbs(path)) reply_detail(c, 400, "path traversal in audio file paths is not allowed");
  else if (there) reply_detail(c, 400, "this path is outside of the allowed folders");
  else reply_detail(c, 400, "there is no audio file of that path");
  return NULL;
}

/* What a file's name ends in, if that is harmless: ".wav". */
static const char *suffix_of(const char *name) {
  const char *dot = strrchr(name, '.');
  size_t n = dot ? strlen(dot) : 0;
  for (size_t i = 1; i < n; i++)
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", dot[i])) return "";
  return n > 1 && n <= 8 ? dot : "";
}

/* An upload under either name moves to a place of its own. *out NULL: there is none. False: answered. */
static bool take_upload(call *c, const char *name, const char *other, char **out) {
  int n;
  const http_field *fields = http_fields(c->http, &n), *found = NULL;
  *out = NULL;
  for (int pass = 0; pass < 2 && !found; pass++)
    for (int i = 0; i < n && !found; i++)
      if (fields[i].path && strcmp(fields[i].name, pass ? other : name) == 0) found = &fields[i];
  if (!found) return true;
  char *path = service_upload_path(c->service, suffix_of(found->file_name));
  if (path && rename(found->path, path) == 0) {
    *out = path;
    return true;
  }
  free(path);
  reply_detail(c, 507, "the upload cannot be stored");
  return false;
}

typedef struct recordings {
  char *reference, *source; /* paths to be opened; "" or NULL: none */
  char *uploads[2];         /* those of them that came with the call */
} recordings;

static void forget(recordings *f) {
  for (int i = 0; i < 2; i++) {
    if (f->uploads[i]) unlink(f->uploads[i]);
    free(f->uploads[i]);
  }
  free(f->reference), free(f->source);
}

static char *named_path(call *c, const json_t *v) {
  return song_path(c, value_text(v, ""));
}

static bool find_recordings(call *c, const song_sources *s, recordings *f) {
  if (!take_upload(c, "ref_audio", "reference_audio", &f->uploads[0]) ||
      !take_upload(c, "ctx_audio", "src_audio", &f->uploads[1]))
    return false;
  f->reference =
      f->uploads[0]
          ? strdup(f->uploads[0])
          : named_path(c, VALUE(s, "reference_audio_path", "ref_audio_path", "referenceAudioPath", "refAudioPath"));
  if (!f->reference) return false;
  f->source = f->uploads[1] ? strdup(f->uploads[1])
                            : named_path(c, VALUE(s, "src_audio_path", "ctx_audio_path", "sourceAudioPath",
                                                  "srcAudioPath", "ctxAudioPath"));
  return f->source != NULL;
}

/* ---- the job ----------------------------------------------------------------------------------------------------- */

/* The slot whose model a name means; an unknown one is the first. */
static int slot_of(service *s, const char *model) {
  service_state now;
  service_look(s, &now);
  const char *slash = strrchr(model, '/');
  if (slash) model = slash + 1;
  for (int i = 0; i < SERVICE_SLOTS; i++) {
    const char *name = strrchr(now.slot[i].name, '/') ? strrchr(now.slot[i].name, '/') + 1 : now.slot[i].name;
    if (*name && strcmp(name, model) == 0) return i + 1;
  }
  return 1;
}

static const char *only_of(const song_sources *s) {
  if (value_bool(VALUE(s, "extract_codes_only", "extractCodesOnly"), false)) return "codes";
  if (value_bool(VALUE(s, "full_analysis_only", "fullAnalysisOnly"), false)) return "analysis";
  return value_bool(VALUE(s, "analysis_only", "analysisOnly"), false) ? "metadata" : NULL;
}

static json_t *make_task(call *c, const song_sources *s, ace_request *r, recordings *f) {
  ace_error err;
  const char *query = value_text(VALUE(s, "sample_query", "sampleQuery", "description", "desc"), "");
  bool create = value_bool(VALUE(s, "sample_mode", "sampleMode"), false) || *query;
  bool format = value_bool(VALUE(s, "use_format", "useFormat", "format"), false);
  const char *only = only_of(s);
  bool need = r->thinking == REQ_ON || create || format || (only && strcmp(only, "codes") != 0);
  bool want = r->use_cot_caption || r->use_cot_language;
  if (req_set_string(&r->reference_audio, f->reference, &err) != ACE_OK ||
      req_set_string(&r->src_audio, f->source, &err) != ACE_OK) {
    reply_failure(c, &err);
    return NULL;
  }
  const char *uploads[3] = {0};
  for (int i = 0, n = 0; i < 2; i++)
    if (f->uploads[i]) uploads[n++] = f->uploads[i];
  task_song t = {.request = r,
                 .slot = slot_of(c->service,
                                 value_text(VALUE(s, "model", "model_name", "modelName", "dit_model", "ditModel"), "")),
                 .lm = need            ? "need"
                       : want && !only ? "want"
                                       : "no",
                 .first = create   ? "create"
                          : format ? "format"
                                   : NULL,
                 .query = create ? *query ? query : "NO USER INPUT" : NULL,
                 .only = only,
                 .uploads = uploads};
  json_t *task = task_generate(&t, &err);
  if (!task) reply_failure(c, &err);
  return task;
}

json_t *song_task(call *c) {
  song_sources s = song_sources_of(c->body);
  recordings f = {0};
  ace_request *r = ace_request_new(ACE_PROFILE_REST);
  json_t *task = NULL;
  if (!r) reply_detail(c, 500, "out of memory");
  if (r) set_numbers(&s, r);
  if (r && set_table(c, &s, r) && set_seed(c, &s, r) && set_tracks(c, &s, r) && find_recordings(c, &s, &f))
    task = make_task(c, &s, r, &f);
  if (!task) {
    forget(&f);
  } else {
    for (int i = 0; i < 2; i++) free(f.uploads[i]);
    free(f.reference), free(f.source);
  }
  ace_request_free(r);
  song_sources_free(&s);
  return task;
}
