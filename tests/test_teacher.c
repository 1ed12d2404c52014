/* A turbo model that learns the steps of a guided base model: what it is asked for is what the formula says, computed here
 * with the slow operations and as many null tokens as the condition has; a student that is its teacher has nothing to
 * learn; another one learns to sing as its teacher does, in fewer steps; a stop costs not a bit; its memory is counted; and
 * what cannot be meant is refused. Otherwise days of distillation lead to songs that the teacher never sang. */
#include "full_fixture.h"

#include "models/audio_tokenizer.h"
#include "models/condition.h"
#include "tensor/cpu/isa.h"
#include "train/look.h"
#include "train/teacher.h"

static int setup_taught(void **state) {
  setup(state);
  fixture *f = *state;
  return train_settings_set(&f->s, "teacher", DIT, NULL) == ACE_OK ? 0 : -1;
}

static double loss_of(full_task *task, int sample, uint32_t epoch, bool learn) {
  ace_error err;
  double loss;
  train_task *t = full_task_of(task);
  train_batch b = {.sample = &sample, .n = 1, .epoch = epoch, .learn = learn, .weight = 1};
  memset(t->grads, 0, (size_t)t->count * sizeof *t->grads);
  if (t->run(t->user, &b, &loss, &err) != ACE_OK) fail_msg("%s", err.message);
  return loss;
}

/* Matrix tiles take factors rounded to BF16; gradients, and so a student that learns, do without them. */
static double rounding(double without, double with) {
  return tens_isa_has_tiles(tens_isa_name()) ? with : without;
}

/* ---- the formula, slowly ------------------------------------------------------------------------------------------- */

typedef struct slow {
  acestep_dit *student, *teacher;
  qwen3 *text;
  tens_ctx *c, *fast; /* the second one for audio codes, which a rounding may change */
  look l;
  int64_t n; /* values of a latent */
} slow;

static slow slow_open(const fixture *f) {
  slow s = {.student = acestep_dit_open(f->turbo, NULL),
            .teacher = acestep_dit_open(f->dit, NULL),
            .text = qwen3_open(f->text, NULL),
            .c = tens_open(&(tens_options){.device = tens_oracle(), .capacity = (size_t)256 << 20}, NULL),
            .fast = tens_open(&(tens_options){.capacity = (size_t)64 << 20}, NULL)};
  assert_true(s.student && s.teacher && s.text && s.c && s.fast);
  return s;
}

static void slow_close(slow *s) {
  look_free(&s->l);
  tens_close(s->c), tens_close(s->fast);
  acestep_dit_close(s->student), acestep_dit_close(s->teacher), qwen3_close(s->text);
}

static tens *context_of(const slow *s, const acestep_dit *m) {
  const look *l = &s->l;
  tens *x = tens_from(s->c, TENS_F32, TENS_DIMS(1, l->frames, CHANNELS), l->source);
  if (l->task == LOOK_COVER) {
    tens *source = tens_from(s->fast, TENS_F32, TENS_DIMS(1, l->frames, CHANNELS), l->source);
    tens *y = audio_detokenize(s->fast, m, audio_tokenize(s->fast, m, source).quantized);
    assert_non_null(y);
    x = op_resize(s->c, tens_from(s->c, TENS_F32, y->rank, y->dim, y->data), l->frames);
  }
  tens *mask = tens_new(s->c, TENS_F32, TENS_DIMS(1, l->frames, CHANNELS));
  for (int64_t i = 0; i < s->n; i++) tens_f32(mask)[i] = l->mask[i / CHANNELS];
  return op_concat(s->c, 2, (const tens *const[]){x, mask});
}

static tens *ids_of(const slow *s, const bpe_ids *ids) {
  return tens_from(s->c, TENS_I32, TENS_DIMS(1, (int64_t)ids->n), ids->id);
}

