/* api_task.c - songs: submitting, polling, fetching the sound. */
#define _XOPEN_SOURCE 700
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "request/text.h"
#include "server/route.h"
#include "server/song_params.h"

/* ---- POST /release_task ------------------------------------------------------------------------------------------ */

static void drop_uploads(const json_t *task) {
  size_t i;
  json_t *path;
  json_array_foreach(json_object_get(task, "uploads"), i, path) unlink(json_string_value(path));
}

static void post_task(call *c) {
  json_t *task = song_task(c);
  if (!task) return;
  char id[JOBS_ID];
  int position;
  ace_error err;
  job_new j = {.session = c->session, .kind = "generate", .request = task};
  ace_status status = jobs_submit(service_jobs(c->service), &j, id, &position, &err);
  if (status == ACE_OK) {
    reply_data(c, json_pack("{s:s, s:s, s:i}", "task_id", id, "status", "queued", "queue_position", position));
  } else {
    drop_uploads(task);
    if (status == ACE_EBUSY) reply_busy(c);
    else reply_failure(c, &err);
  }
  json_decref(task);
}

/* ---- POST /query_result ------------------------------------------------------------------------------------------ */

static double number_of(const json_t *o, const char *field) {
  return json_number_value(json_object_get(o, field));
}

/* "/v1/audio?path=" and the path with every reserved byte encoded. */
static json_t *audio_link(const call *c, const char *id, const char *file) {
  char *folder = jobs_folder(service_jobs(c->service), id), *path = folder ? file_join(folder, file) : NULL;
  char real[PATH_MAX];
  req_text link = {0};
  req_text_add(&link, "/v1/audio?path=");
  for (const char *p = path && realpath(path, real) ? real : path ? path : ""; *p; p++) {
    bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || strchr("-_.~", *p);
    if (plain) req_text_add_bytes(&link, p, 1);
    else req_text_addf(&link, "%%%02X", (unsigned char)*p);
  }
  char *text = req_text_take(&link);
  json_t *value = text ? json_string(text) : json_string("");
  free(text), free(folder), free(path);
  return value;
}

/* The keys that every object of a result has. */
static json_t *result_base(const json_t *job, int status, double progress, const char *stage) {
  return json_pack("{s:s, s:s, s:i, s:I, s:s, s:f, s:s}", "file", "", "wave", "", "status", status, "create_time",
                   json_integer_value(json_object_get(job, "submitted")) / 1000, "env", "development", "progress",
                   progress, "stage", stage);
}

/* A number or text that is known, else "N/A". */
static json_t *known(const json_t *request, const char *field) {
  json_t *v = json_object_get(request, field);
  bool open = !v || json_is_null(v) || (json_is_number(v) && json_number_value(v) <= 0) ||
              (json_is_string(v) && req_is_blank(json_string_value(v)));
  return open ? json_string("N/A") : json_incref(v);
}

/* Looks like the number that it is: 10, not 10.0. */
static json_t *rounded(json_t *v) {
  double x = json_real_value(v);
  if (!json_is_real(v) || x != floor(x)) return v;
  json_decref(v);
  return json_integer((json_int_t)x);
}

static json_t *metas_of(const json_t *job, const json_t *request) {
  const json_t *asked = json_object_get(json_object_get(job, "request"), "request");
  return json_pack("{s:o, s:o, s:s, s:o, s:o, s:s, s:s}", "bpm", known(request, "bpm"), "duration",
                   rounded(known(request, "duration")), "genres", "N/A", "keyscale", known(request, "keyscale"),
                   "timesignature", known(request, "timesignature"), "prompt", json_text(asked, "caption"), "lyrics",
                   json_text(asked, "lyrics"));
}

static json_t *seeds_of(const json_t *result) {
  req_text list = {0};
  size_t i;
  json_t *seed;
  json_array_foreach(json_object_get(result, "seeds"), i, seed) {
    req_text_addf(&list, "%s%lld", i ? "," : "", (long long)json_integer_value(seed));
  }
  char *text = req_text_take(&list);
  json_t *value = json_string(text ? text : "");
  free(text);
  return value;
}

static json_t *time_told(const json_t *job, size_t songs) {
  char text[200];
  double seconds = number_of(json_object_get(json_object_get(job, "result"), "seconds"), "total");
  snprintf(text, sizeof text, "**\xf0\x9f\x8e\xb5 Total generation time (%zu song%s): %.2fs**\n- %.2fs per song", songs,
           songs == 1 ? "" : "s", seconds, songs ? seconds / (double)songs : seconds);
  return json_string(text);
}

