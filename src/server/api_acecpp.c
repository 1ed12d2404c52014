/* api_acecpp.c - the routes of acestep.cpp's server, for its clients: there with --compat acestep.cpp only.
 *
 * Everything is a job. Its id here is the first 16 digits of ours; what the caller sent stands in the job's note, since the
 * answer repeats it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "request/text.h"
#include "server/acecpp_body.h"
#include "server/acecpp_request.h"
#include "server/adapter_paths.h"
#include "server/media.h"
#include "service/tasks.h"

enum { ID = 17, KEPT = 1000, MOST_SONGS = 9, PART_BYTES = 1 << 30 };
static const char kept_kind[] = "acecpp";

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/* The first 16 digits, without dashes. */
static void short_id(const char *id, char out[ID]) {
  int n = 0;
  for (; *id && n < ID - 1; id++)
    if (*id != '-') out[n++] = *id;
  out[n] = 0;
}

static void remember(call *c, const char *name, const char *id) {
  jobs *q = service_jobs(c->service);
  json_t *value = json_pack("{s:s}", "job", id);
  jobs_kept oldest;
  while (jobs_keep(q, "", kept_kind, name, value, KEPT, NULL) == ACE_EBUSY &&
         jobs_oldest_kept(q, kept_kind, 0, &oldest)) {
    jobs_forget(q, oldest.session, kept_kind, oldest.name, NULL);
    free(oldest.session), free(oldest.name);
    json_decref(oldest.value);
  }
  json_decref(value);
}

/* Answers with the job's id; true: the job has what the task names. Takes task and note. */
static bool submit(call *c, const char *kind, json_t *task, json_t *note) {
  char id[JOBS_ID], name[ID];
  ace_error err;
  job_new j = {.session = c->session, .kind = kind, .request = task, .note = note};
  ace_status status = task && note ? jobs_submit(service_jobs(c->service), &j, id, NULL, &err)
                                   : ace_fail(&err, ACE_ENOMEM, "Out of memory");
  json_decref(task), json_decref(note);
  if (status == ACE_OK) {
    short_id(id, name);
    remember(c, name, id);
    http_json(c->http, 200, json_pack("{s:s}", "id", name));
  } else {
    acecpp_refuse(c, status == ACE_EBUSY ? 503 : 500, err.message);
  }
  return status == ACE_OK;
}

/* The job of the query, a new reference; NULL: answered. */
static json_t *job_of(call *c) {
  const char *id = http_query(c->http, "id");
  if (!id) {
    acecpp_refuse(c, 400, "Missing id parameter");
    return NULL;
  }
  json_t *value = jobs_recall(service_jobs(c->service), "", kept_kind, id, false, NULL);
  json_t *job = value ? jobs_get(service_jobs(c->service), json_text(value, "job"), NULL) : NULL;
  json_decref(value);
  if (!job) acecpp_refuse(c, 404, "Job not found");
  return job;
}

static const char *status_of(const json_t *job) {
  const char *state = json_text(job, "state");
  if (strcmp(state, "succeeded") == 0) return "done";
  return strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0 ? state : "running";
}

/* ---- what is needed ---------------------------------------------------------------------------------------------- */

static bool has_model(call *c, inventory_kind kind) {
  inventory all;
  bool has = false;
  if (service_inventory(c->service, &all, NULL) != ACE_OK) return false;
  for (int i = 0; i < all.n; i++) has = has || all.models[i].kind == kind;
  inventory_free(&all);
  return has;
}

/* False: answered. */
static bool needs(call *c, bool lm) {
  const char *what = !has_model(c, INVENTORY_DIFFUSION)        ? "No DiT model loaded"
                     : lm && !has_model(c, INVENTORY_LANGUAGE) ? "No LM model loaded"
                                                               : NULL;
  if (what) acecpp_refuse(c, 501, what);
  return !what;
}

static bool says_what(call *c, const ace_request *r) {
  bool may_be_silent =
      r->task_type == REQ_TASK_LEGO || r->task_type == REQ_TASK_EXTRACT || r->task_type == REQ_TASK_COMPLETE;
  if (may_be_silent || !req_is_blank(r->caption)) return true;
  acecpp_refuse(c, 400, "Caption is required");
  return false;
}

/* The slot with that model; a name that is in none is refused. 0: answered. */
static int slot_of(call *c, const char *model) {
  service_state now;
  service_look(c->service, &now);
  if (!*model) return 1;
  for (int i = 0; i < SERVICE_SLOTS; i++)
    if (*now.slot[i].name && strcmp(now.slot[i].name, model) == 0) return i + 1;
  acecpp_refuse(c, 400, "synth_model: this model is in none of the server's slots");
  return 0;
}

