/* Every operation of the CPU device against the oracle, for each instruction set that this machine has: the numbers
 * agree to rounding, do not depend on the number of threads, and a row or an item alone gives the bits that it gives in
 * company. Without the last two a seed would not bring back its song on another machine or in another batch. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "base/pool.h"
#include "sanitized.h"
#include "tensor/cpu/isa.h"
#include "tensor/ops_train.h"

enum { CAPACITY = 1 << 26 };

/* ---- devices under test ----------------------------------------------------------------------------------------- */

enum { MAX_POOL = 3, MAX_ISA = 8 };

/* Filled once before the tests: a context for the oracle, and for each instruction set of this machine one without a
 * pool and one with a pool of 1, 2, 3 threads. */
static pool *pools[MAX_POOL + 1];
static tens_ctx *oracle, *contexts[MAX_ISA][MAX_POOL + 1];
static const char *names[MAX_ISA];
static int isas;

static tens_ctx *open_on(const tens_device *device, pool *threads) {
  return tens_open(&(tens_options){.device = device, .threads = threads, .capacity = CAPACITY}, NULL);
}

static int open_contexts(void **state) {
  for (int i = 1; i <= MAX_POOL; i++)
    if (!(pools[i] = pool_new(i, NULL))) return -1;
  if (!(oracle = open_on(tens_oracle(), NULL))) return -1;
  for (int i = 0; isas < MAX_ISA && tens_isa_at(i); i++) {
    const tens_device *device = tens_cpu_isa(tens_isa_at(i));
    print_message("%s%s\n", tens_isa_at(i), device ? "" : ": not on this machine, not tested");
    if (!device) continue;
    names[isas] = tens_isa_at(i);
    for (int j = 0; j <= MAX_POOL; j++)
      if (!(contexts[isas][j] = open_on(device, pools[j]))) return -1;
    isas++;
  }
  return 0;
}

static int close_contexts(void **state) {
  tens_close(oracle);
  for (int i = 0; i < isas; i++)
    for (int j = 0; j <= MAX_POOL; j++) tens_close(contexts[i][j]);
  for (int i = 1; i <= MAX_POOL; i++) pool_free(pools[i]);
  return 0;
}

/* ---- inputs: the same in every context for the same seed -------------------------------------------------------- */

typedef uint64_t seed;

static uint32_t draw(seed *s) { /* splitmix64 (Steele, Lea & Flood 2014) */
  uint64_t z = *s += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ z >> 31) >> 32);
}

/* Inputs are BF16 numbers: what matrix tiles round to, so that they have nothing to round. */
static bool rounded;

static float uniform(seed *s, float lo, float hi) {
  return lo + (hi - lo) * ((float)(draw(s) >> 8) * 0x1p-24f);
}

/* Filling tensors is most of what these tests do: the loops run on locals, which no sanitizer looks at. */
static tens *noise(tens_ctx *c, seed *s, float lo, float hi, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  assert_non_null(x);
  float *out = tens_f32(x);
  seed state = *s;
  bool round = rounded;
  for (int64_t i = 0, n = tens_count(x); i < n; i++) {
    float value = uniform(&state, lo, hi);
    out[i] = round ? bf16_to_f32(f32_to_bf16(value)) : value;
  }
  *s = state;
  return x;
}

static tens *weight(tens_ctx *c, seed *s, bool half, int rank, const int64_t *dim) {
  if (!half) return noise(c, s, -1, 1, rank, dim);
  tens *x = tens_new(c, TENS_BF16, rank, dim);
  assert_non_null(x);
  uint16_t *out = x->data;
  seed state = *s;
  for (int64_t i = 0, n = tens_count(x); i < n; i++) out[i] = f32_to_bf16(uniform(&state, -1, 1));
  *s = state;
  return x;
}

static tens *integers(tens_ctx *c, seed *s, int32_t lo, int32_t hi, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_I32, rank, dim);
  assert_non_null(x);
  for (int64_t i = 0; i < tens_count(x); i++) tens_i32(x)[i] = lo + (int32_t)(draw(s) % (uint32_t)(hi - lo + 1));
  return x;
}

/* ---- one operation, on every device ----------------------------------------------------------------------------- */

/* Makes inputs, the same for the same variant, and returns the operation's result. */
typedef tens *(*case_fn)(tens_ctx *c, int variant);

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

static void expect_same_shape(const tens *got, const tens *want) {
  assert_int_equal(got->rank, want->rank);
  for (int i = 0; i < want->rank; i++) assert_int_equal(got->dim[i], want->dim[i]);
  assert_int_equal(got->dtype, want->dtype);
}

/* Memory is filled with NaN first, so that a value that is not written shows. */
static tens *result_of(tens_ctx *c, size_t bytes, case_fn run, int variant) {
  tens_reset(c);
  tens_mark mark = tens_here(c);
  memset(tens_scratch(c, bytes), 0xff, bytes);
  tens_release(c, mark);
  tens *y = run(c, variant);
  ace_error err = {0};
  tens_error(c, &err);
  if (!y) fail_msg("variant %d: %s", variant, err.message);
  return y;
}

static bool on_tiles(int isa) {
  return strcmp(names[isa], "amx") == 0;
}

