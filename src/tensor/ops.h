/* ops.h - the list of operations: the only seam between models and hardware.
 *
 * Letters: B batch, S/T positions in time, C/K/N channels, H model width, D head width, V vocabulary. Activations are
 * F32. Weights marked * may be BF16 or F32 and are widened to F32 as they are read; those marked ** also TENS_Q8_0,
 * likewise, or TENS_I8, whose products are formed as int8.h says; all other weights are F32. Unless it says otherwise an
 * operation computes in F32, in an order that depends only on the shapes of one row: a row's result is the same alone,
 * in a batch, and for every number of threads.
 *
 * Each operation checks its shapes, allocates its result in the context and calls the device. It returns NULL and
 * records an error for a wrong shape or a missing input; after a failure it returns NULL at once.
 */
#ifndef ACE_OPS_H
#define ACE_OPS_H

#include "tensor/tensor.h"

/* ---- matrix products -------------------------------------------------------------------------------------------- */

typedef enum op_act { OP_ACT_NONE, OP_ACT_SILU } op_act;

/* What happens to each product before it is stored: y = residual + gate * act(product + bias). Any member may be NULL.
 */
typedef struct op_epilogue {
  const tens *bias; /* [N] */
  op_act act;
  const tens *gate;     /* [B, N], one row per batch item (x is [B, ..., K]) */
  const tens *residual; /* the shape of the result */
} op_epilogue;

/* x [..., K], w** [N, K] -> [..., N]: y = epilogue(x wᵀ). `e` may be NULL. */
tens *op_linear(tens_ctx *c, const tens *x, const tens *w, const op_epilogue *e);

/* x [..., K], w_gate** [N, K], w_up** [N, K] -> [..., N]: silu(x w_gateᵀ) * (x w_upᵀ). */
tens *op_swiglu(tens_ctx *c, const tens *x, const tens *w_gate, const tens *w_up);

/* x [..., K], w F32 [P, Q], Q divides K, C = K/Q -> [..., P*C]: y = epilogue((w kron I) x), that is
 * y[p*C + k] = Σ_q w[p, q] x[q*C + k]. The epilogue has neither bias nor activation; `e` may be NULL. After a linear
 * layer of weight v over the blocks of x, this makes a layer of weight w kron v. */
tens *op_mix_blocks(tens_ctx *c, const tens *x, const tens *w, const op_epilogue *e);

/* table** [V, H], ids I32 [...] in 0..V-1 -> F32 [..., H]. An id outside the table is an error. */
tens *op_embedding(tens_ctx *c, const tens *table, const tens *ids);

/* ---- normalisation, position ------------------------------------------------------------------------------------ */

/* x [..., H], w [H]: w * x / sqrt(mean(x²) + eps). */
tens *op_rms_norm(tens_ctx *c, const tens *x, const tens *w, float eps);

/* x [B, S, H], scale and shift [B, H]: rms_norm(x) * (1 + scale) + shift (adaptive layer norm). */
tens *op_rms_norm_modulated(tens_ctx *c, const tens *x, const tens *w, float eps, const tens *scale, const tens *shift);

/* Rotary position embedding, half-split form: (x[j], x[j+D/2]) turned by position * theta^(-2j/D). The angle and its
 * cosine and sine are formed in double, then rounded to F32. */
typedef struct op_rope {
  double theta;
  int first;         /* position of row 0 */
  const tens *start; /* I32 [B]: added to `first` for each item; NULL: nothing is */
} op_rope;

/* x [B, S, heads*D], w [D]: RMS norm over each head's D values, then rotation. rope NULL: no rotation. */
tens *op_head_norm(tens_ctx *c, const tens *x, const tens *w, float eps, const op_rope *rope);

/* ---- attention -------------------------------------------------------------------------------------------------- */

/* Query i may see key j if all hold: causal -> j <= i; window >= 0 -> |i-j| <= window; key_mask[b][j] != 0. A query
 * that may see no key attends to every key equally (what adding the lowest float to all scores does). */
typedef struct op_attn {
  int heads, kv_heads;  /* query head h reads key/value head h / (heads / kv_heads) */
  bool causal;          /* needs Sq == Sk */
  int window;           /* -1: none */
  const tens *key_mask; /* I32 [B, Sk] or NULL */
} op_attn;

/* q [B, Sq, heads*D], k and v [B, Sk, kv_heads*D] -> [B, Sq, heads*D]: softmax(q kᵀ / sqrt(D)) v with a running
 * maximum and sum (Milakov & Gimelshein 2018); the Sq x Sk matrix is never stored. D <= 1024. */