/* One finished song, or with `sample` NULL a result without sound. */
static json_t *song_object(const call *c, const json_t *job, const json_t *sample, size_t songs) {
  const json_t *result = json_object_get(job, "result"), *request = json_object_get(result, "request");
  const char *lm = json_text(result, "lm");
  service_state now;
  service_look(c->service, &now);
  json_t *o = result_base(job, 1, 1.0, "succeeded");
  if (sample) {
    json_object_set_new(o, "file", audio_link(c, json_text(job, "id"), json_text(sample, "file")));
    json_object_set(o, "url", json_object_get(o, "file"));
  }
  json_object_set_new(o, "prompt", json_string(json_text(request, "caption")));
  json_object_set_new(o, "lyrics", json_string(json_text(request, "lyrics")));
  json_object_set_new(o, "metas", metas_of(job, request));
  json_object_set_new(o, "generation_info",
                      sample ? time_told(job, songs) : json_string("Analysis Only Mode Complete"));
  json_object_set_new(o, "seed_value", seeds_of(result));
  json_object_set_new(o, "lm_model", json_string(*lm ? lm : *now.lm ? now.lm : "acestep-5Hz-lm-0.6B"));
  json_object_set_new(o, "dit_model", json_string(sample ? json_text(result, "model") : "None (Analysis Only)"));
  return o;
}

static json_t *codes_object(const json_t *result) {
  return json_pack("{s:s, s:s, s:[], s:[], s:n, s:{}, s:i}", "status_message", "Audio Codes Extraction Success",
                   "audio_codes", json_text(result, "audio_codes"), "audio_paths", "raw_audio_paths",
                   "first_audio_path", "metas", "status", 1);
}

static json_t *analysis_object(const json_t *result) {
  const json_t *found = json_object_get(result, "found");
  json_t *metas =
      json_pack("{s:o, s:o, s:o, s:o}", "bpm", known(found, "bpm"), "duration", rounded(known(found, "duration")),
                "keyscale", known(found, "keyscale"), "timesignature", known(found, "timesignature"));
  return json_pack("{s:s, s:O, s:O, s:O, s:O, s:s, s:s, s:s, s:s, s:o, s:s, s:[], s:i}", "status_message",
                   "Full Hardware Analysis Success", "bpm", json_object_get(metas, "bpm"), "keyscale",
                   json_object_get(metas, "keyscale"), "timesignature", json_object_get(metas, "timesignature"),
                   "duration", json_object_get(metas, "duration"), "genre",
                   json_text(json_object_get(found, "result"), "genres"), "prompt", json_text(found, "caption"),
                   "lyrics", json_text(found, "lyrics"), "language", json_text(found, "vocal_language"), "metas", metas,
                   "audio_codes", json_text(result, "audio_codes"), "audio_paths", "status", 1);
}

static json_t *finished(const call *c, const json_t *job) {
  const char *only = json_text(json_object_get(job, "request"), "only");
  const json_t *samples = json_object_get(job, "samples"), *result = json_object_get(job, "result");
  if (strcmp(only, "codes") == 0) return json_pack("[o]", codes_object(result));
  if (strcmp(only, "analysis") == 0) return json_pack("[o]", analysis_object(result));
  size_t n = json_array_size(samples);
  if (n == 0) return json_pack("[o]", song_object(c, job, NULL, 0));
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, song_object(c, job, json_array_get(samples, i), n));
  return list;
}

/* What has not succeeded: waiting, running, failed, cancelled. */
static json_t *unfinished(const json_t *job, const char *state, int *status) {
  const json_t *progress = json_object_get(job, "progress");
  if (strcmp(state, "running") == 0)
    return json_pack("[o]",
                     result_base(job, 0, fmax(0.01, number_of(progress, "fraction")), json_text(progress, "stage")));
  bool waits = strcmp(state, "queued") == 0;
  *status = waits ? 0 : 2;
  json_t *o = result_base(job, *status, 0.0, waits ? "queued" : "failed");
  const char *why = json_text(json_object_get(job, "error"), "message");
  json_object_set_new(o, "error", waits ? json_null() : json_string(*why ? why : "cancelled"));
  json_object_set_new(o, "prompt", json_string(""));
  json_object_set_new(o, "lyrics", json_string(""));
  json_object_set_new(o, "metas", json_object());
  return json_pack("[o]", o);
}

