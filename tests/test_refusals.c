/* Operations refuse what does not fit, with a message that names the operation: a model with a wrong checkpoint or a
 * wrong request ends with a sentence, never with a crash. The same calls are refused when planning. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/ops_train.h"

static float numbers[1 << 16];
static int32_t integers[1 << 12];

#define TENSOR(dtype, data, ...) \
  (&(tens){dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}, data, NULL, NULL, 0})
#define F(...) TENSOR(TENS_F32, numbers, __VA_ARGS__)
#define H(...) TENSOR(TENS_BF16, numbers, __VA_ARGS__)
#define I(...) TENSOR(TENS_I32, integers, __VA_ARGS__)

static void check(tens_ctx *c, bool refused, const char *op, const char *call, int line) {
  ace_error err = {0};
  ace_status status = tens_error(c, &err);
  if (!refused) fail_msg("line %d: %s was accepted", line, call);
  if (status != ACE_EINVAL) fail_msg("line %d: %s: status %d, %s", line, call, (int)status, err.message);
  size_t n = strlen(op);
  if (strncmp(err.message, op, n) != 0 || err.message[n] != ':' || strchr(err.message, '\n') ||
      strlen(err.message) < n + 8)
    fail_msg("line %d: %s: message \"%s\"", line, call, err.message);
  tens_reset(c);
}

/* The call gives no result and an error that begins with "op:". */
#define REFUSED(op, call) check(c, !(call), op, #call, __LINE__)
static void check_fine(tens_ctx *c, bool fine, const char *call, int line) {
  ace_error err = {0};
  tens_error(c, &err);
  if (!fine) fail_msg("line %d: %s was refused: %s", line, call, err.message);
  tens_reset(c);
}

/* The call is fine: without it the refusals around it would prove nothing. */
#define ACCEPTED(call) check_fine(c, (call), #call, __LINE__)

static void matrix_products(tens_ctx *c) {
  ACCEPTED(op_linear(c, F(2, 3, 8), H(5, 8), NULL));
  REFUSED("linear", op_linear(c, F(2, 3, 8), F(8, 5), NULL));
  REFUSED("linear", op_linear(c, F(2, 3, 8), F(5), NULL));
  REFUSED("linear", op_linear(c, F(2, 3, 8), I(5, 8), NULL));
  REFUSED("linear", op_linear(c, H(2, 3, 8), F(5, 8), NULL));
  ACCEPTED(op_linear(c, F(2, 3, 8), F(5, 8),
                     &(op_epilogue){.bias = F(5), .gate = F(2, 5), .residual = F(2, 3, 5), .act = OP_ACT_SILU}));
  REFUSED("linear", op_linear(c, F(2, 3, 8), F(5, 8), &(op_epilogue){.bias = F(8)}));
  REFUSED("linear", op_linear(c, F(2, 3, 8), F(5, 8), &(op_epilogue){.bias = H(5)}));
  REFUSED("linear", op_linear(c, F(2, 3, 8), F(5, 8), &(op_epilogue){.gate = F(3, 5)}));
  REFUSED("linear", op_linear(c, F(2, 3, 8), F(5, 8), &(op_epilogue){.gate = F(1, 2, 5)}));
  REFUSED("linear", op_linear(c, F(8), F(5, 8), &(op_epilogue){.gate = F(1, 5)}));
  REFUSED("linear", op_linear(c, F(2, 3, 8), F(5, 8), &(op_epilogue){.residual = F(2, 3, 8)}));
  REFUSED("linear", op_linear(c, F(2, 3, 8), F(5, 8), &(op_epilogue){.residual = F(6, 5)}));
  ACCEPTED(op_swiglu(c, F(3, 8), H(5, 8), F(5, 8)));
  REFUSED("swiglu", op_swiglu(c, F(3, 8), F(5, 8), F(6, 8)));
  REFUSED("swiglu", op_swiglu(c, F(3, 8), F(5, 7), F(5, 7)));
  REFUSED("swiglu", op_swiglu(c, F(3, 8), F(5, 8), F(5, 8, 1)));
  ACCEPTED(op_embedding(c, H(9, 4), I(2, 3)));
  REFUSED("embedding", op_embedding(c, H(9, 4), F(2, 3)));
  REFUSED("embedding", op_embedding(c, I(9, 4), I(2, 3)));
  REFUSED("embedding", op_embedding(c, H(9), I(2, 3)));
  REFUSED("embedding", op_embedding(c, H(9, 4), I(1, 1, 2, 3)));
}