/* tolerance 0: the same bits. On matrix tiles, `tiles`. */
static void compare_variant(case_fn run, int variant, double others, double tiles) {
  const tens *want = result_of(oracle, 4096, run, variant);
  size_t size = tens_bytes(want->dtype, tens_count(want)), memory = tens_here(oracle).data;
  for (int isa = 0; isa < isas; isa++) {
    double tolerance = on_tiles(isa) ? tiles : others;
    if (rounded && !on_tiles(isa)) continue;
    const tens *first = result_of(contexts[isa][0], memory, run, variant);
    expect_same_shape(first, want);
    if (tolerance == 0 || want->dtype == TENS_I32) {
      if (memcmp(first->data, want->data, size) != 0) fail_msg("%s, variant %d: not equal", names[isa], variant);
    } else {
      double error = error_of(first, want);
      if (!(error <= tolerance)) fail_msg("%s, variant %d: error %g above %g", names[isa], variant, error, tolerance);
    }
    for (int threads = SANITIZED_THREADS ? MAX_POOL : 1; threads <= MAX_POOL; threads++) {
      const tens *again = result_of(contexts[isa][threads], memory, run, variant);
      if (memcmp(again->data, first->data, size) != 0)
        fail_msg("%s, variant %d: %d threads change the result", names[isa], variant, threads);
    }
  }
}

static void compare(case_fn run, int variants, double tolerance) {
  for (int variant = 0; variant < variants; variant++) compare_variant(run, variant, tolerance, tolerance);
}

/* For what matrix tiles do: with inputs as they come, whose rounding to BF16 shows (2e-2), and with inputs that need no
 * rounding, where `tiles` is left. Every third variant will do: they run emulated too. */
static void compare_products(case_fn run, int variants, double tolerance, double tiles) {
  for (int variant = 0; variant < variants; variant++) compare_variant(run, variant, tolerance, 2e-2);
  rounded = true;
  for (int variant = 0; variant < variants; variant += 3) compare_variant(run, variant, tolerance, tiles);
  rounded = false;
}

/* Convolutions keep F32 on tiles as well, but for some 2^-16. */
static void compare_fine(case_fn run, int variants, double tolerance) {
  for (int variant = 0; variant < variants; variant++) compare_variant(run, variant, tolerance, 2e-5);
}

/* Takes the next of `n` choices out of a variant number. */
static int choose(int *variant, int n) {
  int choice = *variant % n;
  *variant /= n;
  return choice;
}

/* ---- matrix products -------------------------------------------------------------------------------------------- */

static const int64_t product_shapes[][4] = {
    /* batch, rows, k, n */
    {1, 1, 1, 1},     {1, 7, 63, 65},   {2, 65, 7, 1},    {1, 1, 257, 131}, {3, 13, 64, 192},
    {1, 63, 130, 67}, {2, 5, 1031, 17}, {1, 2, 2048, 37}, {4, 1, 100, 257},
};
enum { PRODUCT_SHAPES = sizeof product_shapes / sizeof *product_shapes };

static tens *linear_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  const int64_t *shape = product_shapes[choose(&variant, PRODUCT_SHAPES)], B = shape[0], S = shape[1], N = shape[3];
  bool half = choose(&variant, 2);
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(B, S, shape[2])), *w = weight(c, &s, half, TENS_DIMS(N, shape[2]));
  op_epilogue e = {.act = choose(&variant, 2) ? OP_ACT_SILU : OP_ACT_NONE};
  if (choose(&variant, 2)) e.bias = noise(c, &s, -1, 1, TENS_DIMS(N));
  if (choose(&variant, 2)) e.gate = noise(c, &s, -2, 2, TENS_DIMS(B, N));
  if (choose(&variant, 2)) e.residual = noise(c, &s, -3, 3, TENS_DIMS(B, S, N));
  return op_linear(c, x, w, &e);
}

static void linear_equals_the_oracle(void **state) {
  compare_products(linear_case, PRODUCT_SHAPES * 32, 2e-6, 2e-6);
}

static tens *swiglu_case(tens_ctx *c, int variant) {
  seed s = (seed)variant + 1000;
  const int64_t *shape = product_shapes[choose(&variant, PRODUCT_SHAPES)], N = shape[3], K = shape[2];
  bool half = choose(&variant, 2), half_up = choose(&variant, 2) ? half : !half;
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(shape[0], shape[1], K));
  tens *gate = weight(c, &s, half, TENS_DIMS(N, K)), *up = weight(c, &s, half_up, TENS_DIMS(N, K));
  return op_swiglu(c, x, gate, up);
}

static void swiglu_equals_the_oracle(void **state) {
  compare_products(swiglu_case, PRODUCT_SHAPES * 4, 3e-6, 3e-6);
}

static tens *mix_blocks_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int64_t C = (const int64_t[]){1, 7, 31, 32, 33, 64, 130}[choose(&variant, 7)], P = 1 + 4 * choose(&variant, 3);
  int64_t Q = (const int64_t[]){1, 3, 32}[choose(&variant, 3)], B = 2, S = 19;
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(B, S, Q * C)), *w = noise(c, &s, -1, 1, TENS_DIMS(P, Q));
  op_epilogue e = {0};
  if (choose(&variant, 2)) e.gate = noise(c, &s, -2, 2, TENS_DIMS(B, P * C));
  if (choose(&variant, 2)) e.residual = noise(c, &s, -3, 3, TENS_DIMS(B, S, P * C));
  return op_mix_blocks(c, x, w, &e);
}

