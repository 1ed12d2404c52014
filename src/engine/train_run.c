/* train_run.c - what becomes of the caller's events in a training: those of the trainer carry the caller's `user`, sample
 * songs are made here. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "engine/train_inner.h"

static bool stopped(void *user) {
  const training *t = user;
  return t->events->cancelled && t->events->cancelled(t->events->user);
}

static bool pausing(void *user) {
  const training *t = user;
  return t->events->pausing && t->events->pausing(t->events->user);
}

static void tell(void *user, const char *line) {
  const training *t = user;
  if (t->events->log) t->events->log(t->events->user, line);
}

void training_say(const training *t, const char *format, ...) {
  char line[640];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  if (t->events->log) t->events->log(t->events->user, line);
}

ace_callbacks training_callbacks(training *t) {
  return (ace_callbacks){.log = tell, .cancelled = stopped, .user = t};
}

void training_say_estimate(const training *t, size_t total, size_t step, size_t parameters, size_t samples,
                           double epoch_seconds) {
  char epoch[TRAIN_TIME_SIZE], all[TRAIN_TIME_SIZE];
  training_say(t, "Memory: %.0f MB beside the model (a step %.0f, parameters %.0f, samples %.0f)", (double)total / 1e6,
               (double)step / 1e6, (double)parameters / 1e6, (double)samples / 1e6);
  if (epoch_seconds >= 0)
    training_say(t, "Time: about %s an epoch, %s in all", train_time(epoch_seconds, epoch),
                 train_time(epoch_seconds * t->s->epochs, all));
}

/* ---- sample songs ------------------------------------------------------------------------------------------------ */

static ace_status set_number(ace_request *r, const char *name, double x, ace_error *err) {
  char text[40];
  snprintf(text, sizeof text, "%.10g", x);
  return ace_request_set(r, name, text, err);
}

static ace_request *song_request(const training *t, ace_error *err) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  const char *caption = *t->s->sample_caption ? t->s->sample_caption : t->caption;
  ace_status status = r ? ace_request_set(r, "caption", *caption ? caption : "music", err) : ACE_ENOMEM;
  if (status == ACE_OK) status = ace_request_set(r, "thinking", "false", err);
  if (status == ACE_OK) status = ace_request_set(r, "audio_format", "flac", err);
  if (status == ACE_OK) status = set_number(r, "seed", t->s->seed, err);
  if (status == ACE_OK) status = set_number(r, "duration", t->s->sample_seconds, err);
  if (status == ACE_OK) return r;
  ace_request_free(r);
  return NULL;
}

/* OUTPUT/samples/epoch_N.flac; the engine sings with what is being trained as it is now. */
static ace_status preview(void *user, int epoch, ace_error *err) {
  training *t = user;
  char name[64];
  snprintf(name, sizeof name, "samples/epoch_%d.flac", epoch);
  char *folder = file_join(t->s->output_dir, "samples"), *path = file_join(t->s->output_dir, name);
  ace_callbacks notify = training_callbacks(t);
  notify.log = NULL;
  ace_request *r = song_request(t, err);
  ace_result *song = r ? ace_generate(t->e, r, &notify, err) : NULL;
  ace_status status = song && folder && path ? file_make_directory(folder, err) : ACE_EINVAL;
  if (status == ACE_OK) status = ace_result_save(song, 0, path, err);
  if (status == ACE_OK) training_say(t, "🎵 Sample song: %s", path);
  else status = err->status != ACE_OK ? err->status : ace_fail(err, ACE_ENOMEM, "train: out of memory");
  ace_result_free(song);
  ace_request_free(r);
  free(folder), free(path);
  return status;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void on_step(void *user, const train_step *s) {
  const training *t = user;
  if (t->events->step) t->events->step(t->events->user, s);
}

static void on_validated(void *user, int epoch, double loss, bool best) {
  const training *t = user;
  if (t->events->validated) t->events->validated(t->events->user, epoch, loss, best);
}

static void on_saved(void *user, const char *folder) {
  const training *t = user;
  if (t->events->saved) t->events->saved(t->events->user, folder);
}

ace_status training_run(training *t, train_task *task, const train_group *group, json_t *about, train_outcome *out,
                        ace_error *err) {
  training_say(t, "🚀 Starting training (device: cpu, precision: fp32)...");
  train_job job = {.settings = t->s,
                   .task = task,
                   .threads = t->e->threads,
                   .group = group,
                   .about = about,
                   .events = {tell, on_step, on_validated, on_saved, preview, stopped, pausing, t}};
  ace_status status = train_run(&job, out, err);
  json_decref(about);
  return status;
}