static void norms(tens_ctx *c) {
  ACCEPTED(op_rms_norm(c, F(2, 8), F(8), 1e-6f));
  REFUSED("rms_norm", op_rms_norm(c, F(2, 8), F(7), 1e-6f));
  REFUSED("rms_norm", op_rms_norm(c, F(2, 8), H(8), 1e-6f));
  REFUSED("rms_norm", op_rms_norm(c, F(2, 8), F(1, 8), 1e-6f));
  REFUSED("rms_norm", op_rms_norm(c, F(2, 8), F(8), -1));
  REFUSED("rms_norm", op_rms_norm(c, F(2, 8), F(8), NAN));
  ACCEPTED(op_rms_norm_modulated(c, F(2, 3, 8), F(8), 0, F(2, 8), F(2, 8)));
  REFUSED("rms_norm_modulated", op_rms_norm_modulated(c, F(2, 3, 8), F(8), 0, F(3, 8), F(2, 8)));
  REFUSED("rms_norm_modulated", op_rms_norm_modulated(c, F(2, 3, 8), F(8), 0, F(2, 8), F(2, 1, 8)));
  REFUSED("rms_norm_modulated", op_rms_norm_modulated(c, F(2, 8), F(8), 0, F(2, 8), F(2, 8)));
  REFUSED("rms_norm_modulated", op_rms_norm_modulated(c, F(2, 3, 8), F(4), 0, F(2, 8), F(2, 8)));
  const op_rope rope = {.theta = 1e6}, still = {.theta = 0}, early = {.theta = 1e6, .first = -1};
  ACCEPTED(op_head_norm(c, F(2, 3, 8), F(4), 0, &rope));
  ACCEPTED(op_head_norm(c, F(2, 3, 9), F(3), 0, NULL));
  REFUSED("head_norm", op_head_norm(c, F(2, 3, 9), F(3), 0, &rope));
  REFUSED("head_norm", op_head_norm(c, F(2, 3, 8), F(3), 0, &rope));
  REFUSED("head_norm", op_head_norm(c, F(6, 8), F(4), 0, &rope));
  REFUSED("head_norm", op_head_norm(c, F(2, 3, 8), F(16), 0, &rope));
  REFUSED("head_norm", op_head_norm(c, F(2, 3, 8), F(4), 0, &still));
  REFUSED("head_norm", op_head_norm(c, F(2, 3, 8), F(4), 0, &early));
}

static void attentions(tens_ctx *c) {
  const op_attn a = {.heads = 4, .kv_heads = 2, .window = -1},
                causal = {.heads = 4, .kv_heads = 2, .window = -1, .causal = true};
  ACCEPTED(op_attention(c, F(2, 3, 16), F(2, 5, 8), F(2, 5, 8), &a));
  ACCEPTED(op_attention(c, F(2, 5, 16), F(2, 5, 8), F(2, 5, 8), &causal));
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 8), F(2, 5, 8), &causal));
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 8), F(2, 4, 8), &a));
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 8), F(2, 5, 16), &a));
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(1, 5, 8), F(1, 5, 8), &a));
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 16), F(2, 5, 16), &a));
  REFUSED("attention", op_attention(c, F(2, 3, 18), F(2, 5, 8), F(2, 5, 8), &a));
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 8), I(2, 5, 8), &a));
  REFUSED("attention", op_attention(c, F(6, 16), F(2, 5, 8), F(2, 5, 8), &a));
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 12), F(2, 5, 12), &(op_attn){.heads = 4, .kv_heads = 3}));
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 8), F(2, 5, 8), &(op_attn){.heads = 0, .kv_heads = 2}));
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 8), F(2, 5, 8), &(op_attn){.heads = 4, .kv_heads = -2}));
  REFUSED("attention",
          op_attention(c, F(1, 1, 2048), F(1, 1, 2048), F(1, 1, 2048), &(op_attn){.heads = 1, .kv_heads = 1}));
  op_attn masked = a;
  masked.key_mask = I(2, 5);
  ACCEPTED(op_attention(c, F(2, 3, 16), F(2, 5, 8), F(2, 5, 8), &masked));
  masked.key_mask = I(2, 3);
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 8), F(2, 5, 8), &masked));
  masked.key_mask = F(2, 5);
  REFUSED("attention", op_attention(c, F(2, 3, 16), F(2, 5, 8), F(2, 5, 8), &masked));
  ACCEPTED(op_attention_probs(c, F(2, 3, 16), F(2, 5, 8), &a, (int[]){3, 0}, 2));
  REFUSED("attention_probs", op_attention_probs(c, F(2, 3, 16), F(2, 5, 8), &a, (int[]){4}, 1));
  REFUSED("attention_probs", op_attention_probs(c, F(2, 3, 16), F(2, 5, 8), &a, (int[]){-1}, 1));
  REFUSED("attention_probs", op_attention_probs(c, F(2, 3, 16), F(2, 5, 8), &a, (int[]){0}, 0));
  REFUSED("attention_probs", op_attention_probs(c, F(2, 3, 16), F(2, 5, 6), &a, (int[]){0}, 1));
}