/* Sums of at most 32 products. */
static void mixed_blocks_equal_the_oracle(void **state) {
  compare(mix_blocks_case, 7 * 3 * 3 * 4, 1e-6);
}

static tens *kron_lengths_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int64_t P = (const int64_t[]){1, 3, 32}[choose(&variant, 3)], Q = (const int64_t[]){1, 5}[choose(&variant, 2)];
  int64_t C = 7, D = (const int64_t[]){1, 8, 13, 64}[choose(&variant, 4)];
  tens *w = weight(c, &s, choose(&variant, 2), TENS_DIMS(P * C, Q * D));
  tens *w1 = noise(c, &s, -1, 1, TENS_DIMS(P, Q)), *w2 = noise(c, &s, -1, 1, TENS_DIMS(C, D));
  return op_kron_lengths(c, w, w1, w2, noise(c, &s, 0, 3, TENS_DIMS(P * C)), 0.01f);
}

/* Sums of at most 320 squares, of values that were rounded once. */
static void lengths_equal_the_oracle(void **state) {
  compare(kron_lengths_case, 3 * 2 * 4 * 2, 1e-6);
}

static tens *embedding_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int64_t H = (const int64_t[]){1, 7, 63, 64, 65, 1024}[variant % 6];
  tens *table = weight(c, &s, variant >= 6, TENS_DIMS(131, H));
  return op_embedding(c, table, integers(c, &s, 0, 130, TENS_DIMS(2, 37)));
}

static void embedding_equals_the_oracle(void **state) {
  compare(embedding_case, 12, 0);
}

/* ---- norms ------------------------------------------------------------------------------------------------------ */

static const int64_t widths[] = {1, 7, 16, 63, 64, 65, 127, 1024, 2053};
enum { WIDTHS = sizeof widths / sizeof *widths };

static tens *rms_norm_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int64_t H = widths[choose(&variant, WIDTHS)], B = 1 + choose(&variant, 3), S = choose(&variant, 2) ? 1 : 29;
  tens *x = noise(c, &s, -4, 4, TENS_DIMS(B, S, H)), *w = noise(c, &s, -2, 2, TENS_DIMS(H));
  if (choose(&variant, 2)) return op_rms_norm(c, x, w, 1e-6f);
  return op_rms_norm_modulated(c, x, w, 1e-6f, noise(c, &s, -1, 1, TENS_DIMS(B, H)),
                               noise(c, &s, -1, 1, TENS_DIMS(B, H)));
}

static void rms_norm_equals_the_oracle(void **state) {
  compare(rms_norm_case, WIDTHS * 12, 1e-6);
}

static tens *head_norm_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int64_t D = (const int64_t[]){2, 6, 16, 34, 64, 128, 130}[choose(&variant, 7)], heads = 1 + 2 * choose(&variant, 2);
  int first = choose(&variant, 2) ? 0 : 3000;
  tens *x = noise(c, &s, -4, 4, TENS_DIMS(2, 31, heads * D)), *w = noise(c, &s, -2, 2, TENS_DIMS(D));
  return op_head_norm(c, x, w, 1e-6f, choose(&variant, 2) ? &(op_rope){.theta = 1e6, .first = first} : NULL);
}

static void head_norm_equals_the_oracle(void **state) {
  compare(head_norm_case, 7 * 2 * 2 * 2, 1e-6);
}

/* ---- attention -------------------------------------------------------------------------------------------------- */

static const int64_t attention_shapes[][5] = {
    /* queries, keys, heads, key/value heads, width */
    {1, 1, 1, 1, 1},     {7, 7, 2, 1, 16},     {65, 65, 4, 2, 64},    {63, 131, 2, 2, 7},
    {1, 257, 4, 1, 128}, {130, 130, 1, 1, 33}, {149, 149, 1, 1, 128}, {3, 6, 8, 4, 130},
};
enum { ATTENTION_SHAPES = sizeof attention_shapes / sizeof *attention_shapes };

static op_attn attention_mask(tens_ctx *c, seed *s, int *variant, const int64_t *shape, int64_t B) {
  op_attn a = {.heads = (int)shape[2], .kv_heads = (int)shape[3]};
  a.window = (const int[]){-1, 0, 5, 128}[choose(variant, 4)];
  a.causal = choose(variant, 2) && shape[0] == shape[1];
  int mask = choose(variant, 3); /* none; half hidden; all but the last few hidden, so that many queries see no key */
  if (mask == 0) return a;
  tens *keys = integers(c, s, 0, 1, TENS_DIMS(B, shape[1]));
  if (mask == 2)
    for (int64_t i = 0; i < B * shape[1]; i++) tens_i32(keys)[i] = i % shape[1] >= shape[1] - 2;
  a.key_mask = keys;
  return a;
}

