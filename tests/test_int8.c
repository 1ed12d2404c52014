/* The small number formats of weights: what a row of int8 stands for, and products with them on every instruction set
 * of this machine. A mistake here makes an INT8 model sound wrong, or sound different on another machine. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "tensor/cpu/isa.h"
#include "tensor/int8.h"
#include "tensor/ops_train.h"

enum { CAPACITY = 1 << 26, MAX_DEVICES = 16 };

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

typedef uint64_t seed;

static double draw(seed *s) { /* splitmix64 (Steele, Lea & Flood 2014), as a fraction */
  uint64_t z = *s += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* Near enough to a normal value of deviation 1. */
static float normal(seed *s) {
  return (float)((draw(s) + draw(s) + draw(s) + draw(s) - 2) * 1.7320508);
}

/* A thousandth of the values is 30 times as large, as in trained models. */
static float heavy(seed *s) {
  float x = normal(s);
  return draw(s) < 0.001 ? 30 * x : x;
}

static tens *matrix(tens_ctx *c, seed *s, int64_t rows, int64_t k) {
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(rows, k));
  assert_non_null(x);
  float *out = tens_f32(x);
  seed state = *s; /* a local, which no sanitizer looks at */
  for (int64_t i = 0; i < rows * k; i++) out[i] = heavy(&state);
  *s = state;
  return x;
}

/* w in another format; memory of the context. */
static tens *small(tens_ctx *c, const tens *w, tens_dtype dtype) {
  int64_t rows = w->dim[0], k = w->dim[1];
  tens *x = tens_scratch(c, sizeof *x);
  float *scale = tens_scratch(c, (size_t)rows * sizeof *scale), *line = tens_scratch(c, (size_t)k * sizeof *line);
  uint8_t *data = tens_scratch(c, tens_bytes(dtype, rows * k) + 2);
  assert_non_null(data);
  *x = (tens){.dtype = dtype, .rank = 2, .dim = {rows, k}, .data = data};
  if (dtype == TENS_I8) x->scale = scale;
  for (int64_t r = 0; r < rows; r++) {
    memcpy(line, tens_f32(w) + r * k, (size_t)k * sizeof *line);
    if (dtype == TENS_I8) assert_true(int8_encode((int8_t *)data + r * k, &scale[r], line, k));
    for (int64_t i = 0; dtype == TENS_Q8_0 && i < k; i += 32, data += 34) {
      memcpy(data, &(uint16_t){(uint16_t)(0x2000 + (r * 37 + i) % 2000)}, 2); /* an F16 scale around 0.01 */
      for (int j = 0; j < 32; j++) data[2 + j] = (uint8_t)(int8_t)fmaxf(-128, fminf(127, 40 * line[i + j]));
    }
  }
  return x;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void a_row_is_turned_and_rounded_as_the_format_says(void **state) {
  /* Four values: signs + + + -, then sums and differences at distance 1 and 2. */
  float v[4] = {3, 1, -2, 5};
  int8_turn(v, 4);
  const float turned[4] = {3 + 1 - 2 - 5, 3 - 1 - 2 + 5, 3 + 1 + 2 + 5, 3 - 1 + 2 - 5};
  assert_memory_equal(v, turned, sizeof v);
  int8_t q[4];
  float s = int8_round(q, v, 4);
  assert_true(s == 11.0f / 127);
  const int8_t rounded[4] = {-35, 58, 127, -12}; /* 127/11 of -3, 5, 11, -1 */
  assert_memory_equal(q, rounded, sizeof q);
  float w[4] = {3, 1, -2, 5};
  assert_true(int8_encode(q, &s, w, 4));
  assert_true(s == 11.0f / 127 / 4);
  int8_decode(w, q, s, 4);
  const float kept[4] = {3, 1, -2, 5};
  for (int i = 0; i < 4; i++) assert_true(fabsf(w[i] - kept[i]) <= 0.5f * 11 / 127);
}

static void blocks_are_the_powers_of_two_in_the_width(void **state) {
  const int64_t widths[][2] = {{1, 1}, {63, 1}, {96, 32}, {1024, 1024}, {2048, 1024}, {2560, 512}, {9728, 512}};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) assert_int_equal(int8_block(widths[i][0]), widths[i][1]);
}

