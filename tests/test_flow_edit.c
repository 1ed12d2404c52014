/* Edits of a source by words: every step against plain loops written from the published algorithm, on a real (small,
 * random) model's velocities; what must stay unchanged stays so to the last bit; plans are enough. Were one of these
 * wrong, an edit would drift from its source, or a song would fail half-way. */
#include "golden.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "render/sampler.h"
#include "render/schedule.h"

enum { FRAMES = 14, CHANNELS = 64, N = FRAMES * CHANNELS, TOKENS = 7, CAPACITY = 64 << 20, MOST_STEPS = 8 };

typedef struct fixture {
  acestep_dit *m;
  tens_ctx *c;
} fixture;

static int open_fixture(void **state) {
  static fixture f; /* lives through the group */
  ace_error err;
  f.m = acestep_dit_open(ACE_SOURCE_DIR "/tests/golden/checkpoints/acestep-v15-turbo", &err);
  if (!f.m) fail_msg("%s", err.message);
  assert_int_equal(f.m->cfg.latent_channels, CHANNELS);
  f.c = tens_open(&(tens_options){.capacity = CAPACITY}, &err);
  if (!f.c) fail_msg("%s", err.message);
  *state = &f;
  return 0;
}

static int close_fixture(void **state) {
  fixture *f = *state;
  tens_close(f->c);
  acestep_dit_close(f->m);
  return 0;
}

static void fill_normals(uint64_t seed, float *out, int64_t n) {
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, out, n);
}

static tens *normals(tens_ctx *c, uint64_t seed, int64_t rows, int64_t width) {
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(1, rows, width));
  assert_non_null(x);
  if (!tens_planning(c)) fill_normals(seed, tens_f32(x), rows * width);
  return x;
}

/* The draws of a run, in their order. */
typedef struct noise {
  int drawn;
} noise;

static void draw(void *user, int step, float *out, int64_t n) {
  fill_normals(1000 + (uint64_t)((noise *)user)->drawn++, out, n);
}

/* ---- the same edit in plain loops -------------------------------------------------------------------------------- */

typedef struct plain {
  const fixture *f;
  const sampler_params *p;
  const tens *context;
  dit_condition none;
} plain;

typedef struct plain_branch {
  dit_condition attend;
  double running[N], before[N];
  bool smooth;
} plain_branch;

static void model_velocity(const plain *s, const dit_condition *attend, const double *x, double t, double *v) {
  tens_ctx *c = s->f->c;
  tens_mark mark = tens_here(c);
  float level = (float)t;
  tens *time = tens_from(c, TENS_F32, TENS_DIMS(1), &level);
  tens *in = tens_new(c, TENS_F32, TENS_DIMS(1, FRAMES, CHANNELS));
  for (int i = 0; i < N; i++) tens_f32(in)[i] = (float)x[i];
  tens *out = dit_velocity(c, s->f->m, attend, s->context, in, time, time);
  assert_non_null(out);
  for (int i = 0; i < N; i++) v[i] = tens_f32(out)[i];
  tens_release(c, mark);
}

static double norm(const double *x, int first, int step, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += x[first + i * step] * x[first + i * step];
  return sqrt(sum);
}

/* Adaptive projected guidance of one draw: M = d + beta M, held below 2.5 a channel, its part along v left out. */
static void guide(const plain *s, plain_branch *b, const double *x, double t, double *v, double *difference) {
  static double none[N], d[N];
  model_velocity(s, &s->none, x, t, none);
  for (int i = 0; i < N; i++) {
    difference[i] = v[i] - none[i];
    d[i] = difference[i] - 0.75 * b->running[i];
  }
  for (int ch = 0; ch < CHANNELS; ch++) {
    double size = norm(d, ch, CHANNELS, FRAMES), own = fmax(norm(v, ch, CHANNELS, FRAMES), 1e-12), dot = 0;
    double held = size > 2.5 ? 2.5 / size : 1;
    for (int i = ch; i < N; i += CHANNELS) dot += held * d[i] * v[i] / own;
    for (int i = ch; i < N; i += CHANNELS) v[i] += (s->p->guidance.scale - 1) * (held * d[i] - dot * v[i] / own);
  }
}

