/* The parts of a training that can be checked against numbers on paper: learning rates, AdamW, clipping, timesteps,
 * random streams, the order of samples. A wrong one would train quietly worse. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/adamw.h"
#include "train/order.h"
#include "train/rate.h"
#include "train/timestep.h"

static void near(double x, double expected, double within) {
  if (!(fabs(x - expected) <= within)) fail_msg("%.12g, expected %.12g within %g", x, expected, within);
}

/* ---- learning rates ---------------------------------------------------------------------------------------------- */

static void test_cosine(void **state) {
  rate_plan p = rate_make(RATE_COSINE, 1e-4, 4000, 100);
  near(rate_at(&p, 0), 1e-5, 1e-15);
  near(rate_at(&p, 50), 5.5e-5, 1e-15);
  near(rate_at(&p, 100), 1e-4, 1e-15);
  near(rate_at(&p, 2050), 5.05e-5, 1e-15);
  near(rate_at(&p, 3999), 1.000016e-6, 1e-12);
  near(rate_at(&p, 5000), 1e-6, 1e-15); /* a resumed training that goes on does not jump back up */
}

/* A training of a few steps still reaches its rate. */
static void test_short_warmup(void **state) {
  rate_plan p = rate_make(RATE_LINEAR, 1, 20, 100);
  assert_int_equal(p.warmup, 2);
  near(rate_at(&p, 2), 1, 1e-15);
  near(rate_at(&p, 20), 0.01, 1e-15);
  p = rate_make(RATE_RESTARTS, 1, 102, 2);
  near(rate_at(&p, 10), rate_at(&p, 10 + 25), 1e-15);
  p = rate_make(RATE_CONSTANT, 1, 1, 0);
  near(rate_at(&p, 0), 1, 1e-15);
}

/* ---- AdamW ------------------------------------------------------------------------------------------------------- */

static void test_first_step(void **state) {
  float p = 1, g = 1, m = 0, v = 0;
  adamw_step(&(adamw){1e-4, 0.01, 1}, NULL, 1, &g, 1, &p, &m, &v);
  near((double)p, (double)0.999899f, 0);
  near((double)m, 0.1, 1e-8);
  near((double)v, 0.001, 1e-10);
}

/* Against the same formula kept in double over 50 steps. */
static void test_many_steps(void **state) {
  float p = 0.5f, m = 0, v = 0;
  double P = 0.5, M = 0, V = 0;
  for (int k = 1; k <= 50; k++) {
    float g = (float)sin(k);
    adamw_step(&(adamw){1e-2, 0.1, k}, NULL, 1, &g, 0.5, &p, &m, &v);
    double G = 0.5 * (double)g;
    P *= 1 - 1e-3;
    M = 0.9 * M + 0.1 * G, V = 0.999 * V + 0.001 * G * G;
    P -= 1e-2 * M / (1 - pow(0.9, k)) / (sqrt(V) / sqrt(1 - pow(0.999, k)) + 1e-8);
  }
  near((double)p, P, 1e-6);
}

static void test_threads(void **state) {
  enum { N = 200001 };
  pool *four = pool_new(4, NULL);
  float *x = calloc(8 * (size_t)N, sizeof *x);
  for (int i = 0; i < N; i++) x[i] = (float)sin(i), x[N + i] = x[2 * N + i] = (float)cos(i);
  for (int i = 0; i < 2; i++)
    adamw_step(&(adamw){1e-3, 0.01, 3}, i ? four : NULL, N, x, 1, x + N * (1 + i), x + N * (3 + i), x + N * (5 + i));
  assert_memory_equal(x + N, x + 2 * N, N * sizeof *x);
  assert_true(adamw_norm(NULL, N, x) == adamw_norm(four, N, x));
  near(adamw_norm(NULL, N, x), sqrt(N / 2.0), 0.01);
  x[N - 1] = INFINITY;
  assert_false(isfinite(adamw_norm(four, N, x)));
  free(x);
  pool_free(four);
}

static void test_clip(void **state) {
  near(adamw_clip(4, 1), 0.25, 1e-6);
  near(adamw_clip(0.5, 1), 1, 0);
  near(adamw_clip(4, 0), 1, 0);
}

/* ---- timesteps --------------------------------------------------------------------------------------------------- */

static void test_discrete(void **state) {
  static const double shift3[] = {1, 0.9545454545, 0.9, 0.8333333333, 0.75, 0.6428571429, 0.5, 0.3};
  int seen[TIMESTEP_COUNT] = {0};
  for (int i = 0; i < TIMESTEP_COUNT; i++) {
    near(timestep_discrete(3, i), shift3[i], 1e-9);
    near(timestep_discrete(1, i), 1 - i / 8.0, 1e-12);
  }
  near(timestep_discrete(2, 7), 0.2222, 1e-4);
  timesteps t = {.mode = TIMESTEP_DISCRETE, .shift = 3};
  for (uint32_t n = 0; n < 8000; n++) {
    stream s = stream_of(42, STREAM_TIME, 0, 0, n);
    double x = timestep_draw(&t, &s);
    for (int i = 0; i < TIMESTEP_COUNT; i++) seen[i] += x == timestep_discrete(3, i);
  }
  for (int i = 0; i < TIMESTEP_COUNT; i++) near(seen[i], 1000, 120);
}

