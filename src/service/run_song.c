/* run_song.c - the job "generate": from a request to files in the job's folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audio/format.h"
#include "base/clock.h"
#include "base/file.h"
#include "engine/latents.h"
#include "request/params.h"
#include "service/sample_files.h"
#include "service/service_inner.h"

typedef struct song_run {
  service *s;
  job_running *job;
  const json_t *task;
  ace_callbacks notify;
  ace_request *request;
  ace_engine *engine;
  ace_result *result;
  bool lm;   /* there is a language model for this song */
  int first; /* its samples are numbered from here on */
} song_run;

static bool flag_of(const json_t *task, const char *field) {
  return json_is_true(json_object_get(task, field));
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

/* The engine, with the language model as the task wishes. Where it is only wanted, its wishes go without it. */
static ace_status open_models(song_run *k, ace_error *err) {
  int slot = (int)json_integer_value(json_object_get(k->task, "slot"));
  const char *lm = json_text(k->task, "lm");
  k->engine = service_engine(k->s, slot, k->job, err);
  if (!k->engine) return err->status;
  if (strcmp(lm, "no") != 0) {
    ace_error why;
    k->lm = service_engine_lm(k->s, slot, k->job, &why) != NULL;
    if (!k->lm && strcmp(lm, "need") == 0) return ace_fail(err, why.status, "5Hz LM init failed: %.400s", why.message);
  }
  if (!k->lm) k->request->thinking = REQ_OFF, k->request->use_cot_caption = k->request->use_cot_language = false;
  return ACE_OK;
}

/* A format that fails leaves the request as it was; a sample that fails is a failure. */
static ace_status do_first(song_run *k, ace_error *err) {
  const char *first = json_text(k->task, "first");
  if (!*first || !k->lm) return ACE_OK;
  ace_error why;
  ace_status status = run_first(k->engine, first, json_text(k->task, "query"), k->request, &k->notify, &why);
  if (status == ACE_OK || (strcmp(first, "format") == 0 && status != ACE_ECANCELED)) return ACE_OK;
  return ace_fail(err, status, "%s", why.message);
}

/* Latents in the place of a recording become one, whose path takes theirs. */
static ace_status take_latents(song_run *k, const char *field, const char *what, char **place, ace_error *err) {
  const char *latents = json_text(k->task, field);
  if (!*latents) return ACE_OK;
  char name[48];
  snprintf(name, sizeof name, "%s-%d.wav", what, k->first + 1);
  char *path = file_join(job_folder(k->job), name);
  ace_status status = path ? run_decode_to(k->engine, latents, path, AUDIO_WAV32, k->job, err)
                           : ace_fail(err, ACE_ENOMEM, "job: out of memory");
  if (status == ACE_OK) status = req_set_string(place, path, err);
  free(path);
  return status;
}

static ace_status take_all_latents(song_run *k, ace_error *err) {
  ace_status status = take_latents(k, "src_latents", "source", &k->request->src_audio, err);
  if (status == ACE_OK) status = take_latents(k, "ref_latents", "reference", &k->request->reference_audio, err);
  return status;
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static json_t *about_sample(const song_run *k, int item, const char *format) {
  ace_audio a = ace_result_audio(k->result, item);
  return json_pack("{s:I, s:f, s:s, s:s, s:b}", "seed", (json_int_t)a.seed, "duration",
                   (double)a.frames / (double)a.sample_rate, "format", format, "title", k->request->title, "codes",
                   (int)(k->result->song.n_codes[item] > 0));
}

static double seconds_of(const song_run *k, int item) {
  ace_audio a = ace_result_audio(k->result, item);
  return (double)a.frames / (double)a.sample_rate;
}

/* The name of the file's format, which is also what its name ends in. */
static const char *format_name(const ace_request *r) {
  return req_param_find("audio_format")->values[r->audio_format];
}

static ace_status save_latents(const song_run *k, int item, ace_error *err) {
  const song_latents *l = &k->result->latents[item];
  engine_latents own = {.x = l->x, .frames = l->frames, .width = k->engine->vae->cfg.decoder_input};
  char name[32];
  snprintf(name, sizeof name, "%d.latents", k->first + item + 1);
  char *path = file_join(job_folder(k->job), name);
  ace_status status = path ? engine_latents_write(path, &own, err) : ace_fail(err, ACE_ENOMEM, "job: out of memory");
  free(path);
  return status;
}

/* Its files are there before anybody is told of it. */
static ace_status save_sample(const song_run *k, int item, ace_error *err) {
  const char *format = format_name(k->request);
  char name[32];
  int number = k->first + item;
  snprintf(name, sizeof name, "%d.%s", number + 1, strcmp(format, "wav32") == 0 ? "wav" : format);
  char *path = file_join(job_folder(k->job), name);
  json_t *about = about_sample(k, item, format);
  ace_status status = path && about ? ACE_OK : ace_fail(err, ACE_ENOMEM, "job: out of memory");
  if (status == ACE_OK) status = ace_result_save(k->result, item, path, err);
  ace_audio sound = ace_result_audio(k->result, item);
  if (status == ACE_OK) status = sample_write_peaks(job_folder(k->job), number, &sound, err);
  if (status == ACE_OK && flag_of(job_request(k->job), "latents")) status = save_latents(k, item, err);
  if (status == ACE_OK) status = job_sample(k->job, number, name, about, err);
  json_decref(about);
  free(path);
  return status;
}

/* While other items are still decoded. */
static ace_status on_finished(void *user, const ace_result *result, int item, ace_error *err) {
  song_run now = *(const song_run *)user;
  now.result = (ace_result *)result;
  return save_sample(&now, item, err);
}

/* ---- scores, timestamps ------------------------------------------------------------------------------------------ */

/* "1.json" again, with the scores. */
static ace_status save_again(const song_run *k, int item, ace_error *err) {
  char name[32];
  snprintf(name, sizeof name, "%d.json", item + 1);
  char *path = file_join(job_folder(k->job), name);
  ace_status status =
      path ? engine_save_json(k->result, item, path, err) : ace_fail(err, ACE_ENOMEM, "job: out of memory");
  free(path);
  return status;
}

/* What cannot be scored or timed says why, and fails nothing else; a full disk does. */
static ace_status add_extras(song_run *k, int item, ace_error *err) {
  ace_error why;
  ace_status status = ACE_OK;
  json_t *about = json_object();
  if (flag_of(k->task, "score")) {
    double sensitivity = json_number_value(json_object_get(k->task, "sensitivity"));
    json_t *score = run_parsed(ace_result_score(k->engine, k->result, item, sensitivity, &k->notify, &why), &why);
    if (score) status = save_again(k, item, err);
    json_object_set_new(about, score ? "scores" : "score_error", score ? score : json_string(why.message));
  }
  if (flag_of(k->task, "lrc")) {
    char *lrc = ace_result_lrc(k->engine, k->result, item, &k->notify, &why);
    if (lrc && status == ACE_OK) status = sample_write_lrc(job_folder(k->job), item, lrc, seconds_of(k, item), err);
    json_object_set_new(about, lrc ? "lrc" : "lrc_error", json_string(lrc ? lrc : why.message));
    free(lrc);
  }
  if (status == ACE_OK && json_object_size(about)) status = job_sample_more(k->job, item, about, err);
  if (job_cancelled(k->job) && status == ACE_OK) status = ace_fail(err, ACE_ECANCELED, "cancelled");
  json_decref(about);
  return status;
}

static json_t *described(const song_run *k, double seconds) {
  json_t *seeds = json_array();
  for (int i = 0; k->result && i < ace_result_count(k->result); i++)
    json_array_append_new(seeds, json_integer(ace_result_audio(k->result, i).seed));
  json_t *request = req_json(k->result ? k->result->request : k->request);
  return json_pack("{s:o, s:s, s:o, s:o, s:{s:f}}", "request", request, "model", k->engine->model_name, "lm",
                   k->lm ? json_string(k->engine->lm_name) : json_null(), "seeds", seeds, "seconds", "total", seconds);
}

static json_t *make_songs(song_run *k, ace_error *err) {
  double began = clock_seconds();
  if (k->request->audio_format == REQ_FORMAT_AUTO) k->request->audio_format = REQ_FORMAT_FLAC;
  engine_listener listener = {.finished = on_finished, .user = k};
  k->result = engine_generate(k->engine, k->request, true, &listener, &k->notify, err);
  if (!k->result) return NULL;
  for (int i = 0; i < ace_result_count(k->result); i++)
    if (add_extras(k, i, err) != ACE_OK) return NULL;
  predict_learn(k->s, k->engine, k->result);
  json_t *result = described(k, clock_seconds() - began);
  if (!result) ace_fail(err, ACE_ENOMEM, "job: out of memory");
  return result;
}

/* ---- no sound ---------------------------------------------------------------------------------------------------- */

/* {"audio_codes"} and, when everything is wanted, what the language model finds in them; null without one. */
static json_t *analyse(song_run *k, bool everything, ace_error *err) {
  char *codes = ace_audio_to_codes(k->engine, k->request->src_audio, &k->notify, err);
  json_t *result = codes ? json_pack("{s:s}", "audio_codes", codes) : NULL;
  if (result && everything && !k->lm) json_object_set_new(result, "found", json_null());
  if (result && everything && k->lm) {
    json_t *found = run_parsed(ace_understand(k->engine, codes, k->request, &k->notify, err), err);
    if (found) json_object_set_new(result, "found", found);
    else json_decref(result), result = NULL;
  }
  free(codes);
  return result;
}

/* The metadata that the language model would give the song. */
static json_t *plan_only(song_run *k, ace_error *err) {
  ace_status status = run_first(k->engine, "format", NULL, k->request, &k->notify, err);
  return status == ACE_OK ? described(k, 0) : NULL;
}

/* One of the songs of the job, whose samples are numbered from `first` on; *n: how many samples it has. */
static json_t *run_one(service *s, job_running *j, const json_t *task, int first, int *n, ace_error *err) {
  song_run k = {.s = s, .job = j, .task = task, .notify = service_callbacks(j), .first = first};
  json_t *result = NULL;
  const char *only = json_text(task, "only");
  k.request = task_request(json_object_get(task, "request"), err);
  if (k.request && open_models(&k, err) == ACE_OK && take_all_latents(&k, err) == ACE_OK &&
      do_first(&k, err) == ACE_OK) {
    if (!*only) result = make_songs(&k, err);
    else if (strcmp(only, "metadata") == 0) result = plan_only(&k, err);
    else result = analyse(&k, strcmp(only, "analysis") == 0, err);
  }
  *n = k.result ? ace_result_count(k.result) : 0;
  ace_result_free(k.result);
  ace_request_free(k.request);
  return result;
}

json_t *run_generate(service *s, job_running *j, ace_error *err) {
  const json_t *task = job_request(j), *other;
  int n, made = 0;
  size_t i;
  json_t *result = run_one(s, j, task, 0, &made, err);
  json_array_foreach(json_object_get(task, "rest"), i, other) {
    json_t *more = result ? run_one(s, j, other, made, &n, err) : NULL;
    made += more ? n : 0;
    if (!more) json_decref(result), result = NULL;
    json_decref(more);
  }
  return result;
}
