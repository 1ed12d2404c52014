/* Gradients: of every operation against finite differences of the oracle, on every instruction set of this machine with
 * the same bits for every number of threads; what is watched, segments that run again, what has no gradient. A wrong
 * gradient does not stop a training, it spoils it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "base/pool.h"
#include "base/rng.h"
#include "tensor/cpu/isa.h"
#include "tensor/ops.h"
#include "tensor/ops_train.h"
#include "tensor/tape.h"

enum { CAPACITY = 1 << 24, MOST_INPUTS = 6, MOST_VALUES = 4096, DIRECTIONS = 3 };

/* ---- cases: an operation and the shapes of what it is differentiated by ------------------------------------------- */

typedef struct shape {
  int rank;
  int64_t dim[TENS_MAX_RANK];
} shape;

typedef struct op_case {
  const char *name;
  tens *(*run)(tens_ctx *c, tens *const *in);
  int n;
  shape in[MOST_INPUTS];
  bool tiles; /* made of products, which matrix tiles round */
} op_case;

static tens *ints(tens_ctx *c, int rank, const int64_t *dim, const int32_t *values) {
  return tens_from(c, TENS_I32, rank, dim, values);
}

static void normals(uint64_t seed, float *x, int64_t n) {
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, x, n);
}

static tens *random_tensor(tens_ctx *c, uint64_t seed, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  if (x) normals(seed, tens_f32(x), tens_count(x));
  return x;
}

