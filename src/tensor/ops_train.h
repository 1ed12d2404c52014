/* ops_train.h - operations that only training uses; rules and letters as in ops.h. */
#ifndef ACE_OPS_TRAIN_H
#define ACE_OPS_TRAIN_H

#include "tensor/ops.h"

/* A stream of random words for each item of a batch: Philox4x32-10 (base/rng.h) with this key, and with (block, word 0,
 * 1, 2) as its counter. */
typedef struct op_stream {
  uint64_t key;
  uint32_t word[3];
} op_stream;

typedef struct op_dropout {
  float p;                 /* 0 <= p < 1 */
  const op_stream *stream; /* [B], of each item; borrowed until the tape has gone back */
} op_dropout;

/* x [B, ...]: y = x / (1 - p) with probability 1 - p, else 0. Value i of an item is decided by the upper 24 bits of word
 * i of its stream: dropped if they, as a number in [0, 1), are below p. */
tens *op_dropout_apply(tens_ctx *c, const tens *x, const op_dropout *d);

/* What op_linear does to its products, on its own, with the same bits: x [..., N] -> residual + gate * act(x + bias); or,
 * with `up` like x and an empty epilogue, what op_swiglu does: silu(x) * up. `e` may be NULL. */
tens *op_finish(tens_ctx *c, const tens *x, const tens *up, const op_epilogue *e);

/* The factors that bring the rows of V = w + w1 kron w2 to the lengths m (weight decomposition; Liu et al. 2024):
 * m / (|V| + eps) for each row, 1 where that has no value. w** [N, K], w1 [P, Q], w2 [C, D] with P C = N and Q D = K,
 * m [N], eps >= 0 -> [N]. The gradient is that of the whole, norms included; w has none. */
tens *op_kron_lengths(tens_ctx *c, const tens *w, const tens *w1, const tens *w2, const tens *m, float eps);

/* x, y [B, T, C], mask I32 [B, T] or NULL -> [B]: for each item the mean of (x - y)² over its rows with a mask other
 * than 0; such an item must have one. Sums in double. */
tens *op_mean_square(tens_ctx *c, const tens *x, const tens *y, const tens *mask);

/* logits [..., V], labels I32 [...] in 0..V-1, or -1: not counted -> [1]: the mean of -log softmax(logits)[label]. One
 * label must count. Sums in double. */
tens *op_cross_entropy(tens_ctx *c, const tens *logits, const tens *labels);
/* The same of logits x tableᵀ, which are never stored whole: x [N, H], table* [V, H], labels I32 [N]. */
tens *op_word_entropy(tens_ctx *c, const tens *x, const tens *table, const tens *labels);

/* x, y [B, T, C] -> [B]: for each item the mean of |x - y|. Sums in double. */
tens *op_mean_absolute(tens_ctx *c, const tens *x, const tens *y);

/* ---- sound: x, y [B, T, 2] (ops_spectrum.c) ------------------------------------------------------------------------ */

enum { OP_SPECTRUM_WINDOWS = 8, OP_SPECTRUM_LEAST = 16, OP_SPECTRUM_MOST = 2048 };

/* How far sounds are from each other in spectra of several resolutions. Frames of n samples, n/4 apart, as many as lie
 * within the sound, under a Hann window of energy 1, give X[k], k = 0..n/2, of four signals: left, right, their sum and
 * their difference, the last two divided by sqrt 2. With a = sqrt(|X[k]|² + floor²) a frame's distance is
 *
 *   Σ_k u[k] (|log a - log a'| + linear |a - a'|),   u[k] in proportion to 1 / (k/n + corner), of sum 1
 *
 * so that a low octave counts as much as a high one, down to `corner`; and, for bands K of a third of an octave,
 *
 *   banded Σ_K (Σ_k u[k]) |log b - log b'|,   b² = floor² + the mean of |X[k]|², k in K
 *
 * which noise can have right though no bin of it is. The first band is bin 0; each next one ends before the first bin that
 * is no less than 2^(1/3) times its own first. */
typedef struct op_spectrum {
  int windows, length[OP_SPECTRUM_WINDOWS]; /* n of each, a power of two, OP_SPECTRUM_LEAST..OP_SPECTRUM_MOST */
  float floor, linear, corner;              /* floor and corner > 0; corner in turns a sample */
  float banded;                             /* 0 and more */
} op_spectrum;

/* The mean over windows, frames and signals: [B]. T is no less than the longest window. y has no gradient. */
tens *op_spectral_distance(tens_ctx *c, const tens *x, const tens *y, const op_spectrum *s);

/* ---- normal distributions: moments [B, T, 2C], means and then raw scales; deviation = softplus(scale) + 1e-4 ------- */

/* noise [B, T, C], normal -> [B, T, C]: mean + deviation noise. */
tens *op_posterior_sample(tens_ctx *c, const tens *moments, const tens *noise);
/* -> [B]: the mean over rows and channels of what the distribution tells beyond a normal one of deviation 1, in nats:
 * (mean² + deviation² - 1) / 2 - log deviation. */
tens *op_posterior_information(tens_ctx *c, const tens *moments);

#endif
