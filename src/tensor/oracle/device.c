/* device.c - the oracle's table. */
#include "tensor/oracle/oracle.h"

const tens_device *tens_oracle(void) {
  static const tens_device oracle = {
      .name = "oracle",
      .linear = oracle_linear,
      .swiglu = oracle_swiglu,
      .embedding = oracle_embedding,
      .rms_norm = oracle_rms_norm,
      .head_norm = oracle_head_norm,
      .attention = oracle_attention,
      .attention_probs = oracle_attention_probs,
      .cache_store = oracle_cache_store,
      .cache_copy = oracle_cache_copy,
      .attention_cached = oracle_attention_cached,
      .conv1d = oracle_conv1d,
      .conv1d_transposed = oracle_conv1d_transposed,
      .snake = oracle_snake_op,
      .add = oracle_add,
      .silu = oracle_silu_op,
      .scale = oracle_scale,
      .mix_blocks = oracle_mix_blocks,
      .modulation = oracle_modulation,
      .sinusoid = oracle_sinusoid,
      .concat = oracle_concat,
      .gather = oracle_gather,
      .prepend = oracle_prepend,
      .resize = oracle_resize,
      .outer_add = oracle_outer_add,
      .fsq_quantize = oracle_fsq_quantize,
      .fsq_index = oracle_fsq_index,
      .fsq_codes = oracle_fsq_codes,
      .mix = oracle_mix,
      .norm_clamp = oracle_norm_clamp,
      .blend = oracle_blend,
      .apg = oracle_apg,
      .adg = oracle_adg,
      .dwt = oracle_dwt,
      .idwt = oracle_idwt,
  };
  return &oracle;
}