static tens *linear_all(tens_ctx *c, tens *const *in) {
  return op_linear(c, in[0], in[1], &(op_epilogue){.bias = in[2], .gate = in[3], .residual = in[4]});
}
static tens *linear_silu(tens_ctx *c, tens *const *in) {
  return op_linear(c, in[0], in[1], &(op_epilogue){.bias = in[2], .act = OP_ACT_SILU});
}
static tens *linear_plain(tens_ctx *c, tens *const *in) {
  return op_linear(c, in[0], in[1], NULL);
}
static tens *swiglu(tens_ctx *c, tens *const *in) {
  return op_swiglu(c, in[0], in[1], in[2]);
}
static tens *mix_blocks(tens_ctx *c, tens *const *in) {
  return op_mix_blocks(c, in[0], in[1], &(op_epilogue){.gate = in[2], .residual = in[3]});
}
static tens *kron_lengths(tens_ctx *c, tens *const *in) {
  return op_kron_lengths(c, random_tensor(c, 8, TENS_DIMS(15, 33)), in[0], in[1], in[2], 0.5f);
}
/* Nothing is added to a row that is zero itself: its length is no number to divide by. */
static tens *kron_lengths_of_zero(tens_ctx *c, tens *const *in) {
  tens *w = random_tensor(c, 8, TENS_DIMS(2, 6)), *none = random_tensor(c, 9, TENS_DIMS(2, 2));
  if (w) memset(w->data, 0, 6 * sizeof(float));
  if (none) memset(none->data, 0, 2 * sizeof(float));
  return op_kron_lengths(c, w, none, in[0], in[1], 0);
}
static tens *embedding(tens_ctx *c, tens *const *in) {
  return op_embedding(c, in[0], ints(c, TENS_DIMS(2, 3), (int32_t[]){3, 0, 3, 1, 3, 4}));
}
static tens *rms_norm(tens_ctx *c, tens *const *in) {
  return op_rms_norm(c, in[0], in[1], 1e-3f);
}
static tens *modulated(tens_ctx *c, tens *const *in) {
  return op_rms_norm_modulated(c, in[0], in[1], 1e-3f, in[2], in[3]);
}
static tens *head_norm(tens_ctx *c, tens *const *in) {
  return op_head_norm(c, in[0], in[1], 1e-3f, NULL);
}
static tens *head_norm_rotated(tens_ctx *c, tens *const *in) {
  op_rope rope = {.theta = 100, .first = 2, .start = ints(c, TENS_DIMS(2), (int32_t[]){0, 5})};
  return op_head_norm(c, in[0], in[1], 1e-3f, &rope);
}
static tens *attention(tens_ctx *c, tens *const *in) {
  return op_attention(c, in[0], in[1], in[2], &(op_attn){.heads = 4, .kv_heads = 2, .window = -1});
}
static tens *attention_window(tens_ctx *c, tens *const *in) {
  tens *mask = ints(c, TENS_DIMS(1, 7), (int32_t[]){1, 1, 0, 1, 1, 1, 1});
  return op_attention(c, in[0], in[1], in[2],
                      &(op_attn){.heads = 2, .kv_heads = 1, .window = 2, .causal = true, .key_mask = mask});
}
static tens *conv(tens_ctx *c, tens *const *in) {
  return op_conv1d(c, in[0], in[1], &(op_conv){.stride = 2, .pad = 3, .dilation = 2, .bias = in[2], .residual = in[3]});
}
static tens *conv_transposed(tens_ctx *c, tens *const *in) {
  return op_conv1d_transposed(c, in[0], in[1], &(op_conv){.stride = 2, .pad = 1, .bias = in[2]});
}
static tens *conv_with_snake(tens_ctx *c, tens *const *in) {
  op_conv p = {.stride = 1, .pad = 1, .dilation = 1, .bias = in[2], .alpha = in[3], .inv_beta = in[4]};
  return op_conv1d(c, in[0], in[1], &p);
}
static tens *snake(tens_ctx *c, tens *const *in) {
  return op_snake(c, in[0], in[1], in[2]);
}
static tens *add(tens_ctx *c, tens *const *in) {
  return op_add(c, op_add(c, in[0], in[1]), in[0]);
}
static tens *silu(tens_ctx *c, tens *const *in) {
  return op_silu(c, in[0]);
}
static tens *scale(tens_ctx *c, tens *const *in) {
  return op_scale(c, in[0], in[1]);
}
static tens *modulation(tens_ctx *c, tens *const *in) {
  return op_modulation(c, in[0], in[1]);
}
static tens *concat(tens_ctx *c, tens *const *in) {
  return op_concat(c, 3, (const tens *const[]){in[0], in[1], in[0]});
}
static tens *join(tens_ctx *c, tens *const *in) {
  return op_join(c, 3, (const tens *const[]){in[0], in[1], in[0]});
}
static tens *gather(tens_ctx *c, tens *const *in) {
  return op_gather(c, in[0], ints(c, TENS_DIMS(2, 4), (int32_t[]){2, -1, 2, 0, 1, 1, -1, 2}));
}
static tens *prepend(tens_ctx *c, tens *const *in) {
  return op_prepend(c, in[0], in[1]);
}
static tens *resize_longer(tens_ctx *c, tens *const *in) {
  return op_resize(c, in[0], 5);
}
static tens *resize_shorter(tens_ctx *c, tens *const *in) {
  return op_resize(c, in[0], 2);
}
static tens *outer_add(tens_ctx *c, tens *const *in) {
  return op_outer_add(c, in[0], in[1]);
}
static tens *dropout(tens_ctx *c, tens *const *in) {
  static const op_stream stream[] = {{7, {1, 2, 3}}, {7, {1, 2, 4}}};
  return op_dropout_apply(c, in[0], &(op_dropout){0.3f, stream});
}
static tens *mean_square(tens_ctx *c, tens *const *in) {
  return op_mean_square(c, in[0], in[1], ints(c, TENS_DIMS(2, 3), (int32_t[]){1, 0, 1, 1, 1, 0}));
}
/* More rows than are computed at once, and rows without a label among them. */
static tens *word_entropy(tens_ctx *c, tens *const *in) {
  int32_t label[70];
  for (int i = 0; i < 70; i++) label[i] = i % 7 == 3 ? -1 : i * 5 % 9;
  return op_word_entropy(c, in[0], in[1], ints(c, TENS_DIMS(70), label));
}

