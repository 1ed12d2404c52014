/* Gradients of the heavy operations. On the oracle they equal finite differences of the operation itself; on every
 * instruction set of this machine they equal the oracle to rounding, do not depend on the number of threads, and are
 * added to what was there. If one were wrong, training would go astray or stand still without an error; if one depended on
 * threads, a resumed training would not give the adapter that an uninterrupted one gives. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "base/pool.h"
#include "tensor/cpu/isa.h"
#include "tensor/int8.h"
#include "tensor/ops_backward.h"

enum { CAPACITY = 1 << 24, MAX_ISA = 8, MANY = 3 };

/* Filled once before the tests: the oracle, and for each instruction set a context with one thread and one with MANY. */
static pool *many;
static tens_ctx *oracle, *contexts[MAX_ISA][2];
static const char *names[MAX_ISA];
static int isas;

static tens_ctx *open_on(const tens_device *device, pool *threads) {
  return tens_open(&(tens_options){.device = device, .threads = threads, .capacity = CAPACITY}, NULL);
}

static int open_contexts(void **state) {
  if (!(many = pool_new(MANY, NULL)) || !(oracle = open_on(tens_oracle(), NULL))) return -1;
  for (int i = 0; isas < MAX_ISA && tens_isa_at(i); i++) {
    const tens_device *device = tens_cpu_isa(tens_isa_at(i));
    print_message("%s%s\n", tens_isa_at(i), device ? "" : ": not on this machine, not tested");
    if (!device) continue;
    names[isas] = tens_isa_at(i);
    for (int j = 0; j < 2; j++)
      if (!(contexts[isas][j] = open_on(device, j ? many : NULL))) return -1;
    isas++;
  }
  return 0;
}

static int close_contexts(void **state) {
  tens_close(oracle);
  for (int i = 0; i < isas; i++)
    for (int j = 0; j < 2; j++) tens_close(contexts[i][j]);
  pool_free(many);
  return 0;
}

/* ---- inputs: the same in every context for the same seed --------------------------------------------------------- */

typedef uint64_t seed;

static uint32_t draw(seed *s) { /* splitmix64 (Steele, Lea & Flood 2014) */
  uint64_t z = *s += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ z >> 31) >> 32);
}

static float uniform(seed *s, float lo, float hi) {
  return lo + (hi - lo) * ((float)(draw(s) >> 8) * 0x1p-24f);
}

static tens *noise(tens_ctx *c, seed *s, float lo, float hi, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  assert_non_null(x);
  float *out = tens_f32(x);
  seed state = *s; /* a local, which no sanitizer looks at */
  for (int64_t i = 0, n = tens_count(x); i < n; i++) out[i] = uniform(&state, lo, hi);
  *s = state;
  return x;
}

static tens *like(tens_ctx *c, seed *s, const tens *x) {
  return noise(c, s, -1, 1, x->rank, x->dim);
}

/* Takes the next of `n` choices out of a variant number. */
static int choose(int *variant, int n) {
  int choice = *variant % n;
  *variant /= n;
  return choice;
}

/* ---- a problem: an operation, its inputs, and the gradient of its result ----------------------------------------- */

enum { MAX_INPUTS = 3 };

typedef struct problem problem;
struct problem {
  tens *(*forward)(tens_ctx *c, const problem *p);
  void (*backward)(tens_ctx *c, const problem *p, tens *const *grad);
  int n;
  tens *in[MAX_INPUTS]; /* what gradients are taken of */
  tens *dy;
  tens kept; /* a weight without a gradient */
  op_attn attention;
  op_conv conv;
};

typedef problem (*problem_fn)(tens_ctx *c, int variant);

static void expect_fine(tens_ctx *c, int variant) {
  ace_error err = {0};
  if (tens_error(c, &err) != ACE_OK) fail_msg("variant %d: %s", variant, err.message);
}

/* The gradients, added to noise. */
static void gradients(tens_ctx *c, problem_fn make, int variant, tens **grad, int *n) {
  tens_reset(c);
  seed s = 77;
  problem p = make(c, variant);
  for (int i = 0; i < p.n; i++) grad[i] = like(c, &s, p.in[i]);
  p.backward(c, &p, grad);
  expect_fine(c, variant);
  *n = p.n;
}

