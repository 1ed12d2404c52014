#include "engine/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/notify.h"
#include "engine/prepare_inner.h"
#include "formats/safetensors.h"
#include "models/cost.h"
#include "train/sample_set.h"

enum { LINE_SIZE = 900, NUMBER_SIZE = 40 };

static const double LONGEST = 600, USUAL = 240;

prepare_options prepare_defaults(const char *folder) {
  return (prepare_options){.folder = folder, .max_duration = USUAL};
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

void prepare_hash(hash *h, const char *text) {
  char length[NUMBER_SIZE];
  int n = snprintf(length, sizeof length, "%zu:", strlen(text));
  hash_add(h, length, (size_t)n);
  hash_add(h, text, strlen(text));
}

static void make_latents_key(const preparing *w, prepare_item *item) {
  char number[NUMBER_SIZE];
  hash h;
  hash_begin(&h);
  prepare_hash(&h, "latents 1");
  prepare_hash(&h, item->size);
  prepare_hash(&h, item->mtime);
  snprintf(number, sizeof number, "%.9g", w->o->max_duration);
  prepare_hash(&h, number);
  /* Sampled latents draw their noise from the id. */
  prepare_hash(&h, w->o->profile == SONG_TEXT_REFERENCE ? dataset_text(w->d, item->sample, "id") : "mean");
  prepare_hash(&h, w->vae_sha);
  hash_end(&h, item->latents_key);
}

static ace_status make_key(const preparing *w, prepare_item *item, ace_error *err) {
  song_text text;
  ace_status status = song_text_make(w->d, item->sample, item->by_genre, 0, w->o->profile, &text, err);
  if (status != ACE_OK) return status;
  hash h;
  hash_begin(&h);
  prepare_hash(&h, "sample 1");
  prepare_hash(&h, item->latents_key);
  prepare_hash(&h, text.prompt);
  prepare_hash(&h, text.lyrics);
  prepare_hash(&h, w->o->profile == SONG_TEXT_REFERENCE ? "reference" : "matched");
  prepare_hash(&h, w->o->cover ? "cover" : "text");
  prepare_hash(&h, w->model_sha);
  prepare_hash(&h, w->text_sha);
  hash_end(&h, item->key);
  song_text_free(&text);
  return ACE_OK;
}

bool prepare_is_current(const char *path, const char *key) {
  st_file *f = file_exists(path) ? st_open(path, NULL) : NULL;
  const char *made = f ? st_metadata(f, "key") : NULL;
  bool current = made && strcmp(made, key) == 0;
  st_close(f);
  return current;
}

float *prepare_load(const char *path, const char *name, int64_t *rows, int64_t *columns, ace_error *err) {
  st_file *f = st_open(path, err);
  const st_tensor *t = f ? st_find(f, name) : NULL;
  bool fits = t && t->dtype == ST_F32 && t->rank == 2 && t->count > 0;
  float *data = fits ? malloc((size_t)t->count * sizeof *data) : NULL;
  if (f && !fits)
    ace_fail(err, ACE_EFORMAT, "%s: tensor %s is missing or has another shape; remove the file", path, name);
  else if (f && !data) ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  if (data) {
    st_widen(t, 0, t->count, data);
    *rows = t->dim[0];
    *columns = t->dim[1];
  }
  st_close(f);
  return data;
}

double prepare_seconds(const preparing *w, int64_t frames) {
  const vae_config *v = &w->e->vae->cfg;
  return (double)(frames * v->hop) / v->sampling_rate;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static char *file_of(const preparing *w, int i, const char *suffix) {
  char name[256];
  snprintf(name, sizeof name, "%.128s%s", dataset_text(w->d, i, "id"), suffix);
  return file_join(w->o->folder, name);
}

static ace_status add_item(preparing *w, int i, bool by_genre, ace_error *err) {
  prepare_item *item = &w->item[w->n++];
  *item = (prepare_item){.sample = i,
                         .by_genre = by_genre,
                         .path = file_of(w, i, ".safetensors"),
                         .latents = file_of(w, i, ".latents.part.safetensors"),
                         .words = file_of(w, i, ".words.part.safetensors")};
  if (!item->path || !item->latents || !item->words) return ace_fail(err, ACE_ENOMEM, "prepare: out of memory");
  struct stat st = {0};
  stat(dataset_text(w->d, i, "audio_path"), &st); /* what is missing fails when it is read */
  snprintf(item->size, sizeof item->size, "%lld", (long long)st.st_size);
  snprintf(item->mtime, sizeof item->mtime, "%lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  double seconds = (double)json_integer_value(json_object_get(w->d->sample[i].fields, "duration"));
  if (seconds <= 0 || seconds > w->o->max_duration) seconds = w->o->max_duration;
  const vae_config *v = &w->e->vae->cfg;
  item->work = seconds * v->sampling_rate / v->hop * cost_vae_encode(v);
  make_latents_key(w, item);
  ace_status status = make_key(w, item, err);
  if (status == ACE_OK && !w->o->again && prepare_is_current(item->path, item->key)) item->state = PREPARE_CURRENT;
  return status;
}

static ace_status list_items(preparing *w, ace_error *err) {
  int labeled = dataset_labeled(w->d);
  if (labeled == 0)
    return ace_fail(err, ACE_EINVAL, "no labeled samples; label them first, by hand or with acestep dataset label");
  bool *by_genre = calloc((size_t)w->d->n, sizeof *by_genre);
  w->item = calloc((size_t)labeled, sizeof *w->item);
  ace_status status = by_genre && w->item ? ACE_OK : ace_fail(err, ACE_ENOMEM, "prepare: out of memory");
  if (status == ACE_OK) song_text_choose(w->d, by_genre);
  for (int i = 0; i < w->d->n && status == ACE_OK; i++)
    if (dataset_flag(w->d, i, "labeled")) status = add_item(w, i, by_genre[i], err);
  free(by_genre);
  return status;
}

/* ---- passes ------------------------------------------------------------------------------------------------------ */

/* A failure that would meet every other song as well. */
static bool is_fatal(ace_status status) {
  return status == ACE_ECANCELED || status == ACE_EIO;
}

static void say_failure(const preparing *w, prepare_item *item, const ace_error *why) {
  char line[LINE_SIZE];
  item->state = PREPARE_FAILED;
  if (!w->notify || !w->notify->log) return;
  snprintf(line, sizeof line, "Failed: %.200s: %s", dataset_text(w->d, item->sample, "filename"), why->message);
  w->notify->log(w->notify->user, line);
}

typedef ace_status (*prepare_pass)(preparing *w, prepare_item *item, ace_error *err);

static int left(const preparing *w) {
  int n = 0;
  for (int i = 0; i < w->n; i++) n += w->item[i].state == PREPARE_TO_DO;
  return n;
}

/* share: of a song's work. */
static ace_status run_pass(preparing *w, const char *stage, prepare_pass pass, double share, ace_error *err) {
  int steps = left(w), step = 0;
  progress_stage(&w->p, stage, steps);
  for (int i = 0; i < w->n; i++) {
    prepare_item *item = &w->item[i];
    if (item->state != PREPARE_TO_DO) continue;
    if (notify_stopped(w->notify)) return ace_fail(err, ACE_ECANCELED, "prepare: cancelled; it goes on from here");
    ace_error why = {0};
    double end = w->p.done + share * item->work;
    ace_status status = pass(w, item, &why);
    if (is_fatal(status)) return ace_fail(err, status, "%s", why.message);
    if (status != ACE_OK) say_failure(w, item, &why);
    progress_count(&w->p, end - w->p.done, ++step, steps);
  }
  return ACE_OK;
}

static ace_status run_passes(preparing *w, ace_error *err) {
  static const double words = 0.02, conditions = 0.05;
  double total = 0;
  for (int i = 0; i < w->n; i++)
    if (w->item[i].state == PREPARE_TO_DO) total += w->item[i].work * (1 + words + conditions);
  w->p.total = w->p.done + total;
  ace_status status = run_pass(w, "encode", prepare_sound, 1, err);
  ckpt_release(w->e->vae->checkpoint, "");
  if (status == ACE_OK) status = run_pass(w, "words", prepare_words, words, err);
  ckpt_release(w->e->text->checkpoint, "");
  if (status == ACE_OK) status = run_pass(w, "conditions", prepare_sample, conditions, err);
  ckpt_release(w->e->dit->checkpoint, "encoder.");
  return status;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static ace_status write_manifest(const preparing *w, ace_error *err) {
  json_t *names = json_array(), *metadata = json_copy(w->d->metadata);
  for (int i = 0; i < w->n; i++) {
    const prepare_item *item = &w->item[i];
    if (item->state != PREPARE_CURRENT && item->state != PREPARE_DONE) continue;
    json_array_append_new(names, json_string(strrchr(item->path, '/') + 1));
  }
  json_object_set_new(metadata, "num_samples", json_integer((json_int_t)json_array_size(names)));
  json_object_set_new(metadata, "prep_profile",
                      json_string(w->o->profile == SONG_TEXT_REFERENCE ? "reference" : "matched"));
  ace_status status = names && metadata ? sample_set_write(w->o->folder, metadata, names, err)
                                        : ace_fail(err, ACE_ENOMEM, "prepare: out of memory");
  json_decref(names), json_decref(metadata);
  return status;
}

static const char *sha_of(const json_t *hashes, const char *role) {
  return json_text(json_object_get(hashes, role), "sha256");
}

static ace_status begin(preparing *w, ace_error *err) {
  const prepare_options *o = w->o;
  if (!*o->folder) return ace_fail(err, ACE_EINVAL, "prepare: name a folder for the samples");
  if (!(o->max_duration >= 1 && o->max_duration <= LONGEST))
    return ace_fail(err, ACE_EINVAL, "max duration: %g is outside 1..%g seconds", o->max_duration, LONGEST);
  ace_status status = engine_need_vae(w->e, VAE_ENCODER, err);
  if (status == ACE_OK) status = file_make_directory(o->folder, err);
  if (status != ACE_OK) return status;
  progress_start(&w->p, w->notify, 1 + engine_hash_work(w->e));
  w->hashes = engine_hashes(w->e, &w->p, w->notify, err);
  if (!w->hashes) return err->status;
  w->model_sha = sha_of(w->hashes, "diffusion");
  w->vae_sha = sha_of(w->hashes, "autoencoder");
  w->text_sha = sha_of(w->hashes, "text_encoder");
  return list_items(w, err);
}

ace_status engine_prepare(ace_engine *e, const dataset *d, const prepare_options *o, const ace_callbacks *notify,
                          prepare_report *report, ace_error *err) {
  ace_error own;
  preparing w = {.e = e, .d = d, .o = o, .notify = notify};
  *report = (prepare_report){0};
  if (!err) err = &own;
  ace_status status = begin(&w, err);
  if (status == ACE_OK) status = run_passes(&w, err);
  for (int i = 0; i < w.n; i++) {
    report->done += w.item[i].state == PREPARE_DONE;
    report->skipped += w.item[i].state == PREPARE_CURRENT;
    report->failed += w.item[i].state == PREPARE_FAILED;
  }
  if (status == ACE_OK) status = write_manifest(&w, err);
  for (int i = 0; i < w.n; i++) free(w.item[i].path), free(w.item[i].latents), free(w.item[i].words);
  free(w.item);
  json_decref(w.hashes);
  return status;
}
