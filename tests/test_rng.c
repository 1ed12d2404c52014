/* A seed that someone shares must make the same song here as with PyTorch, on its CPU and on its CUDA cards. */
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

#include "golden.h"

static void expect_close(const float *got, const double *want, int n, double tolerance) {
  for (int i = 0; i < n; i++)
    if (!(fabs((double)got[i] - want[i]) <= tolerance))
      fail_msg("value %d is %.6f, PyTorch prints %.6f", i, (double)got[i], want[i]);
}

/* ---- integer streams: published check values of the two generators ----------------------------------------------- */

static void test_mt19937_stream(void **state) {
  rng_torch r;
  rng_torch_seed(&r, 5489);
  assert_int_equal(rng_torch_u32(&r), 3499211612u);
  for (int i = 0; i < 9998; i++) rng_torch_u32(&r);
  assert_int_equal(rng_torch_u32(&r), 4123659995u); /* the 10000th, as the C++ standard demands of mt19937 */
}

static void test_philox_stream(void **state) {
  static const struct {
    uint64_t key;
    uint32_t counter[4], want[4];
  } known[] = {
      /* Random123's known answers for philox4x32-10 */
      {0, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {UINT64_MAX, {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x299f31d0a4093822,
       {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    uint32_t got[4];
    rng_philox_block(known[i].key, known[i].counter, got);
    assert_memory_equal(got, known[i].want, sizeof got);
  }
}

/* ---- normals that PyTorch prints in public documents ------------------------------------------------------------- */

static void test_cpu_normals_as_printed(void **state) {
  static const struct {
    uint64_t seed;
    int n, shown;
    double want[20];
  } printed[] = {
      {42,
       64,
       12,
       {1.9269, 1.4873, 0.9007, -2.1055, 0.6784, -1.2345, -0.0431, -1.6047, -0.7521, 1.6487, -0.3925, -1.4036}},
      {0, 64, 8, {-1.1258, -1.1524, -0.2506, -0.4339, 0.8487, 0.6920, -0.3160, -2.1152}},
      {42, 20, 20, {1.9269,  1.4873, 0.9007,  -2.1055, -0.7581, 1.0783, 0.8008,  1.6806,  0.3559, -0.6866,
                    -0.4934, 0.2415, -0.2316, 0.0418,  -0.2516, 0.8599, -0.3097, -0.3957, 0.8034, -0.6216}},
      {42, 6, 6, {0.3367, 0.1288, 0.2345, 0.2303, -1.1229, -0.1863}},
      {0, 6, 6, {1.5410, -0.2934, -2.1788, 0.5684, -1.0845, -1.3986}},
  };
  for (size_t i = 0; i < sizeof printed / sizeof printed[0]; i++) {
    float got[64];
    rng_noise r;
    rng_noise_open(&r, RNG_TORCH_CPU, NULL, printed[i].seed);
    rng_noise_fill(&r, got, printed[i].n);
    expect_close(got, printed[i].want, printed[i].shown, 0.5001e-4);
  }
}

static void test_cuda_normals_as_printed(void **state) {
  static const double seed0[] = {-0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284};
  static const double seed42[] = {0.1940, 2.1614, -0.1721, 0.8491, -1.9244, 0.6530, -0.6494, -0.8175};
  static const double calls[3][4] = {
      {0.1940, 2.1614, -0.1721, 0.8491}, {0.1391, -0.1082, -0.7174, 0.7566}, {-0.5187, 1.2268, 0.6255, -0.9117}};
  float got[8];
  rng_noise r;
  rng_noise_open(&r, RNG_TORCH_CUDA, NULL, 0);
  rng_noise_fill(&r, got, 8);
  expect_close(got, seed0, 8, 0.5001e-4);
  rng_noise_open(&r, RNG_TORCH_CUDA, NULL, 42);
  rng_noise_fill(&r, got, 8);
  expect_close(got, seed42, 8, 0.5001e-4);
  rng_noise_open(&r, RNG_TORCH_CUDA, NULL, 42);
  for (int call = 0; call < 3; call++) {
    rng_noise_fill(&r, got, 4);
    expect_close(got, calls[call], 4, 0.5001e-4);
  }
}

/* ---- how draws hang together ------------------------------------------------------------------------------------- */

/* The same seed at another length must begin with the same song. */
static void test_longer_songs_begin_alike(void **state) {
  static const rng_kind kinds[] = {RNG_TORCH_CPU, RNG_TORCH_CUDA};
  for (int k = 0; k < 2; k++) {
    float brief[25 * 64], whole[250 * 64];
    rng_noise r;
    rng_noise_open(&r, kinds[k], NULL, 7);
    rng_noise_fill(&r, brief, 25 * 64);
    rng_noise_open(&r, kinds[k], NULL, 7);
    rng_noise_fill(&r, whole, 250 * 64);
    assert_memory_equal(brief, whole, sizeof brief);
  }
}

/* Noise of later steps must not repeat the initial noise, and must come back with the seed. */
static void test_later_draws_continue(void **state) {
  static const rng_kind kinds[] = {RNG_TORCH_CPU, RNG_TORCH_CUDA};
  for (int k = 0; k < 2; k++) {
    float first[128], second[128], again[128];
    rng_noise r;
    rng_noise_open(&r, kinds[k], NULL, 3);
    rng_noise_fill(&r, first, 128);
    rng_noise_fill(&r, second, 128);
    int64_t index = rng_noise_index(&r, 1000);
    for (int i = 0; i < 128; i++)
      for (int j = 0; j < 128; j++) assert_true(first[i] != second[j]);
    rng_noise_open(&r, kinds[k], NULL, 3);
    rng_noise_fill(&r, again, 128);
    rng_noise_fill(&r, again, 128);
    assert_memory_equal(second, again, sizeof second);
    assert_int_equal(rng_noise_index(&r, 1000), index);
    for (int i = 0; i < 100; i++) assert_in_range(rng_noise_index(&r, 3), 0, 2);
    assert_int_equal(rng_noise_index(&r, 1), 0);
    assert_int_equal(rng_noise_index(&r, 0), 0);
  }
}

/* A song longer than the card has threads: value N*i of a round is component i of its thread's block. */
static void test_cuda_long_draw_deals_by_threads(void **state) {
  enum { THREADS = 512, COUNT = 3 * 4 * THREADS - 700 };
  static const rng_card tiny = {.multiprocessors = 2, .threads = 300}; /* one block of 256 fits each */
  static float got[COUNT], single[THREADS];
  rng_philox r;
  rng_philox_seed(&r, 99, &tiny);
  rng_philox_randn(&r, got, COUNT);
  assert_int_equal(r.offset, 12);
  rng_philox_seed(&r, 99, NULL);
  rng_philox_randn(&r, single, THREADS);
  assert_memory_equal(got, single, sizeof single); /* the first N values are the same on every card */
  assert_int_equal(r.offset, 4);
  for (int i = 0; i < COUNT; i++) {
    uint32_t round = (uint32_t)i / (4 * THREADS), part = (uint32_t)i / THREADS % 4, w[4];
    rng_philox_block(99, (uint32_t[4]){round, 0, (uint32_t)i % THREADS, 0}, w);
    double u = ((double)w[part & 2u] + 0.5) * 0x1p-32, v = ((double)w[part | 1u] + 0.5) * 0x1p-32;
    double angle = v * 6.283185307179586, radius = sqrt(-2 * log(u));
    double want = radius * (part & 1u ? cos(angle) : sin(angle));
    if (fabs((double)got[i] - want) > 3e-6) fail_msg("value %d is %f, not %f", i, (double)got[i], want);
  }
}

static void test_normals_are_finite_and_normal(void **state) {
  static const rng_kind kinds[] = {RNG_TORCH_CPU, RNG_TORCH_CUDA};
  enum { COUNT = 300000 }; /* more than an A100's threads */
  float *x = malloc(COUNT * sizeof *x);
  assert_non_null(x);
  for (int k = 0; k < 2; k++) {
    double sum = 0, squares = 0;
    rng_noise r;
    rng_noise_open(&r, kinds[k], NULL, 12345);
    rng_noise_fill(&r, x, COUNT);
    for (int i = 0; i < COUNT; i++) {
      assert_true(isfinite(x[i]));
      sum += (double)x[i];
      squares += (double)x[i] * (double)x[i];
    }
    assert_true(fabs(sum / COUNT) < 0.01);
    assert_true(fabs(squares / COUNT - 1) < 0.01);
  }
  free(x);
}

/* ---- golden data ------------------------------------------------------------------------------------------------- */

static void check_golden(const st_tensor *t, const char *kind, rng_torch *r) {
  float *got = malloc((size_t)t->count * sizeof *got);
  int64_t *whole = malloc((size_t)t->count * sizeof *whole);
  assert_true(got && whole);
  if (strncmp(kind, "randint1000", 11) == 0) {
    rng_torch_randint(r, 0, 1000, whole, t->count);
    for (int64_t i = 0; i < t->count; i++) {
      int32_t want;
      memcpy(&want, (const char *)t->data + 4 * i, 4);
      if (whole[i] != want) fail_msg("%s: value %lld", t->name, (long long)i);
    }
  } else {
    bool uniform = strncmp(kind, "rand.", 5) == 0;
    if (uniform) rng_torch_rand(r, got, t->count);
    else rng_torch_randn(r, got, t->count);
    double d = golden_difference(got, t->data, t->count);
    if (d > (uniform ? 0 : 3e-6)) fail_msg("%s differs by %g", t->name, d);
  }
  free(got);
  free(whole);
}

static void test_golden_single_draws(void **state) {
  st_file *f = golden_open("torch_rng");
  int checked = 0;
  for (int i = 0; i < st_count(f); i++) {
    const st_tensor *t = st_at(f, i);
    const char *seed = strstr(t->name, "seed");
    if (!seed) continue;
    rng_torch r;
    rng_torch_seed(&r, strtoull(seed + 4, NULL, 10));
    check_golden(t, t->name, &r);
    checked++;
  }
  assert_int_equal(checked, 81);
  st_close(f);
}

static void test_golden_consecutive_draws(void **state) {
  static const char *const kinds[] = {"randn", "randn", "randn", "rand.", "randn", "randn", "randn"};
  st_file *f = golden_open("torch_rng");
  rng_torch r;
  rng_torch_seed(&r, 42);
  for (int i = 0; i < 7; i++) {
    char name[16];
    snprintf(name, sizeof name, "seq.%d", i);
    const st_tensor *t = st_find(f, name);
    assert_non_null(t);
    check_golden(t, kinds[i], &r);
  }
  st_close(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mt19937_stream),
      cmocka_unit_test(test_philox_stream),
      cmocka_unit_test(test_cpu_normals_as_printed),
      cmocka_unit_test(test_cuda_normals_as_printed),
      cmocka_unit_test(test_longer_songs_begin_alike),
      cmocka_unit_test(test_later_draws_continue),
      cmocka_unit_test(test_cuda_long_draw_deals_by_threads),
      cmocka_unit_test(test_normals_are_finite_and_normal),
      cmocka_unit_test(test_golden_single_draws),
      cmocka_unit_test(test_golden_consecutive_draws),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