static double error_of(const tens *got, const tens *want) {
  double worst = 0, top = 1e-30;
  const float *a = tens_f32(got), *b = tens_f32(want);
  for (int64_t i = 0, n = tens_count(want); i < n; i++) {
    double w = b[i], d = fabs(a[i] - w);
    if (isnan(d)) return INFINITY;
    worst = fmax(worst, d);
    top = fmax(top, fabs(w));
  }
  return worst / top;
}

static void compare(problem_fn make, int variants, double tolerance) {
  for (int variant = 0; variant < variants; variant++) {
    tens *want[MAX_INPUTS], *got[MAX_INPUTS], *again[MAX_INPUTS];
    int n;
    gradients(oracle, make, variant, want, &n);
    for (int isa = 0; isa < isas; isa++) {
      gradients(contexts[isa][0], make, variant, got, &n);
      gradients(contexts[isa][1], make, variant, again, &n);
      for (int i = 0; i < n; i++) {
        double error = error_of(got[i], want[i]);
        if (!(error <= tolerance))
          fail_msg("%s, variant %d, input %d: error %g above %g", names[isa], variant, i, error, tolerance);
        if (memcmp(got[i]->data, again[i]->data, (size_t)tens_count(got[i]) * 4) != 0)
          fail_msg("%s, variant %d, input %d: threads change the gradient", names[isa], variant, i);
      }
    }
  }
}

/* Σ dy y with input i moved by h along a direction. */
static double moved(const problem *p, int i, const tens *direction, float h) {
  tens_mark mark = tens_here(oracle);
  problem q = *p;
  q.in[i] = tens_from(oracle, TENS_F32, p->in[i]->rank, p->in[i]->dim, p->in[i]->data);
  for (int64_t k = 0; k < tens_count(direction); k++) tens_f32(q.in[i])[k] += h * tens_f32(direction)[k];
  const tens *y = p->forward(oracle, &q);
  expect_fine(oracle, -1);
  double sum = 0;
  for (int64_t k = 0; k < tens_count(y); k++) sum += (double)tens_f32(p->dy)[k] * tens_f32(y)[k];
  tens_release(oracle, mark);
  return sum;
}

static double along(const tens *grad, const tens *direction, double *size) {
  double sum = 0, squares = 0;
  for (int64_t k = 0; k < tens_count(grad); k++) {
    double term = (double)tens_f32(grad)[k] * tens_f32(direction)[k];
    sum += term;
    squares += term * term;
  }
  *size = sqrt(squares);
  return sum;
}

/* The gradient along some direction is what the result changes by. */
static void compare_with_differences(problem_fn make, int variants, double tolerance) {
  const float h = 0x1p-8f;
  for (int variant = 0; variant < variants; variant++) {
    tens_reset(oracle);
    seed s = (seed)variant;
    problem p = make(oracle, variant);
    tens *grad[MAX_INPUTS];
    for (int i = 0; i < p.n; i++) {
      grad[i] = like(oracle, &s, p.in[i]);
      memset(grad[i]->data, 0, (size_t)tens_count(grad[i]) * 4);
    }
    p.backward(oracle, &p, grad);
    expect_fine(oracle, variant);
    for (int i = 0; i < p.n; i++) {
      const tens *direction = like(oracle, &s, p.in[i]);
      double size, want = (moved(&p, i, direction, h) - moved(&p, i, direction, -h)) / (2 * (double)h);
      double error = fabs(along(grad[i], direction, &size) - want) / (size + 1e-30);
      if (!(error <= tolerance)) fail_msg("variant %d, input %d: off by %g of its size", variant, i, error);
    }
  }
}

/* ---- linear ------------------------------------------------------------------------------------------------------- */

static const int64_t linear_shapes[][4] = {
    /* batch, rows, k, n */
    {1, 1, 1, 1},     {1, 7, 63, 65},   {2, 65, 7, 1},   {1, 1, 257, 131},
    {3, 13, 64, 192}, {1, 63, 130, 67}, {1, 257, 7, 13}, {1, 3, 521, 300},
};
enum { LINEAR_SHAPES = sizeof linear_shapes / sizeof *linear_shapes };

