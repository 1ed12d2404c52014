/* trainee.h - an adapter under training on an opened diffusion model: its parameters, where they sit, their gradients.
 *
 *   trainee *t = trainee_open(dit, &(trainee_options){.rank = 64, .alpha = 128, .dropout = 0.1f, .self = true,
 *                                                     .cross = true, .seed = 42}, &err);
 *   memset(t->grads, 0, (size_t)t->count * sizeof(float));
 *   train_loss(c, t, items, n, &options, losses, &err);     // loss.h: adds to t->grads
 *   ... change t->values, which the model runs from then on ...
 *   trainee_close(t);                                       // the model is plain again, bit for bit
 *
 * While it is open the model runs W x + what the adapter adds (models/linear.h); W itself is never touched, and other
 * adapters must not be on the model.
 */
#ifndef ACE_TRAIN_TRAINEE_H
#define ACE_TRAIN_TRAINEE_H

#include "models/acestep_dit.h"

typedef enum trainee_kind {
  TRAINEE_LORA, /* W + (alpha / rank) B A, A [rank, in] at first uniform in +-1/sqrt(in), B [out, rank] zero */
  TRAINEE_LOKR  /* W + scale w1 kron w2, each whole or a product of two; the last factor of w2 at first zero. With a
                 * scalar g (at first zero, and then w2 is not): W + g scale w1 kron w2. With a magnitude m a row (DoRA): m V
                 * / (norm(V) + eps) for V = that; eps of the norms as where the adapter is used (models/adapters.h), m at
                 * first norm(W) + eps, so that here too nothing changes yet */
} trainee_kind;

typedef struct trainee_options {
  trainee_kind kind;
  int rank;      /* 1..512; of LoKr the linear_dim: a factor whose larger side is at most twice that stays whole */
  double alpha;  /* > 0 */
  float dropout; /* LoRA: of what goes into A, 0 <= p < 1 */
  int factor;    /* LoKr: the most that the smaller factor of a width may be; -1: no limit */
  bool decompose_both;    /* LoKr: w1 may be a product, too */
  bool scalar, magnitude; /* LoKr: as above */
  bool self, cross, mlp;  /* which projections: q, k, v, o of self-attention, of cross-attention; gate, up, down */
  uint64_t seed;          /* of the first values */
} trainee_options;

/* One tensor of the adapter, row-major. */
typedef struct trainee_tensor {
  char module[64];  /* its layer in the decoder: "layers.0.self_attn.q_proj" */
  const char *part; /* "lora_A", "lora_B"; "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", ...,
                     * "scalar" [1, 1], "dora_scale" [out, 1] */
  int64_t rows, columns;
  int64_t first; /* its place in values and grads; tensors lie one behind the other in order */
} trainee_tensor;

typedef struct trainee {
  acestep_dit *m;
  trainee_options options;
  int n;                  /* tensors */
  trainee_tensor *tensor; /* [n], by layer, then as listed at `part` */
  int64_t count;          /* parameters */
  float *values, *grads;  /* [count] each. The caller zeroes grads; train_loss adds to them */
  struct trainee_inner *inner;
} trainee;

/* The model outlives it. NULL: options out of range, adapters already on the model, or no memory. */
trainee *trainee_open(acestep_dit *m, const trainee_options *options, ace_error *err);
void trainee_close(trainee *t);

/* alpha / rank, or of LoKr 1 where both factors of a tensor's module are whole. */
double trainee_scale(const trainee *t, const trainee_tensor *of);
/* Is the model still what it is without the adapter? */
bool trainee_idle(const trainee *t);
/* Multiplies every scalar into the first factor, where files have it, and leaves 1: the same adapter. */
void trainee_settle(trainee *t);

#endif
