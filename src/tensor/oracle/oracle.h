/* oracle.h - the functions of the oracle device: for each operation the shortest loop that says what it means. Sums are
 * double, nothing is fused, one thread. They are slow on purpose and the reference of every other device. */
#ifndef ACE_TENSOR_ORACLE_H
#define ACE_TENSOR_ORACLE_H

#include "base/half.h"
#include "tensor/device.h"
#include "tensor/int8.h"

/* Element i of a weight that is no TENS_I8. */
static inline double oracle_weight(const tens *w, int64_t i) {
  if (w->dtype == TENS_Q8_0) {
    float block[Q8_0_BLOCK];
    q8_0_decode(block, (const uint8_t *)w->data + i / Q8_0_BLOCK * Q8_0_BYTES, Q8_0_BLOCK);
    return block[i % Q8_0_BLOCK];
  }
  return w->dtype == TENS_BF16 ? bf16_to_f32(((const uint16_t *)w->data)[i]) : tens_f32(w)[i];
}

/* Rows of the last dim. */
static inline int64_t oracle_rows(const tens *x) {
  return tens_count(x) / x->dim[x->rank - 1];
}

double oracle_silu(double x);
double oracle_snake(double u, double alpha, double inv_beta);

void oracle_linear(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e);
void oracle_swiglu(tens_ctx *c, tens *y, const tens *x, const tens *w_gate, const tens *w_up);
void oracle_embedding(tens_ctx *c, tens *y, const tens *table, const tens *ids);
void oracle_rms_norm(tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const tens *scale,
                     const tens *shift);
void oracle_head_norm(tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const op_rope *rope);
void oracle_attention(tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v, const op_attn *a);
void oracle_attention_probs(tens_ctx *c, tens *y, const tens *q, const tens *k, const op_attn *a, const int *heads,
                            int n);
void oracle_conv1d(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p);
void oracle_conv1d_transposed(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p);
void oracle_snake_op(tens_ctx *c, tens *y, const tens *x, const tens *alpha, const tens *inv_beta);
void oracle_add(tens_ctx *c, tens *y, const tens *a, const tens *b);
void oracle_silu_op(tens_ctx *c, tens *y, const tens *x);
void oracle_finish(tens_ctx *c, tens *y, const tens *x, const tens *up, const op_epilogue *e);
void oracle_scale(tens_ctx *c, tens *y, const tens *x, const tens *w);
void oracle_mix_blocks(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e);
void oracle_kron_lengths(tens_ctx *c, tens *y, const tens *w, const tens *w1, const tens *w2, const tens *m, float eps);
void oracle_modulation(tens_ctx *c, tens *y, const tens *table, const tens *rows);
void oracle_sinusoid(tens_ctx *c, tens *y, const tens *t, float scale);
void oracle_cache_store(tens_ctx *c, const op_cache *cache, const tens *k, const tens *v);
void oracle_cache_copy(tens_ctx *c, const op_cache *cache, int64_t from, int64_t to);
void oracle_attention_cached(tens_ctx *c, tens *y, const tens *q, const op_cache *cache, int heads);
void oracle_concat(tens_ctx *c, tens *y, int n, const tens *const *parts);
void oracle_gather(tens_ctx *c, tens *y, const tens *x, const tens *index);
void oracle_prepend(tens_ctx *c, tens *y, const tens *x, const tens *row);
void oracle_resize(tens_ctx *c, tens *y, const tens *x);
void oracle_outer_add(tens_ctx *c, tens *y, const tens *x, const tens *rows);
void oracle_fsq_quantize(tens_ctx *c, tens *codes, const tens *z, const int *levels, int d);
void oracle_fsq_index(tens_ctx *c, tens *index, const tens *codes, const int *levels, int d);
void oracle_fsq_codes(tens_ctx *c, tens *codes, const tens *index, const int *levels, int d);
void oracle_mix(tens_ctx *c, tens *dst, float a, const tens *x, float b, const tens *y);
void oracle_norm_clamp(tens_ctx *c, tens *y, const tens *v, const tens *x, float limit);
void oracle_blend(tens_ctx *c, tens *dst, const tens *mask, const tens *a, const tens *b);
void oracle_apg(tens_ctx *c, tens *dst, tens *running, const tens *cond, const tens *uncond, const op_apg *p);
void oracle_adg(tens_ctx *c, tens *dst, const tens *x, const tens *cond, const tens *uncond, const op_adg *p);
void oracle_dwt(tens_ctx *c, tens *low, tens *high, const tens *x, const float *lo, const float *hi, int taps);
void oracle_idwt(tens_ctx *c, tens *y, const tens *low, const tens *high, const float *lo, const float *hi, int taps);
void oracle_linear_backward_input(tens_ctx *c, tens *dx, const tens *dy, const tens *w);
void oracle_linear_backward_weight(tens_ctx *c, tens *dw, const tens *dy, const tens *x);
void oracle_attention_backward(tens_ctx *c, const tens_attention_grads *g, const tens *dy, const tens *q, const tens *k,
                               const tens *v, const tens *y, const op_attn *a);
void oracle_conv1d_backward(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                            const op_conv *p);
void oracle_conv1d_transposed_backward(tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x, const tens *w,
                                       const op_conv *p);
void oracle_snake_backward(tens_ctx *c, const tens_snake_grads *g, const tens *dy, const tens *x, const tens *alpha,
                           const tens *inv_beta);
void oracle_spectral_distance(tens_ctx *c, tens *distance, tens *slope, const tens *x, const tens *y,
                              const op_spectrum *s);

#endif