static tens *linear_forward(tens_ctx *c, const problem *p) {
  return op_linear(c, p->in[0], p->in[1], NULL);
}

static void linear_backward(tens_ctx *c, const problem *p, tens *const *grad) {
  op_linear_backward_input(c, grad[0], p->dy, p->in[1]);
  op_linear_backward_weight(c, grad[1], p->dy, p->in[0]);
}

static problem linear_problem(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  const int64_t *shape = linear_shapes[variant], B = shape[0], S = shape[1], K = shape[2], N = shape[3];
  problem p = {.forward = linear_forward, .backward = linear_backward, .n = 2};
  p.in[0] = noise(c, &s, -1, 1, TENS_DIMS(B, S, K));
  p.in[1] = noise(c, &s, -1, 1, TENS_DIMS(N, K));
  p.dy = noise(c, &s, -1, 1, TENS_DIMS(B, S, N));
  return p;
}

static void linear_gradients_equal_the_oracle(void **state) {
  compare(linear_problem, LINEAR_SHAPES, 3e-6);
}

static void linear_gradients_are_differences(void **state) {
  compare_with_differences(linear_problem, LINEAR_SHAPES, 1e-3);
}

/* Weights as models keep them: only the input's gradient is wanted. */
static void kept_backward(tens_ctx *c, const problem *p, tens *const *grad) {
  op_linear_backward_input(c, grad[0], p->dy, &p->kept);
}

/* Random rows of some format; blocks of TENS_Q8_0 get scales near 2^-7. */
static tens kept_weight(tens_ctx *c, seed *s, tens_dtype dtype, int64_t N, int64_t K) {
  size_t bytes = tens_bytes(dtype, N * K);
  uint8_t *data = tens_scratch(c, bytes);
  float *scale = tens_scratch(c, (size_t)N * sizeof *scale);
  assert_non_null(scale);
  for (int64_t n = 0; n < N; n++) scale[n] = uniform(s, 0.005f, 0.01f);
  for (size_t i = 0; i < bytes; i++) data[i] = (uint8_t)draw(s);
  for (int64_t i = 0; dtype == TENS_BF16 && i < N * K; i++)
    ((uint16_t *)(void *)data)[i] = f32_to_bf16(uniform(s, -1, 1));
  for (size_t i = 0; dtype == TENS_Q8_0 && i < bytes; i += Q8_0_BYTES) data[i + 1] = 0x20;
  return (tens){.dtype = dtype, .rank = 2, .dim = {N, K}, .data = data, .scale = dtype == TENS_I8 ? scale : NULL};
}

static problem kept_problem(tens_ctx *c, int variant) {
  static const int64_t shapes[][3] = {
      /* rows, k, n */ {1, 32, 1}, {7, 96, 65}, {65, 160, 7}, {13, 2080, 131}, {3, 1024, 300}};
  static const tens_dtype dtypes[] = {TENS_BF16, TENS_I8, TENS_Q8_0};
  seed s = (seed)variant;
  const tens_dtype dtype = dtypes[choose(&variant, 3)];
  const int64_t *shape = shapes[variant];
  problem p = {.backward = kept_backward, .n = 1, .kept = kept_weight(c, &s, dtype, shape[2], shape[1])};
  p.in[0] = noise(c, &s, -1, 1, TENS_DIMS(shape[0], shape[1]));
  p.dy = noise(c, &s, -1, 1, TENS_DIMS(shape[0], shape[2]));
  return p;
}

static void kept_weights_give_the_gradients_of_what_they_decode_to(void **state) {
  compare(kept_problem, 15, 4e-6);
}

/* ---- attention ---------------------------------------------------------------------------------------------------- */

