/* api_shared.c - share links: batches of a session that others may hear. The token is all that is asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "server/media.h"
#include "server/route.h"
#include "server/studio_job.h"

/* ---- the owner's side -------------------------------------------------------------------------------------------- */

/* It is a batch of this session; false: answered. */
static bool is_own(call *c) {
  json_t *job = studio_job(c, c->part[0]);
  bool own = job && strcmp(json_text(job, "session"), c->session) == 0;
  if (job && !own) refuse(c, 404, NULL, NULL, "job %.64s: there is none", c->part[0]);
  json_decref(job);
  return own;
}

static void post_share(call *c) {
  char token[JOBS_SHARE];
  ace_error err;
  if (!is_own(c)) return;
  if (jobs_share(service_jobs(c->service), c->part[0], token, &err) == ACE_OK)
    reply_data(c, json_pack("{s:s}", "token", token));
  else refuse_error(c, NULL, NULL, &err);
}

static void delete_share(call *c) {
  ace_error err;
  if (!is_own(c)) return;
  if (jobs_unshare(service_jobs(c->service), c->part[0], &err) == ACE_OK)
    reply_data(c, json_pack("{s:s}", "id", c->part[0]));
  else refuse_error(c, NULL, NULL, &err);
}

/* ---- the visitor's side ------------------------------------------------------------------------------------------ */

static void refuse_link(call *c) {
  refuse(c, 404, "no_share", NULL, "there is nothing under this link");
}

/* The job of the token in the path; NULL: answered. */
static json_t *shared_job(call *c) {
  ace_error err;
  json_t *job = jobs_shared(service_jobs(c->service), c->part[0], &err);
  if (!job && err.status == ACE_ENOTFOUND) refuse_link(c);
  else if (!job) refuse_error(c, NULL, NULL, &err);
  return job;
}

/* The fields of an object that are told, by name; a new reference. */
static json_t *chosen(const json_t *from, const char *const *names) {
  json_t *out = json_object();
  for (; *names; names++) {
    json_t *value = json_object_get(from, *names);
    if (value && !json_is_null(value)) json_object_set(out, *names, value);
  }
  return out;
}

/* What was sung: nothing of paths, models or the form. */
static json_t *parameters_of(const json_t *job) {
  static const char *const told[] = {"caption",           "lyrics",     "bpm",     "keyscale",     "timesignature",
                                     "cot_caption",       "cot_lyrics", "cot_bpm", "cot_keyscale", "vocal_language",
                                     "cot_timesignature", NULL};
  const json_t *run = json_object_get(json_object_get(job, "result"), "request");
  return chosen(run ? run : json_object_get(json_object_get(job, "request"), "request"), told);
}

static json_t *samples_of(const json_t *job) {
  static const char *const told[] = {"title", "duration", "format", "seed", "lrc", NULL};
  json_t *list = json_array(), *sample;
  size_t i;
  json_array_foreach(json_object_get(job, "samples"), i, sample) json_array_append_new(
      list, json_pack("{s:O, s:O, s:o}", "item", json_object_get(sample, "item"), "file",
                      json_object_get(sample, "file"), "about", chosen(json_object_get(sample, "about"), told)));
  return list;
}

static void get_shared(call *c) {
  json_t *job = shared_job(c);
  if (!job) return;
  http_set(c->http, "Cache-Control", "private, no-store");
  reply_data(c,
             json_pack("{s:s, s:O, s:o, s:o}", "title", json_text(json_object_get(job, "note"), "title"), "finished",
                       json_object_get(job, "finished"), "parameters", parameters_of(job), "samples", samples_of(job)));
  json_decref(job);
}

/* Sound, peaks and timestamps of its samples, and no other name. */
static bool is_told_file(const json_t *job, const char *name) {
  static const char *const endings[] = {"peaks", "lrc", "vtt"};
  const json_t *sample;
  size_t i;
  json_array_foreach(json_object_get(job, "samples"), i, sample) {
    char beside[64];
    if (strcmp(json_text(sample, "file"), name) == 0) return true;
    for (size_t e = 0; e < sizeof endings / sizeof *endings; e++) {
      long long n = json_integer_value(json_object_get(sample, "item")) + 1;
      snprintf(beside, sizeof beside, "%lld.%s", n, endings[e]);
      if (strcmp(beside, name) == 0) return true;
    }
  }
  return false;
}

static void get_shared_file(call *c) {
  json_t *job = shared_job(c);
  if (!job) return;
  char *folder = jobs_folder(service_jobs(c->service), json_text(job, "id"));
  char *path = folder && is_told_file(job, c->part[1]) ? file_join(folder, c->part[1]) : NULL;
  if (path) media_send(c, path, c->part[1], http_query(c->http, "download"));
  else refuse_link(c);
  free(folder), free(path);
  json_decref(job);
}

const route routes_shared[] = {
    {"POST", "/v1/jobs/*/share", AUTH_SESSION, BODY_ANY, false, post_share,
     "Make the link by which others hear a batch, or tell it again", NULL, "token"},
    {"DELETE", "/v1/jobs/*/share", AUTH_SESSION, BODY_NONE, false, delete_share, "End it", NULL, "id"},
    {"GET", "/v1/shared/*", AUTH_NONE, BODY_NONE, false, get_shared,
     "A batch that was shared, for whoever has the link", NULL,
     "title finished:int parameters:object samples:[SharedSample]"},
    {"GET", "/v1/shared/*/files/*", AUTH_NONE, BODY_NONE, false, get_shared_file,
     "One of its files: sound, peaks, timestamps", "download?", "application/octet-stream"},
    {0},
};