static void convolutions(tens_ctx *c) {
  const op_conv plain = {.stride = 1, .dilation = 1};
  ACCEPTED(op_conv1d(c, F(2, 9, 4), H(6, 3, 4), &plain));
  REFUSED("conv1d", op_conv1d(c, F(2, 9, 4), F(6, 4, 3), &plain));
  REFUSED("conv1d", op_conv1d(c, F(2, 9, 4), F(6, 12), &plain));
  REFUSED("conv1d", op_conv1d(c, F(9, 4), F(6, 3, 4), &plain));
  REFUSED("conv1d", op_conv1d(c, F(2, 2, 4), F(6, 3, 4), &plain)); /* shorter than the filter */
  REFUSED("conv1d", op_conv1d(c, F(2, 9, 4), F(6, 3, 4), &(op_conv){.stride = 1, .dilation = 9}));
  REFUSED("conv1d", op_conv1d(c, F(2, 9, 4), F(6, 3, 4), &(op_conv){.stride = 0, .dilation = 1}));
  REFUSED("conv1d", op_conv1d(c, F(2, 9, 4), F(6, 3, 4), &(op_conv){.stride = 1, .dilation = 0}));
  REFUSED("conv1d", op_conv1d(c, F(2, 9, 4), F(6, 3, 4), &(op_conv){.stride = 1, .dilation = 1, .pad = -1}));
  REFUSED("conv1d", op_conv1d(c, F(2, 9, 4), F(6, 3, 4), &(op_conv){.stride = 1, .dilation = 1, .pad = INT32_MAX}));
  REFUSED("conv1d", op_conv1d(c, F(2, 9, 4), F(6, 3, 4), &(op_conv){.stride = 1, .dilation = 1, .bias = F(4)}));
  REFUSED("conv1d", op_conv1d(c, F(2, 9, 4), F(6, 3, 4),
                              &(op_conv){.stride = 1, .dilation = 1, .alpha = F(4), .inv_beta = F(6)}));
  REFUSED("conv1d",
          op_conv1d(c, F(2, 9, 4), F(6, 3, 4), &(op_conv){.stride = 1, .dilation = 1, .residual = F(2, 9, 6)}));
  ACCEPTED(op_conv1d(c, F(2, 9, 4), F(6, 3, 4), &(op_conv){.stride = 1, .dilation = 1, .residual = F(2, 7, 6)}));
  const char *op = "conv1d_transposed";
  ACCEPTED(op_conv1d_transposed(c, F(2, 9, 4), H(6, 5, 4), &(op_conv){.stride = 3, .pad = 2}));
  REFUSED(op, op_conv1d_transposed(c, F(2, 9, 4), F(6, 5, 4), &(op_conv){.stride = 4}));
  REFUSED(op, op_conv1d_transposed(c, F(2, 9, 4), F(6, 4, 5), &(op_conv){.stride = 3}));
  REFUSED(op, op_conv1d_transposed(c, F(2, 9, 4), F(6, 5, 4), &(op_conv){.stride = 3, .pad = 15}));
  REFUSED(op, op_conv1d_transposed(c, F(2, 9, 4), F(6, 5, 4), &(op_conv){.stride = 0}));
  REFUSED(op, op_conv1d_transposed(c, F(2, 9, 4), F(6, 5, 4), &(op_conv){.stride = 3, .bias = F(6)}));
  ACCEPTED(op_snake(c, F(2, 9, 4), F(4), F(4)));
  REFUSED("snake", op_snake(c, F(2, 9, 4), F(4), F(5)));
  REFUSED("snake", op_snake(c, F(2, 9, 4), F(9), F(4)));
}

