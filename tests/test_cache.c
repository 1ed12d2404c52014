/* Attention to a paged cache: a sequence fed in pieces, in any pages, beside any others, gets what it would get whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "tensor/cpu/isa.h"
#include "tensor/ops.h"

enum { HEADS = 6, KV_HEADS = 2, DEPTH = 18, PAGE = 16, PAGES = 24, LENGTH = 150 };
enum { Q = HEADS * DEPTH, KV = KV_HEADS * DEPTH };

static tens_ctx *open_context(const tens_device *device, pool *threads) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.device = device, .threads = threads, .capacity = 64 << 20}, &err);
  if (!c) fail_msg("%s", err.message);
  return c;
}

static tens *normals(tens_ctx *c, uint64_t seed, int64_t rows, int64_t length, int64_t width) {
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(rows, length, width));
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, tens_f32(x), tens_count(x));
  return x;
}

/* Positions [from, to) of row 0 of x. */
static tens *part(tens_ctx *c, const tens *x, int64_t from, int64_t to) {
  int64_t width = x->dim[2];
  return tens_from(c, TENS_F32, TENS_DIMS(1, to - from, width), tens_f32(x) + from * width);
}

static op_cache new_cache(tens_ctx *c, tens_dtype dtype, int rows, const int32_t *pages, int most) {
  op_cache cache = {.k = tens_new(c, dtype, TENS_DIMS(PAGES, KV_HEADS, PAGE, DEPTH)),
                    .v = tens_new(c, dtype, TENS_DIMS(PAGES, KV_HEADS, PAGE, DEPTH)),
                    .table = tens_from(c, TENS_I32, TENS_DIMS(rows, most), pages),
                    .length = tens_new(c, TENS_I32, TENS_DIMS(rows))};
  assert_non_null(cache.length);
  memset(tens_i32(cache.length), 0, (size_t)rows * sizeof(int32_t));
  memset(cache.k->data, 0xff, tens_bytes(dtype, tens_count(cache.k))); /* NaN: what is not stored shows */
  memset(cache.v->data, 0xff, tens_bytes(dtype, tens_count(cache.v)));
  return cache;
}

static double worst(const float *a, const float *b, int64_t n) {
  double most = 0, largest = 0;
  for (int64_t i = 0; i < n; i++) {
    double d = fabs((double)a[i] - b[i]);
    if (!(d <= most)) most = d;
    if (fabs((double)b[i]) > largest) largest = fabs((double)b[i]);
  }
  return most / largest;
}

/* Feeds a sequence in pieces of 1, 2, 3, ... positions through pages out of order; compares with causal attention. */
static void check_pieces(const tens_device *device, tens_dtype dtype, double tolerance) {
  static const int32_t pages[] = {7, 0, 23, 3, 11, 2, 19, 5, 13, 1};
  tens_ctx *c = open_context(device, NULL), *o = open_context(tens_oracle(), NULL);
  tens *q = normals(c, 1, 1, LENGTH, Q), *k = normals(c, 2, 1, LENGTH, KV), *v = normals(c, 3, 1, LENGTH, KV);
  tens *whole =
      op_attention(o, q, k, v, &(op_attn){.heads = HEADS, .kv_heads = KV_HEADS, .causal = true, .window = -1});
  assert_non_null(whole);
  op_cache cache = new_cache(c, dtype, 1, pages, 10);
  for (int64_t at = 0, n = 1; at < LENGTH; at += n, n++) {
    if (n > LENGTH - at) n = LENGTH - at;
    tens_i32(cache.length)[0] = (int32_t)at;
    assert_true(op_cache_store(c, &cache, part(c, k, at, at + n), part(c, v, at, at + n)));
    tens *y = op_attention_cached(c, part(c, q, at, at + n), &cache, HEADS);
    assert_non_null(y);
    double error = worst(tens_f32(y), tens_f32(whole) + at * Q, n * Q);
    if (!(error < tolerance)) fail_msg("positions %lld..: error %g", (long long)at, error);
  }
  tens_close(c);
  tens_close(o);
}

