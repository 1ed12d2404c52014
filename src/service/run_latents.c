/* run_latents.c - jobs of programs that keep latents themselves: a plan without its song, sound to latents and back,
 * latents heard by the language model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audio/write.h"
#include "base/file.h"
#include "engine/latents.h"
#include "service/sample_files.h"
#include "service/service_inner.h"
#include "text/codes.h"

/* Ten minutes. */
enum { MOST_FRAMES = TASK_MOST_FRAMES };

static const char *text_at(const json_t *task, const char *field) {
  return json_text(task, field);
}

/* ---- "think" ----------------------------------------------------------------------------------------------------- */

/* The request of each item: what the language model filled in, and that item's codes. */
static json_t *plans_of(const ace_request *r, const plan_song *song, ace_error *err) {
  json_t *list = json_array();
  for (int i = 0; i < r->batch_size; i++) {
    json_t *one = req_json(r);
    char *codes = i < song->items && song->n_codes[i] ? codes_format(song->codes[i], song->n_codes[i], NULL) : NULL;
    if (codes) json_object_set_new(one, "audio_codes", json_string(codes));
    free(codes);
    json_array_append_new(list, one);
  }
  if (json_array_size(list) == (size_t)r->batch_size) return json_pack("{s:o}", "requests", list);
  json_decref(list);
  ace_fail(err, ACE_ENOMEM, "job: out of memory");
  return NULL;
}

json_t *run_think(service *s, job_running *j, ace_error *err) {
  const json_t *task = job_request(j);
  const char *first = text_at(task, "first");
  ace_callbacks notify = service_callbacks(j);
  ace_request *r = task_request(json_object_get(task, "request"), err);
  ace_engine *e = r ? service_engine_lm(s, 1, j, err) : NULL;
  json_t *result = NULL;
  plan_song song = {0};
  ace_status status = e ? ACE_OK : err->status;
  if (status == ACE_OK && *first) status = run_first(e, first, r->caption, r, &notify, err);
  if (status == ACE_OK && !*first) status = engine_think_alone(e, r, &notify, &song, err);
  if (status == ACE_OK) result = plans_of(r, &song, err);
  plan_song_free(&song);
  ace_request_free(r);
  return result;
}

/* ---- latents as files -------------------------------------------------------------------------------------------- */

static ace_status save_latents(job_running *j, const engine_latents *l, ace_error *err) {
  char *path = file_join(job_folder(j), SAMPLE_LATENTS);
  ace_status status = path ? engine_latents_write(path, l, err) : ace_fail(err, ACE_ENOMEM, "job: out of memory");
  free(path);
  return status;
}

/* Latents of what the task names: of a recording, or those that it brings. */
static ace_status latents_of(ace_engine *e, job_running *j, engine_latents *l, ace_error *err) {
  const json_t *task = job_request(j);
  ace_callbacks notify = service_callbacks(j);
  if (*text_at(task, "src_latents"))
    return engine_latents_read(text_at(task, "src_latents"), e->vae->cfg.decoder_input, MOST_FRAMES, l, err);
  return engine_encode(e, text_at(task, "src_audio"), &notify, l, err);
}

json_t *run_encode(service *s, job_running *j, ace_error *err) {
  engine_latents l = {0};
  ace_engine *e = service_engine(s, 1, j, err);
  ace_status status = e ? latents_of(e, j, &l, err) : err->status;
  if (status == ACE_OK) status = save_latents(j, &l, err);
  json_t *result = status == ACE_OK ? json_pack("{s:I}", "frames", (json_int_t)l.frames) : NULL;
  free(l.x);
  return result;
}

/* ---- latents as sound -------------------------------------------------------------------------------------------- */

ace_status run_decode_to(ace_engine *e, const char *latents, const char *path, int format, job_running *j,
                         ace_error *err) {
  engine_latents l;
  audio_buffer sound = {0};
  ace_callbacks notify = service_callbacks(j);
  ace_status status = engine_latents_read(latents, e->vae->cfg.decoder_input, MOST_FRAMES, &l, err);
  if (status == ACE_OK) status = engine_decode(e, &l, &notify, &sound, err);
  if (status == ACE_OK) status = audio_write(path, &sound, (audio_format)format, NULL, NULL, &notify, err);
  free(l.x);
  audio_buffer_free(&sound);
  return status;
}

json_t *run_decode(service *s, job_running *j, ace_error *err) {
  const json_t *task = job_request(j);
  audio_format format;
  char name[32];
  ace_engine *e = service_engine(s, 1, j, err);
  if (!e || audio_format_from_name(text_at(task, "audio_format"), &format, err) != ACE_OK) return NULL;
  snprintf(name, sizeof name, "1.%s", audio_format_extension(format));
  char *path = file_join(job_folder(j), name);
  json_t *about = json_pack("{s:s}", "format", audio_format_name(format));
  ace_status status = path && about ? run_decode_to(e, text_at(task, "src_latents"), path, format, j, err)
                                    : ace_fail(err, ACE_ENOMEM, "job: out of memory");
  if (status == ACE_OK) status = job_sample(j, 0, name, about, err);
  json_decref(about);
  free(path);
  return status == ACE_OK ? json_object() : NULL;
}

/* ---- "hear" ------------------------------------------------------------------------------------------------------ */

/* The recording of the task as a file: latents become one. free() it; NULL on failure. */
static char *recording_of(ace_engine *e, job_running *j, ace_error *err) {
  const json_t *task = job_request(j);
  if (!*text_at(task, "src_latents")) return strdup(text_at(task, "src_audio"));
  char *path = file_join(job_folder(j), "source.wav");
  if (!path) ace_fail(err, ACE_ENOMEM, "job: out of memory");
  if (path && run_decode_to(e, text_at(task, "src_latents"), path, AUDIO_WAV32, j, err) == ACE_OK) return path;
  free(path);
  return NULL;
}

json_t *run_hear(service *s, job_running *j, ace_error *err) {
  ace_callbacks notify = service_callbacks(j);
  engine_latents l = {0};
  json_t *found = NULL;
  char *codes = NULL, *path = NULL;
  ace_request *r = task_request(json_object_get(job_request(j), "request"), err);
  ace_engine *e = r ? service_engine_lm(s, 1, j, err) : NULL;
  ace_status status = e ? latents_of(e, j, &l, err) : err->status;
  if (status == ACE_OK) status = save_latents(j, &l, err);
  if (status == ACE_OK) path = recording_of(e, j, err);
  if (path) codes = ace_audio_to_codes(e, path, &notify, err);
  if (codes) found = run_parsed(ace_understand(e, codes, r, &notify, err), err);
  json_t *result = found ? json_pack("{s:O, s:s}", "found", found, "audio_codes", codes) : NULL;
  json_decref(found);
  free(codes), free(path), free(l.x);
  ace_request_free(r);
  return result;
}
