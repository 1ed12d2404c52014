/* api_jobs.c - the session's jobs and its history, their files and samples. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "request/text.h"
#include "server/media.h"
#include "server/route.h"
#include "server/studio_job.h"
#include "server/zip.h"
#include "service/sample_files.h"

enum { MOST_LISTED = 200, TITLE_BYTES = 1024, LRC_BYTES = 1 << 20, TAGS_MOST = 32, TAG_BYTES = 200, UNDO_SECONDS = 60 };

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* Jobs of the session as they are told; NULL: answered. */
static json_t *list_jobs(call *c, const jobs_filter *filter) {
  ace_error err;
  json_t *list = jobs_list(service_jobs(c->service), filter, &err), *job;
  size_t i;
  if (!list) refuse_error(c, NULL, NULL, &err);
  json_array_foreach(list, i, job) studio_told(job);
  return list;
}

static void get_jobs(call *c) {
  json_t *list = list_jobs(c, &(jobs_filter){.session = c->session, .unfinished = true, .whole = true});
  if (list) reply_data(c, list);
}

/* A number of the query within lo..hi; without one the fallback. False: answered. */
static bool query_number(call *c, const char *name, long lo, long hi, long fallback, long *out) {
  const char *text = http_query(c->http, name);
  char *end;
  *out = text ? strtol(text, &end, 10) : fallback;
  if (!text || (*text && !*end && *out >= lo && *out <= hi)) return true;
  refuse(c, 400, NULL, name, "%s: a number from %ld to %ld", name, lo, hi);
  return false;
}

static void get_batches(call *c) {
  long before, limit;
  int total = 0;
  ace_error err;
  if (!query_number(c, "before", 1, 1000000000, 0, &before) || !query_number(c, "limit", 1, MOST_LISTED, 50, &limit))
    return;
  json_t *list = list_jobs(
      c, &(jobs_filter){.session = c->session, .history = true, .whole = true, .before = before, .limit = (int)limit});
  if (!list) return;
  if (jobs_history(service_jobs(c->service), c->session, &total, &err) == ACE_OK) {
    reply_data(c, json_pack("{s:o, s:i}", "batches", list, "total", total));
    return;
  }
  json_decref(list);
  refuse_error(c, NULL, NULL, &err);
}

static void get_job(call *c) {
  json_t *job = studio_job(c, c->part[0]);
  if (job) reply_data(c, studio_told(job));
}

/* ---- cancelling, removing ---------------------------------------------------------------------------------------- */

/* Does it to a job of the session, and answers. */
static void change_job(call *c, ace_status (*change)(jobs *q, const char *id, ace_error *err)) {
  ace_error err;
  json_t *job = studio_job(c, c->part[0]);
  if (!job) return;
  bool ours = *json_text(job, "session") || route_may_change(c);
  json_decref(job);
  if (!ours) return;
  if (change(service_jobs(c->service), c->part[0], &err) == ACE_OK) reply_data(c, json_pack("{s:s}", "id", c->part[0]));
  else refuse_error(c, NULL, NULL, &err);
}

static void post_cancel(call *c) {
  change_job(c, jobs_cancel);
}

static void delete_job(call *c) {
  jobs_purge(service_jobs(c->service), UNDO_SECONDS, NULL); /* those of before */
  change_job(c, jobs_hide);
}

