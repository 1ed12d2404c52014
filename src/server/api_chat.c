/* api_chat.c - POST /v1/chat/completions, in the form of OpenAI and of model routers: the answer is a song. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "request/text.h"
#include "server/chat_request.h"
#include "server/route.h"
#include "server/song_params.h"

enum { SONG_LIMIT = 256 << 20, SONG_SECONDS = 600, BEAT_SECONDS = 2 };

/* What a completion needs until it is answered; owned by the call or by the stream. */
typedef struct chat {
  server *server;
  service *service;
  http *http;
  char id[JOBS_ID], completion[32], format[16];
  char *model;
  time_t created, deadline, beat;
  int part; /* of the stream: what is sent next */
  json_t *job;
  char *text; /* being sent */
  size_t length, sent;
} chat;

static void chat_free(void *what) {
  chat *k = what;
  json_decref(k->job);
  free(k->model), free(k->text);
  free(k);
}

/* ---- what is said ------------------------------------------------------------------------------------------------ */

/* "**BPM:** 90", unless nothing is known. */
static void add_line(req_text *out, const char *label, const json_t *v, const char *unit) {
  char room[VALUE_SIZE];
  const char *text = v ? value_as_text(v, room) : NULL;
  if (!text || req_is_blank(text) || (json_is_number(v) && json_number_value(v) <= 0)) return;
  req_text_addf(out, "%s**%s:** %s%s", out->size ? "\n" : "## Metadata\n", label, text, unit);
}

/* Metadata and lyrics as Markdown; free() it. */
static char *spoken(const json_t *job) {
  const json_t *r = json_object_get(json_object_get(job, "result"), "request");
  const char *lyrics = json_text(r, "lyrics");
  req_text out = {0};
  add_line(&out, "Caption", json_object_get(r, "caption"), "");
  add_line(&out, "BPM", json_object_get(r, "bpm"), "");
  add_line(&out, "Duration", json_object_get(r, "duration"), "s");
  add_line(&out, "Key", json_object_get(r, "keyscale"), "");
  add_line(&out, "Time Signature", json_object_get(r, "timesignature"), "");
  bool sung = !req_is_blank(lyrics) && strcmp(lyrics, "[inst]") != 0 && strcmp(lyrics, "[Instrumental]") != 0;
  if (sung) req_text_addf(&out, "%s## Lyrics\n%s", out.size ? "\n\n" : "", lyrics);
  if (!out.size) req_text_add(&out, "Music generated successfully.");
  return req_text_take(&out);
}

static const char *mime_of(const char *format) {
  static const char *const types[][2] = {{"wav", "audio/wav"}, {"wav32", "audio/wav"}, {"flac", "audio/flac"},
                                         {"ogg", "audio/ogg"}, {"m4a", "audio/mp4"},   {"aac", "audio/aac"}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i][0], format) == 0) return types[i][1];
  return "audio/mpeg";
}

/* [{"type": "audio_url", ...}] with the first song; null when there is none. */
static json_t *sound_of(const chat *k, const json_t *job) {
  const json_t *sample = json_array_get(json_object_get(job, "samples"), 0);
  char *folder = jobs_folder(service_jobs(k->service), json_text(job, "id"));
  char *path = sample && folder ? file_join(folder, json_text(sample, "file")) : NULL;
  size_t n;
  char *bytes = path ? file_read(path, SONG_LIMIT, &n, NULL) : NULL;
  char *data = bytes ? chat_encode((const uint8_t *)bytes, n) : NULL;
  req_text url = {0};
  if (data) req_text_addf(&url, "data:%s;base64,", mime_of(k->format));
  if (data) req_text_add(&url, data);
  char *whole = data ? req_text_take(&url) : NULL;
  json_t *list = whole ? json_pack("[{s:s, s:{s:s}}]", "type", "audio_url", "audio_url", "url", whole) : json_null();
  free(folder), free(path), free(bytes), free(data), free(whole);
  return list;
}

/* ---- in one piece ------------------------------------------------------------------------------------------------ */

static void answer_whole(call *c, const chat *k, const json_t *job) {
  char *content = spoken(job);
  json_t *message = json_pack("{s:s, s:s, s:o, s:n}", "role", "assistant", "content", content ? content : "", "audio",
                              sound_of(k, job), "audio_codes");
  free(content);
  http_json(c->http, 200,
            json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:o, s:s}], s:{s:i, s:i, s:i}}", "id", k->completion, "object",
                      "chat.completion", "created", (json_int_t)k->created, "model", k->model, "choices", "index", 0,
                      "message", message, "finish_reason", "stop", "usage", "prompt_tokens", 0, "completion_tokens", 0,
                      "total_tokens", 0));
}

static void wait_and_answer(call *c, chat *k) {
  ace_error err = {0};
  while (!k->job && time(NULL) < k->deadline && !http_closing(k->http)) {
    json_t *job = jobs_wait(service_jobs(k->service), k->id, 0.5, &err);
    if (!job) break;
    if (route_ended(job)) k->job = job;
    else json_decref(job);
  }
  const char *why = k->job ? route_failure(k->job) : NULL;
  if (!k->job && err.status != ACE_OK) reply_failure(c, &err);
  else if (!k->job) reply_detail(c, 504, "Generation timeout");
  else if (why) reply_detail(c, 500, "%s", why);
  else answer_whole(c, k, k->job);
}

/* ---- as a stream ------------------------------------------------------------------------------------------------- */

enum { ROLE, WAITING, WORDS, SOUND, STOP, DONE, OVER };