/* The larger of two draws: with one alone, models would be trained at the wrong times. */
static void test_logit_normal(void **state) {
  enum { N = 100000 };
  timesteps t = {.mode = TIMESTEP_LOGIT_NORMAL, .mu = -0.4, .sigma = 1};
  int half = 0, most = 0, median = 0;
  for (uint32_t n = 0; n < N; n++) {
    stream s = stream_of(7, STREAM_TIME, 0, n % 7, n);
    double x = timestep_draw(&t, &s);
    half += x <= 0.5, most += x <= 0.9, median += x <= 0.536;
  }
  near((double)half / N, 0.4296, 0.01);
  near((double)most / N, 0.9906, 0.01);
  near((double)median / N, 0.5, 0.01);
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

/* Philox with key and counter zero begins like this everywhere (the authors' known answers). */
static void test_known_answer(void **state) {
  stream s = {0, {0, 0, 0}};
  float x;
  stream_uniform(&s, 0, 1, &x);
  near((double)x, (double)(0x6627e8d5u >> 8) * 0x1p-24, 0);
}

static void test_any_piece(void **state) {
  float all[64], piece[64];
  stream s = stream_of(42, STREAM_NOISE, 3, 4, 5);
  stream_normal(&s, 0, 64, all);
  for (int first = 0; first < 9; first++) {
    stream_normal(&s, first, 31, piece);
    assert_memory_equal(piece, all + first, 31 * sizeof *all);
  }
  stream other = stream_of(42, STREAM_NOISE, 3, 5, 4);
  stream_normal(&other, 0, 64, piece);
  assert_memory_not_equal(piece, all, sizeof all);
}

static void test_distributions(void **state) {
  enum { N = 100000 };
  float *x = malloc(N * sizeof *x);
  double sum = 0, squares = 0, fourth = 0, masked = 0;
  stream s = stream_of(1, STREAM_NOISE, 0, 0, 0);
  stream_normal(&s, 0, N, x);
  for (int i = 0; i < N; i++) {
    double y = (double)x[i];
    sum += y, squares += y * y, fourth += y * y * y * y;
  }
  near(sum / N, 0, 0.02);
  near(squares / N, 1, 0.02);
  near(fourth / N, 3, 0.1);
  stream_mask(&s, 0.1f, 0, N, x);
  for (int i = 0; i < N; i++) {
    assert_true(x[i] == 0 || x[i] == 1 / 0.9f);
    masked += x[i] == 0;
  }
  near(masked / N, 0.1, 0.005);
  free(x);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static void test_epochs(void **state) {
  enum { N = 50 };
  int list[N], first[N], second[N], again[N], seen[N] = {0};
  for (int i = 0; i < N; i++) list[i] = i;
  order_epoch(42, 0, list, N, first);
  order_epoch(42, 1, list, N, second);
  order_epoch(42, 0, list, N, again);
  assert_memory_equal(first, again, sizeof first);
  assert_memory_not_equal(first, second, sizeof first);
  for (int i = 0; i < N; i++) seen[first[i]]++;
  for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
}

static void test_split(void **state) {
  int training[10], validation[10];
  assert_int_equal(order_split(1, 10, 0, training, validation), 0);
  assert_int_equal(order_split(1, 1, 0.5, training, validation), 0);
  assert_int_equal(order_split(1, 2, 0.01, training, validation), 1);
  assert_int_equal(order_split(1, 2, 0.99, training, validation), 1);
  assert_int_equal(order_split(1, 10, 0.3, training, validation), 3);
  int seen[10] = {0};
  for (int i = 0; i < 7; i++) seen[training[i]]++;
  for (int i = 0; i < 3; i++) seen[validation[i]]++;
  for (int i = 0; i < 10; i++) assert_int_equal(seen[i], 1);
}

static void test_buckets(void **state) {
  int64_t lengths[] = {5, 1, 4, 1, 3};
  int order[] = {0, 1, 2, 3, 4};
  order_bucket(order, 5, 3, lengths);
  assert_memory_equal(order, ((int[]){1, 2, 0, 3, 4}), sizeof order);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cosine),     cmocka_unit_test(test_short_warmup),  cmocka_unit_test(test_first_step),
      cmocka_unit_test(test_many_steps), cmocka_unit_test(test_threads),       cmocka_unit_test(test_clip),
      cmocka_unit_test(test_discrete),   cmocka_unit_test(test_logit_normal),  cmocka_unit_test(test_known_answer),
      cmocka_unit_test(test_any_piece),  cmocka_unit_test(test_distributions), cmocka_unit_test(test_epochs),
      cmocka_unit_test(test_split),      cmocka_unit_test(test_buckets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