static json_t *task_of(call *c, const ace_request *r, int slot, const char *lm) {
  ace_error err;
  json_t *task = task_generate(&(task_song){.request = r, .slot = slot, .lm = lm}, &err);
  if (!task) acecpp_refuse(c, 500, err.message);
  return task;
}

static json_t *note_of(const char *kind, json_t *sent, const char *format) {
  return json_pack("{s:s, s:O, s:s}", "acecpp", kind, "sent", sent, "format", format);
}

/* ---- POST /lm ---------------------------------------------------------------------------------------------------- */

/* Everything is planned that the mode asks for. */
static ace_status plan_everything(ace_request *r, const json_t *sent, const acecpp_extra *x, int items,
                                  ace_error *err) {
  const json_t *caption = json_object_get(sent, "use_cot_caption");
  bool keep = json_is_false(caption) || (json_is_string(caption) && !value_says_yes(json_string_value(caption)));
  r->thinking = REQ_ON;
  r->use_cot_metas = r->use_cot_language = true;
  r->use_cot_caption = !keep;
  if (items == 1 && x->lm_seed < 0) return ACE_OK;
  return acecpp_request_seeds(r, x->lm_seed >= 0 ? x->lm_seed : (int64_t)r->seeds.value[0], items, err);
}

static void post_lm(call *c) {
  acecpp_body b = {0};
  acecpp_extra x;
  ace_error err;
  if (!needs(c, true) || !acecpp_body_read(c, NULL, &b)) {
    acecpp_body_free(&b, false);
    return;
  }
  json_t *sent = json_array_get(b.requests, 0);
  ace_request *r = acecpp_request_read(sent, &x, &err);
  int most = server_settings(c->server)->acecpp_batch, items = r ? x.lm_batch : 1;
  if (most < 1) most = 1;
  if (items > most) items = most;
  if (!r || plan_everything(r, sent, &x, items, &err) != ACE_OK) acecpp_refuse(c, 400, err.message);
  else if (says_what(c, r)) {
    json_t *task = task_of(c, r, 1, "need");
    if (task)
      json_object_set_new(task, "first",
                          json_string(strcmp(x.mode, "inspire") == 0  ? "create"
                                      : strcmp(x.mode, "format") == 0 ? "format"
                                                                      : ""));
    if (task) submit(c, "think", task, note_of("lm", sent, ""));
  }
  ace_request_free(r);
  acecpp_body_free(&b, false);
}

/* ---- POST /synth ------------------------------------------------------------------------------------------------- */

static void set_files(json_t *task, const acecpp_body *b) {
  json_t *request = json_object_get(task, "request"), *files = json_array();
  const struct {
    const char *path, *name;
    json_t *into;
  } all[] = {{b->audio, "src_audio", request},
             {b->ref_audio, "reference_audio", request},
             {b->latents, "src_latents", task},
             {b->ref_latents, "ref_latents", task}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (!all[i].path) continue;
    json_object_set_new(all[i].into, all[i].name, json_string(all[i].path));
    json_array_append_new(files, json_string(all[i].path));
  }
  json_object_set_new(task, "uploads", files);
}

/* One song of the body, or several of it with seeds one after the other; *room: how many more there may be. NULL: answered. */
static json_t *song_of(call *c, const json_t *sent, int *room, const char **format) {
  acecpp_extra x;
  ace_error err;
  ace_request *r = acecpp_request_read(sent, &x, &err);
  int n = r && x.synth_batch < *room ? x.synth_batch : *room;
  json_t *task = NULL;
  if (n > REQ_BATCH_MAX) n = REQ_BATCH_MAX;
  if (!r || acecpp_request_seeds(r, r->seeds.value[0], n, &err) != ACE_OK) {
    acecpp_refuse(c, 400, err.message);
  } else if (says_what(c, r)) {
    int slot = slot_of(c, x.model);
    task = slot ? task_of(c, r, slot, "no") : NULL;
    *format = x.format;
    *room -= n;
  }
  ace_request_free(r);
  return task;
}