static tens *attention_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  const int64_t *shape = attention_shapes[choose(&variant, ATTENTION_SHAPES)], D = shape[4];
  const int64_t B = shape[0] > 100 ? 1 : 2;
  op_attn a = attention_mask(c, &s, &variant, shape, B);
  float range = choose(&variant, 2) ? 1 : 6; /* flat and sharp distributions */
  tens *q = noise(c, &s, -range, range, TENS_DIMS(B, shape[0], shape[2] * D));
  tens *k = noise(c, &s, -1, 1, TENS_DIMS(B, shape[1], shape[3] * D)),
       *v = noise(c, &s, -1, 1, TENS_DIMS(B, shape[1], shape[3] * D));
  return op_attention(c, q, k, v, &a);
}

static void attention_equals_the_oracle(void **state) {
  compare_products(attention_case, ATTENTION_SHAPES * 4 * 2 * 3 * 2, 4e-6,
                   5e-3); /* tiles round scaled queries and weights */
}

static tens *probs_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  const int64_t *shape = attention_shapes[choose(&variant, ATTENTION_SHAPES)], B = shape[0] > 100 ? 1 : 2;
  op_attn a = attention_mask(c, &s, &variant, shape, B);
  tens *q = noise(c, &s, -2, 2, TENS_DIMS(B, shape[0], shape[2] * shape[4]));
  tens *k = noise(c, &s, -1, 1, TENS_DIMS(B, shape[1], shape[3] * shape[4]));
  return op_attention_probs(c, q, k, &a, (int[]){(int)shape[2] - 1, 0}, 2);
}

static void attention_probs_equal_the_oracle(void **state) {
  compare(probs_case, ATTENTION_SHAPES * 4 * 2 * 3, 4e-6);
}

static tens *loud_case(tens_ctx *c, int variant) { /* scores of some hundreds: exp of any of them alone overflows */
  seed s = (seed)variant;
  tens *q = noise(c, &s, -60, 60, TENS_DIMS(1, 70, 64)), *k = noise(c, &s, -60, 60, TENS_DIMS(1, 150, 64));
  tens *v = noise(c, &s, -1, 1, TENS_DIMS(1, 150, 64));
  return op_attention(c, q, k, v, &(op_attn){.heads = 1, .kv_heads = 1, .window = variant ? 70 : -1});
}

static void attention_survives_large_scores(void **state) {
  /* The scores themselves carry rounding of 1e-4, on tiles of about 1. */
  for (int variant = 0; variant < 2; variant++) compare_variant(loud_case, variant, 1e-3, 0.5);
}

/* ---- convolution ------------------------------------------------------------------------------------------------ */

static void conv_extras(tens_ctx *c, seed *s, int *variant, op_conv *p, int64_t out) {
  if (choose(variant, 2)) p->bias = noise(c, s, -1, 1, TENS_DIMS(out));
  if (choose(variant, 2)) {
    p->alpha = noise(c, s, 0.2f, 2, TENS_DIMS(out));
    p->inv_beta = noise(c, s, 0.2f, 2, TENS_DIMS(out));
  }
}

static const int64_t conv_shapes[][7] = {
    /* time, in, out, taps, stride, pad, dilation */
    {1, 1, 1, 1, 1, 0, 1},     {7, 3, 5, 3, 1, 1, 1},    {65, 7, 13, 7, 1, 3, 1},  {63, 16, 16, 7, 1, 9, 3},
    {131, 8, 24, 7, 1, 27, 9}, {40, 5, 6, 20, 10, 5, 1}, {37, 32, 65, 4, 2, 1, 1}, {61, 12, 7, 12, 6, 3, 1},
    {129, 64, 2, 7, 1, 3, 1},  {33, 2, 64, 7, 1, 3, 1},  {5, 70, 33, 2, 2, 0, 1},  {3, 4, 4, 7, 1, 30, 1},
    {65, 8, 8, 7, 1, 3, 1},    {50, 8, 8, 7, 1, 27, 9},  {29, 3, 7, 5, 2, 2, 1},
};
enum { CONV_SHAPES = sizeof conv_shapes / sizeof *conv_shapes };

static tens *conv_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  const int64_t *shape = conv_shapes[choose(&variant, CONV_SHAPES)], T = shape[0], O = shape[2], B = 2;
  op_conv p = {.stride = (int)shape[4], .pad = (int)shape[5], .dilation = (int)shape[6]};
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(B, T, shape[1]));
  tens *w = weight(c, &s, choose(&variant, 2), TENS_DIMS(O, shape[3], shape[1]));
  conv_extras(c, &s, &variant, &p, O);
  int64_t time = (T + 2 * p.pad - p.dilation * (shape[3] - 1) - 1) / p.stride + 1;
  if (choose(&variant, 2)) p.residual = noise(c, &s, -1, 1, TENS_DIMS(B, time, O));
  return op_conv1d(c, x, w, &p);
}

static void conv_equals_the_oracle(void **state) {
  compare_fine(conv_case, CONV_SHAPES * 16, 3e-6);
}

static const int64_t spread_shapes[][6] = {
    /* time, in, out, taps, stride, pad */
    {1, 1, 1, 1, 1, 0},    {7, 3, 5, 4, 2, 1}, {31, 16, 13, 8, 4, 2}, {17, 65, 7, 12, 6, 3}, {13, 32, 33, 20, 10, 5},
    {65, 24, 64, 2, 2, 0}, {1, 7, 3, 8, 4, 2}, {9, 5, 6, 9, 3, 0},    {11, 6, 5, 3, 3, 4},   {12, 6, 5, 7, 1, 3},
};
enum { SPREAD_SHAPES = sizeof spread_shapes / sizeof *spread_shapes };

