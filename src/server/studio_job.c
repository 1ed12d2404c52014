#include "server/studio_job.h"

#include <stdlib.h>
#include <string.h>

json_t *studio_job(call *c, const char *id) {
  ace_error err;
  json_t *job = jobs_get(service_jobs(c->service), id, &err);
  const char *whose = job ? json_text(job, "session") : "";
  if (job && (!*whose || strcmp(whose, c->session) == 0)) return job;
  if (job || err.status == ACE_ENOTFOUND) refuse(c, 404, NULL, NULL, "job %.64s: there is none", id);
  else refuse_error(c, NULL, NULL, &err);
  json_decref(job);
  return NULL;
}

json_t *studio_sample(call *c, const json_t *job, const char *number) {
  char *end;
  long item = strtol(number, &end, 10);
  size_t i;
  json_t *sample;
  bool good = *number && !*end;
  json_array_foreach(json_object_get(job, "samples"), i, sample) {
    if (good && json_integer_value(json_object_get(sample, "item")) == item) return sample;
  }
  refuse(c, 404, NULL, NULL, "sample %.20s: the job has none of that number", number);
  return NULL;
}

/* Recordings are told as they were named, not where they lie. */
static void rename_recordings(json_t *request, const json_t *named) {
  static const char *const fields[] = {"src_audio", "reference_audio"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    json_t *name = json_object_get(named, fields[i]);
    if (json_is_string(json_object_get(request, fields[i])))
      json_object_set_new(request, fields[i], name ? json_incref(name) : json_null());
  }
}

json_t *studio_told(json_t *job) {
  json_t *task = json_object_get(job, "request"), *named = json_object_get(task, "named");
  json_object_del(job, "session");
  rename_recordings(json_object_get(task, "request"), named);
  rename_recordings(json_object_get(json_object_get(job, "result"), "request"), named);
  rename_recordings(task, named);
  json_object_del(task, "named"), json_object_del(task, "uploads");
  return job;
}

json_t *studio_request(const json_t *task) {
  json_t *request = json_deep_copy(json_object_get(task, "request"));
  rename_recordings(request, json_object_get(task, "named"));
  return request;
}

static void add_batch(call *c, const char *id, json_t *extra) {
  json_t *job = jobs_get(service_jobs(c->service), id, NULL), *batch = json_object_get(job, "batch");
  json_object_set_new(extra, "batch", batch ? json_incref(batch) : json_null());
  json_decref(job);
}

void studio_submit(call *c, const job_new *j, json_t *task, json_t *extra) {
  char id[JOBS_ID];
  int position;
  ace_error err;
  job_new mine = *j;
  mine.session = c->session, mine.request = task;
  if (!extra) extra = json_object();
  ace_status status = jobs_submit(service_jobs(c->service), &mine, id, &position, &err);
  json_decref(task);
  if (status == ACE_OK) {
    json_object_set_new(extra, "id", json_string(id));
    json_object_set_new(extra, "position", json_integer(position));
    if (j->history) add_batch(c, id, extra);
    reply_data(c, extra);
    return;
  }
  json_decref(extra);
  refuse_error(c, status == ACE_EBUSY ? "queue_full" : NULL, NULL, &err);
}