static void pieces_equal_the_whole(void **state) {
  static const char *const isas[] = {"plain", "avx2", "avx512"};
  check_pieces(tens_oracle(), TENS_F32, 1e-6);
  check_pieces(tens_oracle(), TENS_BF16, 2e-2);
  for (int i = 0; i < 3; i++)
    if (tens_cpu_isa(isas[i])) {
      check_pieces(tens_cpu_isa(isas[i]), TENS_F32, 4e-6);
      check_pieces(tens_cpu_isa(isas[i]), TENS_BF16, 2e-2);
    }
}

/* Many positions at once, cut here and there: the same bits, and those of whole attention but for rounding. */
static void a_long_text_may_come_in_any_pieces(void **state) {
  static const int32_t pages[] = {7, 0, 23, 3, 11, 2, 19, 5, 13, 1};
  static const int64_t cuts[][3] = {{LENGTH}, {OP_CACHED_FEW + 1, LENGTH - OP_CACHED_FEW - 1}, {75, 75}};
  static const char *const isas[] = {"plain", "avx2", "avx512"};
  static const struct {
    tens_dtype dtype;
    double tolerance;
  } kinds[] = {{TENS_F32, 4e-6}, {TENS_BF16, 2e-2}};
  for (int i = 0; i < 6; i++) {
    const tens_device *device = tens_cpu_isa(isas[i / 2]);
    if (!device) continue;
    tens_ctx *c = open_context(device, NULL), *o = open_context(tens_oracle(), NULL);
    tens *q = normals(c, 1, 1, LENGTH, Q), *k = normals(c, 2, 1, LENGTH, KV), *v = normals(c, 3, 1, LENGTH, KV);
    tens *whole =
        op_attention(o, q, k, v, &(op_attn){.heads = HEADS, .kv_heads = KV_HEADS, .causal = true, .window = -1});
    static float first[LENGTH * Q];
    for (int cut = 0; cut < 3; cut++) {
      op_cache cache = new_cache(c, kinds[i % 2].dtype, 1, pages, 10);
      for (int64_t at = 0, n, p = 0; at < LENGTH; at += n, p++) {
        n = cuts[cut][p];
        tens_i32(cache.length)[0] = (int32_t)at;
        assert_true(op_cache_store(c, &cache, part(c, k, at, at + n), part(c, v, at, at + n)));
        tens *y = op_attention_cached(c, part(c, q, at, at + n), &cache, HEADS);
        assert_non_null(y);
        assert_true(worst(tens_f32(y), tens_f32(whole) + at * Q, n * Q) < kinds[i % 2].tolerance);
        if (cut == 0) memcpy(first, tens_f32(y), sizeof first);
        assert_memory_equal(tens_f32(y), first + at * Q, (size_t)(n * Q) * sizeof(float));
      }
    }
    tens_close(c);
    tens_close(o);
  }
}

/* Few positions at once are what they are one by one, bit for bit: a run of words without a choice changes nothing. */
static void a_few_positions_are_as_if_alone(void **state) {
  static const int32_t pages[] = {4, 2, 9, 6, 1};
  for (int kind = 0; kind < 2; kind++) {
    tens_ctx *c = open_context(NULL, NULL);
    tens *q = normals(c, 1, 1, 70, Q), *k = normals(c, 2, 1, 70, KV);
    op_cache cache = new_cache(c, kind ? TENS_BF16 : TENS_F32, 1, pages, 5);
    assert_true(op_cache_store(c, &cache, part(c, k, 0, 70), part(c, k, 0, 70)));
    tens_i32(cache.length)[0] = 70 - OP_CACHED_FEW;
    tens *together = op_attention_cached(c, part(c, q, 70 - OP_CACHED_FEW, 70), &cache, HEADS);
    assert_non_null(together);
    for (int at = 70 - OP_CACHED_FEW; at < 70; at++) {
      tens_i32(cache.length)[0] = at;
      tens *alone = op_attention_cached(c, part(c, q, at, at + 1), &cache, HEADS);
      assert_memory_equal(tens_f32(alone), tens_f32(together) + (at - 70 + OP_CACHED_FEW) * Q, Q * sizeof(float));
    }
    tens_close(c);
  }
}

