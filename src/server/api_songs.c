/* api_songs.c - what the page submits: songs, and the helpers around them. */
#include <stdlib.h>
#include <string.h>

#include "server/route.h"
#include "server/studio_job.h"
#include "server/studio_song.h"
#include "service/tasks.h"

enum { NOTE_BYTES = 64 * 1024 };

/* ---- POST /v1/songs ---------------------------------------------------------------------------------------------- */

/* The caller's note; false: answered. */
static bool read_note(call *c, json_t **note) {
  *note = json_object_get(c->body, "note");
  if (!*note || json_is_null(*note)) {
    *note = NULL;
    return true;
  }
  char *text = json_is_object(*note) ? json_dumps(*note, JSON_COMPACT) : NULL;
  bool ok = text && strlen(text) <= NOTE_BYTES;
  free(text);
  if (!ok) refuse(c, 400, NULL, "note", "note: an object of at most %d bytes", NOTE_BYTES);
  return ok;
}

/* One a session may wait. False: answered. */
static bool may_wait_behind(call *c) {
  ace_error err;
  json_t *list = jobs_list(service_jobs(c->service),
                           &(jobs_filter){.session = c->session, .kind = "generate", .unfinished = true}, &err),
         *job;
  if (!list) {
    refuse_error(c, NULL, NULL, &err);
    return false;
  }
  bool waits = false;
  size_t i;
  json_array_foreach(list, i, job) waits = waits || strcmp(json_text(job, "class"), "background") == 0;
  json_decref(list);
  if (waits) refuse(c, 409, "background", NULL, "a batch is being made in the background already");
  return !waits;
}

static void post_songs(call *c) {
  studio_song s;
  json_t *note;
  bool background = json_is_true(json_object_get(c->body, "background"));
  if (!read_note(c, &note) || (background && !may_wait_behind(c)) || !studio_song_read(c, &s)) return;
  ace_error err;
  if (background) {
    s.request->use_random_seed = true;
    if (req_set_string(&s.request->audio_codes, "", &err) != ACE_OK) refuse_error(c, NULL, NULL, &err);
  }
  json_t *task = !http_answered(c->http) && studio_song_fit(c, &s) ? studio_song_task(c, &s) : NULL;
  if (task) {
    json_t *told = studio_request(task), *prediction = service_predict(c->service, s.request, s.slot);
    double seconds = json_number_value(json_object_get(prediction, "seconds"));
    json_t *extra = json_pack("{s:o, s:O, s:o}", "request", told, "warnings", s.warnings, "prediction", prediction);
    studio_submit(c,
                  &(job_new){.kind = "generate",
                             .class = background ? JOB_BACKGROUND : JOB_FOREGROUND,
                             .history = true,
                             .estimate = seconds,
                             .note = note},
                  task, extra);
  }
  studio_song_free(&s);
}

static void post_predict(call *c) {
  studio_song s;
  if (!studio_song_read(c, &s)) return;
  if (studio_song_fit(c, &s)) {
    json_t *prediction = service_predict(c->service, s.request, s.slot);
    json_object_set(prediction, "warnings", s.warnings);
    reply_data(c, prediction);
  }
  studio_song_free(&s);
}

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

/* A language model is there, or will be; false: answered. */
static bool has_lm(call *c) {
  service_state now;
  service_look(c->service, &now);
  if (now.lm_loaded || now.lm_allowed) return true;
  refuse(c, 409, "lm_missing", NULL, "this needs the language model; switch it on in the settings");
  return false;
}

/* A task with the body's parameters; `text` is copied from the body too. NULL: answered. */
static json_t *words_task(call *c, const char *text) {
  studio_song s;
  if (!has_lm(c) || !studio_song_read(c, &s)) return NULL;
  json_t *task = json_pack("{s:o, s:s}", "request", req_json(s.request), text, json_text(c->body, text));
  studio_song_free(&s);
  if (!task) refuse(c, 500, NULL, NULL, "out of memory");
  return task;
}

static void post_words(call *c, const char *kind, const char *text) {
  json_t *task = words_task(c, text);
  if (task) studio_submit(c, &(job_new){.kind = kind}, task, NULL);
}

static void post_create_words(call *c) {
  post_words(c, "create", "query");
}

static void post_format_words(call *c) {
  post_words(c, "format", "query");
}

static void post_understand(call *c) {
  if (*json_text(c->body, "audio_codes")) post_words(c, "understand", "audio_codes");
  else refuse(c, 400, NULL, "audio_codes", "audio_codes: there are none");
}