static json_t *progress_text(const json_t *job, const char *state) {
  char text[128];
  const json_t *p = json_object_get(job, "progress");
  int steps = (int)json_integer_value(json_object_get(p, "steps"));
  if (strcmp(state, "running") != 0) return json_string(strcmp(state, "queued") == 0 ? "Waiting" : state);
  if (steps > 0)
    snprintf(text, sizeof text, "%s %d/%d", json_text(p, "stage"), (int)json_integer_value(json_object_get(p, "step")),
             steps);
  else snprintf(text, sizeof text, "%s %.0f%%", json_text(p, "stage"), 100 * number_of(p, "fraction"));
  return json_string(text);
}

static json_t *query_one(const call *c, const json_t *id) {
  const char *text = json_string_value(id);
  json_t *job = text ? jobs_get(service_jobs(c->service), text, NULL) : NULL;
  if (!job) return json_pack("{s:O, s:s, s:i}", "task_id", id, "result", "[]", "status", 0);
  const char *state = json_text(job, "state");
  int status = 0;
  bool succeeded = strcmp(state, "succeeded") == 0;
  json_t *result = succeeded ? finished(c, job) : unfinished(job, state, &status);
  char *list = json_dumps(result, 0);
  json_t *item = json_pack("{s:O, s:s, s:i, s:o}", "task_id", id, "result", list ? list : "[]", "status",
                           succeeded ? 1 : status, "progress_text", progress_text(job, state));
  free(list);
  json_decref(result);
  json_decref(job);
  return item;
}

enum { MOST_QUERIED = 1000 };

static void post_query(call *c) {
  json_t *ids = json_object_get(c->body, "task_id_list"), *parsed = NULL, *answer = json_array(), *id;
  if (json_is_string(ids)) ids = parsed = json_loadb(json_string_value(ids), json_string_length(ids), 0, NULL);
  size_t i;
  json_array_foreach(ids, i, id) {
    if (i < MOST_QUERIED) json_array_append_new(answer, query_one(c, id));
  }
  json_decref(parsed);
  reply_data(c, answer);
}

/* ---- GET /v1/audio ----------------------------------------------------------------------------------------------- */

static const char *type_of(const char *path) {
  static const char *const types[][2] = {
      {".wav", "audio/wav"}, {".flac", "audio/flac"}, {".ogg", "audio/ogg"}, {".json", "application/json"}};
  size_t n = strlen(path);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    size_t m = strlen(types[i][0]);
    if (n >= m && strcmp(path + n - m, types[i][0]) == 0) return types[i][1];
  }
  return "audio/mpeg";
}

/* The path without links and dots, also when its last part does not exist. */
static bool resolve(const char *path, char real[PATH_MAX], bool *there) {
  char folder[PATH_MAX];
  *there = realpath(path, real) != NULL;
  const char *slash = strrchr(path, '/');
  if (*there || !slash || !slash[1] || strcmp(slash + 1, "..") == 0) return *there;
  char *parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
  bool ok = parent && realpath(parent, folder) && strlen(folder) + strlen(slash) < PATH_MAX;
  if (ok) strcat(strcpy(real, folder), slash);
  free(parent);
  return ok;
}

static void get_audio(call *c) {
  const char *path = http_query(c->http, "path");
  char real[PATH_MAX], root[PATH_MAX];
  bool there;
  if (!path) {
    reply_invalid(c, "missing", "query", "path", "Field required");
    return;
  }
  bool allowed = *path == '/' && realpath(jobs_outputs(service_jobs(c->service)), root) &&
                 resolve(path, real, &there) && file_is_below(real, root);
  if (!allowed) reply_detail(c, 403, "Access denied: path outside allowed directory");
  else if (!there) reply_detail(c, 404, "Audio file not found");
  else http_file(c->http, real, type_of(real));
}

const route routes_task[] = {
    {"POST", "/release_task", AUTH_BODY, BODY_TASK, true, post_task,
     "Submit songs: parameters as in Song or by their aliases, recordings as files or as paths",
     "prompt? lyrics? audio_duration?:number batch_size?:int seed?:any use_random_seed?:bool task_type? audio_format? "
     "thinking?:bool model? param_obj?:any metas?:any src_audio_path? reference_audio_path? src_audio?:file "
     "reference_audio?:file ai_token?",
     "task_id status queue_position:int"},
    {"POST", "/query_result", AUTH_BODY, BODY_LOOSE, false, post_query, "States and results of tasks",
     "task_id_list?:any ai_token?", ":[TaskResult]"},
    {"GET", "/v1/audio", AUTH_HEADER, BODY_NONE, false, get_audio,
     "The sound of a result; ranges and entity tags are honoured", "path", "audio/*"},
    {0},
};
