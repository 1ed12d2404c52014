/* isa.c - one device for each instruction set, and the choice among them. */
#include "tensor/cpu/isa.h"

#include "tensor/cpu/backward.h"
#include "tensor/cpu/cpu.h"
#if defined(__x86_64__)
#include "tensor/cpu/amx.h"
#endif

#include <stdlib.h>
#include <string.h>

/* ---- devices: the operations of cpu.h bound to a table of vector loops ------------------------------------------- */

/* A device function has no argument that could name its instruction set, so each set gets its own. The rest are members
 * of the device that only some sets have. */
#define CPU_DEVICE(ISA, ...)                                                                                         \
  static void linear_##ISA(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e) {               \
    cpu_linear(&cpu_micro_##ISA, c, y, x, w, e);                                                                     \
  }                                                                                                                  \
  static void swiglu_##ISA(tens_ctx *c, tens *y, const tens *x, const tens *w_gate, const tens *w_up) {              \
    cpu_swiglu(&cpu_micro_##ISA, c, y, x, w_gate, w_up);                                                             \
  }                                                                                                                  \
  static bool encode_##ISA(int8_t *q, float *scale, float *w, int64_t k) {                                           \
    return cpu_int8_encode(&cpu_micro_##ISA, q, scale, w, k);                                                        \
  }                                                                                                                  \
  static void finish_##ISA(tens_ctx *c, tens *y, const tens *x, const tens *up, const op_epilogue *e) {              \
    cpu_finish_rows(&cpu_micro_##ISA, c, y, x, up, e);                                                               \
  }                                                                                                                  \
  static void rms_norm_##ISA(tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const tens *scale,       \
                             const tens *shift) {                                                                    \
    cpu_rms_norm(&cpu_micro_##ISA, c, y, x, w, eps, scale, shift);                                                   \
  }                                                                                                                  \
  static void head_norm_##ISA(tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const op_rope *rope) {  \
    cpu_head_norm(&cpu_micro_##ISA, c, y, x, w, eps, rope);                                                          \
  }                                                                                                                  \
  static void attention_##ISA(tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v, const op_attn *a) { \
    cpu_attention(&cpu_micro_##ISA, c, y, q, k, v, a);                                                               \
  }                                                                                                                  \
  static void probs_##ISA(tens_ctx *c, tens *y, const tens *q, const tens *k, const op_attn *a, const int *heads,    \
                          int n) {                                                                                   \
    cpu_attention_probs(&cpu_micro_##ISA, c, y, q, k, a, heads, n);                                                  \
  }                                                                                                                  \
  static void cached_##ISA(tens_ctx *c, tens *y, const tens *q, const op_cache *cache, int heads) {                  \
    cpu_attention_cached(&cpu_micro_##ISA, c, y, q, cache, heads);                                                   \
  }                                                                                                                  \
  static void conv1d_##ISA(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p) {                   \
    cpu_conv1d(&cpu_micro_##ISA, c, y, x, w, p);                                                                     \
  }                                                                                                                  \
  static void transposed_##ISA(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p) {               \
    cpu_conv1d_transposed(&cpu_micro_##ISA, c, y, x, w, p);                                                          \
  }                                                                                                                  \
  static void snake_##ISA(tens_ctx *c, tens *y, const tens *x, const tens *alpha, const tens *inv_beta) {            \
    cpu_snake(&cpu_micro_##ISA, c, y, x, alpha, inv_beta);                                                           \
  }                                                                                                                  \
  static void silu_##ISA(tens_ctx *c, tens *y, const tens *x) {                                                      \
    cpu_silu(&cpu_micro_##ISA, c, y, x);                                                                             \
  }                                                                                                                  \
  static void back_input_##ISA(tens_ctx *c, tens *dx, const tens *dy, const tens *w) {                               \
    cpu_linear_backward_input(&cpu_micro_##ISA, c, dx, dy, w);                                                       \
  }                                                                                                                  \
  static void back_weight_##ISA(tens_ctx *c, tens *dw, const tens *dy, const tens *x) {                              \
    cpu_linear_backward_weight(&cpu_micro_##ISA, c, dw, dy, x);                                                      \
  }                                                                                                                  \
  static void back_attention_##ISA(tens_ctx *c, const tens_attention_grads *g, const tens *dy, const tens *q,        \
                                   const tens *k, const tens *v, const tens *y, const op_attn *a) {                  \
    cpu_attention_backward(&cpu_micro_##ISA, c, g, dy, q, k, v, y, a);                                               \
  }                                                                                                                  \
  static void back_conv1d_##ISA(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,       \
                                const op_conv *p) {                                                                  \
    cpu_conv1d_backward(&cpu_micro_##ISA, c, dx, dw, dy, x, w, p);                                                   \
  }                                                                                                                  \
  static void back_transposed_##ISA(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,   \
                                    const op_conv *p) {                                                              \
    cpu_conv1d_transposed_backward(&cpu_micro_##ISA, c, dx, dw, dy, x, w, p);                                        \
  }                                                                                                                  \
  static void back_snake_##ISA(tens_ctx *c, const tens_snake_grads *g, const tens *dy, const tens *x,                \
                               const tens *alpha, const tens *inv_beta) {                                            \
    cpu_snake_backward(&cpu_micro_##ISA, c, g, dy, x, alpha, inv_beta);                                              \
  }                                                                                                                  \
  static void spectral_##ISA(tens_ctx *c, tens *distance, tens *slope, const tens *x, const tens *y,                 \
                             const op_spectrum *s) {                                                                 \
    cpu_spectral_distance(&cpu_micro_##ISA, c, distance, slope, x, y, s);                                            \
  }                                                                                                                  \
  static const tens_device cpu_##ISA = {                                                                             \
      .name = "cpu",                                                                                                 \
      __VA_ARGS__,                                                                                                   \
      .linear = linear_##ISA,                                                                                        \
      .swiglu = swiglu_##ISA,                                                                                        \
      .int8_encode = encode_##ISA,                                                                                   \
      .finish = finish_##ISA,                                                                                        \
      .embedding = cpu_embedding,                                                                                    \
      .rms_norm = rms_norm_##ISA,                                                                                    \
      .head_norm = head_norm_##ISA,                                                                                  \
      .attention = attention_##ISA,                                                                                  \
      .cache_store = cpu_cache_store,                                                                                \
      .cache_copy = cpu_cache_copy,                                                                                  \
      .attention_cached = cached_##ISA,                                                                              \
      .attention_probs = probs_##ISA,                                                                                \
      .conv1d = conv1d_##ISA,                                                                                        \
      .conv1d_transposed = transposed_##ISA,                                                                         \
      .snake = snake_##ISA,                                                                                          \
      .add = cpu_add,                                                                                                \
      .silu = silu_##ISA,                                                                                            \
      .scale = cpu_scale,                                                                                            \
      .mix_blocks = cpu_mix_blocks,                                                                                  \
      .kron_lengths = cpu_kron_lengths,                                                                              \
      .modulation = cpu_modulation,                                                                                  \
      .sinusoid = cpu_sinusoid,                                                                                      \
      .concat = cpu_concat,                                                                                          \
      .gather = cpu_gather,                                                                                          \
      .prepend = cpu_prepend,                                                                                        \
      .resize = cpu_resize,                                                                                          \
      .outer_add = cpu_outer_add,                                                                                    \
      .fsq_quantize = cpu_fsq_quantize,                                                                              \
      .fsq_index = cpu_fsq_index,                                                                                    \
      .fsq_codes = cpu_fsq_codes,                                                                                    \
      .mix = cpu_mix,                                                                                                \
      .norm_clamp = cpu_norm_clamp,                                                                                  \
      .blend = cpu_blend,                                                                                            \
      .apg = cpu_apg,                                                                                                \
      .adg = cpu_adg,                                                                                                \
      .dwt = cpu_dwt,                                                                                                \
      .idwt = cpu_idwt,                                                                                              \
      .linear_backward_input = back_input_##ISA,                                                                     \
      .linear_backward_weight = back_weight_##ISA,                                                                   \
      .attention_backward = back_attention_##ISA,                                                                    \
      .conv1d_backward = back_conv1d_##ISA,                                                                          \
      .conv1d_transposed_backward = back_transposed_##ISA,                                                           \
      .snake_backward = back_snake_##ISA,                                                                            \
      .spectral_distance = spectral_##ISA,                                                                           \
  };