/* The body's src_audio as a path; NULL: answered. */
static char *source_of(call *c) {
  const char *name = json_text(c->body, "src_audio");
  if (*name) return studio_recording(c, "src_audio", name);
  refuse(c, 400, "need_source", "src_audio", "src_audio: a recording is needed");
  return NULL;
}

static void post_codes(call *c) {
  char *path = source_of(c);
  if (!path) return;
  json_t *task = json_pack("{s:s, s:{s:s}}", "src_audio", path, "named", "src_audio", json_text(c->body, "src_audio"));
  studio_submit(c, &(job_new){.kind = "codes"}, task, NULL);
  free(path);
}

static void post_analyze(call *c) {
  studio_song s;
  ace_error err;
  char *path = source_of(c);
  if (!path || !studio_song_read(c, &s)) {
    free(path);
    return;
  }
  json_t *task = NULL;
  if (req_set_string(&s.request->src_audio, path, &err) == ACE_OK)
    task = task_generate(&(task_song){.request = s.request, .slot = s.slot, .lm = "want", .only = "analysis"}, &err);
  if (task) {
    json_object_set_new(task, "named", json_pack("{s:s}", "src_audio", json_text(c->body, "src_audio")));
    studio_submit(c, &(job_new){.kind = "analyze"}, task, NULL);
  } else {
    refuse_error(c, NULL, NULL, &err);
  }
  studio_song_free(&s);
  free(path);
}

/* Once more at a finished sample. */
static void look_again(call *c, const char *kind) {
  char number[VALUE_SIZE];
  const json_t *item = json_object_get(c->body, "item");
  const char *text = item ? value_as_text(item, number) : "0";
  json_t *job = studio_job(c, json_text(c->body, "job"));
  const json_t *sample = job ? studio_sample(c, job, text ? text : "") : NULL;
  if (sample) {
    double sensitivity = value_number(json_object_get(c->body, "sensitivity"), 0);
    json_t *task = json_pack("{s:s, s:O, s:f}", "job", json_text(job, "id"), "item", json_object_get(sample, "item"),
                             "sensitivity", sensitivity < 0 || sensitivity > 1 ? 0 : sensitivity);
    studio_submit(c, &(job_new){.kind = kind}, task, NULL);
  }
  json_decref(job);
}

static void post_score(call *c) {
  look_again(c, "score");
}

static void post_lrc(call *c) {
  look_again(c, "lrc");
}

const route routes_songs[] = {
    {"POST", "/v1/songs", AUTH_SESSION, BODY_TYPED, false, post_songs, "Submit songs",
     "request:Song slot?:int note?:object score?:bool lrc?:bool sensitivity?:number background?:bool",
     "id position:int batch:any request:object prediction?:any warnings:[object]"},
    {"POST", "/v1/predict", AUTH_SESSION, BODY_TYPED, false, post_predict,
     "Time and memory of songs before they are made", "request:Song slot?:int",
     "seconds:any low:any high:any wait_seconds:number runs:int memory:any warnings:[object]"},
    {"POST", "/v1/create", AUTH_SESSION, BODY_TYPED, false, post_create_words,
     "A whole song's words out of a few, as a job", "query request?:object", ":Queued"},
    {"POST", "/v1/format", AUTH_SESSION, BODY_TYPED, false, post_format_words,
     "Caption and lyrics in better words, as a job", "request:object", ":Queued"},
    {"POST", "/v1/understand", AUTH_SESSION, BODY_TYPED, false, post_understand,
     "What a song of these codes is about, as a job", "audio_codes? request?:object src_audio?", ":Queued"},
    {"POST", "/v1/codes", AUTH_SESSION, BODY_TYPED, false, post_codes, "A recording as codes, as a job", "src_audio",
     ":Queued"},
    {"POST", "/v1/analyze", AUTH_SESSION, BODY_TYPED, false, post_analyze,
     "Codes of a recording and what it is about, as a job", "src_audio request?:object", ":Queued"},
    {"POST", "/v1/score", AUTH_SESSION, BODY_TYPED, false, post_score, "Scores of a sample, as a job",
     "job item?:int sensitivity?:number", ":Queued"},
    {"POST", "/v1/lrc", AUTH_SESSION, BODY_TYPED, false, post_lrc, "Timestamps of the lyrics of a sample, as a job",
     "job item?:int", ":Queued"},
    {0},
};