static tens *cross_entropy(tens_ctx *c, tens *const *in) {
  return op_cross_entropy(c, in[0], ints(c, TENS_DIMS(2, 3), (int32_t[]){4, -1, 0, 2, 2, 6}));
}
static tens *mean_absolute(tens_ctx *c, tens *const *in) {
  return op_mean_absolute(c, in[0], random_tensor(c, 5, TENS_DIMS(2, 7, 2)));
}
static tens *spectral_distance(tens_ctx *c, tens *const *in) {
  op_spectrum s = {.windows = 2, .length = {32, 16}, .floor = 0.05f, .linear = 2, .corner = 0.01f, .banded = 1.5f};
  return op_spectral_distance(c, in[0], random_tensor(c, 6, TENS_DIMS(2, 75, 2)), &s);
}
static tens *posterior_sample(tens_ctx *c, tens *const *in) {
  return op_posterior_sample(c, in[0], random_tensor(c, 7, TENS_DIMS(2, 3, 4)));
}
static tens *posterior_information(tens_ctx *c, tens *const *in) {
  return op_posterior_information(c, in[0]);
}
/* Rows and views of one tensor, used twice. */
static tens *views(tens_ctx *c, tens *const *in) {
  tens *first = tens_rows(c, in[0], 0, 2), *last = tens_rows(c, in[0], 1, 2);
  tens *both = op_add(c, op_silu(c, first), last);
  return op_add(c, tens_view(c, both, TENS_DIMS(10)), tens_view(c, first, TENS_DIMS(10)));
}

static const op_case cases[] = {
    {"linear", linear_all, 5, {{3, {2, 3, 37}}, {2, {19, 37}}, {1, {19}}, {2, {2, 19}}, {3, {2, 3, 19}}}, true},
    {"linear with silu", linear_silu, 3, {{2, {5, 11}}, {2, {7, 11}}, {1, {7}}}, true},
    {"linear of one row", linear_plain, 2, {{1, {13}}, {2, {3, 13}}}, true},
    {"swiglu", swiglu, 3, {{3, {2, 3, 17}}, {2, {9, 17}}, {2, {9, 17}}}, true},
    {"mix_blocks", mix_blocks, 4, {{3, {2, 3, 21}}, {2, {5, 3}}, {2, {2, 35}}, {3, {2, 3, 35}}}, false},
    {"kron_lengths", kron_lengths, 3, {{2, {5, 3}}, {2, {3, 11}}, {1, {15}}}, false},
    {"kron_lengths of nothing", kron_lengths_of_zero, 2, {{2, {1, 3}}, {1, {2}}}, false},
    {"embedding", embedding, 1, {{2, {5, 7}}}, false},
    {"rms_norm", rms_norm, 2, {{3, {2, 3, 33}}, {1, {33}}}, false},
    {"rms_norm_modulated", modulated, 4, {{3, {2, 3, 33}}, {1, {33}}, {2, {2, 33}}, {2, {2, 33}}}, false},
    {"head_norm", head_norm, 2, {{3, {2, 3, 15}}, {1, {5}}}, false},
    {"head_norm, rotated", head_norm_rotated, 2, {{3, {2, 3, 18}}, {1, {6}}}, false},
    {"attention", attention, 3, {{3, {2, 5, 24}}, {3, {2, 3, 12}}, {3, {2, 3, 12}}}, true},
    {"attention in a window", attention_window, 3, {{3, {1, 7, 10}}, {3, {1, 7, 5}}, {3, {1, 7, 5}}}, true},
    {"conv1d", conv, 4, {{3, {2, 9, 5}}, {3, {7, 3, 5}}, {1, {7}}, {3, {2, 6, 7}}}, true},
    {"conv1d_transposed", conv_transposed, 3, {{3, {2, 5, 7}}, {3, {4, 3, 7}}, {1, {3}}}, true},
    {"conv1d with snake", conv_with_snake, 5, {{3, {1, 7, 5}}, {3, {3, 3, 5}}, {1, {3}}, {1, {3}}, {1, {3}}}, true},
    {"snake", snake, 3, {{3, {2, 3, 5}}, {1, {5}}, {1, {5}}}, false},
    {"add", add, 2, {{2, {3, 5}}, {2, {3, 5}}}, false},
    {"silu", silu, 1, {{2, {3, 5}}}, false},
    {"scale", scale, 2, {{3, {2, 3, 5}}, {1, {5}}}, false},
    {"modulation", modulation, 2, {{2, {3, 5}}, {2, {2, 15}}}, false},
    {"concat", concat, 2, {{3, {2, 3, 5}}, {3, {2, 3, 2}}}, false},
    {"join", join, 2, {{3, {2, 3, 5}}, {3, {2, 1, 5}}}, false},
    {"gather", gather, 1, {{3, {2, 3, 5}}}, false},
    {"prepend", prepend, 2, {{3, {2, 3, 5}}, {1, {5}}}, false},
    {"resize, longer", resize_longer, 1, {{3, {2, 3, 5}}}, false},
    {"resize, shorter", resize_shorter, 1, {{3, {2, 3, 5}}}, false},
    {"outer_add", outer_add, 2, {{2, {3, 5}}, {2, {4, 5}}}, false},
    {"dropout", dropout, 1, {{3, {2, 3, 5}}}, false},
    {"mean_square", mean_square, 2, {{3, {2, 3, 5}}, {3, {2, 3, 5}}}, false},
    {"cross_entropy", cross_entropy, 1, {{3, {2, 3, 7}}}, false},
    {"mean_absolute", mean_absolute, 1, {{3, {2, 7, 2}}}, false},
    {"spectral_distance", spectral_distance, 1, {{3, {2, 75, 2}}}, false},
    {"posterior_sample", posterior_sample, 1, {{3, {2, 3, 8}}}, false},
    {"posterior_information", posterior_information, 1, {{3, {2, 3, 8}}}, false},
    {"word_entropy", word_entropy, 2, {{2, {70, 5}}, {2, {9, 5}}}, false},
    {"views", views, 1, {{2, {3, 5}}}, false},
};

