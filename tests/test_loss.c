/* The loss of a training and its gradient, on a tiny model in the published layout: against finite differences with
 * everything on (dropout, odd lengths, sliding and full layers, all projections), the same bits for any number of
 * threads and with layers run again, padding without influence, memory as planned, and a model that is left as it was.
 * Otherwise a training learns something else than the song, or not at all. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/loss.h"

#define MODEL ACE_SOURCE_DIR "/tests/golden/checkpoints/acestep-v15-turbo"

enum { FRAMES = 13, CHANNELS = 64, TOKENS = 5, ITEMS = 2, CAPACITY = 256 << 20 };

static void normals(uint64_t seed, float *x, int64_t n) {
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, x, n);
}

typedef struct site {
  acestep_dit *m;
  pool *threads;
  tens_ctx *c;
  trainee *t;
  sample sample[ITEMS];
  train_item item[ITEMS];
  float target[ITEMS][FRAMES * CHANNELS], context[ITEMS][FRAMES * 2 * CHANNELS], condition[ITEMS][TOKENS * 64],
      noise[ITEMS][FRAMES * CHANNELS];
  uint8_t frames[FRAMES], tokens[TOKENS];
} site;

/* Two songs; the second one ends after 7 frames and 3 rows of condition, behind which there is padding. */
static void open_site(site *s, const trainee_options *o, int threads) {
  ace_error err;
  memset(s, 0, sizeof *s);
  s->m = acestep_dit_open(MODEL, &err);
  if (!s->m) fail_msg("%s", err.message);
  s->threads = pool_new(threads, &err);
  s->c = tens_open(&(tens_options){.threads = s->threads, .capacity = CAPACITY}, &err);
  s->t = trainee_open(s->m, o, &err);
  if (!s->t) fail_msg("%s", err.message);
  assert_int_equal(s->m->cfg.encoder.hidden, 64);
  for (int i = 0; i < FRAMES; i++) s->frames[i] = i < 7;
  for (int i = 0; i < TOKENS; i++) s->tokens[i] = i < 3;
  for (int i = 0; i < ITEMS; i++) {
    normals((uint64_t)(10 + i), s->target[i], FRAMES * CHANNELS);
    normals((uint64_t)(20 + i), s->context[i], FRAMES * 2 * CHANNELS);
    normals((uint64_t)(30 + i), s->condition[i], TOKENS * 64);
    normals((uint64_t)(40 + i), s->noise[i], FRAMES * CHANNELS);
    s->sample[i] = (sample){.shape = {FRAMES, CHANNELS, TOKENS, 64},
                            .target = s->target[i],
                            .context = s->context[i],
                            .condition = s->condition[i]};
    s->item[i] =
        (train_item){.s = &s->sample[i], .t = 0.75 - 0.25 * i, .noise = s->noise[i], .epoch = 3, .index = (uint32_t)i};
  }
  s->sample[1].frame_mask = s->frames;
  s->sample[1].condition_mask = s->tokens;
}

static void close_site(site *s) {
  trainee_close(s->t);
  tens_close(s->c);
  pool_free(s->threads);
  acestep_dit_close(s->m);
}

static const train_options everything = {.dropout = true, .gradient = true, .seed = 5, .weight = 1};

static double loss_of(site *s, int first, int n, const train_options *o) {
  double loss[ITEMS], sum = 0;
  ace_error err;
  memset(s->t->grads, 0, (size_t)s->t->count * sizeof *s->t->grads);
  if (train_loss(s->c, s->t, s->item + first, n, o, loss, &err) != ACE_OK) fail_msg("%s", err.message);
  for (int i = 0; i < n; i++) sum += loss[i];
  return sum / n;
}

/* Away from where factors are zero. */
static void shake(trainee *t) {
  float *more = malloc((size_t)t->count * sizeof *more);
  assert_non_null(more);
  normals(1, more, t->count);
  for (int64_t i = 0; i < t->count; i++) t->values[i] += 0.1f * more[i];
  free(more);
}

static float *copy(const float *x, int64_t n) {
  float *y = malloc((size_t)n * sizeof *y);
  assert_non_null(y);
  memcpy(y, x, (size_t)n * sizeof *y);
  return y;
}