static tens *condition_of(const slow *s, const acestep_dit *m, bool given) {
  static const int32_t first = 0;
  const look *l = &s->l;
  int64_t rows = (int64_t)(l->text.n + l->lyric.n) + 1, width = m->cfg.encoder.hidden;
  if (given) {
    condition_input in = {.text = qwen3_hidden(s->c, s->text, ids_of(s, &l->text), NULL),
                          .lyric = qwen3_embed(s->c, s->text, ids_of(s, &l->lyric)),
                          .clips = tens_from(s->c, TENS_F32, TENS_DIMS(1, m->cfg.timbre_frames, CHANNELS), l->clip),
                          .clip_order = &first};
    return condition_encode(s->c, m, &in, NULL);
  }
  tens *none = tens_new(s->c, TENS_F32, TENS_DIMS(1, rows, width));
  for (int64_t i = 0; i < rows * width; i++) tens_f32(none)[i] = tens_f32(&m->null_condition)[i % width];
  return none;
}

/* v += share * the model's velocity at x and t. */
static void add_velocity(const slow *s, const acestep_dit *m, bool given, double share, const double *x, double t,
                         double *v) {
  tens_mark mark = tens_here(s->c);
  ace_error err;
  float now = (float)t;
  tens *latents = tens_new(s->c, TENS_F32, TENS_DIMS(1, s->l.frames, CHANNELS));
  tens *time = tens_from(s->c, TENS_F32, TENS_DIMS(1), &now);
  for (int64_t i = 0; i < s->n; i++) tens_f32(latents)[i] = (float)x[i];
  dit_condition condition;
  dit_attend(s->c, m, condition_of(s, m, given), &condition);
  tens *y = dit_velocity(s->c, m, &condition, context_of(s, m), latents, time, time);
  if (tens_error(s->c, &err) != ACE_OK) fail_msg("%s", err.message);
  for (int64_t i = 0; i < s->n; i++) v[i] += share * (double)tens_f32(y)[i];
  tens_release(s->c, mark), tens_reset(s->fast);
}

static double eighth(double shift, int i) {
  double u = 1 - i / 8.0;
  return shift * u / (1 + (shift - 1) * u);
}

/* The loss of a sample in an epoch, and at which of the eight steps it is. */
static double expected(slow *s, const fixture *f, int sample, uint32_t epoch, int *step) {
  char path[400];
  piece p;
  snprintf(path, sizeof path, "%s/p%d.safetensors", f->pieces, sample);
  assert_int_equal(piece_open(path, &p, NULL), ACE_OK);
  look_options o = {.seed = (uint64_t)f->s.seed,
                    .tokenizer = f->words,
                    .silence = &s->student->silence,
                    .timbre_frames = s->student->cfg.timbre_frames};
  look_free(&s->l);
  assert_int_equal(look_make(&p, &o, epoch, (uint32_t)sample, &s->l, NULL), ACE_OK);
  piece_close(&p);
  int64_t n = s->n = s->l.frames * CHANNELS;
  stream time = stream_of(o.seed, STREAM_TIME, 0, epoch, (uint32_t)sample);
  stream noise = stream_of(o.seed, STREAM_NOISE, 0, epoch, (uint32_t)sample);
  *step = (int)stream_integer(&time, 0, 8);
  double t = eighth(f->s.shift, *step), to = eighth(f->s.shift, *step + 1), g = f->s.teacher_guidance, loss = 0;
  float *e = malloc((size_t)n * sizeof *e);
  double *x = calloc(4 * (size_t)n, sizeof *x), *at = x + n, *v = x + 2 * n, *own = x + 3 * n;
  stream_normal(&noise, 0, n, e);
  for (int64_t i = 0; i < n; i++) at[i] = x[i] = t * (double)e[i] + (1 - t) * (double)s->l.target[i];
  double width = (t - to) / f->s.teacher_steps;
  for (int k = 0; k < f->s.teacher_steps; k++) {
    memset(v, 0, (size_t)n * sizeof *v);
    add_velocity(s, s->teacher, false, 1 - g, at, t - k * width, v);
    add_velocity(s, s->teacher, true, g, at, t - k * width, v);
    for (int64_t i = 0; i < n; i++) at[i] -= width * v[i];
  }
  add_velocity(s, s->student, true, 1, x, t, own);
  for (int64_t i = 0; i < n; i++) {
    double wanted = (x[i] - at[i]) / (t - to);
    loss += (own[i] - wanted) * (own[i] - wanted) / (double)n;
  }
  free(x), free(e);
  return loss;
}

