/* cpu.h - the operations of the CPU device; those that use vector instructions take the table to use. */
#ifndef ACE_CPU_H
#define ACE_CPU_H

#include "tensor/cpu/micro.h"
#include "tensor/device.h"

void cpu_linear(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e);
void cpu_swiglu(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w_gate, const tens *w_up);
void cpu_finish_rows(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *up, const op_epilogue *e);
void cpu_conv1d(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p);
void cpu_conv1d_transposed(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *p);
void cpu_rms_norm(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const tens *scale,
                  const tens *shift);
void cpu_head_norm(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, float eps,
                   const op_rope *rope);
void cpu_attention(const cpu_micro *m, tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v,
                   const op_attn *a);
void cpu_attention_probs(const cpu_micro *m, tens_ctx *c, tens *y, const tens *q, const tens *k, const op_attn *a,
                         const int *heads, int n);
void cpu_attention_cached(const cpu_micro *m, tens_ctx *c, tens *y, const tens *q, const op_cache *cache, int heads);
/* int8_encode of tensor/int8.h. */
bool cpu_int8_encode(const cpu_micro *m, int8_t *q, float *scale, float *w, int64_t k);
void cpu_snake(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *alpha, const tens *inv_beta);
void cpu_silu(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x);

void cpu_cache_store(tens_ctx *c, const op_cache *cache, const tens *k, const tens *v);
void cpu_cache_copy(tens_ctx *c, const op_cache *cache, int64_t from, int64_t to);
void cpu_embedding(tens_ctx *c, tens *y, const tens *table, const tens *ids);
void cpu_add(tens_ctx *c, tens *y, const tens *a, const tens *b);
void cpu_scale(tens_ctx *c, tens *y, const tens *x, const tens *w);
void cpu_mix_blocks(tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e);
void cpu_kron_lengths(tens_ctx *c, tens *y, const tens *w, const tens *w1, const tens *w2, const tens *m, float eps);
/* Row i of w + w1 kron w2 into v [K], and its length. */
double cpu_kron_row(const tens *w, const tens *w1, const tens *w2, int64_t i, float *v);
/* Row i of a weight [N, K] of any type into v [K]. */
void cpu_weight_row(const tens *w, int64_t i, float *v);
/* The sum of a b over a short row: LANES running sums in F32. */
double cpu_short_dot(const float *a, const float *b, int64_t n);
void cpu_modulation(tens_ctx *c, tens *y, const tens *table, const tens *rows);
void cpu_sinusoid(tens_ctx *c, tens *y, const tens *t, float scale);
void cpu_concat(tens_ctx *c, tens *y, int n, const tens *const *parts);
void cpu_gather(tens_ctx *c, tens *y, const tens *x, const tens *index);
void cpu_prepend(tens_ctx *c, tens *y, const tens *x, const tens *row);
void cpu_resize(tens_ctx *c, tens *y, const tens *x);
void cpu_outer_add(tens_ctx *c, tens *y, const tens *x, const tens *rows);
void cpu_fsq_quantize(tens_ctx *c, tens *codes, const tens *z, const int *levels, int d);
void cpu_fsq_index(tens_ctx *c, tens *index, const tens *codes, const int *levels, int d);
void cpu_fsq_codes(tens_ctx *c, tens *codes, const tens *index, const int *levels, int d);
void cpu_mix(tens_ctx *c, tens *dst, float a, const tens *x, float b, const tens *y);
void cpu_norm_clamp(tens_ctx *c, tens *y, const tens *v, const tens *x, float limit);
void cpu_blend(tens_ctx *c, tens *dst, const tens *mask, const tens *a, const tens *b);
void cpu_apg(tens_ctx *c, tens *dst, tens *running, const tens *cond, const tens *uncond, const op_apg *p);
void cpu_adg(tens_ctx *c, tens *dst, const tens *x, const tens *cond, const tens *uncond, const op_adg *p);
void cpu_dwt(tens_ctx *c, tens *low, tens *high, const tens *x, const float *lo, const float *hi, int taps);
void cpu_idwt(tens_ctx *c, tens *y, const tens *low, const tens *high, const float *lo, const float *hi, int taps);

/* Runs fn(arg, first, count, worker) over 0..n-1 in even pieces, each of about `cost` units of work in all an item;
 * what is too little to share is done at once. Pieces never change results. */
typedef void (*cpu_range_fn)(void *arg, int64_t first, int64_t count, int worker);
void cpu_for(tens_ctx *c, int64_t n, int64_t cost, cpu_range_fn fn, void *arg);

static inline int64_t cpu_min(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static inline int64_t cpu_max(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static inline int64_t cpu_ceil(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

#endif
