/* A wrong digit, sign or order in a filter would quietly colour every song that the sampler correction touches. */
#include "render/wavelet.h"

#include <stdlib.h>
#include <string.h>

#include "golden.h"

/* Sum over k of h[k] h[k + shift]. */
static double product(const double *h, int taps, int shift) {
  double sum = 0;
  for (int k = 0; k + shift < taps; k++) sum += h[k] * h[k + shift];
  return sum;
}

/* Sum over k of h[k] (k - center)^power, with alternating signs for the moments of the wavelet. */
static double moment(const double *h, int taps, int power, double center, bool alternate) {
  double sum = 0;
  for (int k = 0; k < taps; k++) sum += (alternate && k % 2 ? -h[k] : h[k]) * pow(k - center, power);
  return sum;
}

static void test_filters_solve_their_equations(void **state) {
  const wavelet *w;
  for (int i = 0; (w = wavelet_at(i)) != NULL; i++) {
    const double *h = w->scaling, middle = (w->taps - 1) / 2.0;
    assert_in_range(w->taps, 2, WAVELET_MAX_TAPS);
    assert_true(fabs(moment(h, w->taps, 0, 0, false) - sqrt(2)) < 1e-14);
    for (int shift = 0; shift < w->taps; shift += 2)
      if (fabs(product(h, w->taps, shift) - (shift == 0)) > 1e-14) fail_msg("%s: shift %d", w->name, shift);
    for (int p = 0; p < w->moments; p++) {
      double scale = pow(middle + 0.5, p);
      if (fabs(moment(h, w->taps, p, middle, true)) > 1e-14 * scale) fail_msg("%s: moment %d", w->name, p);
    }
    /* as many moments as the name says, and no more */
    assert_true(fabs(moment(h, w->taps, w->moments, middle, true)) > 1e-3);
  }
}

static void test_moments_match_the_names(void **state) {
  static const struct {
    const char *name;
    int taps, moments;
  } known[] = {{"haar", 2, 1},  {"db2", 4, 2},   {"db4", 8, 4},   {"sym4", 8, 4},
               {"sym8", 16, 8}, {"coif1", 6, 2}, {"coif2", 12, 4}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    const wavelet *w = wavelet_find(known[i].name);
    assert_non_null(w);
    assert_string_equal(w->name, known[i].name);
    assert_int_equal(w->taps, known[i].taps);
    assert_int_equal(w->moments, known[i].moments);
    assert_non_null(strstr(wavelet_names(), known[i].name));
  }
  assert_null(wavelet_find("db3"));
  assert_null(wavelet_find(""));
  assert_null(wavelet_find(NULL));
  assert_null(wavelet_at(-1));
}

/* Coiflets: the scaling function has vanishing moments too, around its peak. Both lean the same way in PyWavelets. */
static void test_coiflets_scaling_moments(void **state) {
  const wavelet *one = wavelet_find("coif1"), *two = wavelet_find("coif2");
  assert_true(fabs(moment(one->scaling, 6, 1, 2, false)) < 1e-14);
  for (int p = 1; p <= 3; p++) assert_true(fabs(moment(two->scaling, 12, p, 4, false)) < 1e-12);
}

/* "db" puts its energy first, "sym" is the least lopsided of the same equations. */
static void test_daubechies_energy_comes_first(void **state) {
  static const char *const names[] = {"db2", "db4"};
  for (int i = 0; i < 2; i++) {
    const wavelet *w = wavelet_find(names[i]);
    double head = 0;
    for (int k = 0; k < w->taps / 2; k++) head += w->scaling[k] * w->scaling[k];
    assert_true(head > 0.9);
  }
}

static void test_mirror_filters(void **state) {
  const wavelet *w;
  for (int i = 0; (w = wavelet_at(i)) != NULL; i++)
    for (int k = 0, n = w->taps; k < n; k++) {
      float h = (float)w->scaling[k], sign = k % 2 ? -1.0f : 1.0f;
      assert_true(w->rec_lo[k] == h);
      assert_true(w->dec_lo[n - 1 - k] == h);
      assert_true(w->dec_hi[k] == -sign * h);
      assert_true(w->rec_hi[k] == sign * w->dec_lo[k]);
    }
}