CPU_DEVICE(plain, .scratch = 0)
#if defined(__x86_64__)
CPU_DEVICE(avx2, .scratch = 0)
CPU_DEVICE(avx512, .scratch = 0)
CPU_DEVICE(amx, .scratch = AMX_SCRATCH, .packed_bytes = amx_packed_bytes, .pack = amx_pack)
#endif

/* ---- the choice -------------------------------------------------------------------------------------------------- */

/* These also ask whether the operating system keeps the wide registers. */
static bool has_plain(void) {
  return true;
}

#if defined(__x86_64__)
static bool has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

typedef struct isa {
  const char *name;
  const tens_device *device;
  bool (*has)(void);
} isa;

/* The best first. */
static const isa sets[] = {
#if defined(__x86_64__)
    {"amx", &cpu_amx, amx_usable},
    {"avx512", &cpu_avx512, has_avx512},
    {"avx2", &cpu_avx2, has_avx2},
#endif
    {"plain", &cpu_plain, has_plain},
};

enum { SETS = sizeof sets / sizeof sets[0] };

static const isa *chosen(void) {
  const char *wish = getenv("ACESTEP_ISA");
  bool exact = wish && !strcmp(wish, "float32");
  for (int i = 0; wish && i < SETS; i++)
    if (!strcmp(wish, sets[i].name) && sets[i].has()) return &sets[i];
  for (int i = 0; i < SETS - 1; i++)
    if (sets[i].has() && !(exact && tens_isa_has_tiles(sets[i].name))) return &sets[i];
  return &sets[SETS - 1];
}

const tens_device *tens_cpu(void) {
  return chosen()->device;
}

const char *tens_isa_name(void) {
  return chosen()->name;
}

const tens_device *tens_cpu_isa(const char *name) {
  for (int i = 0; i < SETS; i++)
    if (!strcmp(name, sets[i].name)) return sets[i].has() ? sets[i].device : NULL;
  return NULL;
}

bool tens_isa_has_tiles(const char *name) {
  return !strcmp(name, "amx");
}

const char *tens_isa_at(int index) {
  return index >= 0 && index < SETS ? sets[index].name : NULL;
}