static void small_ones(tens_ctx *c) {
  REFUSED("add", op_add(c, F(2, 3), F(3, 2)));
  REFUSED("add", op_add(c, F(2, 3), F(6)));
  REFUSED("add", op_add(c, F(2, 3), I(2, 3)));
  REFUSED("silu", op_silu(c, I(2, 3)));
  ACCEPTED(op_scale(c, F(2, 3), F(3)));
  REFUSED("scale", op_scale(c, F(2, 3), F(2)));
  REFUSED("scale", op_scale(c, F(2, 3), H(3)));
  ACCEPTED(op_mix_blocks(c, F(2, 3, 8), F(5, 4), &(op_epilogue){.gate = F(2, 10), .residual = F(2, 3, 10)}));
  REFUSED("mix_blocks", op_mix_blocks(c, F(2, 3, 8), F(5, 3), NULL));
  REFUSED("mix_blocks", op_mix_blocks(c, F(2, 3, 8), H(5, 4), NULL));
  REFUSED("mix_blocks", op_mix_blocks(c, F(2, 3, 8), F(5, 4), &(op_epilogue){.bias = F(10)}));
  REFUSED("mix_blocks", op_mix_blocks(c, F(2, 3, 8), F(5, 4), &(op_epilogue){.act = OP_ACT_SILU}));
  REFUSED("mix_blocks", op_mix_blocks(c, F(2, 3, 8), F(5, 4), &(op_epilogue){.gate = F(2, 8)}));
  REFUSED("mix_blocks", op_mix_blocks(c, F(2, 3, 8), F(5, 4), &(op_epilogue){.residual = F(2, 3, 8)}));
  ACCEPTED(op_kron_lengths(c, H(6, 8), F(2, 4), F(3, 2), F(6), 0));
  REFUSED("kron_lengths", op_kron_lengths(c, H(6, 8), F(3, 4), F(3, 2), F(6), 0));
  REFUSED("kron_lengths", op_kron_lengths(c, H(6, 8), F(2, 4), F(3, 3), F(6), 0));
  REFUSED("kron_lengths", op_kron_lengths(c, H(6, 8), F(2, 4), F(3, 2), F(8), 0));
  REFUSED("kron_lengths", op_kron_lengths(c, H(6, 8), H(2, 4), F(3, 2), F(6), 0));
  REFUSED("kron_lengths", op_kron_lengths(c, H(6, 8), F(2, 4), F(3, 2), F(6), -1));
  REFUSED("kron_lengths", op_kron_lengths(c, H(1, 40000), F(1, 1), F(1, 40000), F(1), 0));
  ACCEPTED(op_modulation(c, F(6, 4), F(2, 24)));
  REFUSED("modulation", op_modulation(c, F(6, 4), F(2, 23)));
  REFUSED("modulation", op_modulation(c, F(1, 6, 4), F(2, 24)));
  ACCEPTED(op_sinusoid(c, F(3), 2, 1));
  REFUSED("sinusoid", op_sinusoid(c, F(3), 7, 1));
  REFUSED("sinusoid", op_sinusoid(c, F(3), 0, 1));
  REFUSED("sinusoid", op_sinusoid(c, F(3, 1), 8, 1));
  ACCEPTED(op_concat(c, 2, (const tens *[]){F(2, 3, 4), F(2, 3, 1)}));
  REFUSED("concat", op_concat(c, 2, (const tens *[]){F(2, 3, 4), F(3, 2, 4)}));
  REFUSED("concat", op_concat(c, 2, (const tens *[]){F(2, 3, 4), F(6, 4)}));
  REFUSED("concat", op_concat(c, 0, (const tens *[]){F(2, 3, 4)}));
  REFUSED("concat", op_concat(c, 5, (const tens *[]){F(1), F(1), F(1), F(1), F(1)}));
  ACCEPTED(op_join(c, 2, (const tens *[]){F(2, 3, 4), F(2, 9, 4)}));
  REFUSED("join", op_join(c, 2, (const tens *[]){F(2, 3, 4), F(1, 3, 4)}));
  REFUSED("join", op_join(c, 2, (const tens *[]){F(2, 3, 4), F(2, 3, 5)}));
  REFUSED("join", op_join(c, 2, (const tens *[]){F(2, 3, 4), F(2, 12)}));
  REFUSED("join", op_join(c, 0, (const tens *[]){F(2, 3, 4)}));
  ACCEPTED(op_gather(c, F(2, 3, 4), I(2, 9)));
  REFUSED("gather", op_gather(c, F(2, 3, 4), I(3, 2)));
  REFUSED("gather", op_gather(c, F(2, 3, 4), F(2, 9)));
  REFUSED("prepend", op_prepend(c, F(2, 3, 4), F(3)));
  REFUSED("prepend", op_prepend(c, F(2, 3, 4), F(1, 4)));
  REFUSED("resize", op_resize(c, F(2, 12), 3));
  REFUSED("tensor", op_resize(c, F(2, 3, 4), 0));
  REFUSED("tensor", op_resize(c, F(2, 3, 4), INT64_MAX));
  REFUSED("outer_add", op_outer_add(c, F(2, 3), F(4, 4)));
}