/* One event; takes the delta. */
static char *chunk(const chat *k, json_t *delta, const char *finish) {
  json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:o, s:o}]}", "id", k->completion, "object",
                        "chat.completion.chunk", "created", (json_int_t)k->created, "model", k->model, "choices",
                        "index", 0, "delta", delta, "finish_reason", finish ? json_string(finish) : json_null());
  char *json = json_dumps(o, JSON_COMPACT);
  req_text out = {0};
  req_text_add(&out, "data: ");
  req_text_add(&out, json ? json : "{}");
  req_text_add(&out, "\n\n");
  free(json);
  json_decref(o);
  return req_text_take(&out);
}

static char *said(const chat *k) {
  const char *why = route_failure(k->job);
  char *words = why ? NULL : spoken(k->job);
  req_text text = {0};
  req_text_addf(&text, why ? "\n\nError: %s" : "\n\n%s", why ? why : words ? words : "");
  char *content = req_text_take(&text),
       *said_so = chunk(k, json_pack("{s:s}", "content", content ? content : ""), NULL);
  free(words), free(content);
  return said_so;
}

/* The next event, when its time has come; NULL: not yet. */
static char *next_event(chat *k) {
  bool failed = k->job && route_failure(k->job);
  switch (k->part) {
    case ROLE: k->part = WAITING; return chunk(k, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL);
    case WAITING: {
      json_t *job = jobs_wait(service_jobs(k->service), k->id, 0.25, NULL);
      if (job && route_ended(job)) {
        k->job = job;
        k->part = WORDS;
        return NULL;
      }
      bool lost = !job;
      json_decref(job);
      if (lost) k->part = DONE;
      if (lost || time(NULL) < k->beat) return NULL;
      k->beat = time(NULL) + BEAT_SECONDS;
      return chunk(k, json_pack("{s:s}", "content", "."), NULL);
    }
    case WORDS: k->part = failed ? STOP : SOUND; return said(k);
    case SOUND: k->part = STOP; return chunk(k, json_pack("{s:o}", "audio", sound_of(k, k->job)), NULL);
    case STOP: k->part = DONE; return chunk(k, json_object(), failed ? "error" : "stop");
    case DONE: k->part = OVER; return strdup("data: [DONE]\n\n");
    default: return NULL;
  }
}

static size_t next(void *source, char *out, size_t room) {
  chat *k = source;
  while (k->sent >= k->length) {
    if (k->part == OVER || http_closing(k->http)) return 0;
    free(k->text);
    k->text = next_event(k);
    k->length = k->text ? strlen(k->text) : 0;
    k->sent = 0;
  }
  size_t n = k->length - k->sent < room ? k->length - k->sent : room;
  memcpy(out, k->text + k->sent, n);
  k->sent += n;
  return n;
}

/* ---- the route --------------------------------------------------------------------------------------------------- */

/* The job is in the queue, its number in k; false: answered. */
static bool submit(call *c, json_t *song, chat *k) {
  json_t *chat_body = c->body;
  c->body = song;
  json_t *task = song_task(c);
  c->body = chat_body;
  json_t *uploads = json_object_get(song, "uploads"), *path;
  size_t i;
  ace_error err = {0};
  ace_status status = task ? ACE_OK : ACE_EINVAL;
  if (task) {
    json_array_extend(json_object_get(task, "uploads"), uploads);
    job_new j = {.session = c->session, .kind = "generate", .request = task};
    status = jobs_submit(service_jobs(c->service), &j, k->id, NULL, &err);
    if (status == ACE_EBUSY) reply_busy(c);
    else if (status != ACE_OK) reply_failure(c, &err);
  }
  if (status != ACE_OK) {
    json_array_foreach(uploads, i, path) unlink(json_string_value(path));
  }
  json_decref(task);
  return status == ACE_OK;
}

static chat *chat_new(call *c, const json_t *song) {
  chat *k = calloc(1, sizeof *k);
  uint64_t random = 0;
  if (!k) return NULL;
  *k = (chat){.server = c->server, .service = c->service, .http = http_of(c->http), .created = time(NULL)};
  int seconds = server_settings(c->server)->chat_seconds;
  k->deadline = k->created + (seconds > 0 ? seconds : SONG_SECONDS);
  k->beat = k->created + BEAT_SECONDS;
  k->model = strdup(value_text(json_object_get(c->body, "model"), "acestep"));
  bool known = random_bytes(&random, sizeof random);
  snprintf(k->completion, sizeof k->completion, "chatcmpl-%016llx", (unsigned long long)random);
  snprintf(k->format, sizeof k->format, "%s", value_text(json_object_get(song, "audio_format"), "mp3"));
  if (k->model && known) return k;
  chat_free(k);
  return NULL;
}

static void post_chat(call *c) {
  json_t *song = chat_song(c);
  if (!song) return;
  chat *k = chat_new(c, song);
  bool streamed = value_bool(json_object_get(c->body, "stream"), false), in = false;
  if (!k) reply_detail(c, 503, "out of memory");
  else in = submit(c, song, k);
  json_decref(song);
  if (in && streamed) {
    http_set(c->http, "Cache-Control", "no-store");
    http_stream(c->http, 200, "text/event-stream", next, k, chat_free);
    return;
  }
  if (in) wait_and_answer(c, k);
  if (k) chat_free(k);
}

const route routes_chat[] = {
    {"POST", "/v1/chat/completions", AUTH_HEADER, BODY_CHAT, false, post_chat,
     "A song as a chat completion, whole or as a stream",
     "model? messages:[object] stream?:bool audio_config?:object lyrics? modalities?:[text]",
     "=id object created:int model choices:[object] usage?:object"},
    {0},
};
