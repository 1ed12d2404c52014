/* full_fixture.h - what trainings of all weights are tested on: small random models, a base and a turbo one, and three
 * pieces, in a folder of its own; and a training of them. */
#ifndef ACE_TESTS_FULL_FIXTURE_H
#define ACE_TESTS_FULL_FIXTURE_H

#include "temp.h"

#include <math.h>

#include "base/file.h"
#include "engine/tiny_parts.h"
#include "train/full_task.h"
#include "train/piece.h"
#include "train/stream.h"
#include "train/trainer.h"

static const char DIT[] = "acestep-v15-base", TURBO[] = "acestep-v15-turbo", TEXT[] = "Qwen3-Embedding-0.6B",
                  LM[] = "acestep-5Hz-lm-0.6B";

enum { PIECES = 3, CHANNELS = 64, FRAMES = 24 };

typedef struct fixture {
  temp t;
  char pieces[300], output[300], dit[300], turbo[300], text[300], lm[300];
  bpe *words, *lm_words;
  train_settings s;
  size_t room;
} fixture;

/* ---- models and pieces -------------------------------------------------------------------------------------------- */

static inline void write_qwen3(const tiny_job *job, const char *part, const tiny_merges *m, bool lm) {
  char text[TINY_CONFIG_SIZE];
  qwen3_config cfg;
  tiny_ids ids;
  ace_error err = {0};
  ace_status status = tiny_write_tokenizer(job, part, m, lm ? TINY_CODES : 0, &ids, &err);
  if (lm) tiny_lm_text(text, ids.vocabulary, ids.end_of_text, ids.end_of_turn);
  else tiny_text_encoder_text(text, ids.vocabulary, ids.end_of_text);
  json_t *json = json_loads(text, 0, NULL);
  if (status == ACE_OK) status = cfg_read_qwen3(json, part, &cfg, &err);
  if (status == ACE_OK) status = tiny_write_text(job, part, "config.json", text, &err);
  if (status == ACE_OK) status = tiny_write_qwen3(job, part, &cfg, lm, &err);
  if (status != ACE_OK) fail_msg("%s", err.message);
  json_decref(json);
}

static inline void write_dit(const tiny_job *job, const char *name, bool turbo) {
  char text[TINY_CONFIG_SIZE];
  dit_config cfg;
  ace_error err = {0};
  tiny_dit_text(text, turbo);
  json_t *json = json_loads(text, 0, NULL);
  float *silence = calloc(CHANNELS * TINY_SILENCE_FRAMES, sizeof *silence);
  ace_status status = cfg_read_dit(json, name, &cfg, &err);
  if (status == ACE_OK) status = tiny_write_text(job, name, "config.json", text, &err);
  if (status == ACE_OK) status = tiny_write_dit(job, name, &cfg, &err);
  if (status == ACE_OK) status = tiny_write_silence(job, name, silence, &err);
  if (status != ACE_OK) fail_msg("%s", err.message);
  free(silence);
  json_decref(json);
}

static inline void write_piece(const fixture *f, int i) {
  static const char *const names[] = {"mix", "stem/drums", "rest/drums", "stem/bass", "rest/bass"};
  st_tensor t[5] = {0};
  char path[400];
  ace_error err;
  int64_t frames = FRAMES + 5 * i; /* not always whole patches and windows */
  for (int k = 0; k < 5; k++) {
    float *x = malloc((size_t)(frames * CHANNELS) * sizeof *x);
    stream s = stream_of(7, STREAM_NOISE, (uint32_t)k, 0, (uint32_t)i);
    stream_normal(&s, 0, frames * CHANNELS, x);
    t[k] = (st_tensor){.name = names[k], .dtype = ST_F32, .rank = 2, .dim = {frames, CHANNELS}, .data = x};
  }
  json_t *about = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:b, s:[{s:s},{s:s}]}", "caption",
                            i ? "a fast rock song" : "calm piano", "lyrics", i ? "[Verse]\nla la la\n" : "", "genre",
                            "rock", "bpm", 90 + i, "keyscale", "C major", "timesignature", "4", "language", "en",
                            "is_instrumental", i == 0, "tracks", "track", "drums", "track", "bass");
  snprintf(path, sizeof path, "%s/p%d.safetensors", f->pieces, i);
  if (piece_write(path, about, t, 5, &err) != ACE_OK) fail_msg("%s", err.message);
  for (int k = 0; k < 5; k++) free((void *)t[k].data);
  json_decref(about);
}