static tens *spread_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  const int64_t *shape = spread_shapes[choose(&variant, SPREAD_SHAPES)], O = shape[2], B = 2;
  op_conv p = {.stride = (int)shape[4], .pad = (int)shape[5]};
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(B, shape[0], shape[1]));
  tens *w = weight(c, &s, choose(&variant, 2), TENS_DIMS(shape[3], O, shape[1]));
  conv_extras(c, &s, &variant, &p, O);
  int64_t time = (shape[0] - 1) * p.stride - 2 * p.pad + shape[3];
  if (choose(&variant, 2)) p.residual = noise(c, &s, -1, 1, TENS_DIMS(B, time, O));
  return op_conv1d_transposed(c, x, w, &p);
}

static void transposed_conv_equals_the_oracle(void **state) {
  compare_fine(spread_case, SPREAD_SHAPES * 16, 3e-6);
}

static tens *snake_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int64_t C = widths[variant];
  tens *x = noise(c, &s, -3, 3, TENS_DIMS(2, 33, C));
  return op_snake(c, x, noise(c, &s, 0.1f, 3, TENS_DIMS(C)), noise(c, &s, 0.1f, 3, TENS_DIMS(C)));
}

static void snake_equals_the_oracle(void **state) {
  compare(snake_case, WIDTHS, 1e-6);
}

/* ---- small ones ------------------------------------------------------------------------------------------------- */

static tens *silu_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  float range = variant % 2 ? 5 : 120; /* far beyond where exp overflows */
  return op_silu(c, noise(c, &s, -range, range, TENS_DIMS(3, widths[variant / 2])));
}

static void silu_equals_the_oracle(void **state) {
  compare(silu_case, WIDTHS * 2, 5e-7);
}

static tens *moved_rows_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int op = choose(&variant, 10);
  int64_t H = widths[choose(&variant, WIDTHS)], S = 11;
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(3, S, H)), *y = noise(c, &s, -1, 1, TENS_DIMS(3, S, H));
  switch (op) {
    case 0: return op_add(c, x, y);
    case 1: return op_modulation(c, noise(c, &s, -1, 1, TENS_DIMS(6, H)), noise(c, &s, -1, 1, TENS_DIMS(5, 6 * H)));
    case 2: return op_concat(c, 4, (const tens *[]){x, noise(c, &s, -1, 1, TENS_DIMS(3, S, 5)), y, x});
    case 3: return op_gather(c, x, integers(c, &s, -1, (int32_t)S - 1, TENS_DIMS(3, 19)));
    case 4: return op_prepend(c, x, noise(c, &s, -1, 1, TENS_DIMS(H)));
    case 5: return op_resize(c, x, S + 4);
    case 6: return op_resize(c, x, 1);
    case 7: return op_scale(c, x, noise(c, &s, -2, 2, TENS_DIMS(H)));
    case 8: return op_join(c, 3, (const tens *[]){x, noise(c, &s, -1, 1, TENS_DIMS(3, 2, H)), y});
    default: return op_outer_add(c, noise(c, &s, -1, 1, TENS_DIMS(17, H)), noise(c, &s, -1, 1, TENS_DIMS(5, H)));
  }
}

static void moved_rows_equal_the_oracle(void **state) {
  compare(moved_rows_case, 10 * WIDTHS, 0);
}

static tens *sinusoid_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  return op_sinusoid(c, noise(c, &s, 0, 1, TENS_DIMS(1 + variant)), (const int[]){2, 6, 64, 256}[variant % 4],
                     variant < 4 ? 1000 : 1);
}

static void sinusoid_equals_the_oracle(void **state) {
  compare(sinusoid_case, 8, 5e-7);
}

/* ---- quantiser -------------------------------------------------------------------------------------------------- */

static const int levels[] = {8, 8, 8, 5, 5, 5, 2, 3};

/* Numbers that no rounding of tanh can move across a level's edge. */
static tens *safe_numbers(tens_ctx *c, seed *s, int d) {
  tens *z = noise(c, s, -3, 3, TENS_DIMS(2, 41, d));
  for (int64_t i = 0; i < tens_count(z); i++) {
    int L = levels[i % d];
    double soft = 1 + 1.0 / (L - 1);
    for (;;) {
      double at = (L - 1) * (fmin(fmax(soft * tanh(tens_f32(z)[i] / soft), -1), 1) + 1) / 2 + 0.5;
      if (fabs(at - nearbyint(at)) > 1e-4) break;
      tens_f32(z)[i] += 0.01f;
    }
  }
  return z;
}

static tens *quantize_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  return op_fsq_quantize(c, safe_numbers(c, &s, variant + 1), levels, variant + 1);
}

static tens *index_case(tens_ctx *c, int variant) {
  return op_fsq_index(c, quantize_case(c, variant), levels, variant + 1);
}

static tens *codes_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  return op_fsq_codes(c, integers(c, &s, -10, 70000, TENS_DIMS(3, 57)), levels, variant + 1);
}