/* Scores far below any that a model means, all alike: each position gets the mean of what it sees. Where not even a
 * float holds them the result is not a number, and nothing is read that is not there. */
static void scores_may_be_as_low_as_floats_go(void **state) {
  enum { MANY = 65 };
  static const int32_t pages[] = {4, 2, 9, 6, 1};
  for (int i = 0; tens_isa_at(i); i++) {
    const tens_device *device = tens_cpu_isa(tens_isa_at(i));
    for (int variant = 0; device && variant < 4; variant++) {
      const bool many = variant % 2, beyond = variant / 2;
      const int64_t first = many ? 0 : MANY - 1;
      tens_ctx *c = open_context(device, NULL);
      tens *q = normals(c, 1, 1, MANY, Q), *k = normals(c, 2, 1, MANY, KV), *v = normals(c, 3, 1, MANY, KV);
      for (int64_t n = 0; n < MANY * Q; n++) tens_f32(q)[n] = beyond ? 1e20f : 1e16f;
      for (int64_t n = 0; n < MANY * KV; n++) tens_f32(k)[n] = beyond ? -1e20f : -1e16f;
      op_cache cache = new_cache(c, TENS_F32, 1, pages, 5);
      assert_true(op_cache_store(c, &cache, k, v));
      tens_i32(cache.length)[0] = (int32_t)first;
      const tens *y = op_attention_cached(c, part(c, q, first, MANY), &cache, HEADS);
      assert_non_null(y);
      for (int64_t at = first; at < MANY; at++)
        for (int64_t n = 0; n < Q; n++) {
          float got = tens_f32(y)[(at - first) * Q + n];
          double mean = 0;
          for (int64_t key = 0; key <= at; key++)
            mean +=
                (double)tens_f32(v)[key * KV + n / DEPTH / (HEADS / KV_HEADS) * DEPTH + n % DEPTH] / (double)(at + 1);
          if (beyond ? !isnan(got) : !(fabs(got - mean) < 4e-6))
            fail_msg("%s, variant %d, position %d: %g, not %g", tens_isa_at(i), variant, (int)at, got, mean);
        }
      tens_close(c);
    }
  }
}

/* Two sequences that part in the middle of a page each go on in a copy of it. */
static void a_page_is_copied_whole(void **state) {
  static const int32_t pages[] = {0, 1, 0, 2};
  for (int device = 0; device < 2; device++) {
    tens_ctx *c = open_context(device ? tens_oracle() : NULL, NULL);
    tens *k = normals(c, 8, 1, PAGE + 5, KV), *more = normals(c, 10, 2, 1, KV), *q = normals(c, 12, 2, 1, Q);
    op_cache both = new_cache(c, TENS_BF16, 2, pages, 2), first = both;
    int32_t zero = 0;
    first.table = tens_from(c, TENS_I32, TENS_DIMS(1, 2), pages);
    first.length = tens_from(c, TENS_I32, TENS_DIMS(1), &zero);
    assert_true(op_cache_store(c, &first, k, k));
    assert_true(op_cache_copy(c, &both, 1, 2));
    for (int r = 0; r < 2; r++) tens_i32(both.length)[r] = PAGE + 5;
    memcpy(tens_f32(more) + KV, tens_f32(more), KV * sizeof(float)); /* the same word in both */
    memcpy(tens_f32(q) + Q, tens_f32(q), Q * sizeof(float));
    assert_true(op_cache_store(c, &both, more, more));
    tens *y = op_attention_cached(c, q, &both, HEADS);
    assert_non_null(y);
    assert_memory_equal(tens_f32(y), tens_f32(y) + Q, Q * sizeof(float));
    assert_false(op_cache_copy(c, &both, 0, PAGES));
    tens_close(c);
  }
}