enum { CASES = sizeof cases / sizeof *cases };

/* ---- one case ------------------------------------------------------------------------------------------------------ */

static int64_t count_of(const shape *s) {
  int64_t n = 1;
  for (int i = 0; i < s->rank; i++) n *= s->dim[i];
  return n;
}

typedef struct values {
  float v[MOST_INPUTS][MOST_VALUES];
} values;

static tens_ctx *open_on(const tens_device *device, pool *threads) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.device = device, .threads = threads, .capacity = CAPACITY}, &err);
  if (!c) fail_msg("%s", err.message);
  return c;
}

static void expect_ok(tens_ctx *c, const char *name) {
  ace_error err = {0};
  if (tens_error(c, &err) != ACE_OK) fail_msg("%s: %s", name, err.message);
}

/* The inputs in the context, and the result as [1, 1, n]. */
static tens *result(tens_ctx *c, const op_case *k, const values *x, tens **in, bool wanted) {
  for (int i = 0; i < k->n; i++) {
    in[i] = tens_from(c, TENS_F32, k->in[i].rank, k->in[i].dim, x->v[i]);
    if (wanted) tape_input(c, in[i]);
  }
  tens *y = k->run(c, in);
  expect_ok(c, k->name);
  return tens_view(c, y, TENS_DIMS(1, 1, tens_count(y)));
}

static void target_of(float *target, int64_t n) {
  assert_true(n <= MOST_VALUES);
  normals(99, target, n);
}

/* The mean of (y - target)², in double. */
static double loss_of(tens_ctx *c, const op_case *k, const values *x) {
  tens *in[MOST_INPUTS];
  float target[MOST_VALUES];
  tens_reset(c);
  const tens *y = result(c, k, x, in, false);
  int64_t n = tens_count(y);
  target_of(target, n);
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += pow((double)tens_f32(y)[i] - (double)target[i], 2);
  return sum / (double)n;
}

static void gradients_of(tens_ctx *c, const op_case *k, const values *x, values *g) {
  ace_error err;
  tape *t = tape_open(&err);
  assert_non_null(t);
  tens *in[MOST_INPUTS];
  float target[MOST_VALUES];
  tens_reset(c);
  tape_begin(c, t);
  const tens *y = result(c, k, x, in, true);
  target_of(target, tens_count(y));
  tens *loss = op_mean_square(c, y, tens_from(c, TENS_F32, 3, y->dim, target), NULL);
  if (!tape_backward(c, loss, 1)) expect_ok(c, k->name);
  for (int i = 0; i < k->n; i++) {
    const tens *gradient = tape_gradient(c, in[i]);
    assert_non_null(gradient);
    memcpy(g->v[i], gradient->data, (size_t)tens_count(gradient) * sizeof(float));
  }
  tape_end(c);
  tape_close(t);
}