static void quantiser_equals_the_oracle(void **state) {
  compare(quantize_case, 8, 2e-7);
  compare(index_case, 8, 0);
  compare(codes_case, 8, 2e-7);
}

/* ---- latents
 * ---------------------------------------------------------------------------------------------------------------------
 */

static tens *mix_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int alias = choose(&variant, 4);
  int64_t T = 1 + 40 * choose(&variant, 2);
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(2, T, 65)), *y = noise(c, &s, -1, 1, TENS_DIMS(2, T, 65));
  tens *dst = alias == 1 ? x : alias == 2 ? y : tens_new(c, TENS_F32, TENS_DIMS(2, T, 65));
  float a = uniform(&s, -2, 2), b = uniform(&s, -2, 2);
  return op_mix_into(c, dst, a, x, b, alias == 3 ? NULL : y) ? dst : NULL;
}

static tens *blend_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int alias = choose(&variant, 3);
  int64_t T = 1 + 40 * choose(&variant, 2);
  tens *a = noise(c, &s, -1, 1, TENS_DIMS(2, T, 63)), *b = noise(c, &s, -1, 1, TENS_DIMS(2, T, 63));
  tens *dst = alias == 1 ? a : alias == 2 ? b : tens_new(c, TENS_F32, TENS_DIMS(2, T, 63));
  return op_blend_into(c, dst, noise(c, &s, 0, 1, TENS_DIMS(2, T)), a, b) ? dst : NULL;
}

static tens *clamp_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  tens *v = noise(c, &s, -1, 1, TENS_DIMS(3, 57, 64)), *x = noise(c, &s, -1, 1, TENS_DIMS(3, 57, 64));
  return op_norm_clamp(c, v, x, variant ? 0.3f : 4);
}

static const int64_t guided_shapes[][2] = {{1, 1}, {1, 64}, {57, 64}, {90, 7}, {700, 65}};
enum { GUIDED_SHAPES = sizeof guided_shapes / sizeof *guided_shapes };

/* What is guided, and the running difference behind it. */
static tens *apg_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  bool alias = choose(&variant, 2);
  const int64_t *shape = guided_shapes[choose(&variant, GUIDED_SHAPES)], dim[] = {2, shape[0], shape[1]};
  tens *cond = noise(c, &s, -1, 1, 3, dim), *uncond = noise(c, &s, -1, 1, 3, dim),
       *running = noise(c, &s, -1, 1, 3, dim);
  tens *dst = alias ? cond : tens_new(c, TENS_F32, 3, dim);
  op_apg p = {.scale = 7, .momentum = -0.75, .threshold = choose(&variant, 2) ? 2.5 : 1e3, .parallel = 0.25};
  if (!op_apg_into(c, dst, running, cond, uncond, &p)) return NULL;
  return op_concat(c, 2, (const tens *[]){dst, running});
}

/* Predictions near each other, opposite, and anywhere. */
static tens *adg_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  bool alias = choose(&variant, 2);
  const int64_t *shape = guided_shapes[choose(&variant, GUIDED_SHAPES)], dim[] = {2, shape[0], shape[1]};
  tens *x = noise(c, &s, -1, 1, 3, dim), *cond = noise(c, &s, -1, 1, 3, dim), *uncond = noise(c, &s, -1, 1, 3, dim);
  tens *dst = alias ? cond : tens_new(c, TENS_F32, 3, dim);
  int near = choose(&variant, 3);
  if (near && !op_mix_into(c, uncond, near == 1 ? 1 : -1, cond, 0.01f, uncond)) return NULL;
  op_adg p = {.t = 0.4f, .weight = 4.001, .clip = choose(&variant, 2) ? 3.14 / 6 : 10};
  return op_adg_into(c, dst, x, cond, uncond, &p) ? dst : NULL;
}

static void guidance_equals_the_oracle(void **state) {
  compare(apg_case, 2 * GUIDED_SHAPES * 2, 2e-7);
  compare(adg_case, 2 * GUIDED_SHAPES * 3 * 2, 2e-7);
}

static void latent_arithmetic_equals_the_oracle(void **state) {
  compare(mix_case, 8, 0);
  compare(blend_case, 6, 2e-7);
  compare(clamp_case, 2, 3e-7);
}

static tens *wavelet_case(tens_ctx *c, int variant) {
  seed s = (seed)variant;
  int taps = 2 * (1 + choose(&variant, 8));
  int64_t T = (const int64_t[]){1, 2, 7, 64, 65, 131}[choose(&variant, 6)], C = choose(&variant, 2) ? 64 : 7;
  float filter[32];
  for (int i = 0; i < 2 * taps; i++) filter[i] = uniform(&s, -1, 1);
  int64_t count = (T + taps - 1) / 2;
  tens *low, *high;
  if (choose(&variant, 2)) {
    if (!op_dwt(c, noise(c, &s, -1, 1, TENS_DIMS(2, T, C)), filter, filter + taps, taps, &low, &high)) return NULL;
    return op_concat(c, 2, (const tens *[]){low, high});
  }
  low = noise(c, &s, -1, 1, TENS_DIMS(2, count, C));
  high = noise(c, &s, -1, 1, TENS_DIMS(2, count, C));
  return op_idwt(c, low, high, filter + taps, filter, taps, T);
}

