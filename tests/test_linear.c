/* Linear layers with adapters on them: running the parts side by side must give what the merged weight would give, with
 * everything that may happen to a product afterwards, or an adapted voice is not the one that was trained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "models/linear.h"
#include "tensor/int8.h"

enum { BATCH = 2, TIME = 5, K = 37, N = 19, RANK = 3, CAPACITY = 16 << 20 };

static tens_ctx *open_context(void) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.capacity = CAPACITY}, &err);
  if (!c) fail_msg("%s", err.message);
  return c;
}

static tens *normals(tens_ctx *c, uint64_t seed, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  assert_non_null(x);
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, tens_f32(x), tens_count(x));
  return x;
}

/* An adapted layer and the plain one that it must equal. */
typedef struct pair {
  linear adapted, merged;
  linear_delta delta;
} pair;

static void make_pair(tens_ctx *c, uint64_t seed, bool adapted, pair *p) {
  tens *w = normals(c, seed, TENS_DIMS(N, K)), *a = normals(c, seed + 1, TENS_DIMS(RANK, K));
  tens *b = normals(c, seed + 2, TENS_DIMS(N, RANK)), *sum = tens_new(c, TENS_F32, TENS_DIMS(N, K));
  assert_non_null(sum);
  for (int n = 0; n < N; n++)
    for (int k = 0; k < K; k++) {
      double v = tens_f32(w)[n * K + k];
      for (int r = 0; r < RANK && adapted; r++) v += (double)tens_f32(b)[n * RANK + r] * tens_f32(a)[r * K + k];
      tens_f32(sum)[n * K + k] = (float)v;
    }
  *p = (pair){.adapted = linear_plain(*w), .merged = linear_plain(*sum), .delta = {.a = *a, .b = *b}};
  if (adapted) p->adapted.delta = &p->delta;
}

/* Sums of 40 products of normals: float rounding explains 1e-6 of the largest value, another order of sums as much. */
static void expect_equal(const tens *x, const tens *y) {
  assert_non_null(x);
  assert_non_null(y);
  assert_int_equal(x->rank, y->rank);
  assert_memory_equal(x->dim, y->dim, (size_t)x->rank * sizeof *x->dim);
  double most = 0, worst = 0;
  for (int64_t i = 0; i < tens_count(x); i++) {
    double d = fabs((double)tens_f32(x)[i] - (double)tens_f32(y)[i]), size = fabs((double)tens_f32(y)[i]);
    most = size > most ? size : most;
    if (!(d <= worst)) worst = d;
  }
  if (!(worst <= 2e-6 * most)) fail_msg("%g of %g", worst, most);
}

static void an_adapted_layer_equals_the_merged_one(void **state) {
  tens_ctx *c = open_context();
  pair p;
  make_pair(c, 1, true, &p);
  tens *x = normals(c, 10, TENS_DIMS(BATCH, TIME, K)), *bias = normals(c, 11, TENS_DIMS(N));
  tens *gate = normals(c, 12, TENS_DIMS(BATCH, N)), *residual = normals(c, 13, TENS_DIMS(BATCH, TIME, N));
  const op_epilogue epilogues[] = {{0},
                                   {.bias = bias},
                                   {.residual = residual},
                                   {.gate = gate},
                                   {.bias = bias, .gate = gate, .residual = residual},
                                   {.bias = bias, .act = OP_ACT_SILU}};
  expect_equal(linear_forward(c, x, &p.adapted, NULL), linear_forward(c, x, &p.merged, NULL));
  for (size_t i = 0; i < sizeof epilogues / sizeof *epilogues; i++)
    expect_equal(linear_forward(c, x, &p.adapted, &epilogues[i]), linear_forward(c, x, &p.merged, &epilogues[i]));
  tens_close(c);
}

/* On an int8 weight the adapter adds what it adds to any: the weight is not touched, nor is what it adds quantised. */
static void an_int8_layer_takes_adapters(void **state) {
  enum { WIDE = 64 };
  tens_ctx *c = open_context();
  tens *w = normals(c, 1, TENS_DIMS(N, WIDE)), *x = normals(c, 2, TENS_DIMS(BATCH, TIME, WIDE));
  tens *a = normals(c, 3, TENS_DIMS(RANK, WIDE)), *b = normals(c, 4, TENS_DIMS(N, RANK));
  static int8_t values[N * WIDE];
  static float scale[N];
  for (int n = 0; n < N; n++) assert_true(int8_encode(values + n * WIDE, &scale[n], tens_f32(w) + n * WIDE, WIDE));
  linear_delta delta = {.a = *a, .b = *b};
  linear l = {.w = {.dtype = TENS_I8, .rank = 2, .dim = {N, WIDE}, .data = values, .scale = scale}, .delta = &delta};
  tens *plain = op_linear(c, x, &l.w, NULL), *low = op_linear(c, op_linear(c, x, a, NULL), b, NULL);
  expect_equal(linear_forward(c, x, &l, NULL), op_add(c, plain, low));
  tens_close(c);
}

/* An activation cannot be taken apart: silu(a + b) is not silu(a) + silu(b). */
static void what_cannot_be_taken_apart_is_refused(void **state) {
  tens_ctx *c = open_context();
  pair p;
  make_pair(c, 1, true, &p);
  tens *x = normals(c, 10, TENS_DIMS(BATCH, TIME, K)), *residual = normals(c, 13, TENS_DIMS(BATCH, TIME, N));
  assert_null(linear_forward(c, x, &p.adapted, &(op_epilogue){.act = OP_ACT_SILU, .residual = residual}));
  assert_int_equal(tens_status(c), ACE_EINTERNAL);
  tens_close(c);
}

/* A gated unit with an adapter on either weight, on both, on none. */
static void an_adapted_gated_unit_equals_the_merged_one(void **state) {
  tens_ctx *c = open_context();
  tens *x = normals(c, 10, TENS_DIMS(BATCH, TIME, K));
  for (int which = 0; which < 4; which++) {
    pair gate, up;
    make_pair(c, 20, which & 1, &gate);
    make_pair(c, 30, which & 2, &up);
    expect_equal(linear_swiglu(c, x, &gate.adapted, &up.adapted), op_swiglu(c, x, &gate.merged.w, &up.merged.w));
  }
  tens_close(c);
}

/* Without an adapter not a bit changes. */
static void a_plain_layer_is_the_operation(void **state) {
  tens_ctx *c = open_context();
  pair p;
  make_pair(c, 1, false, &p);
  tens *x = normals(c, 10, TENS_DIMS(BATCH, TIME, K));
  tens *y = linear_forward(c, x, &p.adapted, NULL), *z = op_linear(c, x, &p.adapted.w, NULL);
  assert_non_null(y);
  assert_memory_equal(tens_f32(y), tens_f32(z), BATCH * TIME * N * sizeof(float));
  tens_close(c);
}

int main(void) {
  setenv("ACESTEP_ISA", "float32", 0); /* closer than products of rounded factors */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_adapted_layer_equals_the_merged_one),
      cmocka_unit_test(an_int8_layer_takes_adapters),
      cmocka_unit_test(what_cannot_be_taken_apart_is_refused),
      cmocka_unit_test(an_adapted_gated_unit_equals_the_merged_one),
      cmocka_unit_test(a_plain_layer_is_the_operation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