/* Guided and held in norm. `difference`: cond - uncond; zero where nothing is guided. */
static bool velocity(const plain *s, plain_branch *b, const double *x, double t, double *v, double *difference) {
  const guidance_params *g = &s->p->guidance;
  model_velocity(s, &b->attend, x, t, v);
  bool guided = g->scale > 1 && (float)t >= (float)g->start && (float)t <= (float)g->end;
  if (guided) guide(s, b, x, t, v, difference);
  double limit = s->p->norm_threshold * (norm(x, 0, 1, N) + 1e-10) / (norm(v, 0, 1, N) + 1e-10);
  if (s->p->norm_threshold > 0 && limit < 1)
    for (int i = 0; i < N; i++) v[i] *= limit;
  return guided;
}

static void settle(const plain *s, plain_branch *b, double *v) {
  double share = s->p->ema_factor;
  for (int i = 0; i < N && b->smooth && share > 0; i++) v[i] = (1 - share) * v[i] + share * b->before[i];
  memcpy(b->before, v, sizeof b->before);
  b->smooth = true;
}

/* One draw of a branch: adds to the means. */
static bool one_draw(const plain *s, plain_branch *b, const double *x, double t, double *mean, double *moved) {
  static double v[N], difference[N];
  bool guided = velocity(s, b, x, t, v, difference);
  for (int i = 0; i < N; i++) mean[i] += v[i] / s->p->edit.n_avg;
  for (int i = 0; i < N && guided; i++) moved[i] += difference[i] / s->p->edit.n_avg;
  return guided;
}

static void plain_morph(const plain *s, plain_branch *from, plain_branch *to, const float *src, double t, double dt,
                        noise *drawn, double *z) {
  static double means[2][N], moves[2][N], zs[N], zt[N];
  float e[N];
  bool guided = false;
  memset(means, 0, sizeof means);
  memset(moves, 0, sizeof moves);
  for (int k = 0; k < s->p->edit.n_avg; k++) {
    draw(drawn, 0, e, N);
    for (int i = 0; i < N; i++) zs[i] = (1 - t) * src[i] + t * e[i], zt[i] = z[i] + zs[i] - src[i];
    one_draw(s, from, zs, t, means[0], moves[0]);
    guided = one_draw(s, to, zt, t, means[1], moves[1]);
  }
  for (int i = 0; i < N && guided; i++) {
    from->running[i] = moves[0][i] - 0.75 * from->running[i];
    to->running[i] = moves[1][i] - 0.75 * to->running[i];
  }
  settle(s, from, means[0]);
  settle(s, to, means[1]);
  for (int i = 0; i < N; i++) z[i] += dt * (means[1][i] - means[0][i]);
}

static void plain_edit(const plain *s, plain_branch *from, plain_branch *to, const float *src, double *z) {
  static double v[N], difference[N];
  int n = s->p->n_levels - 1, a = (int)(n * s->p->edit.n_min), b = (int)(n * s->p->edit.n_max);
  noise drawn = {0};
  float e[N];
  for (int i = 0; i < N; i++) z[i] = src[i];
  for (int step = a; step < n; step++) {
    double t = s->p->levels[step], dt = s->p->levels[step + 1] - t;
    if (step < b) {
      plain_morph(s, from, to, src, t, dt, &drawn, z);
      continue;
    }
    if (step == b) {
      draw(&drawn, 0, e, N);
      for (int i = 0; i < N; i++) z[i] += (1 - t) * src[i] + t * e[i] - src[i];
    }
    if (velocity(s, to, z, t, v, difference))
      for (int i = 0; i < N; i++) to->running[i] = difference[i] - 0.75 * to->running[i];
    settle(s, to, v);
    for (int i = 0; i < N; i++) z[i] += dt * v[i];
  }
}