static void wavelets_equal_the_oracle(void **state) {
  compare(wavelet_case, 8 * 6 * 2 * 2, 2e-6);
}

/* ---- alone and in company --------------------------------------------------------------------------------------- */

/* The operation on items first..first+count-1 of the inputs that the variant stands for. */
typedef tens *(*part_fn)(tens_ctx *c, int variant, int64_t first, int64_t count);

/* Parts of one item and of three give the bits that the whole has there. */
static void expect_parts(part_fn run, int variants, int64_t items) {
  for (int isa = 0; isa < isas; isa++) {
    tens_ctx *c = contexts[isa][2];
    for (int variant = 0; variant < variants; variant++) {
      tens_reset(c);
      const tens *whole = run(c, variant, 0, items);
      assert_non_null(whole);
      size_t bytes = (size_t)tens_count(whole) / (size_t)items * 4;
      for (int64_t first = 0; first < items; first++)
        for (int64_t count = 1; count <= 3 && first + count <= items; count += 2) {
          tens_mark mark = tens_here(c);
          const tens *part = run(c, variant, first, count);
          assert_non_null(part);
          assert_int_equal((size_t)tens_count(part) * 4, bytes * (size_t)count);
          if (memcmp(part->data, (const char *)whole->data + (size_t)first * bytes, bytes * (size_t)count) != 0)
            fail_msg("%s, variant %d: items %d..%d differ from the same in a batch", names[isa], variant, (int)first,
                     (int)(first + count - 1));
          tens_release(c, mark);
        }
    }
  }
}

static tens *cut(tens_ctx *c, const tens *x, int64_t first, int64_t count) {
  return tens_rows(c, x, first, count);
}

/* Rows of one batch item: x [rows, k] seen as [1, count, k]. */
static tens *cut_rows(tens_ctx *c, const tens *x, int64_t first, int64_t count) {
  return tens_view(c, tens_rows(c, x, first, count), TENS_DIMS(1, count, x->dim[1]));
}

static tens *linear_rows(tens_ctx *c, int variant, int64_t first, int64_t count) {
  seed s = (seed)variant;
  int64_t K = (const int64_t[]){64, 257, 1500}[choose(&variant, 3)],
          N = (const int64_t[]){65, 192}[choose(&variant, 2)];
  bool half = choose(&variant, 2);
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(37, K)), *w = weight(c, &s, half, TENS_DIMS(N, K));
  tens *residual = noise(c, &s, -1, 1, TENS_DIMS(37, N));
  op_epilogue e = {.bias = noise(c, &s, -1, 1, TENS_DIMS(N)), .gate = noise(c, &s, -1, 1, TENS_DIMS(1, N))};
  e.act = OP_ACT_SILU;
  e.residual = cut_rows(c, residual, first, count);
  return op_linear(c, cut_rows(c, x, first, count), w, &e);
}

static tens *swiglu_rows(tens_ctx *c, int variant, int64_t first, int64_t count) {
  seed s = (seed)variant;
  int64_t K = (const int64_t[]){64, 257}[variant % 2], N = 65;
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(37, K));
  tens *gate = weight(c, &s, variant >= 2, TENS_DIMS(N, K)), *up = weight(c, &s, variant >= 2, TENS_DIMS(N, K));
  return op_swiglu(c, cut_rows(c, x, first, count), gate, up);
}

static tens *norm_rows(tens_ctx *c, int variant, int64_t first, int64_t count) {
  seed s = (seed)variant;
  int64_t H = 130;
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(37, H)), *w = noise(c, &s, -1, 1, TENS_DIMS(H)),
       *rows = cut_rows(c, x, first, count);
  if (variant == 0) return op_rms_norm(c, rows, w, 1e-6f);
  if (variant == 1)
    return op_rms_norm_modulated(c, rows, w, 1e-6f, noise(c, &s, -1, 1, TENS_DIMS(1, H)),
                                 noise(c, &s, -1, 1, TENS_DIMS(1, H)));
  return op_head_norm(c, rows, noise(c, &s, -1, 1, TENS_DIMS(26)), 1e-6f,
                      &(op_rope){.theta = 1e6, .first = (int)first});
}

static void rows_do_not_depend_on_their_company(void **state) {
  expect_parts(linear_rows, 12, 37);
  expect_parts(swiglu_rows, 4, 37);
  expect_parts(norm_rows, 3, 37);
}

static tens *attention_queries(tens_ctx *c, int variant, int64_t first, int64_t count) {
  seed s = (seed)variant;
  op_attn a = {.heads = 4, .kv_heads = 2, .window = -1};
  tens *q = noise(c, &s, -1, 1, TENS_DIMS(53, 4 * 34)), *k = noise(c, &s, -1, 1, TENS_DIMS(1, 141, 2 * 34));
  tens *v = noise(c, &s, -1, 1, TENS_DIMS(1, 141, 2 * 34)),
       *mask = integers(c, &s, 0, variant ? 1 : 0, TENS_DIMS(1, 141));
  if (variant < 2) a.key_mask = mask;
  return op_attention(c, cut_rows(c, q, first, count), k, v, &a);
}