static void post_synth(call *c) {
  acecpp_body b = {0};
  json_t *first = NULL, *rest = json_array(), *sent;
  const char *format = "mp3", *other;
  int room = MOST_SONGS;
  size_t i;
  bool taken = false, ok = needs(c, false) && acecpp_body_read(c, NULL, &b);
  json_array_foreach(b.requests, i, sent) {
    json_t *task = ok && room > 0 ? song_of(c, sent, &room, i ? &other : &format) : NULL;
    ok = ok && (task || room == 0);
    if (task && first) json_array_append_new(rest, task);
    else if (task) first = task;
  }
  if (ok && first) {
    set_files(first, &b);
    json_object_set_new(first, "latents", json_true());
    json_object_set(first, "rest", rest);
    taken = submit(c, "generate", json_incref(first), note_of("synth", b.requests, format));
  }
  json_decref(first), json_decref(rest);
  acecpp_body_free(&b, taken);
}

/* ---- POST /understand, /vae -------------------------------------------------------------------------------------- */

static json_t *file_task(const acecpp_body *b) {
  json_t *files = json_array();
  const char *path = b->audio ? b->audio : b->latents;
  json_array_append_new(files, json_string(path));
  return json_pack("{s:s, s:o}", b->audio ? "src_audio" : "src_latents", path, "uploads", files);
}

/* What the language model hears with; a call without settings of its own hears more soberly. */
static json_t *listening_request(call *c, const acecpp_body *b) {
  acecpp_extra x;
  ace_error err;
  json_t *own = json_array_get(b->requests, 0),
         *sober = json_pack("{s:f, s:f}", "lm_temperature", 0.3, "lm_top_p", 1.0);
  ace_request *r = acecpp_request_read(own ? own : sober, &x, &err);
  json_t *request = NULL;
  json_decref(sober);
  if (r) request = req_json(r);
  else acecpp_refuse(c, 400, err.message);
  ace_request_free(r);
  return request;
}

static void post_understand(call *c) {
  acecpp_body b = {0};
  bool taken = false;
  json_t *request = NULL;
  bool ok = needs(c, true) && acecpp_body_read(c, "Understand requires multipart/form-data", &b);
  if (ok && !b.audio && !b.latents) acecpp_refuse(c, 400, "Multipart: missing 'audio' or 'src_latents' part");
  else if (ok && (request = listening_request(c, &b))) {
    json_t *task = file_task(&b);
    json_object_set_new(task, "request", request);
    taken = submit(c, "hear", task, note_of("understand", b.requests, ""));
  }
  acecpp_body_free(&b, taken);
}