static const int64_t attention_shapes[][5] = {
    /* queries, keys, heads, key/value heads, width */
    {1, 1, 1, 1, 1},    {7, 7, 2, 1, 16},  {65, 65, 4, 2, 24},  {63, 131, 2, 2, 7}, {1, 257, 4, 1, 13},
    {67, 67, 1, 1, 33}, {3, 6, 8, 4, 130}, {300, 300, 2, 1, 8}, {30, 530, 1, 1, 5},
};
enum { ATTENTION_SHAPES = sizeof attention_shapes / sizeof *attention_shapes, ATTENTIONS = 54 };

static tens *attention_forward(tens_ctx *c, const problem *p) {
  return op_attention(c, p->in[0], p->in[1], p->in[2], &p->attention);
}

static void attention_backward(tens_ctx *c, const problem *p, tens *const *grad) {
  const tens *y = attention_forward(c, p);
  op_attention_backward(c, grad[0], grad[1], grad[2], p->dy, p->in[0], p->in[1], p->in[2], y, &p->attention);
}

static problem attention_problem(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  variant *= 5; /* of all shapes and masks a fourth, each of them with several of the others */
  const int64_t *shape = attention_shapes[choose(&variant, ATTENTION_SHAPES)], D = shape[4];
  const int64_t B = shape[0] > 60 ? 1 : 2;
  problem p = {.forward = attention_forward, .backward = attention_backward, .n = 3};
  op_attn *a = &p.attention;
  a->heads = (int)shape[2], a->kv_heads = (int)shape[3];
  a->window = (const int[]){-1, 0, 5, 80}[choose(&variant, 4)];
  a->causal = choose(&variant, 2) && shape[0] == shape[1];
  int mask = choose(&variant, 3); /* none; half hidden; all but the last few, so that many queries see no key */
  if (mask) {
    tens *keys = tens_new(c, TENS_I32, TENS_DIMS(B, shape[1]));
    for (int64_t i = 0; i < B * shape[1]; i++)
      tens_i32(keys)[i] = mask == 2 ? i % shape[1] >= shape[1] - 2 : (int32_t)(draw(&s) & 1);
    a->key_mask = keys;
  }
  p.in[0] = noise(c, &s, -2, 2, TENS_DIMS(B, shape[0], shape[2] * D));
  p.in[1] = noise(c, &s, -2, 2, TENS_DIMS(B, shape[1], shape[3] * D));
  p.in[2] = noise(c, &s, -1, 1, TENS_DIMS(B, shape[1], shape[3] * D));
  p.dy = like(c, &s, p.in[0]);
  return p;
}

static void attention_gradients_equal_the_oracle(void **state) {
  compare(attention_problem, ATTENTIONS, 8e-6);
}

static bool sees_no_key(const problem *p, int64_t b, int64_t i) {
  const op_attn *a = &p->attention;
  for (int64_t j = 0; j < p->in[1]->dim[1]; j++)
    if (!(a->causal && j > i) && !(a->window >= 0 && (i > j ? i - j : j - i) > a->window) &&
        !(a->key_mask && !tens_i32(a->key_mask)[b * p->in[1]->dim[1] + j]))
      return false;
  return true;
}

static void attention_gradients_are_differences(void **state) {
  compare_with_differences(attention_problem, ATTENTIONS, 2e-3);
}