tens *op_attention(tens_ctx *c, const tens *q, const tens *k, const tens *v, const op_attn *a);

/* The probabilities themselves for n chosen query heads: [B, n, Sq, Sk]. For lyric alignment; memory grows with Sq*Sk.
 */
tens *op_attention_probs(tens_ctx *c, const tens *q, const tens *k, const op_attn *a, const int *heads, int n);

/* ---- attention to keys and values that stay from call to call ---------------------------------------------------- */

/* A cache in pages of `page` positions, dealt to sequences by number (Kwon et al. 2023): sequences of any length share
 * one block of memory, and a common beginning is stored once. The pages belong to the caller. */
typedef struct op_cache {
  tens *k, *v;        /* [pages, kv_heads, page, D], F32 or BF16 (values are rounded when they are stored) */
  const tens *table;  /* I32 [R, most]: the pages of each row's sequence in order; a row of pages may be shared as long
                         as no call stores into it */
  const tens *length; /* I32 [R]: positions that are there before the call */
} op_cache;

/* k, v [R, S, kv_heads*D] become positions length[r]..length[r]+S-1 of each row's sequence. */
bool op_cache_store(tens_ctx *c, const op_cache *cache, const tens *k, const tens *v);
/* Page `from` becomes a copy of itself in page `to`, so that two sequences may go on from a page that is not full. */
bool op_cache_copy(tens_ctx *c, const op_cache *cache, int64_t from, int64_t to);
/* q [R, S, heads*D], stored positions length[r].. included -> [R, S, heads*D]: query i of row r sees positions
 * 0..length[r]+i. Up to OP_CACHED_FEW new positions are each computed as if they came alone, bit for bit; more at once
 * are computed as a matrix, which equals that up to rounding, and bit for bit however a text is cut into such pieces.
 */
enum { OP_CACHED_FEW = 64 };
tens *op_attention_cached(tens_ctx *c, const tens *q, const op_cache *cache, int heads);

/* ---- convolution over time: x [B, T, C] ------------------------------------------------------------------------- */

/* y = residual + snake(product + bias). Snake (Ziyin et al. 2020): u + sin(alpha*u)² * inv_beta, per channel. */
typedef struct op_conv {
  int stride, pad, dilation;    /* zero padding of `pad` on both sides */
  const tens *bias;             /* [O] or NULL */
  const tens *alpha, *inv_beta; /* [O] both or NULL */
  const tens *residual;         /* the shape of the result, or NULL */
} op_conv;

/* w* [O, taps, C]: y[t, o] = Σ_k Σ_c x[t*stride + k*dilation - pad, c] w[o, k, c];
 * T' = (T + 2 pad - dilation (taps-1) - 1) / stride + 1. */
tens *op_conv1d(tens_ctx *c, const tens *x, const tens *w, const op_conv *p);

/* w* [taps, O, C], taps a multiple of stride: y[t*stride + k - pad, o] += Σ_c x[t, c] w[k, o, c];
 * T' = (T-1) stride - 2 pad + taps. dilation is ignored. */
tens *op_conv1d_transposed(tens_ctx *c, const tens *x, const tens *w, const op_conv *p);

/* x [..., C]: snake on its own. */
tens *op_snake(tens_ctx *c, const tens *x, const tens *alpha, const tens *inv_beta);

/* ---- small ones ------------------------------------------------------------------------------------------------- */

tens *op_add(tens_ctx *c, const tens *a, const tens *b); /* same shapes */
tens *op_silu(tens_ctx *c, const tens *x);
tens *op_scale(tens_ctx *c, const tens *x, const tens *w); /* x [..., N], w [N]: x[..., n] * w[n] */
/* table F32 [n, H], rows [B, n*H] -> [n, B, H]: table[i] + rows[b, i]; result rows [i] are the [B, H] that gates take.
 */
tens *op_modulation(tens_ctx *c, const tens *table, const tens *rows);
/* t [B] -> [B, width]: cos then sin of (scale * t) * 10000^(-i / (width/2)), i in 0..width/2-1. As in the reference the
 * frequency and both products are rounded to F32 before the cosine. */
