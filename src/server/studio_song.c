#include "server/studio_song.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "request/params.h"
#include "request/text.h"
#include "server/song_params.h"
#include "server/studio_job.h"
#include "service/recordings.h"

/* ---- recordings -------------------------------------------------------------------------------------------------- */

/* "JOB/ITEM" of this session. */
static char *sample_path(call *c, const char *field, const char *name) {
  char id[JOBS_ID];
  const char *slash = strchr(name, '/');
  size_t n = slash ? (size_t)(slash - name) : 0;
  if (n != JOBS_ID - 1) {
    refuse(c, 400, NULL, field, "%s: \"sample:JOB/ITEM\" is meant", field);
    return NULL;
  }
  snprintf(id, sizeof id, "%.*s", (int)n, name);
  json_t *job = studio_job(c, id), *sample = job ? studio_sample(c, job, slash + 1) : NULL;
  char *folder = sample ? jobs_folder(service_jobs(c->service), id) : NULL;
  char *path = folder ? file_join(folder, json_text(sample, "file")) : NULL;
  if (sample && !path) refuse(c, 500, NULL, NULL, "out of memory");
  json_decref(job);
  free(folder);
  return path;
}

char *studio_recording(call *c, const char *field, const char *name) {
  static const char upload[] = "upload:", sample[] = "sample:";
  if (string_begins(name, sample)) return sample_path(c, field, name + sizeof sample - 1);
  if (!string_begins(name, upload)) return song_path(c, name);
  ace_error err;
  char *path = recording_path(c->service, c->session, name + sizeof upload - 1, &err);
  if (!path) refuse_error(c, "no_upload", field, &err);
  return path;
}

static bool is_recording(const char *field) {
  return strcmp(field, "src_audio") == 0 || strcmp(field, "reference_audio") == 0;
}