static inline int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  tiny_merges *m = calloc(1, sizeof *m);
  f->t = temp_open();
  tiny_job job = {.folder = f->t.folder};
  snprintf(f->pieces, sizeof f->pieces, "%s/pieces", f->t.folder);
  snprintf(f->output, sizeof f->output, "%s/out", f->t.folder);
  snprintf(f->dit, sizeof f->dit, "%s/%s", f->t.folder, DIT);
  snprintf(f->turbo, sizeof f->turbo, "%s/%s", f->t.folder, TURBO);
  snprintf(f->text, sizeof f->text, "%s/%s", f->t.folder, TEXT);
  snprintf(f->lm, sizeof f->lm, "%s/%s", f->t.folder, LM);
  const char *const folders[] = {f->pieces, f->dit, f->turbo, f->text, f->lm};
  for (int i = 0; i < 5; i++) assert_int_equal(file_make_directory(folders[i], NULL), ACE_OK);
  assert_int_equal(tiny_learn(m, tiny_corpus, TINY_VOCABULARY, NULL), ACE_OK);
  write_qwen3(&job, TEXT, m, false);
  write_qwen3(&job, LM, m, true);
  write_dit(&job, DIT, false);
  write_dit(&job, TURBO, true);
  for (int i = 0; i < PIECES; i++) write_piece(f, i);
  f->words = bpe_open(f->text, NULL);
  f->lm_words = bpe_open(f->lm, NULL);
  assert_true(f->words && f->lm_words);
  assert_int_equal(train_settings_init(&f->s, TRAIN_SURFACE_GUIDE, TRAIN_FULL, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&f->s, "dataset_dir", f->pieces, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&f->s, "output_dir", f->output, NULL), ACE_OK);
  f->s.batch_size = 1, f->s.epochs = 2, f->s.warmup_steps = 0;
  f->room = (size_t)1 << 30;
  free(m);
  *state = f;
  return 0;
}

static inline int teardown(void **state) {
  fixture *f = *state;
  bpe_close(f->words), bpe_close(f->lm_words);
  file_remove_tree(f->t.folder, NULL);
  train_settings_free(&f->s);
  free(f);
  return 0;
}

/* Of the base model; with a teacher of the turbo model, which the base model teaches. */
static inline full_options options_of(const fixture *f) {
  bool distils = *f->s.teacher;
  return (full_options){.settings = &f->s,
                        .room = f->room,
                        .dit = {distils ? f->turbo : f->dit, distils ? TURBO : DIT},
                        .teacher = {distils ? f->dit : NULL, DIT},
                        .text = {f->text, TEXT},
                        .lm = {f->lm, LM},
                        .words = f->words,
                        .lm_words = f->lm_words};
}

static inline full_task *open_task(const fixture *f) {
  ace_error err;
  full_options o = options_of(f);
  full_task *task = full_task_open(&o, &err);
  if (!task) fail_msg("%s", err.message);
  return task;
}

/* ---- training ------------------------------------------------------------------------------------------------------ */

typedef struct watch {
  int64_t stop_at, step;
  double first, last;
} watch;

static inline void on_step(void *user, const train_step *s) {
  watch *w = user;
  w->step = s->step;
  if (s->step == 1) w->first = s->loss;
  w->last = s->ema;
}

static inline bool wants_stop(void *user) {
  const watch *w = user;
  return w->stop_at && w->step >= w->stop_at;
}

static inline void train(const fixture *f, watch *w) {
  ace_error err = {0};
  train_outcome out;
  full_task *task = open_task(f);
  train_job job = {
      .settings = &f->s, .task = full_task_of(task), .events = {.step = on_step, .cancelled = wants_stop, .user = w}};
  if (train_run(&job, &out, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_true(out.stopped == (w->stop_at > 0));
  train_outcome_free(&out);
  full_task_close(task);
}

/* final/NAME/model.safetensors; free() it. */
static inline char *read_final(const fixture *f, const char *name, size_t *n) {
  char path[500];
  ace_error err;
  snprintf(path, sizeof path, "%s/final/%s/model.safetensors", f->output, name);
  char *data = file_read(path, 1 << 28, n, &err);
  if (!data) fail_msg("%s", err.message);
  return data;
}

#endif
