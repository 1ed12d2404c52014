/* run_again.c - the jobs "score" and "lrc": a finished sample looked at once more. Everything but its sound is made
 * again from the JSON beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/engine.h"
#include "service/sample_files.h"
#include "service/service_inner.h"

enum { SONG_JSON_LIMIT = 16 << 20 };

typedef struct again {
  char id[JOBS_ID];
  int item;
  ace_callbacks notify;
  ace_engine *engine;
  ace_result *result;
} again;

static json_t *saved_song(service *s, const again *k, ace_error *err) {
  char name[32];
  snprintf(name, sizeof name, "%d.json", k->item + 1);
  char *folder = jobs_folder(service_jobs(s), k->id), *path = folder ? file_join(folder, name) : NULL;
  json_t *song = path ? json_parse_file(path, SONG_JSON_LIMIT, err) : NULL;
  if (!path) ace_fail(err, ACE_ENOMEM, "job: out of memory");
  free(folder), free(path);
  return song;
}

/* The slot that holds the model of that name now, else the first: the notes of a score say what differs. */
static int slot_of(service *s, const char *model) {
  for (int i = 0; model && i < SERVICE_SLOTS; i++)
    if (strcmp(s->state.slot[i].name, model) == 0) return i + 1;
  return 1;
}

/* The latents of the sample that a task names. */
static ace_status remake(service *s, job_running *j, bool with_lm, again *k, ace_error *err) {
  const json_t *task = job_request(j);
  const char *id = json_string_value(json_object_get(task, "job"));
  *k = (again){.item = (int)json_integer_value(json_object_get(task, "item")), .notify = service_callbacks(j)};
  json_t *job = id ? jobs_get(service_jobs(s), id, err) : NULL; /* only an id that exists becomes part of a path */
  if (!job) return id ? err->status : ace_fail(err, ACE_EINVAL, "job: whose sample is meant?");
  snprintf(k->id, sizeof k->id, "%s", id);
  int slot = slot_of(s, json_string_value(json_object_get(json_object_get(job, "result"), "model")));
  json_decref(job);
  json_t *song = saved_song(s, k, err);
  if (!song) return err->status;
  ace_request *r = task_request(song, err);
  json_decref(song);
  if (r) k->engine = with_lm ? service_engine_lm(s, slot, j, err) : service_engine(s, slot, j, err);
  if (k->engine) k->result = engine_generate(k->engine, r, false, NULL, &k->notify, err);
  ace_request_free(r);
  return k->result ? ACE_OK : err->status;
}

static ace_status remember(service *s, const again *k, const char *key, json_t *value, ace_error *err) {
  json_t *about = json_pack("{s:O}", key, value);
  ace_status status = about ? jobs_annotate(service_jobs(s), k->id, k->item, about, err) : ACE_ENOMEM;
  json_decref(about);
  return status;
}

static json_t *unless(json_t *result, ace_status failed) {
  if (failed == ACE_OK) return result;
  json_decref(result);
  return NULL;
}

json_t *run_score(service *s, job_running *j, ace_error *err) {
  again k;
  double sensitivity = json_number_value(json_object_get(job_request(j), "sensitivity"));
  if (remake(s, j, true, &k, err) != ACE_OK) return NULL;
  json_t *score = run_parsed(ace_result_score(k.engine, k.result, 0, sensitivity, &k.notify, err), err);
  ace_result_free(k.result);
  return score ? unless(score, remember(s, &k, "scores", score, err)) : NULL;
}

json_t *run_lrc(service *s, job_running *j, ace_error *err) {
  again k;
  if (remake(s, j, false, &k, err) != ACE_OK) return NULL;
  json_t *times = run_parsed(ace_result_timestamps(k.engine, k.result, 0, &k.notify, err), err);
  double seconds = k.result->request->duration;
  ace_result_free(k.result);
  if (!times) return NULL;
  json_t *lrc = json_object_get(times, "lrc_text");
  char *folder = jobs_folder(service_jobs(s), k.id);
  ace_status status = folder ? sample_write_lrc(folder, k.item, json_string_value(lrc), seconds > 0 ? seconds : 0, err)
                             : ace_fail(err, ACE_ENOMEM, "job: out of memory");
  free(folder);
  if (status == ACE_OK) status = remember(s, &k, "lrc", lrc, err);
  return unless(times, status);
}
