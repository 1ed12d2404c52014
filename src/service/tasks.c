/* tasks.c - how the request of "generate" is made: whole, with nothing left to chance. */
#include "service/tasks.h"

#include <stdlib.h>
#include <string.h>

static void put_seeds(req_seeds *list, const uint32_t *seed, int n) {
  list->count = n;
  for (int i = 0; i < n; i++) list->value[i] = seed[i];
}

/* Draws what is open, so that the job gives the same songs whenever it runs. */
static ace_status draw_seeds(ace_request *r, ace_error *err) {
  uint32_t seed[REQ_BATCH_MAX], retake[REQ_BATCH_MAX];
  ace_status status = req_resolve_seeds(r, NULL, seed, err);
  if (status == ACE_OK && r->retake_variance > 0) {
    status = req_resolve_retake(r, NULL, retake, err);
    if (status == ACE_OK) put_seeds(&r->retake_seed, retake, r->batch_size);
  }
  if (status == ACE_OK) {
    put_seeds(&r->seeds, seed, r->batch_size);
    r->use_random_seed = false;
  }
  return status;
}

static json_t *uploads_of(const task_song *t) {
  json_t *list = json_array();
  for (int i = 0; t->uploads && t->uploads[i]; i++) json_array_append_new(list, json_string(t->uploads[i]));
  return list;
}

static json_t *assemble(const task_song *t, const ace_request *r, ace_error *err) {
  json_t *request = req_json(r);
  json_t *task = request ? json_pack("{s:o, s:i, s:s, s:b, s:b, s:o}", "request", request, "slot", t->slot, "lm", t->lm,
                                     "score", (int)t->score, "lrc", (int)t->lrc, "uploads", uploads_of(t))
                         : NULL;
  if (!task) {
    ace_fail(err, ACE_ENOMEM, "job: out of memory");
    return NULL;
  }
  if (t->first) json_object_set_new(task, "first", json_string(t->first));
  if (t->query) json_object_set_new(task, "query", json_string(t->query));
  if (t->only) json_object_set_new(task, "only", json_string(t->only));
  return task;
}

json_t *task_generate(const task_song *t, ace_error *err) {
  ace_request *r = ace_request_copy(t->request);
  if (!r) {
    ace_fail(err, ACE_ENOMEM, "job: out of memory");
    return NULL;
  }
  json_t *task = NULL;
  if (draw_seeds(r, err) == ACE_OK) task = assemble(t, r, err);
  ace_request_free(r);
  return task;
}

ace_request *task_request(const json_t *json, ace_error *err) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  char *text = json_is_object(json) ? json_dumps(json, JSON_COMPACT) : NULL;
  if (!r) ace_fail(err, ACE_ENOMEM, "job: out of memory");
  if (r && (!text || ace_request_set_json(r, text, strlen(text), err) == ACE_OK)) {
    free(text);
    return r;
  }
  free(text);
  ace_request_free(r);
  return NULL;
}