/* ---- the runs ---------------------------------------------------------------------------------------------------- */

typedef struct inputs {
  sampler_condition from, to;
  tens *source;
} inputs;

/* `same`: both descriptions say the same. */
static inputs make_inputs(const acestep_dit *m, tens_ctx *c, bool same) {
  inputs in = {.source = normals(c, 1, FRAMES, CHANNELS)};
  in.from.context = in.to.context = normals(c, 2, FRAMES, 2 * CHANNELS);
  int64_t width = m->cfg.encoder.hidden;
  assert_true(dit_attend(c, m, normals(c, 3, TOKENS, width), &in.from.attend));
  assert_true(dit_attend(c, m, normals(c, same ? 3 : 4, TOKENS + !same, width), &in.to.attend));
  return in;
}

static tens *run(const acestep_dit *m, tens_ctx *c, const sampler_params *p, const inputs *in) {
  noise drawn = {0};
  return sampler_run(
      c, m, p,
      &(sampler_input){.first = &in->to, .from = &in->from, .source = in->source, .renoise = draw, .user = &drawn});
}

typedef struct counter {
  noise drawn; /* first, for draw() */
  int steps;
} counter;

static void count_step(void *user, int step, int steps) {
  assert_int_equal(step, ++((counter *)user)->steps);
  assert_int_equal(steps, 3);
}

