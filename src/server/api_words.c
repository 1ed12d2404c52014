/* api_words.c - words for songs: better ones, a song out of a few (both by the language model), bundled examples. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "request/text.h"
#include "server/route.h"
#include "server/song_params.h"
#include "service/examples.h"

/* A new request that samples as the body says; NULL: answered. */
static ace_request *asking(call *c) {
  ace_request *r = ace_request_new(ACE_PROFILE_REST);
  double temperature = value_number(json_object_get(c->body, "temperature"), 0.85);
  if (r) r->lm_temperature = temperature < 0 ? 0 : temperature > 2 ? 2 : temperature;
  else reply_detail(c, 500, "out of memory");
  return r;
}

static bool put(call *c, ace_request *r, const char *param, const json_t *v) {
  char room[VALUE_SIZE];
  ace_error err;
  const char *text = v ? value_as_text(v, room) : NULL;
  if (!text || ace_request_set(r, param, text, &err) == ACE_OK) return true;
  reply_detail(c, 400, "%s", err.message);
  return false;
}

/* The job's answer, a new reference; `what` begins the message of a failure. NULL: answered. Takes task. */
static json_t *answer_of(call *c, const char *kind, json_t *task, const char *what) {
  json_t *job = route_run(c, kind, task), *answer = NULL;
  json_decref(task);
  if (!job) return NULL;
  const char *why = route_failure(job);
  if (!why) answer = json_incref(json_object_get(job, "result"));
  else if (strstr(why, "LLM not initialized"))
    reply_detail(c, 503, "LLM not initialized. Set ACESTEP_INIT_LLM=true in .env to enable.");
  else if (strstr(why, "language model")) reply_detail(c, 500, "LLM init failed: %s", why);
  else reply_error(c, 500, "%s: %s", what, why);
  json_decref(job);
  return answer;
}

static json_t *task_of(const ace_request *r, const char *query) {
  return json_pack("{s:o, s:s}", "request", req_json(r), "query", query);
}

/* A whole number without its point. */
static json_t *plain_number(const json_t *v) {
  double x = json_number_value(v);
  return json_is_number(v) ? x == floor(x) ? json_integer((json_int_t)x) : json_real(x) : json_null();
}

static json_t *text_or(const json_t *v, const char *fallback) {
  const char *s = value_text(v, fallback);
  return s ? json_string(s) : json_null();
}

/* ---- POST /format_input ------------------------------------------------------------------------------------------ */

static bool take_hints(call *c, const song_sources *s, ace_request *r) {
  const json_t *o = s->object[1];
  const json_t *key = json_object_get(o, "key"), *meter = json_object_get(o, "time_signature");
  double bpm = value_number(json_object_get(o, "bpm"), 0), duration = value_number(json_object_get(o, "duration"), 0);
  if (bpm >= 30 && bpm <= 300) r->bpm = (int)bpm;
  if (duration >= 10 && duration <= REQ_LONGEST) r->duration = duration;
  if (!value_text(key, NULL)) key = json_object_get(o, "key_scale");
  if (!value_text(meter, NULL)) meter = json_object_get(c->body, "time_signature");
  return put(c, r, "keyscale", key) && put(c, r, "timesignature", meter) &&
         put(c, r, "vocal_language", json_object_get(o, "language"));
}

static void post_format(call *c) {
  song_sources s = song_sources_of(c->body);
  ace_request *r = asking(c);
  json_t *found = NULL;
  if (r && put(c, r, "caption", json_object_get(c->body, "prompt")) &&
      put(c, r, "lyrics", json_object_get(c->body, "lyrics")) && take_hints(c, &s, r))
    found = answer_of(c, "format", task_of(r, ""), "format_sample failed");
  if (found)
    reply_data(c, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "caption",
                            text_or(json_object_get(found, "caption"), r->caption), "lyrics",
                            text_or(json_object_get(found, "lyrics"), r->lyrics), "bpm",
                            plain_number(json_object_get(found, "bpm")), "key_scale",
                            text_or(json_object_get(found, "keyscale"), ""), "time_signature",
                            text_or(json_object_get(found, "timesignature"), ""), "duration",
                            plain_number(json_object_get(found, "duration")), "vocal_language",
                            text_or(json_object_get(found, "vocal_language"), "unknown")));
  json_decref(found);
  ace_request_free(r);
  song_sources_free(&s);
}

/* ---- POST /v1/create_sample -------------------------------------------------------------------------------------- */

static void post_create(call *c) {
  ace_request *r = asking(c);
  json_t *found = NULL;
  if (r) r->instrumental = value_bool(json_object_get(c->body, "instrumental"), false);
  if (r && put(c, r, "vocal_language", json_object_get(c->body, "vocal_language")))
    found =
        answer_of(c, "create", task_of(r, value_text(json_object_get(c->body, "query"), "")), "create_sample error");
  if (found)
    reply_data(
        c, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "caption", text_or(json_object_get(found, "caption"), ""),
                     "lyrics", text_or(json_object_get(found, "lyrics"), ""), "bpm",
                     plain_number(json_object_get(found, "bpm")), "keyscale",
                     text_or(json_object_get(found, "keyscale"), ""), "duration",
                     plain_number(json_object_get(found, "duration")), "timesignature",
                     text_or(json_object_get(found, "timesignature"), ""), "vocal_language",
                     text_or(json_object_get(found, "vocal_language"), "unknown")));
  json_decref(found);
  ace_request_free(r);
}

/* ---- POST /create_random_sample ---------------------------------------------------------------------------------- */

static void post_random(call *c) {
  const char *wanted = value_text(json_object_get(c->body, "sample_type"), "simple_mode");
  examples_kind kind = strcmp(wanted, "simple_mode") == 0 ? EXAMPLES_SIMPLE : EXAMPLES_CUSTOM;
  uint64_t random;
  ace_error err;
  if (!random_bytes(&random, sizeof random)) {
    reply_error(c, 500, "no random numbers");
    return;
  }
  json_t *example = examples_random(kind, random, &err);
  if (example) reply_data(c, example);
  else reply_error(c, 500, "%s", err.message);
}

const route routes_words[] = {
    {"POST", "/format_input", AUTH_BODY, BODY_LOOSE, false, post_format, "Caption and lyrics in better words",
     "prompt? lyrics? temperature?:number param_obj?:any ai_token?",
     "caption lyrics bpm:any duration:any key_scale:any time_signature:any vocal_language:any"},
    {"POST", "/format_lyrics", AUTH_BODY, BODY_LOOSE, false, post_format, "The same as /format_input",
     "prompt? lyrics? temperature?:number param_obj?:any ai_token?",
     "caption lyrics bpm:any duration:any key_scale:any time_signature:any vocal_language:any"},
    {"POST", "/v1/create_sample", AUTH_BODY, BODY_LOOSE, false, post_create, "A whole song's words out of a few",
     "query? instrumental?:bool vocal_language? temperature?:number ai_token?", ":Words"},
    {"POST", "/create_random_sample", AUTH_BODY, BODY_LOOSE, false, post_random,
     "A bundled example: no language model is needed", "sample_type? ai_token?", ":object"},
    {0},
};