/* ---- the transform, spelled out ---------------------------------------------------------------------------------- */

/* low[k] = sum over m of lo[m] x[2k + 1 - m], x zero outside 0..n-1: PyWavelets' mode "zero". */
static void analyse(const wavelet *w, const float *filter, const float *x, int n, float *out, int n_out) {
  for (int k = 0; k < n_out; k++) {
    double sum = 0;
    for (int m = 0; m < w->taps; m++) {
      int at = 2 * k + 1 - m;
      if (at >= 0 && at < n) sum += (double)filter[m] * (double)x[at];
    }
    out[k] = (float)sum;
  }
}

static double synthesise(const wavelet *w, const float *low, const float *high, int n_coefficients, int at) {
  double sum = 0;
  for (int k = 0; k < n_coefficients; k++) {
    int m = at + w->taps - 2 - 2 * k;
    if (m >= 0 && m < w->taps) sum += (double)w->rec_lo[m] * (double)low[k] + (double)w->rec_hi[m] * (double)high[k];
  }
  return sum;
}

/* Splitting a sound and joining it again must give the sound back. */
static void test_perfect_reconstruction(void **state) {
  const wavelet *w;
  for (int i = 0; (w = wavelet_at(i)) != NULL; i++)
    for (int n = 11; n <= 24; n++) {
      float x[24], low[24], high[24];
      for (int k = 0; k < n; k++) x[k] = (float)((k * 7 + 3) % 11) - 5.0f;
      int count = (n + w->taps - 1) / 2;
      analyse(w, w->dec_lo, x, n, low, count);
      analyse(w, w->dec_hi, x, n, high, count);
      for (int k = 0; k < n; k++)
        if (fabs(synthesise(w, low, high, count, k) - (double)x[k]) > 1e-5) fail_msg("%s, %d of %d", w->name, k, n);
    }
}

static void golden_filter(const st_file *f, const wavelet *w, const char *which, const float *got) {
  char name[64];
  int64_t count;
  snprintf(name, sizeof name, "out.%s.%s", w->name, which);
  const float *want = golden_f32(f, name, &count);
  assert_int_equal(count, w->taps);
  if (golden_difference(got, want, count) > 1e-6) fail_msg("%s", name);
}

static void golden_bands(const st_file *f, const wavelet *w, const char *parity) {
  char name[64];
  int64_t total;
  int n = strcmp(parity, "even") == 0 ? 12 : 11, count = (n + w->taps - 1) / 2;
  snprintf(name, sizeof name, "in.x_%s", parity);
  const float *x = golden_f32(f, name, &total);
  assert_int_equal(total, 3 * n);
  for (int band = 0; band < 2; band++) {
    float got[16];
    snprintf(name, sizeof name, "out.%s.%s.%s", w->name, parity, band ? "high" : "low");
    const float *want = golden_f32(f, name, &total);
    assert_int_equal(total, 3 * count);
    for (int c = 0; c < 3; c++) {
      analyse(w, band ? w->dec_hi : w->dec_lo, x + c * n, n, got, count);
      if (golden_difference(got, want + c * count, count) > 1e-6) fail_msg("%s", name);
    }
  }
}

static void test_golden_filters_and_bands(void **state) {
  static const char *const names[] = {"haar", "db2", "db4", "sym4", "sym8", "coif1"};
  st_file *f = golden_open("dwt");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const wavelet *w = wavelet_find(names[i]);
    golden_filter(f, w, "dec_lo", w->dec_lo);
    golden_filter(f, w, "dec_hi", w->dec_hi);
    golden_filter(f, w, "rec_lo", w->rec_lo);
    golden_filter(f, w, "rec_hi", w->rec_hi);
    golden_bands(f, w, "even");
    golden_bands(f, w, "odd");
  }
  st_close(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_filters_solve_their_equations),
      cmocka_unit_test(test_moments_match_the_names),
      cmocka_unit_test(test_coiflets_scaling_moments),
      cmocka_unit_test(test_daubechies_energy_comes_first),
      cmocka_unit_test(test_mirror_filters),
      cmocka_unit_test(test_perfect_reconstruction),
      cmocka_unit_test(test_golden_filters_and_bands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
