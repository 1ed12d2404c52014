/* stream.h - every random number of a training as a function of what it is for: Philox4x32-10 (base/rng.h) with the
 * seed as its key and (purpose, index, epoch, sample, place) as its counter.
 *
 *   stream s = stream_of(seed, STREAM_NOISE, 0, epoch, sample);
 *   stream_normal(&s, 0, frames * 64, noise);
 *
 * Nothing is drawn from a state, so a value depends neither on what was drawn before it, nor on the layout of batches,
 * the number of threads or processes, nor on where a training was stopped and resumed. PyTorch's streams are not
 * imitated.
 */
#ifndef ACE_TRAIN_STREAM_H
#define ACE_TRAIN_STREAM_H

#include <stdint.h>

typedef enum stream_purpose {
  STREAM_INIT,       /* index: the tensor. First values of an adapter */
  STREAM_ORDER,      /* the permutation of an epoch */
  STREAM_TIME,       /* a sample's timestep */
  STREAM_NOISE,      /* its noise */
  STREAM_GUIDANCE,   /* whether it is shown without its condition */
  STREAM_DROPOUT,    /* index: the adapted layer. Its mask */
  STREAM_SPLIT,      /* which samples are kept for validation */
  STREAM_CHECK_TIME, /* as STREAM_TIME and STREAM_NOISE, for validation: epoch 0 always */
  STREAM_CHECK_NOISE,
  STREAM_LOOK, /* index: of the decision. What a look at a piece asks for: which task, which track, which words */
  STREAM_CROP  /* where in a sound its crop begins */
} stream_purpose;

typedef struct stream {
  uint64_t key;
  uint32_t word[3]; /* of the counter; the fourth counts blocks of four values */
} stream;

/* index below 2^24. */
stream stream_of(uint64_t seed, stream_purpose purpose, uint32_t index, uint32_t epoch, uint32_t sample);

/* Values first .. first+n-1 of the stream. Uniforms are in [0, 1), with 24 bits; normals are those of Box and Muller. */
void stream_uniform(const stream *s, int64_t first, int64_t n, float *out);
void stream_normal(const stream *s, int64_t first, int64_t n, float *out);
/* An integer in [0, below) from value i; 0 when below is 0. */
uint32_t stream_integer(const stream *s, int64_t i, uint32_t below);
/* Inverted dropout with probability p: 0, or 1 / (1 - p). */
void stream_mask(const stream *s, float p, int64_t first, int64_t n, float *out);

#endif