/* What such a query is given reaches all values alike, and neither itself nor the keys. */
static void queries_without_keys_give_to_all_values(void **state) {
  int blind = 0;
  for (int isa = 0; isa < isas; isa++)
    for (int variant = 0; variant < ATTENTIONS; variant++) {
      tens_ctx *c = contexts[isa][0];
      tens_reset(c);
      problem p = attention_problem(c, variant);
      int64_t Sq = p.dy->dim[1], row = p.dy->dim[2], Sk = p.in[2]->dim[1], width = p.in[2]->dim[2];
      double given[2] = {0};
      for (int64_t r = 0; r < p.dy->dim[0] * Sq; r++) {
        float *dy = tens_f32(p.dy) + r * row;
        bool none = sees_no_key(&p, r / Sq, r % Sq);
        blind += none;
        if (!none) memset(dy, 0, (size_t)row * sizeof *dy);
        for (int64_t d = 0; d < row; d++) given[r / Sq] += dy[d];
      }
      tens *grad[MAX_INPUTS];
      for (int i = 0; i < p.n; i++) {
        grad[i] = tens_new(c, TENS_F32, p.in[i]->rank, p.in[i]->dim);
        memset(grad[i]->data, 0, (size_t)tens_count(grad[i]) * 4);
      }
      p.backward(c, &p, grad);
      expect_fine(c, variant);
      for (int i = 0; i < 2; i++)
        for (int64_t k = 0; k < tens_count(grad[i]); k++) assert_true(tens_f32(grad[i])[k] == 0);
      const float *dv = tens_f32(grad[2]);
      for (int64_t b = 0; b < p.dy->dim[0]; b++) {
        double sum = 0;
        for (int64_t k = 0; k < Sk * width; k++) sum += dv[b * Sk * width + k];
        assert_true(fabs(sum - given[b]) <= 1e-4 * (1 + fabs(given[b])));
        for (int64_t k = width; k < Sk * width; k++)
          assert_true(dv[b * Sk * width + k] == dv[b * Sk * width + k % width]);
      }
    }
  assert_true(blind > 0);
}

/* Scores of some hundreds: exp of any of them alone overflows. */
static problem loud_problem(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  problem p = {.forward = attention_forward, .backward = attention_backward, .n = 3};
  p.attention = (op_attn){.heads = 1, .kv_heads = 1, .window = variant ? 30 : -1};
  p.in[0] = noise(c, &s, -30, 30, TENS_DIMS(1, 70, 16));
  p.in[1] = noise(c, &s, -30, 30, TENS_DIMS(1, 90, 16));
  p.in[2] = noise(c, &s, -1, 1, TENS_DIMS(1, 90, 16));
  p.dy = like(c, &s, p.in[0]);
  return p;
}

static void attention_gradients_survive_large_scores(void **state) {
  compare(loud_problem, 2, 1e-3); /* the scores themselves carry rounding of 1e-4 */
}

/* ---- convolution -------------------------------------------------------------------------------------------------- */

static const int64_t conv_shapes[][8] = {
    /* batch, time, in, out, taps, stride, pad, dilation */
    {1, 1, 1, 1, 1, 1, 0, 1},    {2, 7, 3, 5, 3, 1, 1, 1},    {1, 65, 7, 13, 7, 1, 3, 1},  {1, 63, 16, 17, 7, 1, 9, 3},
    {1, 67, 8, 24, 3, 1, 9, 9},  {2, 40, 5, 6, 20, 10, 5, 1}, {1, 37, 33, 65, 4, 2, 1, 1}, {2, 61, 12, 7, 12, 6, 3, 1},
    {1, 129, 64, 2, 7, 1, 3, 1}, {1, 33, 2, 64, 7, 1, 3, 1},  {2, 5, 70, 33, 2, 2, 0, 1},  {1, 3, 4, 4, 7, 1, 30, 1},
    {1, 31, 3, 4, 5, 4, 2, 6},   {1, 29, 3, 4, 2, 5, 1, 1},   {3, 131, 3, 2, 3, 2, 1, 2},
};
enum { CONV_SHAPES = sizeof conv_shapes / sizeof *conv_shapes };

static tens *conv_forward(tens_ctx *c, const problem *p) {
  return op_conv1d(c, p->in[0], p->in[1], &p->conv);
}

static void conv_backward(tens_ctx *c, const problem *p, tens *const *grad) {
  op_conv1d_backward(c, grad[0], grad[1], p->dy, p->in[0], p->in[1], &p->conv);
}

static problem conv_problem(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  const int64_t *shape = conv_shapes[variant], B = shape[0], T = shape[1], C = shape[2], O = shape[3], taps = shape[4];
  problem p = {.forward = conv_forward, .backward = conv_backward, .n = 2};
  p.conv = (op_conv){.stride = (int)shape[5], .pad = (int)shape[6], .dilation = (int)shape[7]};
  p.in[0] = noise(c, &s, -1, 1, TENS_DIMS(B, T, C));
  p.in[1] = noise(c, &s, -1, 1, TENS_DIMS(O, taps, C));
  p.dy = noise(c, &s, -1, 1, TENS_DIMS(B, (T + 2 * shape[6] - shape[7] * (taps - 1) - 1) / shape[5] + 1, O));
  return p;
}