/* In some directions, and in that of the gradient itself. */
static void expect_differences(tens_ctx *c, const op_case *k, values *x, const values *g) {
  const double h = 4e-3;
  for (int i = 0; i < k->n; i++) {
    int64_t n = count_of(&k->in[i]);
    for (int d = 0; d <= DIRECTIONS; d++) {
      float u[MOST_VALUES], kept[MOST_VALUES];
      double length = 0, size = 0, slope = 0;
      normals((uint64_t)(100 + d), u, n);
      if (d == DIRECTIONS) memcpy(u, g->v[i], (size_t)n * sizeof *u);
      for (int64_t j = 0; j < n; j++) length += (double)u[j] * (double)u[j], size += pow((double)g->v[i][j], 2);
      length = sqrt(length), size = sqrt(size);
      memcpy(kept, x->v[i], sizeof kept);
      for (int64_t j = 0; j < n; j++) slope += (double)g->v[i][j] * (double)u[j] / length;
      for (int64_t j = 0; j < n; j++) x->v[i][j] = (float)((double)kept[j] + h * (double)u[j] / length);
      double up = loss_of(c, k, x);
      for (int64_t j = 0; j < n; j++) x->v[i][j] = (float)((double)kept[j] - h * (double)u[j] / length);
      double down = loss_of(c, k, x);
      memcpy(x->v[i], kept, sizeof kept);
      /* Values are rounded to F32 before and after the operation. */
      double error = fabs((up - down) / (2 * h) - slope);
      if (!(error <= 2e-3 * size + 1e-6))
        fail_msg("%s: input %d, direction %d: slope %g instead of %g (gradient %g)", k->name, i, d,
                 (up - down) / (2 * h), slope, size);
    }
  }
}

static void expect_close(const op_case *k, const char *isa, const values *got, const values *want, double tolerance) {
  for (int i = 0; i < k->n; i++) {
    double worst = 0, most = 1e-30;
    for (int64_t j = 0; j < count_of(&k->in[i]); j++) {
      worst = fmax(worst, fabs((double)got->v[i][j] - (double)want->v[i][j]));
      most = fmax(most, fabs((double)want->v[i][j]));
    }
    if (!(worst <= tolerance * most)) fail_msg("%s on %s: input %d is off by %g of %g", k->name, isa, i, worst, most);
  }
}

static void gradients_equal_finite_differences(void **state) {
  static values x, g, other, first;
  tens_ctx *oracle = open_on(tens_oracle(), NULL);
  ace_error err;
  pool *pools[] = {NULL, pool_new(1, &err), pool_new(3, &err)};
  for (int n = 0; n < CASES; n++) {
    const op_case *k = &cases[n];
    for (int i = 0; i < k->n; i++) {
      assert_true(count_of(&k->in[i]) <= MOST_VALUES);
      normals((uint64_t)(10 * n + i), x.v[i], count_of(&k->in[i]));
    }
    gradients_of(oracle, k, &x, &g);
    expect_differences(oracle, k, &x, &g);
    for (int isa = 0; tens_isa_at(isa); isa++) {
      const tens_device *device = tens_cpu_isa(tens_isa_at(isa));
      bool tiles = strcmp(tens_isa_at(isa), "amx") == 0;
      for (int p = 0; device && p < 3; p++) {
        tens_ctx *c = open_on(device, pools[p]);
        gradients_of(c, k, &x, p ? &other : &first);
        tens_close(c);
        if (p) assert_memory_equal(&other, &first, sizeof first);
        else other = first;
      }
      /* Sums of at most 40 products of normals; tiles round both factors to BF16. */
      if (device) expect_close(k, tens_isa_at(isa), &first, &g, tiles && k->tiles ? 2e-2 : 1e-5);
    }
  }
  for (int p = 0; p < 3; p++) pool_free(pools[p]);
  tens_close(oracle);
}

/* ---- the tape itself ----------------------------------------------------------------------------------------------- */

enum { WIDTH = 6, LAYERS = 3, ROWS = 4 };

typedef struct layer {
  tens w, norm;
} layer;

typedef struct stack {
  float w[LAYERS][WIDTH * WIDTH], norm[LAYERS][WIDTH], grad[LAYERS][WIDTH * WIDTH + WIDTH];
  uint16_t half[WIDTH * WIDTH];
  layer layer[LAYERS];
} stack;

