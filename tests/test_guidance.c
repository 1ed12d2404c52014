/* Guidance beyond the golden runs: that it costs nothing where it does not apply, that memory planned for it is enough,
 * and that a song does not depend on its batch. The weights are those of the turbo checkpoint, run as a base model. */
#include "golden.h"

#include <string.h>

#include "base/rng.h"
#include "render/sampler.h"
#include "render/schedule.h"

enum { FRAMES = 21, TOKENS = 9, STEPS = 4, CAPACITY = 64 << 20 };

static tens_ctx *open_context(pool *threads, size_t capacity) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.threads = threads, .capacity = capacity, .plan = capacity == 0}, &err);
  if (!c) fail_msg("%s", err.message);
  return c;
}

static acestep_dit *open_dit(void) {
  ace_error err;
  acestep_dit *m = acestep_dit_open(ACE_SOURCE_DIR "/tests/golden/checkpoints/acestep-v15-turbo", &err);
  if (!m) fail_msg("%s", err.message);
  return m;
}

/* Items first..first+count-1 of a batch that the seed stands for. */
static tens *normals(tens_ctx *c, uint64_t seed, int first, int count, int64_t rows, int64_t width) {
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(count, rows, width));
  assert_non_null(x);
  for (int i = 0; i < count && !tens_planning(c); i++) {
    rng_torch r;
    rng_torch_seed(&r, seed + (uint64_t)(first + i));
    rng_torch_randn(&r, tens_f32(x) + i * rows * width, rows * width);
  }
  return x;
}

static void draw_step_noise(void *user, int step, float *out, int64_t n) {
  memset(out, 0, (size_t)n * sizeof *out);
}

/* A run of `count` items from noise to latents; NULL after a failure. */
static tens *run(tens_ctx *c, const acestep_dit *m, sampler_params p, int first, int count) {
  float levels[SCHEDULE_CAPACITY];
  p.n_levels = schedule_base(levels, SCHEDULE_CAPACITY, 1, STEPS, NULL, 0);
  p.levels = levels;
  p.cover_strength = 1;
  int64_t channels = m->cfg.latent_channels;
  sampler_condition condition = {.context = normals(c, 100, first, count, FRAMES, 2 * channels)};
  assert_true(dit_attend(c, m, normals(c, 200, first, count, TOKENS, m->cfg.encoder.hidden), &condition.attend));
  sampler_input in = {
      .first = &condition, .noise = normals(c, 300, first, count, FRAMES, channels), .renoise = draw_step_noise};
  return sampler_run(c, m, &p, &in);
}

static bool same(const tens *a, const tens *b) {
  assert_non_null(a);
  assert_non_null(b);
  return tens_count(a) == tens_count(b) && memcmp(a->data, b->data, (size_t)tens_count(a) * sizeof(float)) == 0;
}

static bool finite(const tens *x) {
  for (int64_t i = 0; i < tens_count(x); i++)
    if (!isfinite(tens_f32(x)[i])) return false;
  return true;
}