static const int64_t spread_shapes[][7] = {
    /* batch, time, in, out, taps, stride, pad */
    {1, 1, 1, 1, 1, 1, 0},      {2, 7, 3, 5, 4, 2, 1},    {1, 31, 16, 13, 8, 4, 2}, {1, 17, 65, 7, 12, 6, 3},
    {2, 13, 32, 33, 20, 10, 5}, {1, 65, 24, 64, 2, 2, 0}, {1, 1, 7, 3, 8, 4, 2},    {3, 90, 5, 6, 9, 3, 0},
    {1, 11, 6, 5, 3, 3, 4},     {1, 12, 6, 5, 7, 1, 3},
};
enum { SPREAD_SHAPES = sizeof spread_shapes / sizeof *spread_shapes };

static tens *spread_forward(tens_ctx *c, const problem *p) {
  return op_conv1d_transposed(c, p->in[0], p->in[1], &p->conv);
}

static void spread_backward(tens_ctx *c, const problem *p, tens *const *grad) {
  op_conv_transpose1d_backward(c, grad[0], grad[1], p->dy, p->in[0], p->in[1], &p->conv);
}

static problem spread_problem(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  const int64_t *shape = spread_shapes[variant], B = shape[0], T = shape[1], C = shape[2], O = shape[3];
  problem p = {.forward = spread_forward, .backward = spread_backward, .n = 2};
  p.conv = (op_conv){.stride = (int)shape[5], .pad = (int)shape[6]};
  p.in[0] = noise(c, &s, -1, 1, TENS_DIMS(B, T, C));
  p.in[1] = noise(c, &s, -1, 1, TENS_DIMS(shape[4], O, C));
  p.dy = noise(c, &s, -1, 1, TENS_DIMS(B, (T - 1) * shape[5] - 2 * shape[6] + shape[4], O));
  return p;
}

static void convolution_gradients_equal_the_oracle(void **state) {
  compare(conv_problem, CONV_SHAPES, 3e-6);
  compare(spread_problem, SPREAD_SHAPES, 3e-6);
}

static void convolution_gradients_are_differences(void **state) {
  compare_with_differences(conv_problem, CONV_SHAPES, 1e-3);
  compare_with_differences(spread_problem, SPREAD_SHAPES, 1e-3);
}

/* The autoencoder's weights are BF16 where they are not trained. */
static void half_backward(tens_ctx *c, const problem *p, tens *const *grad) {
  op_conv1d_backward(c, grad[0], NULL, p->dy, p->in[0], &p->kept, &p->conv);
}

static problem half_problem(tens_ctx *c, int variant) {
  problem p = conv_problem(c, variant);
  const tens *w = p.in[1];
  seed s = (seed)variant;
  p.kept = kept_weight(c, &s, TENS_BF16, w->dim[0], w->dim[1] * w->dim[2]);
  p.kept.rank = 3, p.kept.dim[1] = w->dim[1], p.kept.dim[2] = w->dim[2];
  p.backward = half_backward;
  p.n = 1;
  return p;
}

static void convolutions_with_kept_weights_equal_the_oracle(void **state) {
  compare(half_problem, CONV_SHAPES, 3e-6);
}

/* ---- snake -------------------------------------------------------------------------------------------------------- */

static tens *snake_forward(tens_ctx *c, const problem *p) {
  return op_snake(c, p->in[0], p->in[1], p->in[2]);
}

static void snake_backward(tens_ctx *c, const problem *p, tens *const *grad) {
  op_snake_backward(c, grad[0], grad[1], grad[2], p->dy, p->in[0], p->in[1], p->in[2]);
}