static void post_restore(call *c) {
  ace_error err;
  if (jobs_unhide(service_jobs(c->service), c->session, c->part[0], &err) == ACE_OK) get_job(c);
  else refuse_error(c, NULL, NULL, &err);
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static bool is_short(const json_t *text, size_t most) {
  return json_is_string(text) && json_string_length(text) <= most;
}

static bool are_tags(const json_t *list) {
  size_t i;
  const json_t *tag;
  if (!json_is_array(list) || json_array_size(list) > TAGS_MOST) return false;
  json_array_foreach(list, i, tag) if (!is_short(tag, TAG_BYTES) || !json_string_length(tag)) return false;
  return true;
}

/* What the body says of the sample, as keys of its about; NULL: answered. */
static json_t *new_about(call *c) {
  json_t *title = json_object_get(c->body, "title"), *lrc = json_object_get(c->body, "lrc");
  json_t *tags = json_object_get(c->body, "tags");
  if (title && !is_short(title, TITLE_BYTES))
    return refuse(c, 400, NULL, "title", "title: a text of at most %d bytes", TITLE_BYTES), NULL;
  if (lrc && !is_short(lrc, LRC_BYTES))
    return refuse(c, 400, NULL, "lrc", "lrc: a text of at most %d bytes", LRC_BYTES), NULL;
  if (tags && !are_tags(tags))
    return refuse(c, 400, NULL, "tags", "tags: at most %d texts of 1 to %d bytes", TAGS_MOST, TAG_BYTES), NULL;
  json_t *about = json_object();
  if (title) json_object_set(about, "title", title);
  if (lrc) json_object_set(about, "lrc", lrc);
  if (tags) json_object_set(about, "tags", tags);
  return about;
}

static ace_status write_lrc(call *c, const json_t *sample, int item, ace_error *err) {
  const json_t *lrc = json_object_get(c->body, "lrc");
  if (!lrc) return ACE_OK;
  char *folder = jobs_folder(service_jobs(c->service), c->part[0]);
  double seconds = json_number_value(json_object_get(json_object_get(sample, "about"), "duration"));
  ace_status status = folder ? sample_write_lrc(folder, item, json_string_value(lrc), seconds, err)
                             : ace_fail(err, ACE_ENOMEM, "out of memory");
  free(folder);
  return status;
}

static ace_status change_sample(call *c, const json_t *sample, const json_t *about, ace_error *err) {
  jobs *q = service_jobs(c->service);
  int item = (int)json_integer_value(json_object_get(sample, "item"));
  const json_t *favourite = json_object_get(c->body, "favourite");
  ace_status status = write_lrc(c, sample, item, err);
  if (status == ACE_OK && json_object_size(about)) status = jobs_annotate(q, c->part[0], item, about, err);
  if (status == ACE_OK && json_is_boolean(favourite))
    status = jobs_favourite(q, c->part[0], item, json_is_true(favourite), err);
  return status;
}

static void answer_sample(call *c) {
  json_t *job = studio_job(c, c->part[0]);
  json_t *sample = job ? studio_sample(c, job, c->part[1]) : NULL;
  if (sample) reply_data(c, json_incref(sample));
  json_decref(job);
}

static void post_sample(call *c) {
  ace_error err;
  json_t *job = studio_job(c, c->part[0]), *sample = job ? studio_sample(c, job, c->part[1]) : NULL;
  json_t *about = sample ? new_about(c) : NULL;
  if (about) {
    if (change_sample(c, sample, about, &err) == ACE_OK) answer_sample(c);
    else refuse_error(c, NULL, NULL, &err);
  }
  json_decref(about);
  json_decref(job);
}

static void delete_sample(call *c) {
  ace_error err;
  json_t *job = studio_job(c, c->part[0]), *sample = job ? studio_sample(c, job, c->part[1]) : NULL;
  if (sample) {
    int item = (int)json_integer_value(json_object_get(sample, "item"));
    if (jobs_delete_sample(service_jobs(c->service), c->part[0], item, &err) == ACE_OK)
      reply_data(c, json_pack("{s:s, s:i}", "id", c->part[0], "item", item));
    else refuse_error(c, NULL, NULL, &err);
  }
  json_decref(job);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void get_file(call *c) {
  json_t *job = studio_job(c, c->part[0]);
  if (!job) return;
  json_decref(job);
  char *folder = jobs_folder(service_jobs(c->service), c->part[0]);
  char *path = folder && media_plain_name(c->part[1]) ? file_join(folder, c->part[1]) : NULL;
  if (path) media_send(c, path, c->part[1], http_query(c->http, "download"));
  else refuse(c, 404, NULL, NULL, "%.100s: there is no such file", c->part[1]);
  free(folder), free(path);
}

static void get_job_zip(call *c) {
  json_t *job = studio_job(c, c->part[0]);
  if (job) zip_send(c, json_pack("[o]", job));
}

/* The jobs of "jobs=ID,ID"; NULL: answered. */
static json_t *chosen_jobs(call *c, const char *ids) {
  json_t *list = json_array();
  for (const char *p = ids; *p && list;) {
    char id[JOBS_ID];
    size_t n = strcspn(p, ",");
    snprintf(id, sizeof id, "%.*s", (int)(n < sizeof id ? n : sizeof id - 1), p);
    json_t *job = json_array_size(list) < MOST_LISTED ? studio_job(c, id) : NULL;
    if (!job) {
      if (!http_answered(c->http)) refuse(c, 400, NULL, "jobs", "jobs: at most %d", MOST_LISTED);
      json_decref(list);
      return NULL;
    }
    json_array_append_new(list, job);
    p += n + (p[n] == ',');
  }
  return list;
}

static void get_zip(call *c) {
  const char *ids = http_query(c->http, "jobs");
  const int all = 100000;
  json_t *list =
      ids ? chosen_jobs(c, ids) : list_jobs(c, &(jobs_filter){.session = c->session, .history = true, .limit = all});
  if (list) zip_send(c, list);
}

const route routes_jobs[] = {
    {"GET", "/v1/jobs", AUTH_SESSION, BODY_NONE, false, get_jobs, "Jobs of the session that wait or run", NULL,
     ":[Job]"},
    {"GET", "/v1/batches", AUTH_SESSION, BODY_NONE, false, get_batches, "History of the session, the newest first",
     "before?:int limit?:int", "batches:[Job] total:int"},
    {"GET", "/v1/jobs/*", AUTH_SESSION, BODY_NONE, false, get_job, "One job, whole", NULL, ":Job"},
    {"DELETE", "/v1/jobs/*", AUTH_SESSION, BODY_NONE, false, delete_job,
     "Remove a job with its files, for good after a minute", NULL, "id"},
    {"POST", "/v1/jobs/*/cancel", AUTH_SESSION, BODY_ANY, false, post_cancel, "Cancel a job", NULL, "id"},
    {"POST", "/v1/jobs/*/restore", AUTH_SESSION, BODY_ANY, false, post_restore, "Undo its removal", NULL, "id"},
    {"POST", "/v1/jobs/*/samples/*", AUTH_SESSION, BODY_TYPED, false, post_sample,
     "Favourite, title, tags, edited timestamps of one sample", "favourite?:bool title? tags?:[text] lrc?", ":Sample"},
    {"DELETE", "/v1/jobs/*/samples/*", AUTH_SESSION, BODY_NONE, false, delete_sample, "Remove one sample", NULL,
     "id item:int"},
    {"GET", "/v1/jobs/*/files/*", AUTH_SESSION, BODY_NONE, false, get_file,
     "One file of a job: sound, JSON, peaks, timestamps", "download?", "application/octet-stream"},
    {"GET", "/v1/jobs/*/zip", AUTH_SESSION, BODY_NONE, false, get_job_zip,
     "The files of a job as a zip while it is made", NULL, "application/zip"},
    {"GET", "/v1/zip", AUTH_SESSION, BODY_NONE, false, get_zip,
     "Files of several jobs as a zip; without jobs all of the session", "jobs?", "application/zip"},
    {0},
};
