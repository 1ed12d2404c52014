/* The oracle device against numbers worked out by hand and against the golden wavelet and quantiser cases: were it
 * wrong, every other test of numbers would agree on a mistake. */
#include "base/half.h"
#include "golden.h"
#include "tensor/ops_train.h"

#include <string.h>

static tens_ctx *open_oracle(void) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.device = tens_oracle(), .capacity = 1 << 22}, &err);
  assert_non_null(c);
  return c;
}

/* A tensor from numbers in the source: OF(c, TENS_DIMS(2, 2), 1, 2, 3, 4). */
#define OF(c, rank_and_dims, ...)   tens_from(c, TENS_F32, rank_and_dims, (float[]){__VA_ARGS__})
#define INTS(c, rank_and_dims, ...) tens_from(c, TENS_I32, rank_and_dims, (int32_t[]){__VA_ARGS__})

static void expect_values(const tens *y, const double *want, int64_t n) {
  assert_non_null(y);
  assert_int_equal(tens_count(y), n);
  for (int64_t i = 0; i < n; i++) {
    double got = tens_f32(y)[i];
    if (!(fabs(got - want[i]) <= 1e-6 * fmax(1, fabs(want[i]))))
      fail_msg("value %lld is %.9g, expected %.9g", (long long)i, got, want[i]);
  }
}
#define EXPECT(y, ...) \
  expect_values(y, (const double[]){__VA_ARGS__}, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))

/* ---- matrix products --------------------------------------------------------------------------------------------- */

static void linear_multiplies_by_the_transpose(void **state) {
  tens_ctx *c = open_oracle();
  tens *x = OF(c, TENS_DIMS(2, 2), 1, 2, 3, 4), *w = OF(c, TENS_DIMS(3, 2), 1, 0, 0, 1, 10, 100);
  EXPECT(op_linear(c, x, w, NULL), 1, 2, 210, 3, 4, 430);
  uint16_t half[6];
  for (int i = 0; i < 6; i++) half[i] = f32_to_bf16(tens_f32(w)[i]);
  tens *w16 = tens_from(c, TENS_BF16, TENS_DIMS(3, 2), half);
  EXPECT(op_linear(c, x, w16, NULL), 1, 2, 210, 3, 4, 430);
  tens_close(c);
}

static void linear_applies_bias_then_act_then_gate_then_residual(void **state) {
  tens_ctx *c = open_oracle();
  /* Two items of one row; each item has its own gate. */
  tens *x = OF(c, TENS_DIMS(2, 1, 1), 2, 3), *w = OF(c, TENS_DIMS(1, 1), 10);
  op_epilogue e = {.bias = OF(c, TENS_DIMS(1), -20),
                   .gate = OF(c, TENS_DIMS(2, 1), 5, 7),
                   .residual = OF(c, TENS_DIMS(2, 1, 1), 100, 200)};
  EXPECT(op_linear(c, x, w, &e), 100, 270);
  e.act = OP_ACT_SILU; /* silu(10) = 9.999546021 */
  EXPECT(op_linear(c, x, w, &e), 100, 200 + 7 * 9.999546021312976);
  e.gate = NULL;
  e.residual = NULL;
  EXPECT(op_linear(c, x, w, &e), 0, 9.999546021312976);
  tens_close(c);
}

static void swiglu_gates_with_the_first_matrix(void **state) {
  tens_ctx *c = open_oracle();
  tens *x = OF(c, TENS_DIMS(1, 2), 1, 2), *gate = OF(c, TENS_DIMS(1, 2), 1, 0), *up = OF(c, TENS_DIMS(1, 2), 0, 5);
  EXPECT(op_swiglu(c, x, gate, up), 0.7310585786300049 * 10); /* silu(1) * 10 */
  tens_close(c);
}