static void quantiser(tens_ctx *c) {
  static const int good[] = {8, 5}, tiny[] = {8, 1}, huge[] = {65536, 65536};
  ACCEPTED(op_fsq_quantize(c, F(3, 2), good, 2));
  REFUSED("fsq_quantize", op_fsq_quantize(c, F(3, 3), good, 2));
  REFUSED("fsq_quantize", op_fsq_quantize(c, F(3, 2), tiny, 2));
  REFUSED("fsq_quantize", op_fsq_quantize(c, F(3, 2), huge, 2));
  REFUSED("fsq_quantize", op_fsq_quantize(c, F(3, 2), good, 0));
  REFUSED("fsq_index", op_fsq_index(c, F(3, 4), good, 2));
  REFUSED("fsq_index", op_fsq_index(c, F(2), good, 2));
  REFUSED("fsq_index", op_fsq_index(c, I(3, 2), good, 2));
  REFUSED("fsq_codes", op_fsq_codes(c, F(3), good, 2));
  REFUSED("fsq_codes", op_fsq_codes(c, I(3), tiny, 2));
  REFUSED("fsq_codes", op_fsq_codes(c, I(1, 1, 1, 3), good, 2));
}

static void latents(tens_ctx *c) {
  static const float filter[8] = {0};
  tens *low, *high;
  ACCEPTED(op_mix_into(c, F(2, 3), 1, F(2, 3), 1, NULL));
  REFUSED("mix", op_mix_into(c, F(2, 3), 1, F(3, 2), 1, NULL));
  REFUSED("mix", op_mix_into(c, F(2, 3), 1, F(2, 3), 1, F(6)));
  REFUSED("norm_clamp", op_norm_clamp(c, F(2, 3), F(2, 4), 1));
  REFUSED("norm_clamp", op_norm_clamp(c, F(2, 3), F(2, 3), 0));
  REFUSED("norm_clamp", op_norm_clamp(c, F(2, 3), F(2, 3), NAN));
  ACCEPTED(op_blend_into(c, F(2, 3, 4), F(2, 3), F(2, 3, 4), F(2, 3, 4)));
  REFUSED("blend", op_blend_into(c, F(2, 3, 4), F(2, 4), F(2, 3, 4), F(2, 3, 4)));
  REFUSED("blend", op_blend_into(c, F(2, 3, 4), F(2, 3), F(2, 3, 5), F(2, 3, 4)));
  const op_apg apg = {.scale = 7, .threshold = 2.5};
  ACCEPTED(op_apg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), &apg));
  REFUSED("apg", op_apg_into(c, F(2, 3, 4), F(1, 3, 4), F(2, 3, 4), F(2, 3, 4), &apg));
  REFUSED("apg", op_apg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 4, 3), F(2, 3, 4), &apg));
  REFUSED("apg", op_apg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), F(2, 12), &apg));
  REFUSED("apg", op_apg_into(c, F(6, 4), F(6, 4), F(6, 4), F(6, 4), &apg));
  REFUSED("apg", op_apg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), &(op_apg){.scale = 7}));
  REFUSED("apg", op_apg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), &(op_apg){.threshold = NAN}));
  const op_adg adg = {.t = 0.5f, .clip = 0.5};
  ACCEPTED(op_adg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), &adg));
  REFUSED("adg", op_adg_into(c, F(2, 3, 4), F(2, 3, 5), F(2, 3, 4), F(2, 3, 4), &adg));
  REFUSED("adg", op_adg_into(c, F(2, 3, 4), F(2, 3, 4), F(3, 3, 4), F(2, 3, 4), &adg));
  REFUSED("adg", op_adg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), I(2, 3, 4), &adg));
  REFUSED("adg", op_adg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), &(op_adg){.t = 0, .clip = 1}));
  REFUSED("adg", op_adg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), &(op_adg){.t = NAN, .clip = 1}));
  REFUSED("adg", op_adg_into(c, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), &(op_adg){.t = 1, .clip = -1}));
  ACCEPTED(op_dwt(c, F(2, 3, 4), filter, filter, 8, &low, &high));
  REFUSED("dwt", op_dwt(c, F(6, 4), filter, filter, 8, &low, &high));
  REFUSED("dwt", op_dwt(c, F(2, 3, 4), filter, filter, 7, &low, &high));
  REFUSED("dwt", op_dwt(c, F(2, 3, 4), filter, filter, 0, &low, &high));
  REFUSED("dwt", op_dwt(c, F(2, 3, 4), filter, filter, 1 << 20, &low, &high));
  assert_null(low);
  ACCEPTED(op_idwt(c, F(2, 5, 4), F(2, 5, 4), filter, filter, 8, 3));
  REFUSED("idwt", op_idwt(c, F(2, 5, 4), F(2, 4, 4), filter, filter, 8, 3));
  REFUSED("idwt", op_idwt(c, F(2, 5, 4), F(2, 5, 4), filter, filter, 8, 5));
  REFUSED("idwt", op_idwt(c, F(2, 5, 4), F(2, 5, 4), filter, filter, 8, 0));
  REFUSED("idwt", op_idwt(c, F(2, 5, 4), F(2, 5, 4), filter, filter, 8, INT64_MAX));
}

