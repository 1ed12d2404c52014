/* The language model word by word gives what it gives on the whole text. */
#include "golden.h"

#include <stdlib.h>
#include <string.h>

#include "models/qwen3_cached.h"

#define FOLDER ACE_SOURCE_DIR "/tests/golden/checkpoints/acestep-5Hz-lm-0.6B"

enum { LENGTH = 150, PAGES = 8 };

typedef struct fixture {
  qwen3 *m;
  tens_ctx *c;
  int32_t ids[LENGTH], table[PAGES], length;
  qwen3_cache cache;
} fixture;

static void setup(fixture *f, tens_dtype dtype) {
  ace_error err;
  f->m = qwen3_open(FOLDER, &err);
  if (!f->m) fail_msg("%s", err.message);
  f->c = tens_open(&(tens_options){.capacity = 256 << 20}, &err);
  assert_non_null(f->c);
  for (int i = 0; i < LENGTH; i++) f->ids[i] = (i * 7919 + 13) % f->m->cfg.vocab;
  for (int i = 0; i < PAGES; i++) f->table[i] = PAGES - 1 - i;
  f->length = 0;
  assert_true(qwen3_cache_make(f->c, f->m, dtype, PAGES, &f->cache));
}

static void teardown(fixture *f) {
  tens_close(f->c);
  qwen3_close(f->m);
}

/* The next n ids: hidden states [1, n, H]. */
static tens *extend(fixture *f, int n) {
  f->cache.table = tens_from(f->c, TENS_I32, TENS_DIMS(1, PAGES), f->table);
  f->cache.length = tens_from(f->c, TENS_I32, TENS_DIMS(1), &f->length);
  tens *y = qwen3_extend(f->c, f->m, &f->cache, tens_from(f->c, TENS_I32, TENS_DIMS(1, n), f->ids + f->length));
  f->length += n;
  assert_non_null(y);
  return y;
}

static double worst(const float *a, const float *b, int64_t n) {
  double most = 0, largest = 0;
  for (int64_t i = 0; i < n; i++) {
    most = fmax(most, fabs((double)a[i] - b[i]));
    largest = fmax(largest, fabs((double)b[i]));
  }
  return most / largest;
}

static void check_steps(tens_dtype dtype, double tolerance) {
  fixture f;
  setup(&f, dtype);
  tens *whole = qwen3_hidden(f.c, f.m, tens_from(f.c, TENS_I32, TENS_DIMS(1, LENGTH), f.ids), NULL);
  assert_non_null(whole);
  int64_t width = f.m->cfg.block.hidden;
  static const int steps[] = {1, 63, 1, 1, 70, 14};
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    int at = f.length;
    tens *y = extend(&f, steps[i]);
    double error = worst(tens_f32(y), tens_f32(whole) + at * width, steps[i] * width);
    if (!(error < tolerance)) fail_msg("positions %d..: error %g", at, error);
  }
  teardown(&f);
}

/* In pieces of any length, across pages in any order. The reference keeps its cache in the weights' precision. */
static void pieces_equal_the_whole(void **state) {
  check_steps(TENS_F32, 1e-5);
  check_steps(TENS_BF16, 3e-2);
}

/* Some logits are those of all. */
static void chosen_logits_are_the_logits(void **state) {
  enum { FIRST = 500, COUNT = 77 };
  static const int32_t chosen[] = {1000, 3, 77, 3};
  fixture f;
  setup(&f, TENS_F32);
  tens *hidden = extend(&f, 1), *all = qwen3_logits(f.c, f.m, hidden);
  tens *some = qwen3_logits_of(f.c, f.m, hidden, tens_from(f.c, TENS_I32, TENS_DIMS(4), chosen));
  tens *range = qwen3_logits_range(f.c, f.m, hidden, FIRST, COUNT);
  assert_non_null(some);
  assert_non_null(range);
  for (int i = 0; i < 4; i++) assert_true(fabsf(tens_f32(some)[i] - tens_f32(all)[chosen[i]]) < 1e-5f);
  assert_memory_equal(tens_f32(range), tens_f32(all) + FIRST, COUNT * sizeof(float));
  assert_null(qwen3_logits_range(f.c, f.m, hidden, f.m->cfg.vocab - 1, 2));
  assert_int_equal(tens_status(f.c), ACE_EINVAL);
  teardown(&f);
}

/* Greedy decoding with the cache goes token for token as the reference went. */
static void greedy_goes_as_the_reference(void **state) {
  fixture f;
  setup(&f, TENS_F32);
  st_file *golden = golden_open("lm_forward");
  const st_tensor *prompt = st_find(golden, "in.ids"), *expected = st_find(golden, "out.greedy_tokens");
  assert_non_null(prompt);
  assert_non_null(expected);
  memcpy(f.ids, prompt->data, prompt->size);
  int n = (int)prompt->count;
  for (int64_t i = 0; i < expected->count; i++) {
    tens *y = extend(&f, n);
    int64_t width = f.m->cfg.block.hidden;
    tens *last = tens_from(f.c, TENS_F32, TENS_DIMS(1, 1, width), tens_f32(y) + (n - 1) * width);
    tens *logits = qwen3_logits(f.c, f.m, last);
    int32_t best = 0, want;
    for (int32_t v = 1; v < f.m->cfg.vocab; v++)
      if (tens_f32(logits)[v] > tens_f32(logits)[best]) best = v;
    memcpy(&want, (const uint8_t *)expected->data + i * 4, 4);
    assert_int_equal(best, want);
    f.ids[f.length] = best;
    n = 1;
  }
  st_close(golden);
  teardown(&f);
}

int main(void) {
  setenv("ACESTEP_ISA", "float32", 0); /* closer than products of rounded factors */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_equal_the_whole),
      cmocka_unit_test(chosen_logits_are_the_logits),
      cmocka_unit_test(greedy_goes_as_the_reference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