static const struct {
  int steps, n_avg;
  double shift, n_min, n_max, scale, start, end, threshold, ema;
} kinds[] = {
    {4, 1, 1, 0, 1, 1, 0, 1, 0, 0},     {4, 3, 1, 0, 1, 1, 0, 1, 0, 0},       {5, 1, 3, 0.2, 0.6, 1, 0, 1, 0, 0},
    {4, 1, 3, 0, 1, 7, 0, 1, 0, 0},     {5, 2, 1, 0, 0.6, 4, 0, 1, 0, 0},     {5, 3, 1, 0, 0.8, 5, 0.3, 0.85, 0, 0.2},
    {4, 2, 2, 0, 1, 3, 0, 1, 0.4, 0.3}, {4, 1, 1, 0.5, 0.5, 5, 0, 1, 0, 0.1}, {6, 2, 1, 0.34, 0.67, 2, 0, 0.5, 1.1, 0},
    {3, 1, 1, 0, 0, 1, 0, 1, 0, 0},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static sampler_params params_of(int i, float levels[MOST_STEPS + 1]) {
  int n = schedule_base(levels, MOST_STEPS + 1, kinds[i].shift, kinds[i].steps, NULL, 0);
  return (sampler_params){.levels = levels,
                          .n_levels = n,
                          .guidance = {.scale = kinds[i].scale, .start = kinds[i].start, .end = kinds[i].end},
                          .norm_threshold = kinds[i].threshold,
                          .ema_factor = kinds[i].ema,
                          .cover_strength = 1,
                          .edit = {.n_avg = kinds[i].n_avg, .n_min = kinds[i].n_min, .n_max = kinds[i].n_max}};
}

static void an_edit_is_the_published_one(void **state) {
  const fixture *f = *state;
  for (int i = 0; i < KINDS; i++) {
    static plain_branch from, to;
    float levels[MOST_STEPS + 1];
    tens_reset(f->c);
    sampler_params p = params_of(i, levels);
    inputs in = make_inputs(f->m, f->c, false);
    plain s = {.f = f, .p = &p, .context = in.to.context};
    guidance g;
    assert_true(guidance_open(f->c, f->m, &p.guidance, in.source, &g));
    s.none = g.none;
    memset(&from, 0, sizeof from);
    memset(&to, 0, sizeof to);
    from.attend = in.from.attend;
    to.attend = in.to.attend;
    static double z[N];
    float want[N];
    plain_edit(&s, &from, &to, tens_f32(in.source), z);
    for (int k = 0; k < N; k++) want[k] = (float)z[k];
    tens *got = run(f->m, f->c, &p, &in);
    assert_non_null(got);
    /* float32 against double, a few steps of a model in float32 */
    double difference = golden_difference(tens_f32(got), want, N);
    if (!(difference < 2e-5)) fail_msg("kind %d: off by %g", i, difference);
  }
}

/* The same words on both sides change nothing, whatever noise is drawn; and no step at all changes nothing. */
static void nothing_said_nothing_changed(void **state) {
  const fixture *f = *state;
  float levels[MOST_STEPS + 1];
  for (int i = 0; i < KINDS; i++) {
    tens_reset(f->c);
    sampler_params p = params_of(i, levels);
    p.edit.n_max = 1;
    inputs in = make_inputs(f->m, f->c, true);
    tens *same = run(f->m, f->c, &p, &in);
    assert_non_null(same);
    assert_memory_equal(same->data, in.source->data, N * sizeof(float));
    p.edit.n_min = 1;
    in = make_inputs(f->m, f->c, false);
    tens *none = run(f->m, f->c, &p, &in);
    assert_int_equal(sampler_steps(&p), 0);
    assert_memory_equal(none->data, in.source->data, N * sizeof(float));
  }
}

/* Progress counts the steps that are taken, and time is predicted from the evaluations in them. */
static void work_counts_what_is_computed(void **state) {
  const fixture *f = *state;
  float levels[MOST_STEPS + 1];
  tens_reset(f->c);
  sampler_params p = params_of(5, levels); /* 5 steps, a = 0, b = 4, three draws, guided at 0.8, 0.6, 0.4 */
  for (int step = 0; step < 5; step++) {
    sampler_work w = sampler_step_work(&p, step);
    bool guided = step >= 1 && step <= 3;
    assert_int_equal(w.conditional, step < 4 ? 3 : 1);
    assert_int_equal(w.source, step < 4 ? 3 : 0);
    assert_int_equal(w.unconditional, guided ? 6 : 0);
  }
  p.edit.n_min = 0.4;
  assert_int_equal(sampler_steps(&p), 3);
  assert_int_equal(sampler_step_work(&p, 2).source, 0);
  inputs in = make_inputs(f->m, f->c, false);
  counter n = {0};
  assert_non_null(sampler_run(
      f->c, f->m, &p,
      &(sampler_input){
          .first = &in.to, .from = &in.from, .source = in.source, .renoise = draw, .stepped = count_step, .user = &n}));
  assert_int_equal(n.steps, 3);
  assert_int_equal(n.drawn.drawn, 2 * 3 + 1);
}

static void a_plan_is_enough(void **state) {
  const fixture *f = *state;
  float levels[MOST_STEPS + 1];
  for (int i = 0; i < KINDS; i++) {
    ace_error err;
    sampler_params p = params_of(i, levels);
    tens_ctx *plan = tens_open(&(tens_options){.plan = true}, &err);
    inputs in = make_inputs(f->m, plan, false);
    assert_non_null(run(f->m, plan, &p, &in));
    tens_ctx *c = tens_open(&(tens_options){.capacity = tens_peak(plan)}, &err);
    in = make_inputs(f->m, c, false);
    if (!run(f->m, c, &p, &in)) fail_msg("kind %d does not fit its plan of %zu bytes", i, tens_peak(plan));
    tens_close(c);
    tens_close(plan);
  }
}

int main(void) {
  setenv("ACESTEP_ISA", "float32", 0); /* closer than products of rounded factors */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_edit_is_the_published_one),
      cmocka_unit_test(nothing_said_nothing_changed),
      cmocka_unit_test(work_counts_what_is_computed),
      cmocka_unit_test(a_plan_is_enough),
  };
  return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