static const sampler_params kinds[] = {
    {.guidance = {.scale = 7, .end = 1}},
    {.guidance = {.scale = 7, .end = 1}, .heun = true, .ema_factor = 0.2, .norm_threshold = 2},
    {.guidance = {.scale = 5, .end = 1, .adg = true}},
    {.guidance = {.scale = 5, .end = 1, .adg = true}, .heun = true},
    {.guidance = {.scale = 3, .start = 0.2, .end = 0.5}},
    {.guidance = {.scale = 3, .start = 0.2, .end = 0.6}, .heun = true},
    {.guidance = {.scale = 4, .end = 1}, .sde = true},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The shortened branch without a condition is the model's own: were it not, base models would sound wrong. */
static void one_null_token_is_worth_many(void **state) {
  acestep_dit *m = open_dit();
  tens_ctx *c = open_context(NULL, CAPACITY);
  int64_t channels = m->cfg.latent_channels, width = m->cfg.encoder.hidden;
  tens *x = normals(c, 1, 0, 1, FRAMES, channels), *context = normals(c, 2, 0, 1, FRAMES, 2 * channels);
  tens *t = tens_from(c, TENS_F32, TENS_DIMS(1), (float[]){0.6f});
  tens *many = tens_new(c, TENS_F32, TENS_DIMS(1, TOKENS, width));
  for (int i = 0; i < TOKENS; i++) memcpy(tens_f32(many) + i * width, m->null_condition.data, (size_t)width * 4);
  guidance g;
  dit_condition full;
  assert_true(guidance_open(c, m, &kinds[0].guidance, x, &g));
  assert_true(dit_attend(c, m, many, &full));
  tens *a = dit_velocity(c, m, &g.none, context, x, t, t), *b = dit_velocity(c, m, &full, context, x, t, t);
  assert_non_null(a);
  assert_non_null(b);
  assert_true(golden_difference(tens_f32(a), tens_f32(b), tens_count(a)) < 1e-5);
  tens_close(c);
  acestep_dit_close(m);
}

/* Outside its interval, and for a scale of 1, guidance must not even be computed: it would double the time. A null
 * condition that is not a number shows every use of it. */
static void guidance_is_left_out_where_it_does_not_apply(void **state) {
  static const guidance_params off[] = {{.scale = 1, .end = 1},
                                        {.scale = 0.5, .end = 1},
                                        {.scale = 7, .start = 0.6, .end = 0.7},
                                        {.scale = 7, .start = 0.9, .end = 0.1},
                                        {.scale = 1, .end = 1, .adg = true}};
  acestep_dit *m = open_dit();
  tens_ctx *c = open_context(NULL, CAPACITY);
  float nothing[1024];
  int64_t width = m->cfg.encoder.hidden;
  assert_true(width <= 1024);
  for (int64_t i = 0; i < width; i++) nothing[i] = NAN;
  m->null_condition.data = nothing;
  tens *plain = run(c, m, (sampler_params){0}, 0, 1);
  assert_true(finite(plain));
  for (size_t i = 0; i < sizeof off / sizeof *off; i++)
    assert_true(same(plain, run(c, m, (sampler_params){.guidance = off[i]}, 0, 1)));
  for (int i = 0; i < KINDS; i++) assert_false(finite(run(c, m, kinds[i], 0, 1)));
  tens_close(c);
  acestep_dit_close(m);
}

static void expect_work(const sampler_params *p, int steps, const int *conditional, const int *unconditional) {
  float levels[SCHEDULE_CAPACITY];
  sampler_params q = *p;
  q.levels = levels;
  q.n_levels = schedule_base(levels, SCHEDULE_CAPACITY, 1, steps, NULL, 0);
  for (int i = 0; i < steps; i++) {
    sampler_work w = sampler_step_work(&q, i);
    assert_int_equal(w.conditional, conditional[i]);
    assert_int_equal(w.unconditional, unconditional[i]);
  }
}

/* Progress and predicted time rest on these counts. Both ends of the interval belong to it, in float32. */
static void work_counts_what_is_computed(void **state) {
  const int one[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, two[10] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, none[10] = {0};
  sampler_params p = {.guidance = {.scale = 7, .start = 0.2, .end = 0.8}};
  expect_work(&p, 10, one, (const int[]){0, 0, 1, 1, 1, 1, 1, 1, 1, 0});
  p.heun = true;
  expect_work(&p, 10, two, (const int[]){0, 1, 2, 2, 2, 2, 2, 2, 1, 0});
  p.sde = true;
  expect_work(&p, 10, one, (const int[]){0, 0, 1, 1, 1, 1, 1, 1, 1, 0});
  p.guidance.scale = 1;
  expect_work(&p, 10, one, none);
}

/* The same song alone, in a batch, and for every number of threads. */
static void an_item_is_the_same_in_a_batch(void **state) {
  enum { ITEMS = 3 };
  acestep_dit *m = open_dit();
  for (int threads = 1; threads <= 3; threads++) {
    pool *workers = pool_new(threads, NULL);
    tens_ctx *c = open_context(workers, CAPACITY), *alone = open_context(NULL, CAPACITY);
    for (int i = 0; i < KINDS; i++) {
      tens_reset(c);
      tens *batch = run(c, m, kinds[i], 0, ITEMS);
      assert_non_null(batch);
      assert_true(finite(batch));
      for (int item = 0; item < ITEMS; item++) {
        tens_reset(alone);
        if (!same(tens_rows(c, batch, item, 1), run(alone, m, kinds[i], item, 1)))
          fail_msg("kind %d, %d threads: item %d is another one alone", i, threads, item);
      }
    }
    tens_close(alone);
    tens_close(c);
    pool_free(workers);
  }
  acestep_dit_close(m);
}

/* A run fits the memory that its plan counted, also when its first step is not guided; were it not so, a song would
 * fail half-way. And a run that is never guided does not pay for guidance. */
static void a_plan_is_enough(void **state) {
  acestep_dit *m = open_dit();
  size_t planned[KINDS];
  for (int i = 0; i < KINDS; i++) {
    tens_ctx *plan = open_context(NULL, 0);
    assert_non_null(run(plan, m, kinds[i], 0, 2));
    planned[i] = tens_peak(plan);
    tens_close(plan);
    tens_ctx *c = open_context(NULL, planned[i]);
    if (!run(c, m, kinds[i], 0, 2)) fail_msg("kind %d does not fit its plan of %zu bytes", i, planned[i]);
    tens_close(c);
  }
  tens_ctx *plan = open_context(NULL, 0);
  assert_non_null(run(plan, m, (sampler_params){.guidance = {.scale = 7, .start = 0.6, .end = 0.7}}, 0, 2));
  assert_true(tens_peak(plan) < planned[0]);
  tens_close(plan);
  acestep_dit_close(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_null_token_is_worth_many),
      cmocka_unit_test(guidance_is_left_out_where_it_does_not_apply),
      cmocka_unit_test(work_counts_what_is_computed),
      cmocka_unit_test(an_item_is_the_same_in_a_batch),
      cmocka_unit_test(a_plan_is_enough),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