static void make_stack(stack *s) {
  memset(s, 0, sizeof *s);
  for (int i = 0; i < LAYERS; i++) {
    normals((uint64_t)i, s->w[i], WIDTH * WIDTH);
    normals((uint64_t)(50 + i), s->norm[i], WIDTH);
    s->layer[i].w = (tens){.dtype = TENS_F32, .rank = 2, .dim = {WIDTH, WIDTH}, .data = s->w[i]};
    s->layer[i].norm = (tens){.dtype = TENS_F32, .rank = 1, .dim = {WIDTH}, .data = s->norm[i]};
  }
}

/* in: x, gate */
static tens *run_layer(tens_ctx *c, const void *arg, const tens *const *in) {
  const layer *l = *(const layer *const *)arg;
  tens_mark mark = tens_here(c);
  tens *n = op_rms_norm(c, in[0], &l->norm, 1e-6f);
  op_epilogue e = {.gate = in[1], .residual = in[0]};
  return tens_keep(c, mark, op_linear(c, op_swiglu(c, n, &l->w, &l->w), &l->w, &e));
}

/* The loss of the stack, whose gradients are added. */
static float run_stack(tens_ctx *c, stack *s, bool recompute, bool watched_last_only, size_t *peak) {
  ace_error err;
  tape *t = tape_open(&err);
  assert_non_null(t);
  for (int i = watched_last_only ? LAYERS - 1 : 0; i < LAYERS; i++) {
    assert_true(tape_watch(t, &s->layer[i].w, s->grad[i], &err));
    assert_true(tape_watch(t, &s->layer[i].norm, s->grad[i] + WIDTH * WIDTH, &err));
  }
  tape_recompute(t, recompute);
  float input[ROWS * WIDTH], other[WIDTH];
  normals(7, input, ROWS * WIDTH);
  normals(8, other, WIDTH);
  tape_begin(c, t);
  const tens *x = tens_from(c, TENS_F32, TENS_DIMS(1, ROWS, WIDTH), input);
  const tens *gate = op_silu(c, tens_from(c, TENS_F32, TENS_DIMS(1, WIDTH), other));
  if (!watched_last_only) gate = op_scale(c, gate, &s->layer[0].norm);
  for (int i = 0; i < LAYERS; i++) {
    const layer *l = &s->layer[i];
    x = tape_segment(c, run_layer, &l, sizeof l, 2, (const tens *const[]){x, gate});
  }
  tens *loss = op_mean_square(c, x, tens_from(c, TENS_F32, TENS_DIMS(1, ROWS, WIDTH), input), NULL);
  if (!tape_backward(c, loss, 0.5f)) expect_ok(c, "stack");
  float value = tens_planning(c) ? 0 : tens_f32(loss)[0];
  tape_end(c);
  tape_close(t);
  if (peak) *peak = tens_peak(c);
  return value;
}

static void running_again_gives_the_same_bits(void **state) {
  static stack kept, again;
  make_stack(&kept), make_stack(&again);
  tens_ctx *a = open_on(NULL, NULL), *b = open_on(NULL, NULL);
  float x = run_stack(a, &kept, false, false, NULL), y = run_stack(b, &again, true, false, NULL);
  assert_memory_equal(&x, &y, sizeof x);
  assert_memory_equal(kept.grad, again.grad, sizeof kept.grad);
  assert_true(kept.grad[0][0] != 0 && kept.grad[0][WIDTH * WIDTH] != 0);
  tens_close(a), tens_close(b);
}

static void what_was_watched_twice_is_added_twice(void **state) {
  static stack once, twice;
  make_stack(&once), make_stack(&twice);
  tens_ctx *c = open_on(NULL, NULL);
  run_stack(c, &once, true, false, NULL);
  for (int i = 0; i < 2; i++) run_stack(c, &twice, true, false, NULL);
  for (int i = 0; i < LAYERS; i++)
    for (int j = 0; j < WIDTH * WIDTH + WIDTH; j++)
      assert_true(fabsf(2 * once.grad[i][j] - twice.grad[i][j]) <= 1e-6f * fabsf(twice.grad[i][j]));
  tens_close(c);
}