static tens *attention_items(tens_ctx *c, int variant, int64_t first, int64_t count) {
  seed s = (seed)variant;
  op_attn a = {.heads = 4, .kv_heads = 2, .window = variant % 2 ? -1 : 9, .causal = variant >= 4};
  tens *q = noise(c, &s, -1, 1, TENS_DIMS(3, 71, 4 * 16)), *k = noise(c, &s, -1, 1, TENS_DIMS(3, 71, 2 * 16));
  tens *v = noise(c, &s, -1, 1, TENS_DIMS(3, 71, 2 * 16)), *mask = integers(c, &s, 0, 1, TENS_DIMS(3, 71));
  if (variant % 4 < 2) a.key_mask = cut(c, mask, first, count);
  return op_attention(c, cut(c, q, first, count), cut(c, k, first, count), cut(c, v, first, count), &a);
}

static tens *conv_items(tens_ctx *c, int variant, int64_t first, int64_t count) {
  seed s = (seed)variant;
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(3, 45, 17)), *w = weight(c, &s, variant % 2, TENS_DIMS(12, 6, 17));
  tens *spread = weight(c, &s, variant % 2, TENS_DIMS(6, 12, 17));
  op_conv p = {.stride = 1 + variant / 2, .pad = 2, .dilation = 2};
  if (variant < 4) return op_conv1d(c, cut(c, x, first, count), w, &p);
  p.stride -= 2;
  return op_conv1d_transposed(c, cut(c, x, first, count), spread, &p);
}

static tens *latent_items(tens_ctx *c, int variant, int64_t first, int64_t count) {
  static const float filter[4] = {0.48f, 0.83f, 0.22f, -0.13f};
  seed s = (seed)variant;
  tens *x = noise(c, &s, -1, 1, TENS_DIMS(3, 45, 17)), *y = noise(c, &s, -1, 1, TENS_DIMS(3, 45, 17)), *low, *high;
  if (variant == 0) return op_norm_clamp(c, cut(c, x, first, count), cut(c, y, first, count), 0.5f);
  if (variant == 1 || variant == 2) {
    tens *dst = cut(c, x, first, count), *uncond = cut(c, y, first, count), *third = noise(c, &s, -1, 1, 3, x->dim);
    bool ok = variant == 1 ? op_apg_into(c, dst, cut(c, third, first, count), dst, uncond, &(op_apg){7, -0.75, 2.5, 0})
                           : op_adg_into(c, dst, cut(c, third, first, count), dst, uncond, &(op_adg){0.4f, 4, 0.5});
    return ok ? dst : NULL;
  }
  if (!op_dwt(c, cut(c, x, first, count), filter, filter, 4, &low, &high)) return NULL;
  return op_idwt(c, low, high, filter, filter, 4, 45);
}

static void items_do_not_depend_on_their_batch(void **state) {
  expect_parts(attention_queries, 3, 53);
  expect_parts(attention_items, 8, 3);
  expect_parts(conv_items, 8, 3);
  expect_parts(latent_items, 4, 3);
}

/* ---- choice of device ------------------------------------------------------------------------------------------- */

static void what_runs_by_default_is_tested_here(void **state) {
  assert_non_null(tens_cpu_isa("plain"));
  assert_null(tens_cpu_isa("abacus"));
  bool known = false;
  for (int i = 0; i < isas; i++) known = known || tens_cpu_isa(names[i]) == tens_cpu();
  assert_true(known);
}

static void no_device_means_the_processor(void **state) {
  const int variant = 5 + PRODUCT_SHAPES * 4;
  tens_ctx *c = open_on(NULL, NULL), *d = open_on(tens_cpu(), NULL);
  const tens *a = linear_case(c, variant), *b = linear_case(d, variant);
  assert_memory_equal(a->data, b->data, (size_t)tens_count(a) * 4);
  tens_close(c);
  tens_close(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_runs_by_default_is_tested_here),
      cmocka_unit_test(no_device_means_the_processor),
      cmocka_unit_test(linear_equals_the_oracle),
      cmocka_unit_test(swiglu_equals_the_oracle),
      cmocka_unit_test(mixed_blocks_equal_the_oracle),
      cmocka_unit_test(lengths_equal_the_oracle),
      cmocka_unit_test(embedding_equals_the_oracle),
      cmocka_unit_test(rms_norm_equals_the_oracle),
      cmocka_unit_test(head_norm_equals_the_oracle),
      cmocka_unit_test(attention_equals_the_oracle),
      cmocka_unit_test(attention_probs_equal_the_oracle),
      cmocka_unit_test(attention_survives_large_scores),
      cmocka_unit_test(conv_equals_the_oracle),
      cmocka_unit_test(transposed_conv_equals_the_oracle),
      cmocka_unit_test(snake_equals_the_oracle),
      cmocka_unit_test(silu_equals_the_oracle),
      cmocka_unit_test(moved_rows_equal_the_oracle),
      cmocka_unit_test(sinusoid_equals_the_oracle),
      cmocka_unit_test(quantiser_equals_the_oracle),
      cmocka_unit_test(latent_arithmetic_equals_the_oracle),
      cmocka_unit_test(guidance_equals_the_oracle),
      cmocka_unit_test(wavelets_equal_the_oracle),
      cmocka_unit_test(rows_do_not_depend_on_their_company),
      cmocka_unit_test(items_do_not_depend_on_their_batch),
  };
  return cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