/* Turning must not change what a product says, whatever the width. */
static void turning_keeps_products(void **state) {
  const int64_t widths[] = {1, 7, 24, 512, 768, 2048};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
    float a[2048], b[2048];
    seed s = i;
    double before = 0, after = 0, size = 0;
    for (int64_t k = 0; k < widths[i]; k++) {
      a[k] = heavy(&s), b[k] = heavy(&s);
      before += (double)a[k] * b[k];
      size += fabs((double)a[k] * b[k]);
    }
    int8_turn(a, widths[i]), int8_turn(b, widths[i]);
    for (int64_t k = 0; k < widths[i]; k++) after += (double)a[k] * b[k];
    assert_true(fabs(after / (double)int8_block(widths[i]) - before) <= 1e-5 * size);
  }
}

static double cosine(const float *a, const float *b, int64_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < n; i++) ab += (double)a[i] * b[i], aa += (double)a[i] * a[i], bb += (double)b[i] * b[i];
  return ab / sqrt(aa * bb);
}

/* What the format is for: one scale a row, in spite of outliers. Without turning this is 0.98 for the worst row. */
static void outliers_do_not_drown_a_row(void **state) {
  enum { K = 2048 };
  seed s = 3;
  for (int row = 0; row < 20; row++) {
    float w[K], kept[K];
    int8_t q[K];
    float scale;
    for (int k = 0; k < K; k++) w[k] = kept[k] = row == 0 ? 0.7f : heavy(&s);
    assert_true(int8_encode(q, &scale, w, K));
    int8_decode(w, q, scale, K);
    assert_true(cosine(w, kept, K) >= (row == 0 ? 0.99999 : 0.9999));
  }
}

static void rows_without_numbers_are_told_apart(void **state) {
  int8_t q[8];
  float zero[8] = {0}, tiny[8] = {0x1p-120f, -0x1p-110f}, infinite[8] = {1, INFINITY}, nan[8] = {NAN}, scale;
  assert_true(int8_encode(q, &scale, zero, 8) && scale == 0 && q[0] == 0);
  assert_true(int8_encode(q, &scale, tiny, 8) && scale == 0);
  assert_false(int8_encode(q, &scale, infinite, 8));
  assert_false(int8_encode(q, &scale, nan, 8));
  assert_true(isnan(int8_round(q, (float[]){1, NAN, 2}, 3)) && q[0] == 0);
}

/* A model rounded at start is the one that convert writes, whichever machines do so. */
static void every_instruction_set_encodes_as_the_format_says(void **state) {
  static const int64_t widths[] = {1, 2, 3, 7, 8, 24, 63, 64, 96, 131, 256, 257, 768, 1031, 1536, 2048, 2560, 9728};
  enum { MOST = 9728, KINDS = 5 };
  static float w[MOST], line[MOST];
  static int8_t want[MOST], got[MOST];
  for (int i = 0; tens_isa_at(i); i++) {
    const tens_device *device = tens_cpu_isa(tens_isa_at(i));
    for (size_t n = 0; device && n < sizeof widths / sizeof *widths * KINDS; n++) {
      const int64_t k = widths[n / KINDS];
      const int kind = (int)(n % KINDS);
      const float unlike[KINDS] = {0.25f, -0.0f, 0x1p-120f, INFINITY, NAN}; /* in the middle of a row, or all of it */
      float scale = -1, fast = -2;
      seed s = n;
      for (int64_t j = 0; j < k; j++) w[j] = kind == 1 || kind == 2 ? unlike[kind] : heavy(&s);
      w[k / 2] = unlike[kind];
      memcpy(line, w, (size_t)k * sizeof *w);
      const bool numbers = int8_encode(want, &scale, line, k);
      assert_int_equal(tens_int8_encode(device, got, &fast, w, k), numbers);
      if (memcmp(want, got, (size_t)k) || (numbers && memcmp(&scale, &fast, sizeof scale)) ||
          (!numbers && !isnan(fast)))
        fail_msg("%s, width %d, kind %d: other bits", tens_isa_at(i), (int)k, kind);
    }
  }
}