/* Rows of different lengths in one call, with and without threads: each row is what it is alone, bit for bit. */
static void rows_do_not_touch_one_another(void **state) {
  static const int32_t pages[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  static const int32_t lengths[] = {5, 63, 40};
  for (int threads = 1; threads <= 3; threads++) {
    pool *p = pool_new(threads, NULL);
    tens_ctx *c = open_context(NULL, p);
    tens *k = normals(c, 5, 1, 64, KV), *v = normals(c, 6, 1, 64, KV), *q = normals(c, 7, 3, 1, Q);
    op_cache together = new_cache(c, TENS_F32, 3, pages, 4);
    for (int r = 0; r < 3; r++) { /* the same text in every row, cut at its length */
      op_cache one = together;
      int32_t zero = 0;
      one.table = tens_from(c, TENS_I32, TENS_DIMS(1, 4), pages + 4 * r);
      one.length = tens_from(c, TENS_I32, TENS_DIMS(1), &zero);
      assert_true(op_cache_store(c, &one, part(c, k, 0, lengths[r] + 1), part(c, v, 0, lengths[r] + 1)));
      tens_i32(together.length)[r] = lengths[r];
    }
    tens *y = op_attention_cached(c, q, &together, HEADS);
    assert_non_null(y);
    for (int r = 0; r < 3; r++) {
      op_cache one = together;
      one.table = tens_from(c, TENS_I32, TENS_DIMS(1, 4), pages + 4 * r);
      one.length = tens_from(c, TENS_I32, TENS_DIMS(1), &lengths[r]);
      tens *alone =
          op_attention_cached(c, tens_from(c, TENS_F32, TENS_DIMS(1, 1, Q), tens_f32(q) + r * Q), &one, HEADS);
      assert_memory_equal(tens_f32(alone), tens_f32(y) + r * Q, Q * sizeof(float));
    }
    tens_close(c);
    pool_free(p);
  }
}

/* Two sequences that begin alike may share the pages of their beginning. */
static void a_shared_beginning_is_stored_once(void **state) {
  static const int32_t pages[] = {0, 1, 2, 0, 1, 3};
  tens_ctx *c = open_context(NULL, NULL);
  tens *k = normals(c, 8, 1, 2 * PAGE, KV), *v = normals(c, 9, 1, 2 * PAGE, KV);
  tens *more_k = normals(c, 10, 2, 1, KV), *more_v = normals(c, 11, 2, 1, KV), *q = normals(c, 12, 2, 1, Q);
  op_cache both = new_cache(c, TENS_F32, 2, pages, 3), first = both;
  int32_t zero = 0, beginning = 2 * PAGE;
  first.table = tens_from(c, TENS_I32, TENS_DIMS(1, 3), pages);
  first.length = tens_from(c, TENS_I32, TENS_DIMS(1), &zero);
  assert_true(op_cache_store(c, &first, k, v));
  tens_i32(both.length)[0] = tens_i32(both.length)[1] = beginning;
  assert_true(op_cache_store(c, &both, more_k, more_v));
  tens *y = op_attention_cached(c, q, &both, HEADS);
  for (int r = 0; r < 2; r++) {
    const tens *parts_k[] = {k, tens_from(c, TENS_F32, TENS_DIMS(1, 1, KV), tens_f32(more_k) + r * KV)};
    const tens *parts_v[] = {v, tens_from(c, TENS_F32, TENS_DIMS(1, 1, KV), tens_f32(more_v) + r * KV)};
    tens *one = op_attention(c, tens_from(c, TENS_F32, TENS_DIMS(1, 1, Q), tens_f32(q) + r * Q), op_join(c, 2, parts_k),
                             op_join(c, 2, parts_v), &(op_attn){.heads = HEADS, .kv_heads = KV_HEADS, .window = -1});
    assert_non_null(one);
    assert_true(worst(tens_f32(y) + r * Q, tens_f32(one), Q) < 4e-6);
  }
  tens_close(c);
}

/* Rotation by each row's own position. */
static void rotation_follows_the_row(void **state) {
  static const int32_t starts[] = {0, 17, 4000};
  for (int device = 0; device < 2; device++) {
    tens_ctx *c = open_context(device ? tens_oracle() : NULL, NULL);
    tens *x = normals(c, 20, 3, 2, Q), *w = tens_new(c, TENS_F32, TENS_DIMS(DEPTH));
    for (int i = 0; i < DEPTH; i++) tens_f32(w)[i] = 1;
    op_rope rope = {.theta = 1e6, .first = 1, .start = tens_from(c, TENS_I32, TENS_DIMS(3), starts)};
    tens *y = op_head_norm(c, x, w, 1e-6f, &rope);
    for (int r = 0; r < 3; r++) {
      op_rope alone = {.theta = 1e6, .first = 1 + starts[r]};
      tens *row = tens_from(c, TENS_F32, TENS_DIMS(1, 2, Q), tens_f32(x) + r * 2 * Q);
      tens *one = op_head_norm(c, row, w, 1e-6f, &alone);
      assert_memory_equal(tens_f32(one), tens_f32(y) + r * 2 * Q, 2 * Q * sizeof(float));
    }
    tens_close(c);
  }
}

static void refused(tens_ctx *c, const char *word) {
  ace_error err = {0};
  if (tens_error(c, &err) == ACE_OK) fail_msg("accepted: %s", word);
  if (!strstr(err.message, word)) fail_msg("\"%s\" does not name %s", err.message, word);
  tens_reset(c);
}

/* A table that points outside, or is too short, is an error before anything is touched. */
static void wrong_tables_are_refused(void **state) {
  static const int32_t outside[] = {0, PAGES}, negative[] = {-1, 0}, fine[] = {0, 1};
  tens_ctx *c = open_context(NULL, NULL);
  const struct {
    const int32_t *pages;
    int32_t length;
  } wrong[] = {{outside, PAGE}, {negative, 0}, {fine, 2 * PAGE}, {fine, -1}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    op_cache cache = new_cache(c, TENS_F32, 1, wrong[i].pages, 2);
    tens_i32(cache.length)[0] = wrong[i].length;
    tens *k = normals(c, 1, 1, 1, KV);
    assert_false(op_cache_store(c, &cache, k, k));
    refused(c, "pages");
    cache = new_cache(c, TENS_F32, 1, wrong[i].pages, 2);
    tens_i32(cache.length)[0] = wrong[i].length;
    assert_null(op_attention_cached(c, normals(c, 1, 1, 1, Q), &cache, HEADS));
    refused(c, "pages");
  }
  op_cache cache = new_cache(c, TENS_F32, 1, fine, 2);
  assert_null(op_attention_cached(c, normals(c, 1, 1, 1, Q), &cache, HEADS + 1));
  refused(c, "heads");
  tens_close(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_equal_the_whole),
      cmocka_unit_test(a_long_text_may_come_in_any_pieces),
      cmocka_unit_test(a_few_positions_are_as_if_alone),
      cmocka_unit_test(a_page_is_copied_whole),
      cmocka_unit_test(scores_may_be_as_low_as_floats_go),
      cmocka_unit_test(rows_do_not_touch_one_another),
      cmocka_unit_test(a_shared_beginning_is_stored_once),
      cmocka_unit_test(rotation_follows_the_row),
      cmocka_unit_test(wrong_tables_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