/* Along the gradient of each tensor, and in a direction of chance. */
static void expect_differences(site *s) {
  const double h = 2e-2;
  loss_of(s, 0, ITEMS, &everything);
  float *g = copy(s->t->grads, s->t->count), *x = copy(s->t->values, s->t->count), *u = copy(g, s->t->count);
  train_options o = everything;
  o.gradient = false;
  double size = 0;
  for (int64_t i = 0; i < s->t->count; i++) size += (double)g[i] * (double)g[i];
  assert_true(size > 0);
  for (int d = 0; d < 4; d++) {
    double length = 0, slope = 0, loss[2];
    if (d > 0) normals((uint64_t)(60 + d), u, s->t->count);
    for (int64_t i = 0; i < s->t->count; i++) length += (double)u[i] * (double)u[i];
    for (int64_t i = 0; i < s->t->count; i++) slope += (double)g[i] * (double)u[i] / sqrt(length);
    for (int side = 0; side < 2; side++) {
      double way = (side ? -h : h) / sqrt(length);
      for (int64_t i = 0; i < s->t->count; i++) s->t->values[i] = (float)((double)x[i] + way * (double)u[i]);
      loss[side] = loss_of(s, 0, ITEMS, &o);
    }
    double found = (loss[0] - loss[1]) / (2 * h), allowed = d ? 1e-2 * sqrt(size / 50) : 1e-2 * sqrt(size);
    if (!(fabs(found - slope) <= allowed)) fail_msg("direction %d: %g instead of %g", d, slope, found);
  }
  free(g), free(x), free(u);
}

static const trainee_options lora = {.rank = 3, .alpha = 6, .dropout = 0.1f, .self = true, .cross = true, .mlp = true};

static void lora_equals_finite_differences(void **state) {
  static site s;
  open_site(&s, &lora, 1);
  shake(s.t);
  expect_differences(&s);
  close_site(&s);
}

#define WHOLE .kind = TRAINEE_LOKR, .rank = 64, .alpha = 32, .factor = -1, .self = true, .cross = true
#define PARTS \
  .kind = TRAINEE_LOKR, .rank = 2, .alpha = 4, .factor = -1, .decompose_both = true, .self = true, .mlp = true
static const trainee_options lokr[] = {{WHOLE},
                                       {PARTS},
                                       {WHOLE, .scalar = true},
                                       {WHOLE, .magnitude = true},
                                       {PARTS, .scalar = true},
                                       {PARTS, .magnitude = true},
                                       {PARTS, .scalar = true, .magnitude = true}};
enum { LOKR = sizeof lokr / sizeof *lokr };

static void lokr_equals_finite_differences(void **state) {
  for (int i = 0; i < LOKR; i++) {
    static site s;
    open_site(&s, &lokr[i], 1);
    shake(s.t);
    expect_differences(&s);
    close_site(&s);
  }
}

/* Moves all tensors called `part` along their gradient g, away from x; the length of that gradient. */
static double move_part(trainee *t, const char *part, const float *g, const float *x, double way) {
  double size = 0;
  for (int i = 0; i < t->n; i++)
    for (int64_t j = 0; j < t->tensor[i].rows * t->tensor[i].columns && !strcmp(t->tensor[i].part, part); j++)
      size += pow((double)g[t->tensor[i].first + j], 2);
  for (int i = 0; i < t->n && size > 0; i++)
    for (int64_t j = t->tensor[i].first; j < t->tensor[i].first + t->tensor[i].rows * t->tensor[i].columns; j++)
      if (!strcmp(t->tensor[i].part, part)) t->values[j] = (float)((double)x[j] + way * (double)g[j] / sqrt(size));
  return sqrt(size);
}

/* Each kind of tensor alone: beside the others a wrong gradient of a few scalars or lengths would not be seen. */
static void check_parts(const trainee_options *kind, const char *const *part) {
  const double h = 2e-2;
  static site s;
  open_site(&s, kind, 1);
  shake(s.t);
  loss_of(&s, 0, ITEMS, &everything);
  float *g = copy(s.t->grads, s.t->count), *x = copy(s.t->values, s.t->count);
  train_options o = everything;
  o.gradient = false;
  for (; *part; part++) {
    double size = move_part(s.t, *part, g, x, h), up = loss_of(&s, 0, ITEMS, &o);
    move_part(s.t, *part, g, x, -h);
    double found = (up - loss_of(&s, 0, ITEMS, &o)) / (2 * h);
    if (!(size > 0 && fabs(found - size) <= 1e-2 * size)) fail_msg("%s: %g instead of %g", *part, size, found);
    move_part(s.t, *part, g, x, 0);
  }
  free(g), free(x);
  close_site(&s);
}