/* The last has angles far beyond where the fast sine is good. */
static problem snake_problem(tens_ctx *c, int variant) {
  static const int64_t shapes[][3] = {{1, 1, 1}, {2, 63, 65}, {1, 257, 7}, {1, 7, 300}, {1, 3, 17}};
  seed s = (seed)variant;
  problem p = {.forward = snake_forward, .backward = snake_backward, .n = 3};
  float range = variant == 4 ? 1e5f : 4;
  p.in[0] = noise(c, &s, -range, range, 3, shapes[variant]);
  p.in[1] = noise(c, &s, 0.2f, 3, TENS_DIMS(shapes[variant][2]));
  p.in[2] = noise(c, &s, 0.2f, 2, TENS_DIMS(shapes[variant][2]));
  p.dy = noise(c, &s, -1, 1, 3, shapes[variant]);
  return p;
}

static void snake_gradients_equal_the_oracle(void **state) {
  compare(snake_problem, 5, 2e-6);
}

static void snake_gradients_are_differences(void **state) {
  compare_with_differences(snake_problem, 4, 1e-3);
}

/* ---- shapes and memory -------------------------------------------------------------------------------------------- */

/* A gradient of another shape than its tensor would be written past its end. */
static void gradients_of_other_shapes_are_refused(void **state) {
  const int64_t other[] = {1, 6, 48};
  for (int variant = 1; variant <= 2; variant++) {
    problem_fn makers[] = {linear_problem, attention_problem, conv_problem, spread_problem, snake_problem};
    for (size_t k = 0; k < sizeof makers / sizeof *makers; k++)
      for (int wrong = 0; wrong < MAX_INPUTS; wrong++) {
        tens_reset(oracle);
        problem p = makers[k](oracle, variant);
        tens *grad[MAX_INPUTS];
        for (int i = 0; i < p.n; i++) grad[i] = tens_new(oracle, TENS_F32, p.in[i]->rank, p.in[i]->dim);
        if (wrong < p.n) grad[wrong] = tens_new(oracle, TENS_F32, p.in[wrong]->rank, other);
        else p.dy = tens_new(oracle, TENS_F32, p.dy->rank, other);
        p.backward(oracle, &p, grad);
        assert_int_equal(tens_status(oracle), ACE_EINVAL);
      }
  }
}

/* What a plan counts is what a run takes, or a training that was accepted would end in the middle. */
static void a_plan_counts_the_memory_of_gradients(void **state) {
  size_t peak[2];
  for (int plan = 0; plan < 2; plan++) {
    tens_ctx *c = tens_open(&(tens_options){.device = tens_cpu(), .capacity = CAPACITY, .plan = plan}, NULL);
    seed s = 1;
    const int64_t shape[] = {2, 300, 32};
    tens *x[4];
    for (int i = 0; i < 4; i++) x[i] = plan ? tens_new(c, TENS_F32, 3, shape) : noise(c, &s, -1, 1, 3, shape);
    op_attn a = {.heads = 4, .kv_heads = 4, .window = -1};
    assert_true(op_attention_backward(c, x[3], NULL, NULL, x[0], x[1], x[2], x[2], x[0], &a));
    peak[plan] = tens_peak(c);
    tens_close(c);
  }
  assert_int_equal(peak[0], peak[1]);
}

/* ---- the program -------------------------------------------------------------------------------------------------- */

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(linear_gradients_equal_the_oracle),
      cmocka_unit_test(linear_gradients_are_differences),
      cmocka_unit_test(kept_weights_give_the_gradients_of_what_they_decode_to),
      cmocka_unit_test(attention_gradients_equal_the_oracle),
      cmocka_unit_test(attention_gradients_are_differences),
      cmocka_unit_test(queries_without_keys_give_to_all_values),
      cmocka_unit_test(attention_gradients_survive_large_scores),
      cmocka_unit_test(convolution_gradients_equal_the_oracle),
      cmocka_unit_test(convolution_gradients_are_differences),
      cmocka_unit_test(convolutions_with_kept_weights_equal_the_oracle),
      cmocka_unit_test(snake_gradients_equal_the_oracle),
      cmocka_unit_test(snake_gradients_are_differences),
      cmocka_unit_test(gradients_of_other_shapes_are_refused),
      cmocka_unit_test(a_plan_counts_the_memory_of_gradients),
  };
  return cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
