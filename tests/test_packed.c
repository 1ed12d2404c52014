/* Copies of weights in the layout that an instruction set wants: products give the same bits with a copy as without, for
 * one row and for many, for the rows of a table from any row on, and on another number of threads. Otherwise a song would
 * depend on how much memory was free when its model was opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "base/pool.h"
#include "tensor/cpu/isa.h"
#include "tensor/ops.h"

typedef uint64_t seed;

static float draw(seed *s) { /* -1..1; splitmix64 (Steele, Lea & Flood 2014) */
  uint64_t z = *s += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (float)((z ^ z >> 31) >> 40) * 0x1p-23f - 1;
}

static tens *noise(tens_ctx *c, seed *s, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  assert_non_null(x);
  for (int64_t i = 0; i < tens_count(x); i++) tens_f32(x)[i] = draw(s);
  return x;
}

static tens *weight(tens_ctx *c, seed *s, bool half, int rank, const int64_t *dim) {
  tens *x = tens_new(c, half ? TENS_BF16 : TENS_F32, rank, dim);
  assert_non_null(x);
  for (int64_t i = 0; i < tens_count(x); i++)
    if (half) ((uint16_t *)x->data)[i] = f32_to_bf16(draw(s));
    else tens_f32(x)[i] = draw(s);
  return x;
}

/* Takes the next of `n` choices out of a variant number. */
static int choose(int *variant, int n) {
  int choice = *variant % n;
  *variant /= n;
  return choice;
}

/* The copy that this context's device wants of w, written in parts; w as it is when it wants none. */
static tens *with_copy(tens_ctx *c, const tens_device *device, tens *w, int stride) {
  size_t bytes = tens_packed_bytes(device, w, stride);
  if (!bytes) return w;
  void *copy = tens_scratch(c, bytes);
  tens_packed *packed = tens_scratch(c, sizeof *packed);
  assert_non_null(packed);
  memset(copy, 0xff, bytes);
  for (int part = 0; part < 3; part++) tens_pack(device, w, stride, copy, part, 3);
  *packed = (tens_packed){.data = copy, .rows = w->dim[0], .stride = stride};
  w->packed = packed;
  memset(w->data, 0xff, tens_bytes(w->dtype, tens_count(w))); /* NaN: the copy alone is read */
  return w;
}

/* The results of a product with and without a copy of its weight. */
static tens *packed_product(tens_ctx *c, const tens_device *device, int variant, bool copy) {
  seed s = (seed)variant;
  int kind = choose(&variant, 5);
  bool half = choose(&variant, 2);
  int64_t K = (const int64_t[]){31, 64, 600}[choose(&variant, 3)], M = choose(&variant, 2) ? 1 : 40;
  if (kind == 0) { /* a stretch of rows, as of a table of tokens */
    tens *x = noise(c, &s, TENS_DIMS(M, K)), *w = weight(c, &s, half, TENS_DIMS(131, K));
    if (copy) w = with_copy(c, device, w, 0);
    return op_linear(c, x, tens_rows(c, w, 37, 90), NULL);
  }
  if (kind == 1) {
    tens *x = noise(c, &s, TENS_DIMS(M, K)), *gate = weight(c, &s, half, TENS_DIMS(70, K)),
         *up = weight(c, &s, half, TENS_DIMS(70, K));
    return op_swiglu(c, x, copy ? with_copy(c, device, gate, 0) : gate, copy ? with_copy(c, device, up, 0) : up);
  }
  tens *x = noise(c, &s, TENS_DIMS(2, M, K));
  op_conv p = {.stride = kind == 2 ? 1 : 2, .pad = 3, .dilation = kind == 2 ? 2 : 1};
  tens *w = kind == 4 ? weight(c, &s, half, TENS_DIMS(4, 19, K)) : weight(c, &s, half, TENS_DIMS(33, 3, K));
  if (copy) w = with_copy(c, device, w, kind == 4 ? p.stride : 0);
  if (kind == 4) p.pad = 0;
  return kind == 4 ? op_conv1d_transposed(c, x, w, &p) : op_conv1d(c, x, w, &p);
}

enum { VARIANTS = 5 * 2 * 3 * 2 };

static void packed_copies_give_the_same_bits(void **state) {
  pool *threads = pool_new(2, NULL);
  assert_non_null(threads);
  for (int isa = 0; tens_isa_at(isa); isa++) {
    const tens_device *device = tens_cpu_isa(tens_isa_at(isa));
    if (!device) continue;
    tens_ctx *alone = tens_open(&(tens_options){.device = device, .capacity = 1 << 24}, NULL);
    tens_ctx *shared = tens_open(&(tens_options){.device = device, .capacity = 1 << 24, .threads = threads}, NULL);
    assert_true(alone && shared);
    for (int variant = 0; variant < VARIANTS; variant++) {
      tens_reset(alone);
      tens_reset(shared);
      const tens *plain = packed_product(alone, device, variant, false);
      const tens *packed = packed_product(shared, device, variant, true);
      assert_true(plain && packed);
      if (memcmp(plain->data, packed->data, tens_bytes(TENS_F32, tens_count(plain))) != 0)
        fail_msg("%s, variant %d: the copy gives other results", tens_isa_at(isa), variant);
    }
    tens_close(alone);
    tens_close(shared);
  }
  pool_free(threads);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(packed_copies_give_the_same_bits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
