/* run_dataset.c - the studio's dataset, and the jobs that label and prepare it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/label.h"
#include "engine/prepare.h"
#include "service/dataset.h"
#include "service/service_inner.h"

enum { MESSAGE = 1200, MOST_LINES = 200 };

service_dataset *service_dataset_lock(service *s) {
  pthread_mutex_lock(&s->learning);
  return &s->dataset;
}

void service_dataset_unlock(service *s) {
  pthread_mutex_unlock(&s->learning);
}

void service_dataset_replace(service *s, dataset *d) {
  service_dataset *set = service_dataset_lock(s);
  dataset_free(&set->d);
  set->d = *d;
  set->there = true;
  set->last = -1;
  *d = (dataset){0};
  service_dataset_unlock(s);
}

/* ---- what both jobs need ----------------------------------------------------------------------------------------- */

typedef struct learning {
  service *s;
  job_running *j;
  dataset d;     /* the job's copy */
  json_t *lines; /* what was told of single songs */
  const char *save;
} learning;

static ace_status take_copy(learning *l, ace_error *err) {
  char *text = json_dumps(json_object_get(job_request(l->j), "dataset"), JSON_COMPACT);
  l->lines = json_array();
  ace_status status = text && l->lines ? dataset_parse(&l->d, text, strlen(text), "/", "job", NULL, err)
                                       : ace_fail(err, ACE_EINVAL, "job: it has no dataset");
  free(text);
  return status;
}

/* After a restart the studio's dataset is what the job has left on disk, else what was submitted. */
static void bring_back(learning *l) {
  dataset d;
  service_dataset *set = service_dataset_lock(l->s);
  bool there = set->there;
  service_dataset_unlock(l->s);
  char *text = there ? NULL : json_dumps(json_object_get(job_request(l->j), "dataset"), JSON_COMPACT);
  if (text && ((l->save && dataset_load(&d, l->save, NULL, NULL) == ACE_OK) ||
               dataset_parse(&d, text, strlen(text), "/", "job", NULL, NULL) == ACE_OK))
    service_dataset_replace(l->s, &d);
  free(text);
}

static void on_log(void *user, const char *line) {
  learning *l = user;
  if (json_array_size(l->lines) < MOST_LINES) json_array_append_new(l->lines, json_string(line));
}

static void on_progress(void *user, const ace_progress *p) {
  const learning *l = user;
  job_progress(l->j, p);
}

static bool on_cancelled(void *user) {
  const learning *l = user;
  return job_cancelled(l->j);
}

static ace_callbacks callbacks(learning *l) {
  return (ace_callbacks){.progress = on_progress, .log = on_log, .cancelled = on_cancelled, .user = l};
}

static bool option(const learning *l, const char *name) {
  return json_is_true(json_object_get(job_request(l->j), name));
}

/* ---- label ------------------------------------------------------------------------------------------------------- */

static int find(const dataset *d, const char *id) {
  for (int i = 0; i < d->n; i++)
    if (strcmp(dataset_text(d, i, "id"), id) == 0) return i;
  return -1;
}

/* After each song: it goes into the studio's dataset, which may have been edited or replaced meanwhile, and that to disk. */
static ace_status keep(void *user, int i, ace_error *err) {
  learning *l = user;
  ace_status status = ACE_OK;
  service_dataset *set = service_dataset_lock(l->s);
  int at = set->there ? find(&set->d, dataset_text(&l->d, i, "id")) : -1;
  if (at >= 0 && strcmp(dataset_text(&set->d, at, "audio_path"), dataset_text(&l->d, i, "audio_path")) == 0) {
    json_decref(set->d.sample[at].fields);
    set->d.sample[at].fields = json_copy(l->d.sample[i].fields);
    set->last = at;
  } else {
    at = -1;
  }
  if (l->save) status = dataset_save(at >= 0 ? &set->d : &l->d, l->save, err);
  service_dataset_unlock(l->s);
  return status;
}

