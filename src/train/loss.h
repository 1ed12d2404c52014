/* loss.h - how far the model is from the flow that leads to a song, and the gradient of that:
 *
 *   x_t = t e + (1 - t) x0,  v* = e - x0,  loss = mean over valid frames and channels of (v(x_t, t, condition) - v*)²
 *
 * with x0 the sample's latents and e noise (rectified flow, Liu et al. 2022). The velocity is dit_velocity, the same
 * function as when singing.
 */
#ifndef ACE_TRAIN_LOSS_H
#define ACE_TRAIN_LOSS_H

#include "train/sample.h"
#include "train/trainee.h"

/* One sample at one time of the flow. Everything is borrowed during the call. */
typedef struct train_item {
  const sample *s;
  double t;              /* 0..1 */
  const float *noise;    /* e [T, channels]; with `reference` as long as the longest item of the call */
  bool unconditioned;    /* every row of the condition is the model's null condition (guidance dropout) */
  uint32_t epoch, index; /* of the streams of its dropout masks (stream.h: STREAM_DROPOUT), index: of the sample */
} train_item;

typedef struct train_options {
  /* false: each item is computed alone, its padding cut off and masked, and the loss of the batch is the mean of theirs.
   * true: as the reference, all are padded to the longest with zeros, which get noise like any latents; padding is
   * attended to, and the mean runs over it. */
  bool reference;
  bool dropout;   /* false: none, e.g. for validation */
  bool gradient;  /* false: the loss alone */
  bool recompute; /* keep only the input of each layer and run it again on the way back: the same bits, less memory */
  uint64_t seed;  /* of the dropout masks */
  double weight;  /* of the loss of this call in the gradient, e.g. 1 / micro-batches of a step */
} train_options;

/* grads += weight * dLoss/dvalues. loss: of each item [n]; their mean is that of the batch (with `reference`, each is the
 * mean over all frames of the longest item). The context `c` needs train_memory bytes and is left as it was found; after
 * a failure it is reset. ACE_ECANCELED when the context's `cancelled` said so; grads are then partly summed. */
ace_status train_loss(tens_ctx *c, trainee *t, const train_item *items, int n, const train_options *options,
                      double *loss, ace_error *err);

/* Bytes that the context needs for n items of these shapes, found by running the same code in a planning context;
 * `threads` as the context will have. 0 and an error when the model cannot run them. */
size_t train_memory(trainee *t, const sample_shape *shapes, int n, const train_options *options, pool *threads,
                    ace_error *err);

#endif
