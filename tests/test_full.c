/* Training all weights of a part, on the miniature's sizes: gradients of every weight against finite differences in every
 * task that a piece can stand for, the straight-through tokenizer and language model too; each part learns; a stop costs
 * not a bit; what comes out opens as any model does. Otherwise weeks of training make a model that is not what was meant. */
#include "full_fixture.h"

#include "base/strings.h"
#include "train/look.h"

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

static bool not_in_front_of_rounding(const char *name) {
  return !string_begins(name, "tokenizer.") || behind_rounding(name);
}

static void test_gradients_of_the_tokenizer_through_remixes(void **state) {
  fixture *f = *state;
  f->s.train_tokenizer = true;
  f->s.cfg_ratio = 0.3;
  full_task *task = open_task(f);
  expect_all(full_task_of(task), 8, 1, not_in_front_of_rounding);
  full_task_close(task);
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

static void test_a_stop_costs_not_a_bit_and_the_result_opens(void **state) {
  fixture *f = *state;
  ace_error err;
  size_t n, m;
  char path[500];
  watch straight = {0}, first = {.stop_at = 4}, second = {0};
  f->s.train_text_encoder = true;
  train(f, &straight);
  char *a = read_final(f, DIT, &n);
  file_remove_tree(f->output, NULL);
  train(f, &first);
  assert_int_equal(train_settings_set(&f->s, "resume", f->output, NULL), ACE_OK);
  train(f, &second);
  char *b = read_final(f, DIT, &m);
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
  f->room = 1 << 20;
  full_options o = options_of(f);
  assert_null(full_task_open(&o, &err));
  expect_error(&err, ACE_ENOMEM, "train", "MB are free");
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {
      EACH(test_gradients_of_the_transformer_and_the_text_encoder),
      EACH(test_gradients_of_the_tokenizer),
      EACH(test_gradients_of_the_tokenizer_through_remixes),
      EACH(test_gradients_of_the_language_model),
      EACH(test_looks),
      EACH(test_every_part_learns),
      EACH(test_a_stop_costs_not_a_bit_and_the_result_opens),
      EACH(test_broken_pieces_are_refused),
      EACH(test_what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