static void a_block_of_q8_0_is_scale_times_values(void **state) {
  uint8_t block[35] = {0};
  memcpy(block + 1, &(uint16_t){0x3800}, 2); /* 0.5, at an odd address */
  for (int i = 0; i < 32; i++) block[3 + i] = (uint8_t)(int8_t)(i * 8 - 128);
  float w[32];
  q8_0_decode(w, block + 1, 32);
  for (int i = 0; i < 32; i++) assert_true(w[i] == 0.5f * (float)(i * 8 - 128));
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

static const struct product_shape {
  int64_t batch, rows, k, n;
} shapes[] = {
    {1, 1, 1, 1},     {1, 7, 63, 65},   {2, 65, 8, 1},   {1, 1, 257, 131},  {3, 13, 64, 192},
    {2, 5, 1031, 17}, {1, 2, 2048, 37}, {4, 1, 96, 257}, {1, 130, 1536, 5}, {1, 66, 9728, 3},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct device_list {
  tens_ctx *oracle, *c[MAX_DEVICES];
  const char *name[MAX_DEVICES];
  pool *threads;
  int n;
} device_list;

static tens_ctx *open_on(const tens_device *device, pool *threads) {
  tens_ctx *c = tens_open(&(tens_options){.device = device, .threads = threads, .capacity = CAPACITY}, NULL);
  assert_non_null(c);
  return c;
}

/* Each instruction set alone and with three threads. */
static int open_devices(void **state) {
  static device_list d;
  d = (device_list){.oracle = open_on(tens_oracle(), NULL), .threads = pool_new(3, NULL)};
  if (!d.threads) return -1;
  for (int i = 0; tens_isa_at(i); i++) {
    const tens_device *device = tens_cpu_isa(tens_isa_at(i));
    for (int many = 0; device && many < 2 && d.n < MAX_DEVICES; many++) {
      d.name[d.n] = tens_isa_at(i);
      d.c[d.n++] = open_on(device, many ? d.threads : NULL);
    }
  }
  *state = &d;
  return 0;
}

static int close_devices(void **state) {
  device_list *d = *state;
  for (int i = 0; i < d->n; i++) tens_close(d->c[i]);
  tens_close(d->oracle);
  pool_free(d->threads);
  return 0;
}

typedef struct product_case {
  const struct product_shape *shape;
  tens_dtype dtype;
  bool finish, gated;   /* with bias, activation, gate and residual; the gated unit */
  int64_t first, count; /* rows of x; count 0: all */
} product_case;

static tens *product_of(tens_ctx *c, const product_case *p) {
  const struct product_shape *shape = p->shape;
  seed s = (seed)(p->shape - shapes);
  tens_reset(c);
  tens *x = matrix(c, &s, shape->batch * shape->rows, shape->k);
  tens *w = small(c, matrix(c, &s, shape->n, shape->k), p->dtype);
  tens *up = small(c, matrix(c, &s, shape->n, shape->k), p->dtype);
  tens *bias = matrix(c, &s, 1, shape->n), *gate = matrix(c, &s, shape->batch, shape->n);
  if (p->count) x = tens_rows(c, x, p->first, p->count);
  else x = tens_view(c, x, TENS_DIMS(shape->batch, shape->rows, shape->k));
  tens *y;
  if (p->gated) y = op_swiglu(c, x, w, up);
  else if (p->finish) {
    tens *residual = matrix(c, &s, shape->batch * shape->rows, shape->n);
    op_epilogue e = {tens_view(c, bias, TENS_DIMS(shape->n)), OP_ACT_SILU, gate,
                     tens_view(c, residual, TENS_DIMS(shape->batch, shape->rows, shape->n))};
    y = op_linear(c, x, w, &e);
  } else y = op_linear(c, x, w, NULL);
  ace_error err = {.message = ""};
  tens_error(c, &err);
  if (!y) fail_msg("%s", err.message);
  return y;
}

static double error_of(const tens *got, const tens *want) {
  double worst = 0, top = 1e-30;
  const float *a = tens_f32(got), *b = tens_f32(want);
  for (int64_t i = 0, n = tens_count(want); i < n; i++) {
    double d = fabs((double)a[i] - b[i]);
    worst = isnan(d) ? INFINITY : fmax(worst, d);
    top = fmax(top, fabs((double)b[i]));
  }
  return worst / top;
}

/* tolerance 0: the same bits. */
static void expect_oracle(device_list *d, const product_case *p, double tolerance) {
  const tens *want = product_of(d->oracle, p);
  for (int i = 0; i < d->n; i++) {
    double error = error_of(product_of(d->c[i], p), want);
    if (!(error <= tolerance))
      fail_msg("%s, shape %d: error %g above %g", d->name[i], (int)(p->shape - shapes), error, tolerance);
  }
}

/* Sums of int8 products are exact, so a plain product has the oracle's bits everywhere. */
static void int8_products_are_the_same_everywhere(void **state) {
  for (int i = 0; i < SHAPES; i++) expect_oracle(*state, &(product_case){.shape = &shapes[i], .dtype = TENS_I8}, 0);
}

/* The exponential of the activation is each instruction set's own. */
static void int8_products_end_as_others_do(void **state) {
  for (int i = 0; i < SHAPES; i++) {
    expect_oracle(*state, &(product_case){.shape = &shapes[i], .dtype = TENS_I8, .finish = true}, 1e-6);
    expect_oracle(*state, &(product_case){.shape = &shapes[i], .dtype = TENS_I8, .gated = true}, 1e-6);
  }
}

/* As for float weights: the rounding of sums of that length. */
static void q8_0_products_equal_the_oracle(void **state) {
  for (int i = 0; i < SHAPES; i++) {
    if (shapes[i].k % 32 != 0) continue;
    expect_oracle(*state, &(product_case){.shape = &shapes[i], .dtype = TENS_Q8_0, .finish = true}, 3e-6);
    expect_oracle(*state, &(product_case){.shape = &shapes[i], .dtype = TENS_Q8_0, .gated = true}, 3e-6);
  }
}

/* A song of a batch is the song alone. */
static void a_row_does_not_depend_on_its_company(void **state) {
  device_list *d = *state;
  for (int i = 0; i < d->n; i++)
    for (int kind = 0; kind < 2; kind++) {
      product_case p = {.shape = &shapes[8], .dtype = kind ? TENS_Q8_0 : TENS_I8};
      float whole[130 * 5];
      memcpy(whole, product_of(d->c[i], &p)->data, sizeof whole);
      p.count = 1;
      for (p.first = 0; p.first < 130; p.first += 43)
        assert_memory_equal(product_of(d->c[i], &p)->data, whole + p.first * 5, 5 * sizeof *whole);
    }
}

/* A Q8_0 file stands for its widened weights, which only matrix tiles would round. */
static void q8_0_equals_its_widened_weights(void **state) {
  device_list *d = *state;
  for (int i = 0; i < d->n; i++) {
    if (tens_isa_has_tiles(d->name[i])) continue;
    tens_ctx *c = d->c[i];
    seed s = 5;
    tens_reset(c);
    tens *x = matrix(c, &s, 9, 2048), *w = small(c, matrix(c, &s, 33, 2048), TENS_Q8_0);
    tens *wide = tens_new(c, TENS_F32, TENS_DIMS(33, 2048));
    for (int64_t r = 0; r < 33; r++)
      q8_0_decode(tens_f32(wide) + r * 2048, (const uint8_t *)w->data + tens_bytes(TENS_Q8_0, r * 2048), 2048);
    assert_true(error_of(op_linear(c, x, w, NULL), op_linear(c, x, wide, NULL)) <= 1e-5);
  }
}

/* An int8 product is the float product but for rounding. */
static void int8_is_close_to_what_it_replaces(void **state) {
  tens_ctx *c = ((device_list *)*state)->c[0];
  seed s = 6;
  tens_reset(c);
  tens *x = matrix(c, &s, 16, 2048), *w = matrix(c, &s, 64, 2048);
  const tens *exact = op_linear(c, x, w, NULL), *got = op_linear(c, x, small(c, w, TENS_I8), NULL);
  assert_true(cosine(tens_f32(got), tens_f32(exact), tens_count(exact)) >= 0.9998);
}

static void rows_of_a_table_are_widened(void **state) {
  device_list *d = *state;
  for (int kind = 0; kind < 2; kind++) {
    const tens *rows[2];
    tens_ctx *contexts[2] = {d->oracle, d->c[0]};
    for (int i = 0; i < 2; i++) {
      seed s = 7;
      tens_reset(contexts[i]);
      tens *table = small(contexts[i], matrix(contexts[i], &s, 11, 96), kind ? TENS_Q8_0 : TENS_I8);
      rows[i] = op_embedding(contexts[i], table, tens_from(contexts[i], TENS_I32, TENS_DIMS(3), (int32_t[]){10, 0, 4}));
      assert_non_null(rows[i]);
    }
    assert_memory_equal(rows[0]->data, rows[1]->data, 3 * 96 * sizeof(float));
  }
}

/* Rows of such a weight, with a product added to them, have the lengths of the rows that the model runs. */
static void lengths_of_rows_are_theirs(void **state) {
  device_list *d = *state;
  for (int kind = 0; kind < 2; kind++) {
    const tens *y[2];
    tens_ctx *contexts[2] = {d->oracle, d->c[0]};
    for (int i = 0; i < 2; i++) {
      seed s = 7;
      tens_ctx *c = contexts[i];
      tens_reset(c);
      tens *w = small(c, matrix(c, &s, 6, 96), kind ? TENS_Q8_0 : TENS_I8);
      tens *m = tens_view(c, matrix(c, &s, 1, 6), TENS_DIMS(6));
      y[i] = op_kron_lengths(c, w, matrix(c, &s, 2, 4), matrix(c, &s, 3, 24), m, 0);
      assert_non_null(y[i]);
    }
    for (int i = 0; i < 6; i++)
      assert_true(fabsf(tens_f32(y[0])[i] - tens_f32(y[1])[i]) <= 1e-6f * fabsf(tens_f32(y[0])[i]));
  }
}

/* Logits over a range of tokens are the same as among all of them. */
static void some_rows_of_a_weight_are_a_weight(void **state) {
  tens_ctx *c = ((device_list *)*state)->c[0];
  for (int kind = 0; kind < 2; kind++) {
    seed s = 8;
    tens_reset(c);
    tens *x = matrix(c, &s, 2, 64), *w = small(c, matrix(c, &s, 30, 64), kind ? TENS_Q8_0 : TENS_I8);
    const tens *all = op_linear(c, x, w, NULL), *some = op_linear(c, x, tens_rows(c, w, 7, 12), NULL);
    for (int r = 0; r < 2; r++)
      assert_memory_equal(tens_f32(some) + r * 12, tens_f32(all) + r * 30 + 7, 12 * sizeof(float));
  }
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void expect_refused(tens_ctx *c, const tens *y, const char *part) {
  ace_error err;
  assert_null(y);
  tens_error(c, &err);
  if (!strstr(err.message, part)) fail_msg("\"%s\" does not say \"%s\"", err.message, part);
  tens_reset(c);
}

static void weights_that_are_none_are_refused(void **state) {
  tens_ctx *c = ((device_list *)*state)->c[0];
  float scale[2] = {1, 1};
  static uint8_t data[2 * 40000];
  static float values[40000];
  tens w = {.dtype = TENS_I8, .rank = 2, .dim = {2, 8}, .data = data};
  tens x = {.dtype = TENS_F32, .rank = 2, .dim = {1, 8}, .data = values};
  expect_refused(c, op_linear(c, &x, &w, NULL), "needs scales");
  w.scale = scale;
  w.dim[1] = x.dim[1] = 40000;
  expect_refused(c, op_linear(c, &x, &w, NULL), "at most 32768");
  w = (tens){.dtype = TENS_Q8_0, .rank = 2, .dim = {2, 48}, .data = data};
  x.dim[1] = 48;
  expect_refused(c, op_linear(c, &x, &w, NULL), "whole blocks of 32");
  expect_refused(c, tens_new(c, TENS_I8, TENS_DIMS(2, 2)), "only be a weight");
  w = (tens){.dtype = TENS_I8, .rank = 3, .dim = {2, 1, 8}, .data = data, .scale = scale};
  x = (tens){.dtype = TENS_F32, .rank = 3, .dim = {1, 4, 8}, .data = values};
  expect_refused(c, op_conv1d(c, &x, &w, &(op_conv){.stride = 1, .dilation = 1}), "f32 or bf16");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_row_is_turned_and_rounded_as_the_format_says),
      cmocka_unit_test(blocks_are_the_powers_of_two_in_the_width),
      cmocka_unit_test(turning_keeps_products),
      cmocka_unit_test(outliers_do_not_drown_a_row),
      cmocka_unit_test(rows_without_numbers_are_told_apart),
      cmocka_unit_test(every_instruction_set_encodes_as_the_format_says),
      cmocka_unit_test(a_block_of_q8_0_is_scale_times_values),
      cmocka_unit_test(int8_products_are_the_same_everywhere),
      cmocka_unit_test(int8_products_end_as_others_do),
      cmocka_unit_test(q8_0_products_equal_the_oracle),
      cmocka_unit_test(a_row_does_not_depend_on_its_company),
      cmocka_unit_test(q8_0_equals_its_widened_weights),
      cmocka_unit_test(int8_is_close_to_what_it_replaces),
      cmocka_unit_test(rows_of_a_table_are_widened),
      cmocka_unit_test(lengths_of_rows_are_theirs),
      cmocka_unit_test(some_rows_of_a_weight_are_a_weight),
      cmocka_unit_test(weights_that_are_none_are_refused),
  };
  return cmocka_run_group_tests(tests, open_devices, close_devices);
}