static void embedding_looks_rows_up(void **state) {
  tens_ctx *c = open_oracle();
  tens *table = OF(c, TENS_DIMS(3, 2), 1, 2, 3, 4, 5, 6);
  tens *y = op_embedding(c, table, INTS(c, TENS_DIMS(2, 2), 2, 0, 1, 1));
  assert_int_equal(y->rank, 3);
  EXPECT(y, 5, 6, 1, 2, 3, 4, 3, 4);
  tens_close(c);
}

/* ---- norms ------------------------------------------------------------------------------------------------------- */

static void rms_norm_divides_by_the_root_mean_square(void **state) {
  tens_ctx *c = open_oracle();
  tens *x = OF(c, TENS_DIMS(2, 1, 2), 3, 4, 1, 1), *w = OF(c, TENS_DIMS(2), 1, 10);
  double r = sqrt(12.5);
  EXPECT(op_rms_norm(c, x, w, 0), 3 / r, 40 / r, 1, 10);
  EXPECT(op_rms_norm(c, x, w, 3), 3 / sqrt(15.5), 40 / sqrt(15.5), 0.5, 5);
  tens *scale = OF(c, TENS_DIMS(2, 2), 0, 1, 2, -1), *shift = OF(c, TENS_DIMS(2, 2), 5, 6, 7, 8);
  EXPECT(op_rms_norm_modulated(c, x, w, 0, scale, shift), 3 / r + 5, 80 / r + 6, 10, 8);
  tens_close(c);
}