/* x² and 3 x, weighted with 0.5 and 2: x + 6. */
static void several_results_share_one_way_back(void **state) {
  ace_error err;
  tens_ctx *c = open_on(NULL, NULL);
  tape *t = tape_open(&err);
  float value[] = {-1, 0.5f, 4}, three[] = {3, 3, 3}, zero[3] = {0};
  const float seed[] = {0.5f * 3, 2}; /* a mean over three */
  tape_begin(c, t);
  tens *x = tens_from(c, TENS_F32, TENS_DIMS(1, 1, 3), value);
  tape_input(c, x);
  const tens *y[] = {op_mean_square(c, x, tens_from(c, TENS_F32, TENS_DIMS(1, 1, 3), zero), NULL),
                     op_scale(c, x, tens_from(c, TENS_F32, TENS_DIMS(3), three))};
  assert_true(tape_backward_all(c, 2, y, seed));
  for (int i = 0; i < 3; i++) assert_float_equal(tens_f32(tape_gradient(c, x))[i], value[i] + 6, 1e-5);
  tape_end(c);
  tape_close(t);
  tens_close(c);
}

static void sounds_that_cannot_be_compared_are_refused(void **state) {
  static const op_spectrum good = {.windows = 1, .length = {16}, .floor = 1e-3f, .corner = 0.01f};
  tens_ctx *c = open_on(NULL, NULL);
  ace_error err;
  tens *x = random_tensor(c, 1, TENS_DIMS(1, 20, 2));
  assert_non_null(op_spectral_distance(c, x, x, &good));
  op_spectrum odd = good, far = good, flat = good;
  odd.length[0] = 24, far.length[0] = 32, flat.floor = 0;
  assert_null(op_spectral_distance(c, x, x, &odd));
  assert_int_equal(tens_error(c, &err), ACE_EINVAL);
  const op_spectrum *others[] = {&far, &flat};
  for (int i = 0; i < 2; i++) {
    tens_reset(c);
    x = random_tensor(c, 1, TENS_DIMS(1, 20, 2));
    assert_null(op_spectral_distance(c, x, x, others[i]));
    assert_int_equal(tens_error(c, &err), ACE_EINVAL);
  }
  tens_reset(c);
  tens *mono = random_tensor(c, 1, TENS_DIMS(1, 20, 1));
  assert_null(op_spectral_distance(c, mono, mono, &good));
  tens_reset(c);
  assert_null(op_posterior_information(c, random_tensor(c, 1, TENS_DIMS(1, 2, 3))));
  tens_close(c);
}

static void only_what_is_watched_gets_a_gradient(void **state) {
  static stack all, last;
  make_stack(&all), make_stack(&last);
  tens_ctx *c = open_on(NULL, NULL);
  run_stack(c, &last, true, true, NULL);
  for (int j = 0; j < WIDTH * WIDTH; j++) assert_true(last.grad[0][j] == 0 && last.grad[1][j] == 0);
  assert_true(last.grad[LAYERS - 1][0] != 0);
  tens_close(c);
}

static void planning_counts_what_running_takes(void **state) {
  static stack s;
  make_stack(&s);
  for (int recompute = 0; recompute < 2; recompute++) {
    size_t planned, taken;
    ace_error err;
    tens_ctx *plan = tens_open(&(tens_options){.plan = true}, &err), *c = open_on(NULL, NULL);
    assert_non_null(plan);
    run_stack(plan, &s, recompute, false, &planned);
    run_stack(c, &s, recompute, false, &taken);
    assert_int_equal(planned, taken);
    tens_close(plan), tens_close(c);
  }
}

/* A weight in BF16: its gradient is F32, and part of it can be used alone. */
static void rows_of_a_half_precision_weight(void **state) {
  static stack s;
  make_stack(&s);
  for (int i = 0; i < WIDTH * WIDTH; i++) s.half[i] = f32_to_bf16(s.w[0][i]);
  ace_error err;
  tape *t = tape_open(&err);
  tens w = {.dtype = TENS_BF16, .rank = 2, .dim = {WIDTH, WIDTH}, .data = s.half};
  assert_true(tape_watch(t, &w, s.grad[0], &err));
  tens_ctx *c = open_on(NULL, NULL);
  tape_begin(c, t);
  tens *x = tens_from(c, TENS_F32, TENS_DIMS(1, 1, WIDTH), s.norm[0]);
  tens *y = op_linear(c, x, tens_rows(c, &w, 2, 3), NULL);
  assert_true(tape_backward(c, y, 1));
  for (int i = 0; i < WIDTH; i++)
    for (int j = 0; j < WIDTH; j++)
      assert_true(fabsf(s.grad[0][i * WIDTH + j] - (i >= 2 && i < 5 ? s.norm[0][j] : 0)) < 1e-6f);
  tape_end(c);
  tape_close(t);
  tens_close(c);
}