static void test_the_loss_is_what_the_formula_says(void **state) {
  fixture *f = *state;
  f->s.teacher_guidance = 2.5, f->s.teacher_steps = 3;
  full_task *task = open_task(f);
  slow s = slow_open(f);
  bool steps[8] = {0}, tasks[LOOK_TASKS] = {0};
  for (uint32_t epoch = 0; epoch < 12; epoch++)
    for (int sample = 0; sample < PIECES; sample++) {
      int step;
      double wanted = expected(&s, f, sample, epoch, &step), found = loss_of(task, sample, epoch, true);
      /* Products of some hundred terms in F32, a dozen one after the other; in BF16 of the teacher's. */
      if (!(fabs(found - wanted) <= rounding(1e-4, 3e-2) * wanted))
        fail_msg("sample %d of epoch %u, step %d, task %d: %.9g, not %.9g", sample, (unsigned)epoch, step,
                 (int)s.l.task, found, wanted);
      steps[step] = tasks[s.l.task] = true;
    }
  for (int i = 0; i < 8; i++) assert_true(steps[i]);
  for (int i = 0; i < LOOK_TASKS; i++) assert_true(tasks[i]);
  slow_close(&s);
  full_task_close(task);
}

/* ---- what comes of it ---------------------------------------------------------------------------------------------- */

/* The weights of the base model under the name of the turbo model. */
static void begin_with_teacher(const fixture *f) {
  char from[400], to[400];
  size_t n;
  snprintf(from, sizeof from, "%s/model.safetensors", f->dit);
  snprintf(to, sizeof to, "%s/model.safetensors", f->turbo);
  char *data = file_read(from, 1 << 28, &n, NULL);
  assert_non_null(data);
  assert_int_equal(file_write(to, data, n, NULL), ACE_OK);
  free(data);
}

static void test_a_student_that_is_its_teacher_has_nothing_to_learn(void **state) {
  fixture *f = *state;
  begin_with_teacher(f);
  for (int guided = 0; guided < 2; guided++) {
    f->s.teacher_guidance = guided ? 3 : 1, f->s.teacher_steps = 1;
    full_task *task = open_task(f);
    for (uint32_t epoch = 0; epoch < 8; epoch++)
      for (int sample = 0; sample < PIECES; sample++)
        for (int learn = 0; learn < 2; learn++) {
          double loss = loss_of(task, sample, epoch, learn);
          /* A velocity of size 1 whose roundings differ where weights are BF16 or the same in F32. */
          if (guided ? loss < 1e-3 : !(loss <= rounding(1e-10, 1e-3)))
            fail_msg("sample %d of epoch %u, guidance %g: %g", sample, (unsigned)epoch, f->s.teacher_guidance, loss);
        }
    full_task_close(task);
  }
}

/* Without its condition a student learns what the teacher says without one. */
static void test_without_a_condition_nothing_is_guided(void **state) {
  fixture *f = *state;
  begin_with_teacher(f);
  f->s.teacher_steps = 1, f->s.cfg_ratio = 1;
  full_task *task = open_task(f);
  for (int sample = 0; sample < PIECES; sample++)
    assert_true(loss_of(task, sample, 0, true) <= rounding(1e-10, 1e-3)); /* as above */
  full_task_close(task);
}