static void in_both_kinds_of_context(void (*calls)(tens_ctx *c)) {
  for (int plan = 0; plan < 2; plan++) {
    ace_error err;
    tens_ctx *c = tens_open(&(tens_options){.device = tens_oracle(), .capacity = 1 << 20, .plan = plan}, &err);
    calls(c);
    tens_close(c);
  }
}

static void refuses_wrong_matrix_products(void **state) {
  in_both_kinds_of_context(matrix_products);
}

static void refuses_wrong_norms(void **state) {
  in_both_kinds_of_context(norms);
}

static void refuses_wrong_attention(void **state) {
  in_both_kinds_of_context(attentions);
}

static void refuses_wrong_convolutions(void **state) {
  in_both_kinds_of_context(convolutions);
}

static void refuses_wrong_small_ones(void **state) {
  in_both_kinds_of_context(small_ones);
}

static void refuses_a_wrong_quantiser(void **state) {
  in_both_kinds_of_context(quantiser);
}

static void refuses_wrong_latents(void **state) {
  in_both_kinds_of_context(latents);
}

static void refuses_numbers_outside_a_table(void **state) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.device = tens_oracle(), .capacity = 1 << 20}, &err);
  static const int32_t bad[] = {9, -1, INT32_MIN, INT32_MAX};
  for (int i = 0; i < 4; i++) {
    int32_t ids[6] = {0, 8, 0, 0, bad[i], 0};
    REFUSED("embedding", op_embedding(c, F(9, 4), TENSOR(TENS_I32, ids, 2, 3)));
    ids[4] = i == 1 ? 9 : bad[i]; /* -1 is a row of zeros */
    REFUSED("gather", op_gather(c, F(1, 9, 4), TENSOR(TENS_I32, ids, 1, 6)));
  }
  tens_close(c);
}

static void refuses_malformed_tensors(void **state) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.device = tens_oracle(), .capacity = 1 << 20}, &err);
  REFUSED("silu", op_silu(c, &(tens){TENS_F32, 0, {0}, numbers, NULL, NULL, 0}));
  REFUSED("silu", op_silu(c, &(tens){TENS_F32, 9, {1}, numbers, NULL, NULL, 0}));
  REFUSED("silu", op_silu(c, &(tens){TENS_F32, 2, {4, 0}, numbers, NULL, NULL, 0}));
  REFUSED("silu", op_silu(c, &(tens){TENS_F32, 2, {INT64_MAX, 3}, numbers, NULL, NULL, 0}));
  assert_null(op_silu(c, &(tens){TENS_F32, 2, {4, 3}, NULL, NULL, NULL, 0}));
  assert_int_equal(tens_status(c), ACE_EINTERNAL);
  tens_close(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_wrong_matrix_products), cmocka_unit_test(refuses_wrong_norms),
      cmocka_unit_test(refuses_wrong_attention),       cmocka_unit_test(refuses_wrong_convolutions),
      cmocka_unit_test(refuses_wrong_small_ones),      cmocka_unit_test(refuses_a_wrong_quantiser),
      cmocka_unit_test(refuses_wrong_latents),         cmocka_unit_test(refuses_numbers_outside_a_table),
      cmocka_unit_test(refuses_malformed_tensors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
