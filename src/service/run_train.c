/* run_train.c - the job that trains an adapter, and what is known of it meanwhile. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/train.h"
#include "service/service_inner.h"
#include "train/checkpoint.h"

enum { MOST_POINTS = 1000, MOST_LINES = 200 };

service_training *service_training_lock(service *s) {
  pthread_mutex_lock(&s->training_lock);
  return &s->training;
}

void service_training_unlock(service *s) {
  pthread_mutex_unlock(&s->training_lock);
}

void service_training_clear(service_training *t) {
  json_decref(t->history), json_decref(t->log);
  t->history = json_array(), t->log = json_array();
  t->started = 0, t->epoch = t->epochs = 0, t->step = t->steps = 0, t->loss = t->rate = 0, t->left = -1;
}

void service_training_begin(service_training *t, const char *job, json_t *settings) {
  service_training_clear(t);
  t->stopping = false;
  snprintf(t->job, sizeof t->job, "%s", job);
  json_decref(t->settings);
  t->settings = settings;
}

/* ---- what the trainer tells -------------------------------------------------------------------------------------- */

typedef struct training {
  service *s;
  job_running *j;
  int64_t first; /* step that came first, 0: none has */
} training;

static void append(json_t *list, size_t most, json_t *value) {
  json_array_append_new(list, value);
  if (json_array_size(list) > most) json_array_remove(list, 0);
}

static void on_log(void *user, const char *line) {
  const training *r = user;
  service_training *t = service_training_lock(r->s);
  append(t->log, MOST_LINES, json_string(line));
  service_training_unlock(r->s);
}

static void on_step(void *user, const train_step *s) {
  training *r = user;
  if (!r->first) r->first = s->step;
  ace_progress p = {.stage = "train",
                    .fraction = s->steps ? (double)s->step / (double)s->steps : 0,
                    .seconds_left = s->left,
                    .step = (int)s->step,
                    .steps = (int)s->steps};
  service_training *t = service_training_lock(r->s);
  t->epoch = s->epoch, t->epochs = s->epochs;
  t->step = s->step, t->steps = s->steps;
  t->loss = s->ema, t->left = s->left;
  t->rate = s->seconds > 0 ? (double)(s->step - r->first + 1) / s->seconds : 0;
  if (isfinite(s->loss)) append(t->history, MOST_POINTS, json_pack("{s:I, s:f}", "step", s->step, "loss", s->loss));
  service_training_unlock(r->s);
  job_progress(r->j, &p);
}

/* A song that somebody waits for comes first; the training goes on behind it. */
static bool on_pausing(void *user) {
  const training *r = user;
  return job_in_the_way(r->j) && !job_cancelled(r->j);
}

static bool on_cancelled(void *user) {
  const training *r = user;
  return job_in_the_way(r->j) || job_cancelled(r->j);
}

/* ---- the job ----------------------------------------------------------------------------------------------------- */

static ace_status read_task(const json_t *task, train_settings *s, ace_error *err) {
  const json_t *given = json_object_get(task, "settings");
  int kind = strcmp(json_text(given, "adapter"), "lokr") == 0 ? TRAIN_LOKR : TRAIN_LORA;
  ace_status status = train_settings_init(s, TRAIN_SURFACE_GUIDE, kind, err);
  if (status != ACE_OK) return status;
  status = train_settings_set_json(s, given, err);
  if (status == ACE_OK) status = train_settings_check(s, err);
  if (status != ACE_OK) train_settings_free(s);
  return status;
}

/* The mark that a training leaves when it begins: the name of its model, which a training that goes on must find. */
static ace_status check_model(const char *mark, const char *model, ace_error *err) {
  enum { NAME_MOST = 4096 };
  size_t n;
  char *begun = file_read(mark, NAME_MOST, &n, err);
  ace_status status = begun ? ACE_OK : err->status;
  if (begun && strcmp(begun, model) != 0)
    status = ace_fail(err, ACE_EINVAL,
                      "training: it was begun on %.200s, and %.200s is loaded now; load that one, and "
                      "start it again with \"resume\"",
                      begun, model);
  free(begun);
  return status;
}

/* A job that gave way, or that the end of the program cut off, runs again: then it goes on from the newest checkpoint if
 * it has written that itself, which is then younger than its mark. */
static ace_status go_on(const service *s, const job_running *j, train_settings *set, ace_error *err) {
  const char *model = s->state.slot[0].name;
  char *mark = file_join(job_folder(j), "begun"), *found = NULL;
  struct stat began, wrote;
  ace_status status = mark ? ACE_OK : ace_fail(err, ACE_ENOMEM, "job: out of memory");
  if (status == ACE_OK && stat(mark, &began) != 0) {
    status = file_write(mark, model, strlen(model), err);
  } else if (status == ACE_OK) {
    status = check_model(mark, model, err);
    found = status == ACE_OK ? checkpoint_find(set->output_dir, NULL) : NULL;
    if (found && stat(found, &wrote) == 0 && clock_compare(wrote.st_mtim, began.st_mtim) > 0)
      status = train_settings_set(set, "resume", found, err);
  }
  free(mark), free(found);
  return status;
}

static json_t *outcome_json(const train_outcome *out) {
  return json_pack("{s:s, s:s, s:i, s:I, s:f}", "message", "\xe2\x9c\x85 Training completed", "folder",
                   out->folder ? out->folder : "", "epoch", out->epoch, "step", (json_int_t)out->step, "loss",
                   isfinite(out->loss) ? out->loss : 0);
}

/* Of a new training nothing is known yet; what is known of one that goes on stays. */
static void begin(service *s, const job_running *j, const train_settings *settings) {
  service_training *t = service_training_lock(s);
  if (strcmp(t->job, job_id(j)) != 0 || !(t->started > 0)) {
    service_training_begin(t, job_id(j), train_settings_json(settings));
    t->started = (double)time(NULL);
  }
  service_training_unlock(s);
}

json_t *run_train(service *s, job_running *j, ace_error *err) {
  training r = {.s = s, .j = j};
  train_settings settings;
  if (read_task(job_request(j), &settings, err) != ACE_OK) return NULL;
  begin(s, j, &settings);
  job_gives_way(j);
  train_events told = {.log = on_log, .step = on_step, .cancelled = on_cancelled, .pausing = on_pausing, .user = &r};
  train_outcome out = {0};
  json_t *result = NULL;
  ace_status status = go_on(s, j, &settings, err);
  ace_engine *e = status == ACE_OK ? service_engine(s, 1, j, err) : NULL;
  if (e && engine_train(e, &settings, NULL, &told, &out, err) == ACE_OK) {
    if (out.stopped)
      ace_fail(err, ACE_ECANCELED, "training stopped after %lld steps; it goes on from %s", (long long)out.step,
               out.folder ? out.folder : "its beginning");
    else result = outcome_json(&out);
  }
  if (!result && err->status == ACE_ECANCELED && on_pausing(&r)) ace_fail(err, ACE_EBUSY, "training gives way");
  train_outcome_free(&out);
  train_settings_free(&settings);
  return result;
}