/* Eight times `steps` from noise to music x [n]; guidance 1: unguided. */
static void sing(const slow *s, const fixture *f, const acestep_dit *m, int steps, double guidance, double *x) {
  stream noise = stream_of(1, STREAM_NOISE, 0, 0, 0);
  float *e = malloc((size_t)s->n * sizeof *e);
  double *v = malloc((size_t)s->n * sizeof *v);
  stream_normal(&noise, 0, s->n, e);
  for (int64_t i = 0; i < s->n; i++) x[i] = (double)e[i];
  for (int k = 0; k < 8 * steps; k++) {
    double from = eighth(f->s.shift, k / steps), width = (from - eighth(f->s.shift, k / steps + 1)) / steps;
    double t = from - k % steps * width;
    memset(v, 0, (size_t)s->n * sizeof *v);
    add_velocity(s, m, true, guidance, x, t, v);
    if (guidance != 1) add_velocity(s, m, false, 1 - guidance, x, t, v);
    for (int64_t i = 0; i < s->n; i++) x[i] -= width * v[i];
  }
  free(e), free(v);
}

/* How far what the student sings in eight unguided steps is from the teacher's song, by its size. */
static double apart(const slow *s, const fixture *f, const acestep_dit *student) {
  double *x = malloc(2 * (size_t)s->n * sizeof *x), *y = x + s->n, off = 0, size = 0;
  sing(s, f, s->teacher, f->s.teacher_steps, f->s.teacher_guidance, x);
  sing(s, f, student, 1, 1, y);
  for (int64_t i = 0; i < s->n; i++) off += (x[i] - y[i]) * (x[i] - y[i]), size += x[i] * x[i];
  free(x);
  return sqrt(off / size);
}

static void test_it_learns_to_sing_as_its_teacher(void **state) {
  fixture *f = *state;
  watch w = {0};
  int step;
  char path[500];
  f->s.epochs = 30, f->s.learning_rate = 3e-3;
  train(f, &w);
  slow s = slow_open(f);
  for (uint32_t epoch = 0; epoch == 0 || s.l.task != LOOK_TEXT2MUSIC; epoch++) expected(&s, f, 1, epoch, &step);
  snprintf(path, sizeof path, "%s/final/%s", f->output, TURBO);
  acestep_dit *taught = acestep_dit_open(path, NULL);
  assert_non_null(taught);
  double before = apart(&s, f, s.student), after = apart(&s, f, taught);
  print_message("loss %.3f -> %.3f in %lld steps, songs apart by %.3f -> %.3f\n", w.first, w.last, (long long)w.step,
                before, after);
  assert_true(w.last < 0.5 * w.first);
  assert_true(after < 0.6 * before);
  acestep_dit_close(taught);
  slow_close(&s);
}