static bool set_recording(call *c, studio_song *s, const char *field, const json_t *value) {
  const char *name = json_string_value(value);
  ace_error err;
  if (json_is_null(value) || (name && !*name)) return true;
  char *path = name ? studio_recording(c, field, name) : NULL;
  if (!name) refuse(c, 400, NULL, field, "%s: a text is needed", field);
  if (!path) return false;
  char **place = strcmp(field, "src_audio") == 0 ? &s->request->src_audio : &s->request->reference_audio;
  bool ok = req_set_string(place, path, &err) == ACE_OK;
  free(path);
  if (ok) json_object_set(s->named, field, (json_t *)value);
  else refuse_error(c, NULL, field, &err);
  return ok;
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

/* One at a time, so that a refusal can name it. */
static bool set_one(call *c, ace_request *r, const char *field, json_t *value) {
  ace_error err;
  json_t *one = json_pack("{s:O}", field, value);
  char *text = one ? json_dumps(one, JSON_COMPACT) : NULL;
  if (!text) ace_fail(&err, ACE_ENOMEM, "out of memory");
  bool ok = text && ace_request_set_json(r, text, strlen(text), &err) == ACE_OK;
  if (!ok) refuse_error(c, NULL, field, &err);
  free(text);
  json_decref(one);
  return ok;
}

static bool set_all(call *c, studio_song *s, json_t *request) {
  const char *field;
  json_t *value;
  json_object_foreach(request, field, value) {
    if (strcmp(field, "result") == 0) continue; /* of a saved song */
    if (is_recording(field) ? !set_recording(c, s, field, value) : !set_one(c, s->request, field, value)) return false;
  }
  return true;
}

static bool read_slot(call *c, int *slot) {
  const json_t *asked = json_object_get(c->body, "slot");
  service_state now;
  service_look(c->service, &now);
  *slot = asked && !json_is_null(asked) ? (int)json_integer_value(asked) : 1;
  if (*slot >= 1 && *slot <= SERVICE_SLOTS && *now.slot[*slot - 1].name) return true;
  refuse(c, 400, NULL, "slot", "slot: there is no model in it");
  return false;
}

bool studio_song_read(call *c, studio_song *out) {
  json_t *request = json_object_get(c->body, "request");
  *out = (studio_song){.request = ace_request_new(ACE_PROFILE_PAGE), .named = json_object(), .warnings = json_array()};
  bool ok = out->request && out->named && out->warnings;
  if (!ok) {
    refuse(c, 500, NULL, NULL, "out of memory");
  } else if (request && !json_is_object(request)) {
    refuse(c, 400, NULL, "request", "request: an object is needed");
    ok = false;
  }
  ok = ok && read_slot(c, &out->slot) && set_all(c, out, request);
  if (!ok) studio_song_free(out);
  return ok;
}

void studio_song_free(studio_song *s) {
  ace_request_free(s->request);
  json_decref(s->named), json_decref(s->warnings);
  *s = (studio_song){0};
}

/* ---- this machine ------------------------------------------------------------------------------------------------ */

static void warn(studio_song *s, const char *kind, const char *field, json_t *asked, json_t *used) {
  json_array_append_new(s->warnings,
                        json_pack("{s:s, s:s, s:o, s:o}", "kind", kind, "field", field, "asked", asked, "used", used));
}

static void clamp(studio_song *s, const service_state *now) {
  ace_request *r = s->request;
  if (r->duration > now->seconds) {
    warn(s, "clamp_duration", "duration", json_real(r->duration), json_integer(now->seconds));
    r->duration = now->seconds;
  }
  if (r->batch_size > now->batch) {
    warn(s, "clamp_batch", "batch_size", json_integer(r->batch_size), json_integer(now->batch));
    r->batch_size = now->batch;
  }
  if (r->thinking == REQ_ON && !now->lm_loaded && !now->lm_allowed) {
    warn(s, "think_off", "thinking", json_true(), json_false());
    r->thinking = REQ_OFF;
  }
}

static void advise(void *user, const char *line) {
  json_array_append_new(user, json_pack("{s:s, s:s}", "kind", "advice", "text", line));
}

/* "bpm: ..." names a field. */
static const req_param *field_of(const char *message) {
  char name[64];
  size_t n = strcspn(message, ": ");
  if (n >= sizeof name) return NULL;
  memcpy(name, message, n);
  name[n] = 0;
  return req_param_find(name);
}

bool studio_song_fit(call *c, studio_song *s) {
  service_state now;
  ace_error err;
  service_look(c->service, &now);
  clamp(s, &now);
  req_model family = service_family(c->service, s->slot);
  ace_status status = ace_request_validate(s->request, &err);
  if (status == ACE_OK && family) status = req_check_model(s->request, family, &err);
  if (status == ACE_OK) {
    req_advise(s->request, family, advise, s->warnings);
    return true;
  }
  const req_param *p = field_of(err.message);
  refuse_error(c, strstr(err.message, "source audio") ? "need_source" : NULL, p ? p->name : NULL, &err);
  return false;
}

/* Whether the language model is needed, wanted or left alone. */
static const char *lm_of(const ace_request *r) {
  bool edit = r->flow_edit_morph && req_task_edits(r->task_type);
  bool planned =
      r->task_type == REQ_TASK_TEXT2MUSIC || r->task_type == REQ_TASK_LEGO || r->task_type == REQ_TASK_COMPLETE;
  if (!planned || edit) return "no";
  if (r->thinking == REQ_ON) return "need";
  return r->thinking == REQ_AUTO || r->use_cot_metas || r->use_cot_caption || r->use_cot_language ? "want" : "no";
}

json_t *studio_song_task(call *c, const studio_song *s) {
  ace_error err;
  task_song t = {.request = s->request,
                 .slot = s->slot,
                 .lm = lm_of(s->request),
                 .score = json_is_true(json_object_get(c->body, "score")),
                 .lrc = json_is_true(json_object_get(c->body, "lrc"))};
  json_t *task = task_generate(&t, &err);
  if (!task) {
    refuse_error(c, NULL, NULL, &err);
    return NULL;
  }
  json_object_set(task, "named", s->named);
  const json_t *sensitivity = json_object_get(c->body, "sensitivity");
  if (json_is_number(sensitivity)) json_object_set(task, "sensitivity", (json_t *)sensitivity);
  return task;
}