static json_t *labeled_json(const learning *l, const label_options *o, const label_report *r) {
  char message[MESSAGE], failed[48] = "", only[64] = "";
  if (r->failed) snprintf(failed, sizeof failed, " (%d failed)", r->failed);
  if (o->only_unlabeled) snprintf(only, sizeof only, " (unlabeled only, %d total)", l->d.n);
  snprintf(message, sizeof message, "\xe2\x9c\x85 Labeled %d/%d samples%s%s", r->done, r->total, failed, only);
  return json_pack("{s:s, s:i, s:i, s:i, s:O}", "message", message, "labeled_count", r->done, "failed", r->failed,
                   "needs_lyrics", r->needs_lyrics, "log", l->lines);
}

/* The folder of the file that the dataset goes to. */
static ace_status make_place(const char *path, ace_error *err) {
  char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
  ace_status status = ACE_OK;
  if (slash) *slash = 0;
  if (slash && *folder) status = file_make_directory(folder, err);
  free(folder);
  return status;
}

json_t *run_label(service *s, job_running *j, ace_error *err) {
  learning l = {.s = s, .j = j};
  label_report report;
  label_job job = {.keep = keep, .user = &l};
  job.options = (label_options){.only_unlabeled = option(&l, "only_unlabeled"),
                                .skip_metas = option(&l, "skip_metas") || option(&l, "captions_only"),
                                .captions_only = option(&l, "captions_only"),
                                .format_lyrics = option(&l, "format_lyrics"),
                                .transcribe_lyrics = option(&l, "transcribe_lyrics")};
  const char *path = json_text(job_request(j), "save_path");
  job.save = l.save = *path ? path : NULL;
  bool asks = !job.options.skip_metas || job.options.captions_only;
  json_t *result = NULL;
  ace_status status = take_copy(&l, err);
  if (status == ACE_OK) bring_back(&l);
  if (status == ACE_OK && l.save) status = make_place(l.save, err);
  ace_engine *e = status != ACE_OK ? NULL : asks ? service_engine_lm(s, 1, j, err) : service_engine(s, 1, j, err);
  ace_callbacks notify = callbacks(&l);
  if (e && engine_label(e, &l.d, &job, &notify, &report, err) == ACE_OK)
    result = labeled_json(&l, &job.options, &report);
  dataset_free(&l.d);
  json_decref(l.lines);
  return result;
}

/* ---- prepare ----------------------------------------------------------------------------------------------------- */

json_t *run_prepare(service *s, job_running *j, ace_error *err) {
  learning l = {.s = s, .j = j};
  const json_t *task = job_request(j);
  prepare_options o = prepare_defaults(json_text(task, "output_dir"));
  prepare_report r;
  const json_t *seconds = json_object_get(task, "max_duration");
  if (json_is_number(seconds)) o.max_duration = json_number_value(seconds);
  if (strcmp(json_text(task, "prep_profile"), "reference") == 0) o.profile = SONG_TEXT_REFERENCE;
  o.cover = strcmp(json_text(task, "preprocess_mode"), "lokr") == 0;
  o.again = option(&l, "again");
  json_t *result = NULL;
  ace_engine *e = take_copy(&l, err) == ACE_OK ? service_engine(s, 1, j, err) : NULL;
  ace_callbacks notify = callbacks(&l);
  if (e && engine_prepare(e, &l.d, &o, &notify, &r, err) == ACE_OK) {
    char message[MESSAGE], failed[48] = "";
    int made = r.done + r.skipped;
    if (r.failed) snprintf(failed, sizeof failed, " (%d failed)", r.failed);
    snprintf(message, sizeof message, "\xe2\x9c\x85 Preprocessed %d/%d samples to %.900s%s", made, made + r.failed,
             o.folder, failed);
    result = json_pack("{s:s, s:s, s:i, s:i, s:i, s:O}", "message", message, "output_dir", o.folder, "num_tensors",
                       made, "skipped", r.skipped, "failed", r.failed, "log", l.lines);
  }
  dataset_free(&l.d);
  json_decref(l.lines);
  return result;
}