static void test_a_stop_costs_not_a_bit(void **state) {
  fixture *f = *state;
  size_t n, m;
  watch straight = {0}, first = {.stop_at = 4}, second = {0};
  train(f, &straight);
  char *a = read_final(f, TURBO, &n);
  file_remove_tree(f->output, NULL);
  train(f, &first);
  assert_int_equal(train_settings_set(&f->s, "resume", f->output, NULL), ACE_OK);
  train(f, &second);
  char *b = read_final(f, TURBO, &m);
  assert_int_equal(n, m);
  assert_memory_equal(a, b, n);
  free(a), free(b);
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

static full_estimate estimate_of(const fixture *f) {
  full_task *task = open_task(f);
  full_estimate e = *full_task_estimate(task);
  full_task_close(task);
  return e;
}

static void test_memory_is_counted(void **state) {
  fixture *f = *state;
  ace_error err;
  full_estimate e = estimate_of(f);
  acestep_dit *teacher = acestep_dit_open(f->dit, NULL);
  assert_int_equal(e.teacher, ckpt_weight_bytes(teacher->checkpoint));
  assert_int_equal(e.total, e.step + e.parameters + e.teacher);
  acestep_dit_close(teacher);
  f->s.teacher_steps = 16; /* one after the other */
  assert_int_equal(estimate_of(f).step, e.step);
  f->s.gradient_checkpointing = TRAIN_RECOMPUTE_OFF;
  f->room = e.total - 1;
  full_options o = options_of(f);
  assert_null(full_task_open(&o, &err));
  expect_error(&err, ACE_ENOMEM, "for a teacher", "MB are free");
}

/* ---- what is refused ----------------------------------------------------------------------------------------------- */

static void expect_refused(const full_options *o, ace_status status, const char *file, const char *detail) {
  ace_error err = {0};
  assert_null(full_task_open(o, &err));
  expect_error(&err, status, file, detail);
}

static void test_models_that_do_not_go_together_are_refused(void **state) {
  static const struct {
    const char *from, *to, *says;
  } changed[] = {{"\"timbre_fix_frame\": 75", "\"timbre_fix_frame\": 50", "takes 50 frames of timbre"},
                 {"\"is_turbo\": false", "\"is_turbo\": true", "is a turbo model itself"}};
  fixture *f = *state;
  char path[400];
  full_options o = options_of(f);
  o.teacher.folder = f->output;
  expect_refused(&o, ACE_ENOTFOUND, f->output, "");
  o = options_of(f);
  o.dit = o.teacher;
  expect_refused(&o, ACE_EINVAL, DIT, "has to be a turbo model");
  o = options_of(f);
  snprintf(path, sizeof path, "%s/config.json", f->dit);
  for (int i = 0; i < 2; i++) {
    char text[TINY_CONFIG_SIZE], *at;
    tiny_dit_text(text, false);
    assert_non_null(at = strstr(text, changed[i].from));
    char *other = malloc(sizeof text + 8);
    snprintf(other, sizeof text + 8, "%.*s%s%s", (int)(at - text), text, changed[i].to, at + strlen(changed[i].from));
    assert_int_equal(file_write(path, other, strlen(other), NULL), ACE_OK);
    free(other);
    expect_refused(&o, ACE_EINVAL, DIT, changed[i].says);
  }
}

static void expect_bad(const fixture *f, const char *name, const char *value, const char *says) {
  ace_error err = {0};
  train_settings s;
  assert_int_equal(train_settings_init(&s, TRAIN_SURFACE_GUIDE, TRAIN_FULL, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&s, "teacher", f->s.teacher, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&s, name, value, NULL), ACE_OK);
  assert_int_equal(train_settings_check(&s, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "teacher", says);
  train_settings_free(&s);
}

static void test_settings_that_do_not_go_together_are_refused(void **state) {
  fixture *f = *state;
  expect_bad(f, "part", "lm", "--full dit");
  expect_bad(f, "adapter", "lora", "--full dit");
  expect_bad(f, "train_text_encoder", "true", "train_text_encoder");
  expect_bad(f, "train_tokenizer", "true", "train_tokenizer");
  expect_bad(f, "timestep_mode", "logit_normal", "logit_normal");
  assert_int_equal(train_settings_set(&f->s, "teacher", "", NULL), ACE_OK);
  expect_bad(f, "teacher_guidance", "4", "there is no teacher");
  expect_bad(f, "teacher_steps", "3", "there is no teacher");
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup_taught, teardown)
  const struct CMUnitTest tests[] = {
      EACH(test_the_loss_is_what_the_formula_says),
      EACH(test_a_student_that_is_its_teacher_has_nothing_to_learn),
      EACH(test_without_a_condition_nothing_is_guided),
      EACH(test_it_learns_to_sing_as_its_teacher),
      EACH(test_a_stop_costs_not_a_bit),
      EACH(test_memory_is_counted),
      EACH(test_models_that_do_not_go_together_are_refused),
      EACH(test_settings_that_do_not_go_together_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
