/* Training all weights of a part, on the miniature's sizes: gradients of every weight against finite differences in every
 * task that a piece can stand for, the straight-through tokenizer and language model too; each part learns; a stop costs
 * not a bit; what comes out opens as any model does. Otherwise weeks of training make a model that is not what was meant. */
#include "temp.h"

#include <math.h>

#include "base/file.h"
#include "base/strings.h"
#include "engine/tiny_parts.h"
#include "train/full_task.h"
#include "train/look.h"
#include "train/piece.h"
#include "train/stream.h"
#include "train/trainer.h"

static const char DIT[] = "acestep-v15-base", TEXT[] = "Qwen3-Embedding-0.6B", LM[] = "acestep-5Hz-lm-0.6B";

enum { PIECES = 3, CHANNELS = 64, FRAMES = 24 };

typedef struct fixture {
  temp t;
  char pieces[300], output[300], dit[300], text[300], lm[300];
  bpe *words, *lm_words;
  train_settings s;
} fixture;

/* ---- models and pieces -------------------------------------------------------------------------------------------- */

static void write_qwen3(const tiny_job *job, const char *part, const tiny_merges *m, bool lm) {
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

static void write_dit(const tiny_job *job) {
  char text[TINY_CONFIG_SIZE];
  dit_config cfg;
  ace_error err = {0};
  tiny_dit_text(text, false);
  json_t *json = json_loads(text, 0, NULL);
  float *silence = calloc(CHANNELS * TINY_SILENCE_FRAMES, sizeof *silence);
  ace_status status = cfg_read_dit(json, DIT, &cfg, &err);
  if (status == ACE_OK) status = tiny_write_text(job, DIT, "config.json", text, &err);
  if (status == ACE_OK) status = tiny_write_dit(job, DIT, &cfg, &err);
  if (status == ACE_OK) status = tiny_write_silence(job, DIT, silence, &err);
  if (status != ACE_OK) fail_msg("%s", err.message);
  free(silence);
  json_decref(json);
}

static void write_piece(const fixture *f, int i) {
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

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  tiny_merges *m = calloc(1, sizeof *m);
  f->t = temp_open();
  tiny_job job = {.folder = f->t.folder};
  snprintf(f->pieces, sizeof f->pieces, "%s/pieces", f->t.folder);
  snprintf(f->output, sizeof f->output, "%s/out", f->t.folder);
  snprintf(f->dit, sizeof f->dit, "%s/%s", f->t.folder, DIT);
  snprintf(f->text, sizeof f->text, "%s/%s", f->t.folder, TEXT);
  snprintf(f->lm, sizeof f->lm, "%s/%s", f->t.folder, LM);
  const char *const folders[] = {f->pieces, f->dit, f->text, f->lm};
  for (int i = 0; i < 4; i++) assert_int_equal(file_make_directory(folders[i], NULL), ACE_OK);
  assert_int_equal(tiny_learn(m, tiny_corpus, TINY_VOCABULARY, NULL), ACE_OK);
  write_qwen3(&job, TEXT, m, false);
  write_qwen3(&job, LM, m, true);
  write_dit(&job);
  for (int i = 0; i < PIECES; i++) write_piece(f, i);
  f->words = bpe_open(f->text, NULL);
  f->lm_words = bpe_open(f->lm, NULL);
  assert_true(f->words && f->lm_words);
  assert_int_equal(train_settings_init(&f->s, TRAIN_SURFACE_GUIDE, TRAIN_FULL, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&f->s, "dataset_dir", f->pieces, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&f->s, "output_dir", f->output, NULL), ACE_OK);
  f->s.batch_size = 1, f->s.epochs = 2, f->s.warmup_steps = 0;
  free(m);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  bpe_close(f->words), bpe_close(f->lm_words);
  file_remove_tree(f->t.folder, NULL);
  train_settings_free(&f->s);
  free(f);
  return 0;
}

static full_task *open_task(const fixture *f) {
  ace_error err;
  full_task *task = full_task_open(&(full_options){.settings = &f->s,
                                                   .room = (size_t)1 << 30,
                                                   .dit = {f->dit, DIT},
                                                   .text = {f->text, TEXT},
                                                   .lm = {f->lm, LM},
                                                   .words = f->words,
                                                   .lm_words = f->lm_words},
                                   &err);
  if (!task) fail_msg("%s", err.message);
  return task;
}

/* ---- gradients ---------------------------------------------------------------------------------------------------- */

static double loss_of(train_task *t, int sample, uint32_t epoch) {
  ace_error err;
  double loss;
  train_batch b = {.sample = &sample, .n = 1, .epoch = epoch, .learn = true, .weight = 1};
  memset(t->grads, 0, (size_t)t->count * sizeof *t->grads);
  if (t->run(t->user, &b, &loss, &err) != ACE_OK) fail_msg("%s", err.message);
  return loss;
}

/* One sample of one epoch. reached [tensors]: has ever had a gradient. `smooth`: the loss is differentiable in it. */
static void expect_differences(train_task *t, int sample, uint32_t epoch, bool *reached, bool (*smooth)(const char *)) {
  double whole = loss_of(t, sample, epoch);
  float *g = malloc((size_t)t->count * sizeof *g);
  memcpy(g, t->grads, (size_t)t->count * sizeof *g);
  for (int i = 0; i < t->tensors; i++) {
    const train_tensor *x = &t->tensor[i];
    int64_t n = x->rows * x->columns;
    float *v = t->values + x->first, *kept = malloc((size_t)n * sizeof *kept);
    const float *d = g + x->first;
    double square = 0, size = 0, loss[2];
    for (int64_t j = 0; j < n; j++) square += (double)d[j] * (double)d[j], size += (double)v[j] * (double)v[j];
    if (square > 0 && (!smooth || smooth(x->name)) && !reached[i]) {
      double h = fmin(1e-3 * whole / square, 3e-3 * sqrt((size + 0.1) / square));
      memcpy(kept, v, (size_t)n * sizeof *kept);
      for (int side = 0; side < 2; side++) {
        for (int64_t j = 0; j < n; j++) v[j] = (float)((double)kept[j] + (side ? -h : h) * (double)d[j]);
        loss[side] = loss_of(t, sample, epoch);
      }
      memcpy(v, kept, (size_t)n * sizeof *kept);
      double found = (loss[0] - loss[1]) / (2 * h);
      if (fabs(found - square) > 0.03 * square + 3e-7 * whole / h)
        fail_msg("%s: the loss changes by %g, its gradient says %g", x->name, found, square);
    }
    reached[i] |= square > 0;
    free(kept);
  }
  free(g);
}

/* Epochs until every tensor has had a gradient but `none` of them. */
static void expect_all(train_task *t, int epochs, int none, bool (*smooth)(const char *)) {
  bool *reached = calloc((size_t)t->tensors, sizeof *reached);
  for (int epoch = 0; epoch < epochs; epoch++)
    for (int sample = 0; sample < PIECES; sample++) expect_differences(t, sample, (uint32_t)epoch, reached, smooth);
  for (int i = 0; i < t->tensors; i++)
    if (!reached[i]) print_message("%s has no gradient\n", t->tensor[i].name), none--;
  assert_int_equal(none, 0);
  free(reached);
}

static void test_gradients_of_the_transformer_and_the_text_encoder(void **state) {
  fixture *f = *state;
  f->s.train_text_encoder = true;
  f->s.cfg_ratio = 0.3;
  full_task *task = open_task(f);
  expect_all(full_task_of(task), 4, 1, NULL); /* the timbre encoder's special token is for XL models */
  full_task_close(task);
}

/* In front of the rounding of codes the loss has steps; there the gradient is the identity's (test_tape). */
static bool behind_rounding(const char *name) {
  return string_begins(name, "detokenizer.") || strstr(name, "project_out");
}

static void test_gradients_of_the_tokenizer(void **state) {
  fixture *f = *state;
  f->s.part = TRAIN_PART_TOKENIZER;
  full_task *task = open_task(f);
  expect_all(full_task_of(task), 1, 0, behind_rounding);
  full_task_close(task);
}

static void test_gradients_of_the_language_model(void **state) {
  fixture *f = *state;
  f->s.part = TRAIN_PART_LM;
  full_task *task = open_task(f);
  expect_all(full_task_of(task), 2, 0, NULL);
  full_task_close(task);
}

/* ---- looks -------------------------------------------------------------------------------------------------------- */

static bool same(const float *a, const float *b, int64_t n) {
  return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

/* What every task shows and wants, and in which words. */
static void test_looks(void **state) {
  static const char *const words[] = {"Fill the audio", "Generate audio", "Repaint",
                                      "Extract the ",   "Generate the ",  "Complete the"};
  fixture *f = *state;
  piece p;
  char path[400];
  int seen[LOOK_TASKS] = {0};
  snprintf(path, sizeof path, "%s/p1.safetensors", f->pieces);
  assert_int_equal(piece_open(path, &p, NULL), ACE_OK);
  float quiet[CHANNELS] = {0};
  tens silence = {.dtype = TENS_F32, .rank = 2, .dim = {1, CHANNELS}, .data = quiet};
  look_options o = {.seed = 1, .tokenizer = f->words, .silence = &silence, .timbre_frames = 50};
  int64_t n = p.frames * CHANNELS;
  const float *mix = p.mix->data;
  for (uint32_t epoch = 0; epoch < 200; epoch++) {
    look l;
    size_t length;
    assert_int_equal(look_make(&p, &o, epoch, 3, &l, NULL), ACE_OK);
    char *text = bpe_decode(f->words, l.text.id, l.text.n, 0, &length);
    assert_non_null(strstr(text, words[l.task]));
    bool drums = strstr(text, "DRUMS"), by_stem = l.task == LOOK_EXTRACT || l.task == LOOK_LEGO;
    const piece_track *track = &p.track[(strcmp(p.track[0].name, "drums") == 0) == drums ? 0 : 1];
    double made = 0;
    for (int64_t t = 0; t < l.frames; t++) made += (double)l.mask[t];
    assert_true(same(l.target, by_stem ? track->stem->data : mix, n));
    assert_true(l.task == LOOK_REPAINT ? made >= 1 && made <= (double)l.frames : made == (double)l.frames);
    for (int64_t i = 0; i < n; i++) {
      bool hidden = l.task == LOOK_TEXT2MUSIC || (l.task == LOOK_REPAINT && l.mask[i / CHANNELS] == 1);
      if (hidden) assert_true(l.source[i] == 0);
    }
    if (l.task == LOOK_COVER || l.task == LOOK_EXTRACT) assert_true(same(l.source, mix, n));
    if (l.task == LOOK_LEGO) assert_true(same(l.source, track->rest->data, n));
    if (l.task == LOOK_COMPLETE) assert_false(same(l.source, mix, n));
    seen[l.task]++;
    free(text);
    look_free(&l);
  }
  for (int i = 0; i < LOOK_TASKS; i++) assert_true(seen[i] >= 10);
  piece_close(&p);
}

/* ---- training ------------------------------------------------------------------------------------------------------ */

typedef struct watch {
  int64_t stop_at, step;
  double first, last;
} watch;

static void on_step(void *user, const train_step *s) {
  watch *w = user;
  w->step = s->step;
  if (s->step == 1) w->first = s->loss;
  w->last = s->ema;
}

static bool wants_stop(void *user) {
  const watch *w = user;
  return w->stop_at && w->step >= w->stop_at;
}

static void train(const fixture *f, watch *w) {
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

static void test_every_part_learns(void **state) {
  static const int epochs[] = {12, 40, 40};
  fixture *f = *state;
  for (int part = TRAIN_PART_DIT; part <= TRAIN_PART_LM; part++) {
    watch w = {0};
    f->s.part = part;
    f->s.epochs = epochs[part];
    f->s.learning_rate = 3e-3;
    file_remove_tree(f->output, NULL);
    train(f, &w);
    print_message("part %d: loss %.3f -> %.3f in %lld steps\n", part, w.first, w.last, (long long)w.step);
    assert_true(w.last < 0.7 * w.first);
  }
}

static char *read_final(const fixture *f, size_t *n) {
  char path[500];
  ace_error err;
  snprintf(path, sizeof path, "%s/final/%s/model.safetensors", f->output, DIT);
  char *data = file_read(path, 1 << 28, n, &err);
  if (!data) fail_msg("%s", err.message);
  return data;
}

static void test_a_stop_costs_not_a_bit_and_the_result_opens(void **state) {
  fixture *f = *state;
  ace_error err;
  size_t n, m;
  char path[500];
  watch straight = {0}, first = {.stop_at = 4}, second = {0};
  f->s.train_text_encoder = true;
  train(f, &straight);
  char *a = read_final(f, &n);
  file_remove_tree(f->output, NULL);
  train(f, &first);
  assert_int_equal(train_settings_set(&f->s, "resume", f->output, NULL), ACE_OK);
  train(f, &second);
  char *b = read_final(f, &m);
  assert_int_equal(n, m);
  assert_memory_equal(a, b, n);
  free(a), free(b);
  snprintf(path, sizeof path, "%s/final/%s", f->output, DIT);
  acestep_dit *dit = acestep_dit_open(path, &err);
  if (!dit) fail_msg("%s", err.message);
  acestep_dit_close(dit);
  snprintf(path, sizeof path, "%s/final/%s", f->output, TEXT);
  qwen3 *text = qwen3_open(path, &err);
  if (!text) fail_msg("%s", err.message);
  qwen3_close(text);
  bpe *words = bpe_open(path, &err);
  if (!words) fail_msg("%s", err.message);
  bpe_close(words);
}

/* ---- what is refused ----------------------------------------------------------------------------------------------- */

static void test_broken_pieces_are_refused(void **state) {
  fixture *f = *state;
  ace_error err;
  piece p;
  float x[4] = {0, NAN, 0, 0};
  json_t *about = json_object();
  char path[400];
  snprintf(path, sizeof path, "%s/broken.safetensors", f->pieces);
  st_tensor t[] = {{.name = "mix", .dtype = ST_F32, .rank = 2, .dim = {2, 2}, .data = x},
                   {.name = "stem/drums", .dtype = ST_F32, .rank = 2, .dim = {2, 2}, .data = x}};
  piece_write(path, about, t, 1, NULL);
  assert_int_equal(piece_open(path, &p, &err), ACE_EFORMAT);
  expect_error(&err, ACE_EFORMAT, "broken", "not finite");
  x[1] = 0;
  piece_write(path, about, t, 2, NULL);
  piece_open(path, &p, &err);
  expect_error(&err, ACE_EFORMAT, "broken", "rest/drums is missing");
  t[0].name = "other";
  piece_write(path, about, t, 1, NULL);
  piece_open(path, &p, &err);
  expect_error(&err, ACE_EFORMAT, "broken", "mix is missing");
  st_write(path, t, 1, NULL, 0, NULL);
  piece_open(path, &p, &err);
  expect_error(&err, ACE_EFORMAT, "broken", "not a prepared piece");
  json_decref(about);
}

static void test_what_does_not_fit_is_refused(void **state) {
  fixture *f = *state;
  ace_error err;
  full_options o = {
      .settings = &f->s, .room = 1 << 20, .dit = {f->dit, DIT}, .text = {f->text, TEXT}, .words = f->words};
  assert_null(full_task_open(&o, &err));
  expect_error(&err, ACE_ENOMEM, "train", "MB are free");
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {
      EACH(test_gradients_of_the_transformer_and_the_text_encoder),
      EACH(test_gradients_of_the_tokenizer),
      EACH(test_gradients_of_the_language_model),
      EACH(test_looks),
      EACH(test_every_part_learns),
      EACH(test_a_stop_costs_not_a_bit_and_the_result_opens),
      EACH(test_broken_pieces_are_refused),
      EACH(test_what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