/* In parts or in one go: a model that is trained computes what it computes when it sings exactly. */
static void recording_changes_no_bit(void **state) {
  ace_error err;
  for (int isa = 0; tens_isa_at(isa); isa++) {
    const tens_device *device = tens_cpu_isa(tens_isa_at(isa));
    if (!device) continue;
    tens_ctx *c = open_on(device, NULL);
    for (int n = 0; n < CASES; n++) {
      static values x;
      tens *in[MOST_INPUTS];
      tens_exact(c, true);
      float plain[MOST_VALUES];
      for (int i = 0; i < cases[n].n; i++) normals((uint64_t)(10 * n + i), x.v[i], count_of(&cases[n].in[i]));
      tens_reset(c);
      const tens *y = result(c, &cases[n], &x, in, false);
      size_t size = (size_t)tens_count(y) * sizeof(float);
      memcpy(plain, y->data, size);
      tens_reset(c);
      tape *t = tape_open(&err);
      tape_begin(c, t);
      y = result(c, &cases[n], &x, in, true);
      assert_memory_equal(y->data, plain, size);
      tape_end(c);
      tape_close(t);
    }
    tens_close(c);
  }
}

static void expect_refused(tens_ctx *c, const char *words) {
  ace_error err = {0};
  assert_int_not_equal(tens_error(c, &err), ACE_OK);
  if (!strstr(err.message, words)) fail_msg("%s", err.message);
}

static void what_has_no_gradient_says_so(void **state) {
  ace_error err;
  tape *t = tape_open(&err);
  tens_ctx *c = open_on(NULL, NULL);
  float x[WIDTH] = {0};
  tape_begin(c, t);
  tens *a = tens_from(c, TENS_F32, TENS_DIMS(WIDTH), x);
  tape_input(c, a);
  op_mix_into(c, a, 1, a, 0, NULL);
  expect_refused(c, "has no gradient");
  tens_reset(c);
  tape_begin(c, t);
  assert_false(tape_backward(c, op_silu(c, tens_from(c, TENS_F32, TENS_DIMS(WIDTH), x)), 1));
  expect_refused(c, "nothing that is watched");
  tape_close(t);
  tens_close(c);
}

/* Otherwise its gradient would be lost with the memory of the segment. */
static tens *run_captured(tens_ctx *c, const void *arg, const tens *const *in) {
  return op_add(c, in[0], *(const tens *const *)arg);
}

static void a_segment_names_its_inputs(void **state) {
  ace_error err;
  tape *t = tape_open(&err);
  tape_recompute(t, true);
  tens_ctx *c = open_on(NULL, NULL);
  float x[WIDTH] = {0};
  tape_begin(c, t);
  const tens *a = tens_from(c, TENS_F32, TENS_DIMS(WIDTH), x), *b = tens_from(c, TENS_F32, TENS_DIMS(WIDTH), x);
  tape_input(c, a), tape_input(c, b);
  assert_false(tape_backward(c, tape_segment(c, run_captured, &b, sizeof b, 1, (const tens *const[]){a}), 1));
  expect_refused(c, "not among its inputs");
  tape_close(t);
  tens_close(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_equal_finite_differences),
      cmocka_unit_test(running_again_gives_the_same_bits),
      cmocka_unit_test(what_was_watched_twice_is_added_twice),
      cmocka_unit_test(only_what_is_watched_gets_a_gradient),
      cmocka_unit_test(several_results_share_one_way_back),
      cmocka_unit_test(sounds_that_cannot_be_compared_are_refused),
      cmocka_unit_test(planning_counts_what_running_takes),
      cmocka_unit_test(rows_of_a_half_precision_weight),
      cmocka_unit_test(recording_changes_no_bit),
      cmocka_unit_test(what_has_no_gradient_says_so),
      cmocka_unit_test(a_segment_names_its_inputs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
