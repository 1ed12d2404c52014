#include "train/checkpoint_state.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "formats/safetensors.h"

/* ---- the state itself -------------------------------------------------------------------------------------------- */

ace_status train_state_open(train_state *s, int64_t count, ace_error *err) {
  *s = (train_state){.ema = NAN, .best = NAN, .history = json_array()};
  s->m = calloc((size_t)count * 2 + 1, sizeof *s->m);
  if (!s->m || !s->history) {
    train_state_free(s);
    return ace_fail(err, ACE_ENOMEM, "train: out of memory for the moments of %lld parameters", (long long)count);
  }
  s->v = s->m + count;
  return ACE_OK;
}

void train_state_free(train_state *s) {
  free(s->m);
  json_decref(s->history);
  *s = (train_state){0};
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static const char moment1[] = "exp_avg/", moment2[] = "exp_avg_sq/", master[] = "master/";
static const char key_next[] = "next_sample", key_loss[] = "epoch_loss", key_ema[] = "ema", key_best[] = "best_val",
                  key_samples[] = "samples", key_history[] = "history", key_about[] = "about";

enum { NUMBERS = 3, NAME_SIZE = TRAIN_NAME_SIZE + 16, NUMBER_SIZE = 40 };

static st_tensor number_tensor(const char *name, const int64_t *value) {
  return (st_tensor){.name = name, .dtype = ST_I64, .rank = 1, .dim = {1}, .count = 1, .data = value, .size = 8};
}

static st_tensor list_tensor(const char *name, const train_tensor *t, const float *list) {
  int64_t n = t->rows * t->columns;
  return (st_tensor){.name = name,
                     .dtype = ST_F32,
                     .rank = 2,
                     .dim = {t->rows, t->columns},
                     .count = n,
                     .data = list + t->first,
                     .size = (size_t)n * sizeof *list};
}

/* In hexadecimal: not a bit is lost. */
static const char *exact(double x, char out[NUMBER_SIZE]) {
  snprintf(out, NUMBER_SIZE, "%a", x);
  return out;
}

static ace_status write_file(const char *path, const st_tensor *tensors, int n, const train_state *s,
                             const json_t *about, ace_error *err) {
  char next[NUMBER_SIZE], samples[NUMBER_SIZE], loss[NUMBER_SIZE], ema[NUMBER_SIZE], best[NUMBER_SIZE];
  snprintf(next, sizeof next, "%d", s->next);
  snprintf(samples, sizeof samples, "%d", s->samples);
  char *history = json_dumps(s->history, JSON_COMPACT | JSON_REAL_PRECISION(9)),
       *settings = json_dumps(about, JSON_COMPACT);
  if (!history || !settings) {
    free(history), free(settings);
    return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  }
  const char *const metadata[] = {"format",    "acestep-train-state-v1",
                                  "optimizer", "adamw",
                                  key_next,    next,
                                  key_samples, samples,
                                  key_loss,    exact(s->epoch_loss, loss),
                                  key_ema,     exact(s->ema, ema),
                                  key_best,    exact(s->best, best),
                                  key_history, history,
                                  key_about,   settings};
  ace_status status = st_write(path, tensors, n, metadata, (int)(sizeof metadata / sizeof *metadata) / 2, err);
  free(history), free(settings);
  return status;
}

/* What the state has for every tensor: its moments and, where files hold the values otherwise, those. */
typedef struct state_list {
  const char *prefix;
  float *values;
} state_list;

enum { LISTS = 3 };

static int lists_of(const train_task *task, const train_state *s, state_list out[LISTS]) {
  out[0] = (state_list){moment1, s->m};
  out[1] = (state_list){moment2, s->v};
  out[2] = (state_list){master, task->values};
  return task->settle ? LISTS : LISTS - 1;
}

ace_status checkpoint_state_write(const char *folder, const train_task *task, const train_state *s, const json_t *about,
                                  ace_error *err) {
  int64_t epoch = s->epoch;
  state_list list[LISTS];
  int lists = lists_of(task, s, list), used = NUMBERS;
  char *path = file_join(folder, CHECKPOINT_STATE);
  size_t n = (size_t)task->tensors * LISTS + NUMBERS;
  st_tensor *tensors = calloc(n, sizeof *tensors);
  char(*names)[NAME_SIZE] = calloc(n, sizeof *names);
  ace_status status = ACE_OK;
  if (!path || !tensors || !names) status = ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  if (status == ACE_OK) {
    tensors[0] = number_tensor("epoch", &epoch);
    tensors[1] = number_tensor("global_step", &s->step);
    tensors[2] = number_tensor("adam_step", &s->step);
    for (int i = 0; i < task->tensors; i++)
      for (int k = 0; k < lists; k++, used++) {
        snprintf(names[used], NAME_SIZE, "%s%s", list[k].prefix, task->tensor[i].name);
        tensors[used] = list_tensor(names[used], &task->tensor[i], list[k].values);
      }
    status = write_file(path, tensors, used, s, about, err);
  }
  free(path), free(tensors), free(names);
  return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static ace_status read_number(const st_file *f, const char *name, int64_t most, int64_t *out, ace_error *err) {
  const st_tensor *t = st_find(f, name);
  if (!t || t->dtype != ST_I64 || t->count != 1)
    return ace_fail(err, ACE_EFORMAT, "%s: %s: missing, or not one I64", st_path(f), name);
  memcpy(out, t->data, sizeof *out);
  if (*out >= 0 && *out <= most) return ACE_OK;
  return ace_fail(err, ACE_EFORMAT, "%s: %s: %lld is outside 0..%lld", st_path(f), name, (long long)*out,
                  (long long)most);
}

static ace_status read_list(const st_file *f, const char *prefix, const train_tensor *t, float *list, ace_error *err) {
  char name[NAME_SIZE];
  snprintf(name, sizeof name, "%s%s", prefix, t->name);
  const st_tensor *s = st_find(f, name);
  if (!s || s->dtype != ST_F32 || s->rank != 2 || s->dim[0] != t->rows || s->dim[1] != t->columns)
    return ace_fail(err, ACE_EFORMAT, "%s: %s: missing, or not F32 [%lld, %lld]", st_path(f), name, (long long)t->rows,
                    (long long)t->columns);
  memcpy(list + t->first, s->data, s->size);
  for (int64_t i = 0; i < s->count; i++)
    if (!isfinite(list[t->first + i])) return ace_fail(err, ACE_EFORMAT, "%s: %s: not finite", st_path(f), name);
  return ACE_OK;
}

/* A training that puts its files together otherwise cannot go on where this one was. */
static ace_status check_form(const st_file *f, const train_task *task, ace_error *err) {
  bool has = false;
  for (int i = 0; i < st_count(f); i++) has |= string_begins(st_at(f, i)->name, master);
  if (has == (task->settle != NULL)) return ACE_OK;
  return ace_fail(err, ACE_EINVAL, "resume: %s: it was trained with%s a scalar for each layer (lokr_use_scalar)",
                  st_path(f), has ? "" : "out");
}

/* A double of the header; NAN is one. */
static ace_status read_double(const st_file *f, const char *key, double *out, ace_error *err) {
  const char *text = st_metadata(f, key);
  char *end = NULL;
  double x = text ? strtod(text, &end) : 0;
  if (!text || end == text || *end || isinf(x))
    return ace_fail(err, ACE_EFORMAT, "%s: %s: missing, or not a number", st_path(f), key);
  *out = x;
  return ACE_OK;
}

static ace_status read_history(const st_file *f, train_state *s, ace_error *err) {
  const char *text = st_metadata(f, key_history);
  json_t *history = text ? json_parse(text, strlen(text), st_path(f), err) : NULL;
  if (!json_is_array(history)) {
    json_decref(history);
    return ace_fail(err, ACE_EFORMAT, "%s: history: missing, or not a list", st_path(f));
  }
  json_decref(s->history);
  s->history = history;
  return ACE_OK;
}

static ace_status read_count(const st_file *f, const char *key, int *out, ace_error *err) {
  double x = 0;
  ace_status status = read_double(f, key, &x, err);
  if (status != ACE_OK) return status;
  if (!(x >= 0 && x < INT_MAX && x == floor(x)))
    return ace_fail(err, ACE_EFORMAT, "%s: %s: not a count", st_path(f), key);
  *out = (int)x;
  return ACE_OK;
}

static ace_status read_header(const st_file *f, train_state *s, ace_error *err) {
  ace_status status = read_count(f, key_next, &s->next, err);
  if (status == ACE_OK) status = read_count(f, key_samples, &s->samples, err);
  if (status == ACE_OK) status = read_double(f, key_loss, &s->epoch_loss, err);
  if (status == ACE_OK) status = read_double(f, key_ema, &s->ema, err);
  if (status == ACE_OK) status = read_double(f, key_best, &s->best, err);
  return status == ACE_OK ? read_history(f, s, err) : status;
}

static st_file *open_state(const char *folder, ace_error *err) {
  char *path = file_join(folder, CHECKPOINT_STATE);
  st_file *f = path ? st_open(path, err) : NULL;
  if (!path) ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  free(path);
  return f;
}

ace_status checkpoint_state_read(const char *folder, const train_task *task, train_state *s, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  int64_t epoch = 0;
  st_file *f = open_state(folder, err);
  if (!f) return err->status;
  ace_status status = read_number(f, "epoch", INT_MAX - 1, &epoch, err);
  if (status == ACE_OK) status = read_number(f, "global_step", INT64_MAX / 2, &s->step, err);
  state_list list[LISTS];
  int lists = lists_of(task, s, list);
  if (status == ACE_OK) status = check_form(f, task, err);
  for (int i = 0; i < task->tensors; i++)
    for (int k = 0; k < lists && status == ACE_OK; k++)
      status = read_list(f, list[k].prefix, &task->tensor[i], list[k].values, err);
  if (status == ACE_OK) status = read_header(f, s, err);
  s->epoch = (int)epoch;
  st_close(f);
  return status;
}

int64_t checkpoint_state_steps(const char *folder) {
  int64_t steps = -1;
  st_file *f = open_state(folder, NULL);
  if (!f) return -1;
  if (read_number(f, "global_step", INT64_MAX / 2, &steps, NULL) != ACE_OK) steps = -1;
  st_close(f);
  return steps;
}