static void head_norm_turns_halves_by_position(void **state) {
  tens_ctx *c = open_oracle();
  /* One item, two positions, two heads of width 4, all ones: the norm changes nothing; w doubles the second head half.
   */
  tens *x = OF(c, TENS_DIMS(1, 2, 8), 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
       *w = OF(c, TENS_DIMS(4), 1, 1, 2, 2);
  EXPECT(op_head_norm(c, x, w, 0, NULL), 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2);
  op_rope rope = {.theta = 100, .first = 0}; /* angles at position 1: 1 and 100^(-2/4) = 0.1 */
  double a = cos(1) - 2 * sin(1), b = cos(0.1) - 2 * sin(0.1), d = 2 * cos(1) + sin(1), e = 2 * cos(0.1) + sin(0.1);
  EXPECT(op_head_norm(c, x, w, 0, &rope), 1, 1, 2, 2, 1, 1, 2, 2, a, b, d, e, a, b, d, e);
  rope.first = 1;
  tens *y = op_head_norm(c, tens_view(c, tens_rows(c, tens_view(c, x, TENS_DIMS(2, 8)), 1, 1), TENS_DIMS(1, 1, 8)), w,
                         0, &rope);
  EXPECT(y, a, b, d, e, a, b, d, e);
  tens_close(c);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* Three keys 0, ln 2, ln 3 of width 1: a query of 1 weighs them 1 : 2 : 3. */
typedef struct three {
  tens_ctx *c;
  tens *q, *k, *v;
  op_attn a;
} three;

static three three_keys(void) {
  tens_ctx *c = open_oracle();
  return (three){c,
                 OF(c, TENS_DIMS(1, 3, 1), 1, 1, 1),
                 OF(c, TENS_DIMS(1, 3, 1), 0, logf(2), logf(3)),
                 OF(c, TENS_DIMS(1, 3, 1), 6, 12, 18),
                 {.heads = 1, .kv_heads = 1, .window = -1}};
}

static void attention_weighs_values_by_softmax(void **state) {
  three t = three_keys();
  EXPECT(op_attention(t.c, t.q, t.k, t.v, &t.a), 14, 14, 14); /* (6 + 2*12 + 3*18) / 6 */
  EXPECT(op_attention(t.c, OF(t.c, TENS_DIMS(1, 1, 1), 0), t.k, t.v, &t.a), 12);
  EXPECT(op_attention_probs(t.c, t.q, t.k, &t.a, (int[]){0}, 1), 1. / 6, 2. / 6, 3. / 6, 1. / 6, 2. / 6, 3. / 6, 1. / 6,
         2. / 6, 3. / 6);
  tens_close(t.c);
}

static void attention_scales_by_the_root_of_the_width(void **state) {
  tens_ctx *c = open_oracle();
  op_attn a = {.heads = 1, .kv_heads = 1, .window = -1};
  tens *q = OF(c, TENS_DIMS(1, 1, 4), 2, 0, 0, 0), *k = OF(c, TENS_DIMS(1, 2, 4), logf(3), 9, 9, 9, 0, 9, 9, 9);
  tens *v = OF(c, TENS_DIMS(1, 2, 4), 4, 0, 0, 8, 0, 4, 0, 8); /* scores ln 3 and 0: weights 3/4, 1/4 */
  EXPECT(op_attention(c, q, k, v, &a), 3, 1, 0, 8);
  tens_close(c);
}

static void attention_masks(void **state) {
  three t = three_keys();
  t.a.causal = true;
  EXPECT(op_attention(t.c, t.q, t.k, t.v, &t.a), 6, 10, 14);
  t.a.causal = false;
  t.a.window = 0;
  EXPECT(op_attention(t.c, t.q, t.k, t.v, &t.a), 6, 12, 18);
  t.a.window = 1; /* both ends belong to it */
  EXPECT(op_attention(t.c, t.q, t.k, t.v, &t.a), 10, 14, (2 * 12 + 3 * 18) / 5.);
  t.a.window = -1;
  t.a.key_mask = INTS(t.c, TENS_DIMS(1, 3), 1, 0, 1);
  EXPECT(op_attention(t.c, t.q, t.k, t.v, &t.a), 15, 15, 15); /* (6 + 3*18) / 4 */
  t.a.window = 1;
  EXPECT(op_attention(t.c, t.q, t.k, t.v, &t.a), 6, 15, 18);
  t.a.window = 0; /* query 1 sees nothing: the plain mean of all values, masked ones too */
  EXPECT(op_attention(t.c, t.q, t.k, t.v, &t.a), 6, 12, 18);
  EXPECT(op_attention_probs(t.c, t.q, t.k, &t.a, (int[]){0}, 1), 1, 0, 0, 1. / 3, 1. / 3, 1. / 3, 0, 0, 1);
  t.a.key_mask = INTS(t.c, TENS_DIMS(1, 3), 0, 0, 0);
  t.a.causal = true;
  EXPECT(op_attention(t.c, t.q, t.k, t.v, &t.a), 12, 12, 12);
  tens_close(t.c);
}

static void neighbouring_heads_share_keys(void **state) {
  tens_ctx *c = open_oracle();
  op_attn a = {.heads = 4, .kv_heads = 2, .window = -1};
  tens *q = OF(c, TENS_DIMS(1, 1, 4), 1, 0, 1, 0), *k = OF(c, TENS_DIMS(1, 2, 2), logf(3), 0, 0, logf(9));
  tens *v = OF(c, TENS_DIMS(1, 2, 2), 4, 100, 0, 0);
  EXPECT(op_attention(c, q, k, v, &a), 3, 2, 10, 50); /* heads 0, 1 read column 0, heads 2, 3 column 1 */
  EXPECT(op_attention_probs(c, q, k, &a, (int[]){2, 0}, 2), 0.1, 0.9, 0.75, 0.25);
  tens_close(c);
}

/* ---- convolution ------------------------------------------------------------------------------------------------- */

static void conv_strides_dilates_and_pads(void **state) {
  tens_ctx *c = open_oracle();
  tens *x = OF(c, TENS_DIMS(1, 5, 1), 1, 2, 3, 4, 5), *w = OF(c, TENS_DIMS(1, 3, 1), 1, 10, 100);
  EXPECT(op_conv1d(c, x, w, &(op_conv){.stride = 1, .pad = 1, .dilation = 1}), 210, 321, 432, 543, 54);
  EXPECT(op_conv1d(c, x, w, &(op_conv){.stride = 2, .pad = 1, .dilation = 1}), 210, 432, 54);
  EXPECT(op_conv1d(c, x, w, &(op_conv){.stride = 1, .pad = 0, .dilation = 2}), 531);
  EXPECT(op_conv1d(c, x, w, &(op_conv){.stride = 1, .pad = 2, .dilation = 2}), 310, 420, 531, 42, 53);
  tens_close(c);
}

static void conv_takes_taps_outside_channels_inside(void **state) {
  tens_ctx *c = open_oracle();
  tens *x = OF(c, TENS_DIMS(1, 2, 2), 1, 2, 3, 4);
  tens *w = OF(c, TENS_DIMS(2, 2, 2), 1, 10, 100, 1000, 0, 0, 0, 1);
  EXPECT(op_conv1d(c, x, w, &(op_conv){.stride = 1, .dilation = 1}), 1 + 20 + 300 + 4000, 4);
  tens_close(c);
}

static void conv_adds_bias_then_snake_then_residual(void **state) {
  tens_ctx *c = open_oracle();
  const double pi = acos(-1);
  op_conv p = {.stride = 1,
               .dilation = 1,
               .bias = OF(c, TENS_DIMS(1), (float)(pi / 4)),
               .alpha = OF(c, TENS_DIMS(1), 2),
               .inv_beta = OF(c, TENS_DIMS(1), 3),
               .residual = OF(c, TENS_DIMS(1, 2, 1), 100, 200)};
  tens *x = OF(c, TENS_DIMS(1, 2, 1), 0, (float)(pi / 4)), *w = OF(c, TENS_DIMS(1, 1, 1), 1);
  EXPECT(op_conv1d(c, x, w, &p), 100 + pi / 4 + 3, 200 + pi / 2); /* sin(pi/2)² = 1, sin(pi)² = 0 */
  EXPECT(op_snake(c, x, p.alpha, p.inv_beta), 0, pi / 4 + 3);
  p.residual = NULL;
  EXPECT(op_conv1d_transposed(c, x, w, &p), pi / 4 + 3, pi / 2);
  tens_close(c);
}

static void transposed_conv_spreads_each_frame(void **state) {
  tens_ctx *c = open_oracle();
  tens *x = OF(c, TENS_DIMS(1, 2, 1), 1, 2), *w = OF(c, TENS_DIMS(4, 1, 1), 1, 10, 100, 1000);
  op_conv p = {.stride = 2};
  EXPECT(op_conv1d_transposed(c, x, w, &p), 1, 10, 102, 1020, 200, 2000);
  p.pad = 1;
  EXPECT(op_conv1d_transposed(c, x, w, &p), 10, 102, 1020, 200);
  tens *x2 = OF(c, TENS_DIMS(1, 1, 2), 1, 2), *w2 = OF(c, TENS_DIMS(1, 2, 2), 1, 10, 100, 1000);
  EXPECT(op_conv1d_transposed(c, x2, w2, &(op_conv){.stride = 1}), 21, 2100); /* w [taps, out, in] */
  tens_close(c);
}

/* ---- small ones -------------------------------------------------------------------------------------------------- */

static void small_operations(void **state) {
  tens_ctx *c = open_oracle();
  tens *a = OF(c, TENS_DIMS(2, 2), 1, 2, 3, 4), *b = OF(c, TENS_DIMS(2, 2), 10, 20, 30, 40);
  EXPECT(op_add(c, a, b), 11, 22, 33, 44);
  EXPECT(op_scale(c, a, OF(c, TENS_DIMS(2), 3, -1)), 3, -2, 9, -4);
  /* Two blocks of two channels: each new block is a sum of the old ones. */
  EXPECT(op_mix_blocks(c, OF(c, TENS_DIMS(1, 1, 4), 1, 2, 10, 20), OF(c, TENS_DIMS(3, 2), 1, 0, 0, 1, 2, 1), NULL), 1,
         2, 10, 20, 12, 24);
  /* Rows (3, 4), (0, 0), (6, 8), (0, 0) onto (0, 0), (0, 2), (-3, 0), (0, 0). */
  tens *under = OF(c, TENS_DIMS(4, 2), 0, 0, 0, 2, -3, 0, 0, 0), *left = OF(c, TENS_DIMS(2, 1), 1, 2);
  tens *right = OF(c, TENS_DIMS(2, 2), 3, 4, 0, 0), *length = OF(c, TENS_DIMS(4), 10, 20, 30, 40);
  EXPECT(op_kron_lengths(c, under, left, right, length, 0), 2, 10, 30 / sqrt(73), 1);
  EXPECT(op_kron_lengths(c, under, left, right, length, 3), 10 / 8., 20 / 5., 30 / (sqrt(73) + 3), 40 / 3.);
  EXPECT(op_silu(c, OF(c, TENS_DIMS(3), 0, 1, -1)), 0, 0.7310585786300049, -0.2689414213699951);
  tens *m = op_modulation(c, a, OF(c, TENS_DIMS(3, 4), 0, 0, 0, 0, 10, 20, 30, 40, 100, 200, 300, 400));
  assert_int_equal(m->dim[0], 2);
  assert_int_equal(m->dim[1], 3);
  EXPECT(m, 1, 2, 11, 22, 101, 202, 3, 4, 33, 44, 303, 404);
  EXPECT(op_sinusoid(c, OF(c, TENS_DIMS(2), 0.5f, 0), 4, 2), cos(1), cos(0.01), sin(1), sin(0.01), 1, 1, 0, 0);
  EXPECT(op_concat(c, 3, (const tens *[]){a, OF(c, TENS_DIMS(2, 1), 7, 8), b}), 1, 2, 7, 10, 20, 3, 4, 8, 30, 40);
  tens *x = OF(c, TENS_DIMS(2, 2, 1), 1, 2, 3, 4);
  EXPECT(op_gather(c, x, INTS(c, TENS_DIMS(2, 3), 1, -1, 0, 0, 0, 1)), 2, 0, 1, 3, 3, 4);
  EXPECT(op_join(c, 2, (const tens *[]){x, OF(c, TENS_DIMS(2, 1, 1), 8, 9)}), 1, 2, 8, 3, 4, 9);
  EXPECT(op_prepend(c, x, OF(c, TENS_DIMS(1), 9)), 9, 1, 2, 9, 3, 4);
  EXPECT(op_resize(c, x, 3), 1, 2, 0, 3, 4, 0);
  EXPECT(op_resize(c, x, 1), 1, 3);
  EXPECT(op_outer_add(c, a, OF(c, TENS_DIMS(1, 2), 100, 200)), 101, 202, 103, 204);
  tens_close(c);
}

static void latent_operations(void **state) {
  tens_ctx *c = open_oracle();
  tens *x = OF(c, TENS_DIMS(1, 2), 1, 2), *y = OF(c, TENS_DIMS(1, 2), 10, 20),
       *dst = tens_new(c, TENS_F32, TENS_DIMS(1, 2));
  assert_true(op_mix_into(c, dst, 0.5f, x, 2, y));
  EXPECT(dst, 20.5, 41);
  assert_true(op_mix_into(c, dst, 3, x, 2, NULL));
  EXPECT(dst, 3, 6);
  assert_true(op_mix_into(c, x, 1, x, -1, y));
  EXPECT(x, -9, -18);
  tens *v = OF(c, TENS_DIMS(2, 2), 3, 4, 0.3f, 0.4f), *u = OF(c, TENS_DIMS(2, 2), 0, 1, 0, 1);
  EXPECT(op_norm_clamp(c, v, u, 2), 1.2, 1.6, 0.3f, 0.4f);
  tens *a = OF(c, TENS_DIMS(1, 2, 2), 1, 2, 3, 4), *b = OF(c, TENS_DIMS(1, 2, 2), 10, 20, 30, 40);
  assert_true(op_blend_into(c, b, OF(c, TENS_DIMS(1, 2), 0.75f, 0), a, b));
  EXPECT(b, 3.25, 6.5, 30, 40);
  tens_close(c);
}

static void projected_guidance_goes_across_the_condition(void **state) {
  tens_ctx *c = open_oracle();
  /* Two channels: differences (1, 1) and (3, 4); the second's norm of 5 is held to 2.5. */
  tens *cond = OF(c, TENS_DIMS(1, 2, 2), 1, 0, 0, 2), *uncond = OF(c, TENS_DIMS(1, 2, 2), 0, -3, -1, -2);
  tens *running = OF(c, TENS_DIMS(1, 2, 2), 0, 0, 0, 0), *dst = tens_new(c, TENS_F32, TENS_DIMS(1, 2, 2));
  op_apg p = {.scale = 3, .momentum = -0.75, .threshold = 2.5};
  assert_true(op_apg_into(c, dst, running, cond, uncond, &p));
  EXPECT(dst, 1, 3, 2, 2);
  EXPECT(running, 1, 3, 1, 4);
  assert_true(op_apg_into(c, dst, running, cond, uncond, &p)); /* a quarter is left of each difference */
  EXPECT(dst, 1, 1.5, 0.5, 2);
  EXPECT(running, 0.25, 0.75, 0.25, 1);
  p.parallel = 0.5;
  p.momentum = 0;
  assert_true(op_apg_into(c, cond, running, cond, uncond, &p));
  EXPECT(cond, 2, 3, 2, 4);
  tens *zero = OF(c, TENS_DIMS(1, 1, 1), 0);
  assert_true(op_apg_into(c, zero, OF(c, TENS_DIMS(1, 1, 1), 0), zero, OF(c, TENS_DIMS(1, 1, 1), 0), &p));
  EXPECT(zero, 0);
  tens_close(c);
}

static void angle_guidance_turns_the_prediction(void **state) {
  tens_ctx *c = open_oracle();
  /* At level 0.5 with x = 0 the predictions are -v/2: b = (1, 0), a at an angle of 0.3 from it. */
  tens *x = OF(c, TENS_DIMS(1, 1, 2), 0, 0), *uncond = OF(c, TENS_DIMS(1, 1, 2), -2, 0);
  tens *cond = OF(c, TENS_DIMS(1, 1, 2), (float)(-2 * cos(0.3)), (float)(-2 * sin(0.3)));
  tens *dst = tens_new(c, TENS_F32, TENS_DIMS(1, 1, 2));
  assert_true(op_adg_into(c, dst, x, cond, uncond, &(op_adg){.t = 0.5f, .weight = 2, .clip = 1}));
  EXPECT(dst, -2 * cos(0.6) * cos(0.3), -2 * (cos(0.6) * sin(0.3) + sin(0.6)));
  assert_true(op_adg_into(c, cond, x, cond, uncond, &(op_adg){.t = 0.5f, .weight = 2, .clip = 0.5}));
  EXPECT(cond, -2 * cos(0.5) * cos(0.3), -2 * (cos(0.5) * sin(0.3) + sin(0.5)));
  tens_close(c);
}

static const int six_levels[] = {8, 8, 8, 5, 5, 5};

static void fsq_counts_the_first_digit_fastest(void **state) {
  tens_ctx *c = open_oracle();
  tens *z = OF(c, TENS_DIMS(3, 6), 0, 9, -9, 0, 9, -9, 9, 9, 9, 9, 9, 9, 0.3f, 0, 0, 0, 0, 0.4f);
  tens *codes = op_fsq_quantize(c, z, six_levels, 6);
  /* 8/7 tanh(0.3 * 7/8) = 0.2933: level floor(7 * 1.2933 / 2 + 0.5) = 5; 1.25 tanh(0.32) = 0.3869: floor(4 * 1.3869 / 2
   * + 0.5) = 3 */
  EXPECT(codes, 1 / 7., 1, -1, 0, 1, -1, 1, 1, 1, 1, 1, 1, 3 / 7., 1 / 7., 1 / 7., 0, 0, 0.5);
  tens *index = op_fsq_index(c, codes, six_levels, 6);
  assert_int_equal(tens_i32(index)[0], 4 + 7 * 8 + 0 * 64 + 2 * 512 + 4 * 2560);
  assert_int_equal(tens_i32(index)[1], 63999);
  assert_int_equal(tens_i32(index)[2], 5 + 4 * 8 + 4 * 64 + 2 * 512 + 2 * 2560 + 3 * 12800);
  tens *back = op_fsq_codes(c, index, six_levels, 6);
  assert_memory_equal(back->data, codes->data, 18 * sizeof(float));
  EXPECT(op_fsq_codes(c, INTS(c, TENS_DIMS(2), -5, 70000), six_levels, 6), -1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1);
  tens_close(c);
}

static void haar_halves_time(void **state) {
  tens_ctx *c = open_oracle();
  const float s = sqrtf(0.5f), dec_lo[] = {s, s}, dec_hi[] = {-s, s}, rec_lo[] = {s, s}, rec_hi[] = {s, -s};
  tens *x = OF(c, TENS_DIMS(1, 3, 2), 1, 10, 3, 30, 5, 50), *low, *high;
  assert_true(op_dwt(c, x, dec_lo, dec_hi, 2, &low, &high));
  EXPECT(low, 4 * s, 40 * s, 5 * s, 50 * s);
  EXPECT(high, -2 * s, -20 * s, 5 * s, 50 * s);
  EXPECT(op_idwt(c, low, high, rec_lo, rec_hi, 2, 3), 1, 10, 3, 30, 5, 50);
  tens_close(c);
}

/* ---- golden cases ------------------------------------------------------------------------------------------------ */

static const st_tensor *golden(const st_file *f, const char *format, ...) ACE_PRINTF(2, 3);
static const st_tensor *golden(const st_file *f, const char *format, ...) {
  char name[64];
  va_list args;
  va_start(args, format);
  vsnprintf(name, sizeof name, format, args);
  va_end(args);
  const st_tensor *t = st_find(f, name);
  if (!t) fail_msg("no tensor %s", name);
  return t;
}

/* [B, C, T] of a golden file as our [B, T, C]. */
static tens *time_major(tens_ctx *c, const st_tensor *t) {
  int64_t B = t->dim[0], C = t->dim[1], T = t->dim[2];
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(B, T, C));
  assert_non_null(x);
  for (int64_t b = 0; b < B; b++)
    for (int64_t i = 0; i < C; i++)
      for (int64_t j = 0; j < T; j++)
        memcpy(&tens_f32(x)[(b * T + j) * C + i], (const float *)t->data + (b * C + i) * T + j, sizeof(float));
  return x;
}

static void expect_golden(const tens *got, const float *want, double tolerance) {
  double worst = 0, top = 0;
  for (int64_t i = 0; i < tens_count(got); i++) {
    worst = fmax(worst, fabs((double)tens_f32(got)[i] - want[i]));
    top = fmax(top, fabs((double)want[i]));
  }
  if (!(worst <= tolerance * top)) fail_msg("off by %g of %g", worst, top);
}

static void wavelet_case(const st_file *f, const char *wavelet, const char *length) {
  tens_ctx *c = open_oracle();
  const st_tensor *lo = golden(f, "out.%s.dec_lo", wavelet), *hi = golden(f, "out.%s.dec_hi", wavelet);
  const st_tensor *rlo = golden(f, "out.%s.rec_lo", wavelet), *rhi = golden(f, "out.%s.rec_hi", wavelet);
  tens *x = time_major(c, golden(f, "in.x_%s", length)), *low, *high;
  tens *want_low = time_major(c, golden(f, "out.%s.%s.low", wavelet, length));
  tens *want_high = time_major(c, golden(f, "out.%s.%s.high", wavelet, length));
  assert_true(op_dwt(c, x, lo->data, hi->data, (int)lo->count, &low, &high));
  assert_int_equal(low->dim[1], want_low->dim[1]);
  expect_golden(low, tens_f32(want_low), 1e-6);
  expect_golden(high, tens_f32(want_high), 1e-6);
  tens *back = op_idwt(c, low, high, rlo->data, rhi->data, (int)rlo->count, x->dim[1]);
  expect_golden(back, tens_f32(x), 1e-6);
  tens_close(c);
}

static void wavelets_equal_the_golden_case(void **state) {
  static const char *const wavelets[] = {"haar", "db2", "db4", "sym4", "sym8", "coif1"};
  st_file *f = golden_open("dwt");
  for (size_t i = 0; i < sizeof wavelets / sizeof *wavelets; i++) {
    wavelet_case(f, wavelets[i], "even");
    wavelet_case(f, wavelets[i], "odd");
  }
  st_close(f);
}

static void quantiser_equals_the_golden_case(void **state) {
  st_file *f = golden_open("fsq_grid");
  tens_ctx *c = open_oracle();
  const st_tensor *z = golden(f, "in.z"), *near = golden(f, "out.near_boundary"), *want = golden(f, "out.codes");
  tens *codes = op_fsq_quantize(c, tens_from(c, TENS_F32, 2, z->dim, z->data), six_levels, 6);
  int compared = 0;
  for (int64_t i = 0; i < z->count; i++) {
    if (((const int32_t *)near->data)[i]) continue;
    assert_true(fabsf(tens_f32(codes)[i] - ((const float *)want->data)[i]) < 1e-6f);
    compared++;
  }
  assert_true(compared > z->count / 2);
  st_close(f);
  f = golden_open("fsq_codes");
  const st_tensor *in = golden(f, "in.indices"), *table = golden(f, "out.codes");
  tens *index = tens_from(c, TENS_I32, 1, in->dim, in->data);
  codes = op_fsq_codes(c, index, six_levels, 6);
  expect_golden(codes, table->data, 1e-6);
  assert_memory_equal(op_fsq_index(c, codes, six_levels, 6)->data, index->data, (size_t)in->count * 4);
  tens_close(c);
  st_close(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(linear_multiplies_by_the_transpose),
      cmocka_unit_test(linear_applies_bias_then_act_then_gate_then_residual),
      cmocka_unit_test(swiglu_gates_with_the_first_matrix),
      cmocka_unit_test(embedding_looks_rows_up),
      cmocka_unit_test(rms_norm_divides_by_the_root_mean_square),
      cmocka_unit_test(head_norm_turns_halves_by_position),
      cmocka_unit_test(attention_weighs_values_by_softmax),
      cmocka_unit_test(attention_scales_by_the_root_of_the_width),
      cmocka_unit_test(attention_masks),
      cmocka_unit_test(neighbouring_heads_share_keys),
      cmocka_unit_test(conv_strides_dilates_and_pads),
      cmocka_unit_test(conv_takes_taps_outside_channels_inside),
      cmocka_unit_test(conv_adds_bias_then_snake_then_residual),
      cmocka_unit_test(transposed_conv_spreads_each_frame),
      cmocka_unit_test(small_operations),
      cmocka_unit_test(latent_operations),
      cmocka_unit_test(projected_guidance_goes_across_the_condition),
      cmocka_unit_test(angle_guidance_turns_the_prediction),
      cmocka_unit_test(fsq_counts_the_first_digit_fastest),
      cmocka_unit_test(haar_halves_time),
      cmocka_unit_test(wavelets_equal_the_golden_case),
      cmocka_unit_test(quantiser_equals_the_golden_case),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