static void every_kind_of_tensor_has_its_gradient(void **state) {
  static const char *const of_parts[] = {"lokr_w1_a", "lokr_w1_b",  "lokr_w2_a", "lokr_w2_b",
                                         "scalar",    "dora_scale", NULL},
                           *const of_whole[] = {"lokr_w1", "lokr_w2", "dora_scale", NULL};
  check_parts(&lokr[LOKR - 1], of_parts);
  check_parts(&lokr[3], of_whole);
}

static void threads_and_running_again_change_no_bit(const trainee_options *kind) {
  static site one, three;
  open_site(&one, kind, 1), open_site(&three, kind, 3);
  shake(one.t), shake(three.t);
  train_options again = everything;
  again.recompute = true;
  double a = loss_of(&one, 0, ITEMS, &everything), b = loss_of(&three, 0, ITEMS, &again);
  assert_memory_equal(&a, &b, sizeof a);
  assert_memory_equal(one.t->grads, three.t->grads, (size_t)one.t->count * sizeof(float));
  close_site(&one), close_site(&three);
}

static void threads_change_no_bit(void **state) {
  threads_and_running_again_change_no_bit(&lora);
  threads_and_running_again_change_no_bit(&lokr[LOKR - 1]);
}

static void padding_has_no_influence(void **state) {
  static site s;
  open_site(&s, &lora, 1);
  shake(s.t);
  double before = loss_of(&s, 1, 1, &everything);
  float *g = copy(s.t->grads, s.t->count);
  for (int i = 7 * CHANNELS; i < FRAMES * CHANNELS; i++) s.target[1][i] = s.noise[1][i] = 50;
  for (int i = 3 * 64; i < TOKENS * 64; i++) s.condition[1][i] = 50;
  double after = loss_of(&s, 1, 1, &everything);
  assert_memory_equal(&before, &after, sizeof before);
  assert_memory_equal(g, s.t->grads, (size_t)s.t->count * sizeof *g);
  free(g);
  close_site(&s);
}

/* As the Python trainer collates: the shorter song gets zeros for latents, context and condition, and its padding noise
 * like the rest. So it is the song that has these zeros itself; and without a condition all rows are the null condition. */
static void padding_as_the_reference(void **state) {
  for (int unconditioned = 0; unconditioned < 2; unconditioned++) {
    static site shorter, padded;
    train_options o = everything;
    o.reference = true;
    open_site(&shorter, &lora, 1), open_site(&padded, &lora, 1);
    shake(shorter.t), shake(padded.t);
    for (int i = 0; i < 2; i++) {
      sample *own = i ? &padded.sample[1] : &shorter.sample[1];
      own->frame_mask = own->condition_mask = NULL;
    }
    shorter.sample[1].shape.frames = 7, shorter.sample[1].shape.tokens = 3;
    shorter.item[1].unconditioned = padded.item[1].unconditioned = unconditioned;
    memset(padded.target[1] + 7 * CHANNELS, 0, (FRAMES - 7) * CHANNELS * sizeof(float));
    memset(padded.context[1] + 14 * CHANNELS, 0, (FRAMES - 7) * 2 * CHANNELS * sizeof(float));
    memset(padded.condition[1] + 3 * 64, 0, (TOKENS - 3) * 64 * sizeof(float));
    double a = loss_of(&shorter, 0, ITEMS, &o), b = loss_of(&padded, 0, ITEMS, &o);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(shorter.t->grads, padded.t->grads, (size_t)shorter.t->count * sizeof(float));
    shorter.noise[1][FRAMES * CHANNELS - 1] += 1; /* heard in the last frame of the padding */
    assert_true(loss_of(&shorter, 0, ITEMS, &o) != a);
    close_site(&shorter), close_site(&padded);
  }
}