tens *op_sinusoid(tens_ctx *c, const tens *t, int width, float scale);
/* Parts [..., Ci] joined on the last dim; n <= 4. Each part's leading dims are equal. */
tens *op_concat(tens_ctx *c, int n, const tens *const *parts);
/* Parts [B, Si, H] one behind the other in time: [B, ΣSi, H]; n <= 4. */
tens *op_join(tens_ctx *c, int n, const tens *const *parts);
/* x [B, S, H], index I32 [B, N] of rows in 0..S-1 -> [B, N, H]; index -1 gives a row of zeros. */
tens *op_gather(tens_ctx *c, const tens *x, const tens *index);
/* x [B, S, H] and row [H] -> [B, S+1, H]: the row in front of every item. */
tens *op_prepend(tens_ctx *c, const tens *x, const tens *row);
/* x [B, S, H] padded with zero rows, or cut, to S' = length. */
tens *op_resize(tens_ctx *c, const tens *x, int64_t length);
/* x [N, H], rows [P, H] -> [N, P, H]: x[n] + rows[p]. */
tens *op_outer_add(tens_ctx *c, const tens *x, const tens *rows);

/* ---- finite scalar quantisation (Mentzer et al. 2023), residual form with one quantiser ------------------------- */

/* z [..., d], d levels -> codes [..., d] in -1..1: soft clamp c*tanh(z/c), c = 1 + 1/(L-1); clamp; round to L levels.
 */
tens *op_fsq_quantize(tens_ctx *c, const tens *z, const int *levels, int d);
/* codes [..., d] -> I32 [...]: Σ level_i * basis_i, the first level the fastest digit. */
tens *op_fsq_index(tens_ctx *c, const tens *codes, const int *levels, int d);
/* index I32 [...] -> codes [..., d]. Indices are clamped to 0..product-1. */
tens *op_fsq_codes(tens_ctx *c, const tens *index, const int *levels, int d);

/* ---- latents while sampling: [B, T, C], T in time --------------------------------------------------------------- */

/* dst = a*x + b*y (y may be NULL); dst may be x or y. Fused multiply-add is not used: results equal plain rounding. */
bool op_mix_into(tens_ctx *c, tens *dst, float a, const tens *x, float b, const tens *y);
/* v * min(1, limit (‖x‖ + 1e-10) / (‖v‖ + 1e-10)), norms over one batch item. */
tens *op_norm_clamp(tens_ctx *c, const tens *v, const tens *x, float limit);
/* mask [B, T]: dst = mask*a + (1-mask)*b, the mask's row spread over channels. dst may be a or b. */
bool op_blend_into(tens_ctx *c, tens *dst, const tens *mask, const tens *a, const tens *b);
/* Adaptive projected guidance (Sadat et al. 2024). */
typedef struct op_apg {
  double scale;     /* 1: the conditional velocity */
  double momentum;  /* of the running difference */
  double threshold; /* the difference of a channel is held below this norm; > 0 */
  double parallel;  /* share of its part along the conditional velocity that stays */
} op_apg;

/* cond, uncond, running and dst [B, T, C]; dst may be cond. Sums run over time, each channel on its own, in double:
 *   running = (cond - uncond) + momentum * running          running is 0 before a song's first call
 *   d   = running * min(1, threshold / ‖running‖),  e = cond / max(‖cond‖, 1e-12),  along = (d·e) e
 *   dst = cond + (scale - 1) (d - along + parallel * along) */
bool op_apg_into(tens_ctx *c, tens *dst, tens *running, const tens *cond, const tens *uncond, const op_apg *p);

/* Angle-domain guidance (Jin et al. 2025): the predicted music is turned, not stretched. */
typedef struct op_adg {
  float t;       /* level of noise, > 0 */
  double weight; /* of the angle between both predictions */
  double clip;   /* largest angle to turn by, radians */
} op_adg;

/* x, cond, uncond and dst [B, T, C]; dst may be cond. Sums run over the channels of one frame, angles in double:
 *   a = x - t cond,  b = x - t uncond,  angle = acos(a·b / (‖a‖ ‖b‖)), the cosine held within ±(1 - 1e-6)
 *   across = (a - b) - ((a - b)·b / (b·b + 1e-8)) b,  turn = weight * angle held within ±clip
 *   dst = (x - (cos(turn) a + sin(turn) / sin(angle) across)) / t */
bool op_adg_into(tens_ctx *c, tens *dst, const tens *x, const tens *cond, const tens *uncond, const op_adg *p);
/* One level of the wavelet transform over time with zero padding (as PyWavelets mode "zero"): x [B, T, C] -> low and
 * high [B, Nc, C], Nc = (T + taps - 1) / 2. lo, hi: `taps` decomposition filter values. */
bool op_dwt(tens_ctx *c, const tens *x, const float *lo, const float *hi, int taps, tens **low, tens **high);
/* The inverse with reconstruction filters, cut to T frames. */
tens *op_idwt(tens_ctx *c, const tens *low, const tens *high, const float *lo, const float *hi, int taps, int64_t T);

#endif
