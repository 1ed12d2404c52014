/* lapped.h - signals of several channels in a lapped cosine transform and their principal components: what
 * autoencoder_init.h makes convolutions of. */
#ifndef ACE_TRAIN_LAPPED_H
#define ACE_TRAIN_LAPPED_H

#include "base/error.h"

/* Pieces of a signal, each [frames][channels], one behind the other. */
typedef struct lapped_signal {
  int pieces, channels;
  int64_t frames; /* of a piece */
  float *x;       /* owned by whoever made it, free() */
} lapped_signal;

/* Value k = 0 .. 2 stride - 1 of basis function m = 0 .. stride - 1: orthonormal, also to those of the frames beside. */
double lapped_basis(int stride, int m, int k);

/* The transform: frame t reads samples t*stride - stride/2 and the 2 stride - 1 behind it, zeros outside. Channel c's
 * coefficient m becomes channel c*stride + m. */
ace_status lapped_transform(const lapped_signal *in, int stride, lapped_signal *out, ace_error *err);

/* The n most powerful orthogonal directions of the channels, row-major [n][channels] in `to`; the identity where n is the
 * number of channels. By orthogonal iteration from directions that follow from `seed`. */
ace_status lapped_components(const lapped_signal *in, int n, uint64_t seed, double *to, ace_error *err);
/* in along these directions. */
ace_status lapped_project(const lapped_signal *in, const double *directions, int n, lapped_signal *out, ace_error *err);
/* Root mean squares of the channels, not below a thousandth of the largest. */
void lapped_deviations(const lapped_signal *in, double *to);

#endif
