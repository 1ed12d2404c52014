#include "engine/train_autoencoder.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/notify.h"
#include "formats/checkpoint.h"
#include "formats/config.h"
#include "train/autoencoder_init.h"
#include "train/autoencoder_task.h"

static const char NAME[] = "vae";
static const double tell_seconds = 30; /* between lines on speed */

typedef struct training {
  const autoencoder_training *t;
  pool *threads;
  sound_set sounds;
  autoencoder_task *task;
  double crop_seconds;
  double told;  /* seconds, of the last line on speed; 0: no step yet */
  int64_t step; /* then */
} training;

static bool stopped(void *user) {
  const train_events *e = ((training *)user)->t->events;
  return e->cancelled && e->cancelled(e->user);
}

static void tell(void *user, const char *line) {
  const train_events *e = ((training *)user)->t->events;
  if (e->log) e->log(e->user, line);
}

static void say(training *t, const char *format, ...) ACE_PRINTF(2, 3);
static void say(training *t, const char *format, ...) {
  char line[640];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  tell(t, line);
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static size_t room_of(const training *t) {
  uint64_t room = t->t->memory ? t->t->memory : memory_available();
  return room > SIZE_MAX ? SIZE_MAX : (size_t)room;
}

static ace_status read_sounds(training *t, const vae_config *cfg, size_t room, ace_error *err) {
  const ace_callbacks notify = {.log = tell, .cancelled = stopped, .user = t};
  int64_t least = (int64_t)t->t->crop_frames * cfg->hop;
  sound_limits limits = {.rate = cfg->sampling_rate, .least = least, .room = room / 2};
  ace_status status = sound_set_open(&t->sounds, t->t->settings->dataset_dir, &limits, &notify, err);
  if (status == ACE_OK) say(t, "📂 %d sounds, %.0f s", t->sounds.n, (double)t->sounds.all / cfg->sampling_rate);
  return status;
}

/* The folder to begin with: that of the model, or one that is made. free() it. */
static char *first_folder(training *t, ace_error *err) {
  const autoencoder_training *a = t->t;
  const ace_callbacks notify = {.cancelled = stopped, .user = t};
  if (a->model) return file_join("", a->model);
  char *output = file_join(a->settings->output_dir, "first"), *folder = output ? file_join(output, NAME) : NULL;
  ace_status status = folder ? ACE_OK : ace_fail(err, ACE_ENOMEM, "train: out of memory");
  if (status == ACE_OK && !ckpt_has_weights(folder)) {
    status = file_make_directory(output, err);
    if (status == ACE_OK) say(t, "🌱 First weights from the sounds...");
    if (status == ACE_OK)
      status = autoencoder_init(folder, a->config, &t->sounds, (uint64_t)a->settings->seed, &notify, err);
  }
  free(output);
  if (status == ACE_OK) return folder;
  free(folder);
  return NULL;
}

static ace_status read_config(const autoencoder_training *a, vae_config *cfg, ace_error *err) {
  enum { LIMIT = 1 << 16 };
  const char *where = a->model ? a->model : a->config;
  json_t *json = a->model ? ckpt_read_config(a->model, err) : json_parse_file(a->config, LIMIT, err);
  ace_status status = json ? cfg_read_vae(json, where, cfg, err) : err->status;
  json_decref(json);
  return status;
}

static ace_status open_all(training *t, ace_error *err) {
  vae_config cfg;
  size_t room = room_of(t), step;
  ace_status status = read_config(t->t, &cfg, err);
  if (status == ACE_OK) status = read_sounds(t, &cfg, room, err);
  if (status != ACE_OK) return status;
  t->threads = pool_new(t->t->threads, err);
  char *folder = t->threads ? first_folder(t, err) : NULL;
  if (!folder) return err->status;
  autoencoder_options o = {.settings = t->t->settings,
                           .sounds = &t->sounds,
                           .crop_frames = t->t->crop_frames,
                           .wave = autoencoder_wave,
                           .information = autoencoder_information,
                           .threads = t->threads,
                           .room = room - (size_t)t->sounds.all * 4,
                           .notify = {.log = tell, .cancelled = stopped, .user = t}};
  t->task = autoencoder_task_open(folder, NAME, &o, err);
  free(folder);
  if (!t->task) return err->status;
  t->crop_seconds = (double)autoencoder_task_crop(t->task) / cfg.sampling_rate;
  size_t all = autoencoder_task_bytes(t->task, &step);
  say(t, "Memory: %.0f MB beside the sounds (a step %.0f)", (double)all / 1e6, (double)step / 1e6);
  return ACE_OK;
}

/* ---- the training ------------------------------------------------------------------------------------------------- */

static void on_step(void *user, const train_step *s) {
  training *t = user;
  const train_events *e = t->t->events;
  const train_settings *set = t->t->settings;
  double now = clock_seconds();
  if (e->step) e->step(e->user, s);
  if (t->told <= 0) t->told = now, t->step = s->step;
  if (now - t->told < tell_seconds) return;
  double crops = (double)(s->step - t->step) * set->batch_size * set->gradient_accumulation;
  double part[AUTOENCODER_PARTS];
  autoencoder_task_parts(t->task, part);
  say(t, "spectra %.4f, wave %.4f, information %.2f nats a value, %.1f s of sound a second", part[0], part[1], part[2],
      crops * t->crop_seconds / (now - t->told));
  t->told = now, t->step = s->step;
}

static void on_validated(void *user, int epoch, double loss, bool best) {
  const train_events *e = ((training *)user)->t->events;
  if (e->validated) e->validated(e->user, epoch, loss, best);
}

static void on_saved(void *user, const char *folder) {
  const train_events *e = ((training *)user)->t->events;
  if (e->saved) e->saved(e->user, folder);
}

ace_status train_autoencoder(const autoencoder_training *a, train_outcome *out, ace_error *err) {
  ace_error own = {0};
  if (!err) err = &own;
  training t = {.t = a};
  *out = (train_outcome){0};
  ace_status status = open_all(&t, err);
  if (status == ACE_OK) {
    train_job job = {.settings = a->settings,
                     .task = autoencoder_task_of(t.task),
                     .threads = t.threads,
                     .group = a->group,
                     .about = json_pack("{s:s, s:i, s:i}", "part", "autoencoder", "sounds", t.sounds.n, "crop_frames",
                                        a->crop_frames),
                     .events = {.log = tell,
                                .step = on_step,
                                .validated = on_validated,
                                .saved = on_saved,
                                .cancelled = stopped,
                                .user = &t}};
    status = train_run(&job, out, err);
    json_decref((json_t *)job.about);
  }
  autoencoder_task_close(t.task);
  sound_set_free(&t.sounds);
  pool_free(t.threads);
  return status;
}