static void post_vae(call *c) {
  acecpp_body b = {0};
  acecpp_extra x = {.format = "mp3"};
  ace_error err = {0};
  bool taken = false;
  bool ok = needs(c, false) && acecpp_body_read(c, "VAE endpoint requires multipart/form-data", &b);
  ace_request *r = ok ? acecpp_request_read(json_array_get(b.requests, 0), &x, &err) : NULL;
  if (ok && !r) acecpp_refuse(c, 400, err.message);
  else if (ok && !b.audio == !b.latents)
    acecpp_refuse(c, 400, "Multipart: provide exactly one of 'audio' (encode) or 'src_latents' (decode)");
  else if (ok) {
    const char *kind = b.audio ? "encode" : "decode";
    json_t *task = file_task(&b);
    bool fine = strcmp(x.format, "wav24") == 0 || strcmp(x.format, "wav32") == 0;
    json_object_set_new(task, "audio_format", json_string(*x.format == 'm' ? "mp3" : fine ? "wav32" : "wav"));
    taken = submit(c, kind, task, note_of(kind, b.requests, x.format));
  }
  ace_request_free(r);
  acecpp_body_free(&b, taken);
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static char *job_file(call *c, const json_t *job, const char *name) {
  char *folder = jobs_folder(service_jobs(c->service), json_text(job, "id")),
       *path = folder ? file_join(folder, name) : NULL;
  free(folder);
  return path;
}

/* The sound of a sample as the caller wanted it. free() it; NULL on failure. */
static char *sound_of(call *c, const json_t *job, const json_t *sample, size_t *size) {
  bool deep = strcmp(json_text(json_object_get(job, "note"), "format"), "wav24") == 0;
  char *path = job_file(c, job, json_text(sample, "file"));
  char *data = !path ? NULL : deep ? acecpp_wav24(path, size, NULL) : file_read(path, PART_BYTES, size, NULL);
  free(path);
  return data;
}

static char *latents_of(call *c, const json_t *job, int item, size_t *size) {
  char name[32];
  snprintf(name, sizeof name, "%d.latents", item + 1);
  char *path = job_file(c, job, name), *data = path ? file_read(path, PART_BYTES, size, NULL) : NULL;
  free(path);
  return data;
}

static const char *sound_type(const json_t *sample) {
  return media_type(json_text(sample, "file"));
}

static void send_songs(call *c, const json_t *job) {
  acecpp_part part[2 * MOST_SONGS];
  char *data[2 * MOST_SONGS] = {0};
  const json_t *samples = json_object_get(job, "samples"), *sample;
  size_t i;
  int n = 0;
  bool ok = true;
  json_array_foreach((json_t *)samples, i, sample) {
    if (n + 2 > 2 * MOST_SONGS) break;
    size_t size[2];
    data[n] = sound_of(c, job, sample, &size[0]);
    data[n + 1] = latents_of(c, job, (int)json_integer_value(json_object_get(sample, "item")), &size[1]);
    part[n] = (acecpp_part){sound_type(sample), false, data[n], size[0]};
    part[n + 1] = (acecpp_part){"application/octet-stream", true, data[n + 1], size[1]};
    ok = ok && data[n] && data[n + 1];
    n += 2;
  }
  if (ok) acecpp_send_parts(c, part, n);
  else acecpp_refuse(c, 404, "Result not ready");
  for (int k = 0; k < 2 * MOST_SONGS; k++) free(data[k]);
}

static void send_plans(call *c, const json_t *job) {
  json_t *list = json_array(), *one;
  size_t i;
  json_array_foreach(json_object_get(json_object_get(job, "result"), "requests"), i, one) {
    json_array_append_new(list, acecpp_request_write(json_object_get(json_object_get(job, "note"), "sent"), one));
  }
  http_json(c->http, 200, list);
}

static void send_heard(call *c, const json_t *job) {
  const json_t *result = json_object_get(job, "result");
  json_t *found = json_deep_copy(json_object_get(result, "found"));
  json_object_set(found, "audio_codes", json_object_get(result, "audio_codes"));
  json_t *list = json_array();
  json_array_append_new(list, acecpp_request_write(NULL, found));
  char *text = json_dumps(list, JSON_COMPACT);
  size_t size = 0;
  char *latents = latents_of(c, job, 0, &size);
  const acecpp_part part[] = {{"application/json", false, text, text ? strlen(text) : 0},
                              {"application/octet-stream", true, latents, size}};
  if (text && latents) acecpp_send_parts(c, part, 2);
  else acecpp_refuse(c, 404, "Result not ready");
  free(text), free(latents);
  json_decref(list), json_decref(found);
}

static void send_plain(call *c, const json_t *job, bool sound) {
  size_t size;
  const json_t *sample = json_array_get(json_object_get(job, "samples"), 0);
  char *data = sound ? sound_of(c, job, sample, &size) : latents_of(c, job, 0, &size);
  if (data) http_bytes(c->http, 200, sound ? sound_type(sample) : "application/octet-stream", data, size);
  else acecpp_refuse(c, 404, "Result not ready");
  free(data);
}

static void send_result(call *c, const json_t *job) {
  const char *kind = json_text(json_object_get(job, "note"), "acecpp");
  if (strcmp(status_of(job), "done") != 0) acecpp_refuse(c, 404, "Result not ready");
  else if (strcmp(kind, "lm") == 0) send_plans(c, job);
  else if (strcmp(kind, "synth") == 0) send_songs(c, job);
  else if (strcmp(kind, "understand") == 0) send_heard(c, job);
  else send_plain(c, job, strcmp(kind, "decode") == 0);
}

static void send_status(call *c, const json_t *job) {
  http_json(c->http, 200, json_pack("{s:s}", "status", status_of(job)));
}

static void get_job(call *c) {
  const char *result = http_query(c->http, "result");
  json_t *job = job_of(c);
  if (job && result && strcmp(result, "1") == 0) send_result(c, job);
  else if (job) send_status(c, job);
  json_decref(job);
}

static void post_job(call *c) {
  const char *cancel = http_query(c->http, "cancel");
  json_t *job = job_of(c);
  if (!job) return;
  if (!cancel || strcmp(cancel, "1") != 0) acecpp_refuse(c, 400, "Unknown action");
  else if (route_ended(job)) send_status(c, job);
  else {
    jobs_cancel(service_jobs(c->service), json_text(job, "id"), NULL);
    http_json(c->http, 200, json_pack("{s:s}", "status", "cancelled"));
  }
  json_decref(job);
}

/* ---- GET /props -------------------------------------------------------------------------------------------------- */

static json_t *models_json(call *c) {
  static const char *const list_of[] = {
      [INVENTORY_DIFFUSION] = "dit", [INVENTORY_LANGUAGE] = "lm", [INVENTORY_AUTOENCODER] = "vae"};
  json_t *lists = json_pack("{s:[], s:[s], s:[], s:[]}", "lm", "embedding", "Qwen3-Embedding-0.6B", "dit", "vae");
  inventory all;
  if (service_inventory(c->service, &all, NULL) != ACE_OK) return lists;
  for (int i = 0; i < all.n; i++)
    json_array_append_new(json_object_get(lists, list_of[all.models[i].kind]), json_string(all.models[i].name));
  inventory_free(&all);
  return lists;
}

static json_t *adapters_json(call *c) {
  json_t *found = paths_of_adapters(c), *names = json_array(), *one;
  size_t i;
  json_array_foreach(found, i, one) json_array_append(names, json_object_get(one, "name"));
  json_decref(found);
  return names;
}

static void get_props(call *c) {
  int batch = server_settings(c->server)->acecpp_batch;
  json_t *presets = json_pack("{s:{s:i, s:f, s:f}, s:{s:i, s:f, s:f}}", "turbo", "inference_steps", 8, "guidance_scale",
                              1.0, "shift", 3.0, "sft", "inference_steps", 50, "guidance_scale", 1.0, "shift", 1.0);
  http_json(c->http, 200,
            json_pack("{s:s, s:o, s:o, s:{s:i}, s:o, s:o}", "version", ACE_VERSION, "models", models_json(c),
                      "adapters", adapters_json(c), "cli", "max_batch", batch > 0 ? batch : 1, "default",
                      acecpp_request_defaults(), "presets", presets));
}

/* ---- GET /logs --------------------------------------------------------------------------------------------------- */

enum { LOOK_MS = 500, LINE = 2048 };

typedef struct logging {
  server *server;
  http *http;
  events *events;
  uint64_t cursor;
  char session[80];
  char line[LINE];
  size_t length, sent;
} logging;

static void end_log(void *source) {
  free(source);
}

/* What happens to the caller's jobs, a line each. */
static size_t next_line(void *source, char *out, size_t room) {
  logging *l = source;
  while (l->sent == l->length) {
    event *x = events_next(l->events, &l->cursor, l->session, NULL, NULL);
    if (http_closing(l->http)) {
      event_free(x);
      return 0;
    }
    if (!x) {
      server_await_event(l->server, LOOK_MS);
      continue;
    }
    l->sent = 0;
    l->length = (size_t)snprintf(l->line, LINE, "data: [%s] %.1900s\n\n", x->name, x->data);
    event_free(x);
  }
  size_t n = l->length - l->sent < room ? l->length - l->sent : room;
  memcpy(out, l->line + l->sent, n);
  l->sent += n;
  return n;
}

static void get_logs(call *c) {
  logging *l = calloc(1, sizeof *l);
  if (!l) {
    acecpp_refuse(c, 500, "Out of memory");
    return;
  }
  l->server = c->server, l->http = http_of(c->http), l->events = jobs_events(service_jobs(c->service));
  snprintf(l->session, sizeof l->session, "%s", c->session);
  http_set(c->http, "Cache-Control", "no-store");
  http_stream(c->http, 200, "text/event-stream", next_line, l, end_log);
}

const route routes_acecpp[] = {
    {"POST", "/lm", AUTH_HEADER, BODY_RAW, true, post_lm, "Plan songs", NULL, NULL},
    {"POST", "/synth", AUTH_HEADER, BODY_RAW, true, post_synth, "Make songs", NULL, NULL},
    {"POST", "/understand", AUTH_HEADER, BODY_RAW, true, post_understand, "Words out of sound", NULL, NULL},
    {"POST", "/vae", AUTH_HEADER, BODY_RAW, true, post_vae, "Latents out of sound, and back", NULL, NULL},
    {"GET", "/job", AUTH_HEADER, BODY_NONE, false, get_job, "How far a job is, and its result", NULL, NULL},
    {"POST", "/job", AUTH_HEADER, BODY_RAW, false, post_job, "Cancel a job", NULL, NULL},
    {"GET", "/props", AUTH_HEADER, BODY_NONE, false, get_props, "Models, and what a request says without words", NULL,
     NULL},
    {"GET", "/logs", AUTH_HEADER, BODY_NONE, false, get_logs, "What happens, a line each", NULL, NULL},
    {0},
};