/* A new adapter changes nothing yet: the second factors are zero, so only they have gradients. */
static void a_new_adapter_starts_from_the_model(void **state) {
  static site s;
  open_site(&s, &lora, 1);
  double loss = loss_of(&s, 0, ITEMS, &everything);
  for (int i = 0; i < s.t->n; i++) {
    const trainee_tensor *x = &s.t->tensor[i];
    double sum = 0;
    for (int64_t j = 0; j < x->rows * x->columns; j++) sum += fabs((double)s.t->grads[x->first + j]);
    bool first = strcmp(x->part, "lora_A") == 0;
    if ((sum == 0) != first) fail_msg("%s.%s: %g", x->module, x->part, sum);
    for (int64_t j = 0; first && j < x->rows * x->columns; j++)
      assert_true(fabs((double)s.t->values[x->first + j]) <= 1 / sqrt((double)x->columns));
  }
  memset(s.t->values, 0, (size_t)s.t->count * sizeof(float));
  assert_true(loss == loss_of(&s, 0, ITEMS, &everything));
  close_site(&s);
}

/* The same of LoKr with scalars, which are zero at first, and with lengths of rows, which are those of the weights. Settled
 * factors are the same adapter; what was learned is no longer idle. */
static void a_new_lokr_starts_from_the_model(void **state) {
  static site s;
  open_site(&s, &lora, 1);
  memset(s.t->values, 0, (size_t)s.t->count * sizeof(float));
  double plain = loss_of(&s, 0, ITEMS, &everything);
  close_site(&s);
  for (int i = 0; i < LOKR; i++) {
    open_site(&s, &lokr[i], 1);
    assert_true(trainee_idle(s.t));
    double loss = loss_of(&s, 0, ITEMS, &everything);
    if (!(fabs(loss - plain) <= 1e-6 * plain)) fail_msg("kind %d: %g instead of %g", i, loss, plain);
    shake(s.t);
    assert_false(trainee_idle(s.t));
    double before = loss_of(&s, 0, ITEMS, &everything);
    trainee_settle(s.t);
    for (int j = 0; j < s.t->n; j++)
      if (strcmp(s.t->tensor[j].part, "scalar") == 0) assert_true(s.t->values[s.t->tensor[j].first] == 1);
    double after = loss_of(&s, 0, ITEMS, &everything);
    if (!(fabs(after - before) <= 1e-5 * before)) fail_msg("kind %d: %g instead of %g", i, after, before);
    close_site(&s);
  }
}

static void memory_is_what_was_planned(void **state) {
  for (int recompute = 0; recompute < 2; recompute++) {
    static site s;
    open_site(&s, &lora, 2);
    train_options o = everything;
    o.recompute = recompute;
    sample_shape shapes[ITEMS] = {s.sample[0].shape, s.sample[1].shape};
    ace_error err;
    size_t planned = train_memory(s.t, shapes, ITEMS, &o, s.threads, &err);
    loss_of(&s, 0, ITEMS, &o);
    assert_int_equal(planned, tens_peak(s.c));
    close_site(&s);
  }
}

static void wrong_samples_are_refused(void **state) {
  static site s;
  open_site(&s, &lora, 1);
  ace_error err;
  s.sample[0].shape.width = 48;
  assert_int_equal(train_loss(s.c, s.t, s.item, 1, &everything, NULL, &err), ACE_EINVAL);
  memset(s.frames, 0, sizeof s.frames);
  assert_int_equal(train_loss(s.c, s.t, s.item + 1, 1, &everything, NULL, &err), ACE_EINVAL);
  trainee_options second = lora;
  assert_null(trainee_open(s.m, &second, &err));
  close_site(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lora_equals_finite_differences),
      cmocka_unit_test(lokr_equals_finite_differences),
      cmocka_unit_test(every_kind_of_tensor_has_its_gradient),
      cmocka_unit_test(threads_change_no_bit),
      cmocka_unit_test(padding_has_no_influence),
      cmocka_unit_test(padding_as_the_reference),
      cmocka_unit_test(a_new_adapter_starts_from_the_model),
      cmocka_unit_test(a_new_lokr_starts_from_the_model),
      cmocka_unit_test(memory_is_what_was_planned),
      cmocka_unit_test(wrong_samples_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
