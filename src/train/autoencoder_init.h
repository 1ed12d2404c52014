/* autoencoder_init.h - the first weights of an autoencoder that is trained from nothing: those of a linear codec made for
 * the sounds at hand, so that pitch is there from the first step on and training only has to make it better.
 *
 * Each strided convolution of the encoder is a lapped cosine transform of its input channels (Princen & Bradley 1986),
 * whose kernel of two strides is exactly the convolution's, followed by the principal components of what it gives in these
 * sounds (Karhunen 1947, Loève 1948); the decoder's transposed convolution is the transpose, which gives it back. All
 * activations have deviation 1. Residual units begin as almost nothing, snakes in front of strides as almost straight, and
 * channels that the transform leaves free are random.
 */
#ifndef ACE_TRAIN_AUTOENCODER_INIT_H
#define ACE_TRAIN_AUTOENCODER_INIT_H

#include "train/sound_set.h"

/* Makes `folder` with config.json, a copy of the file `config`, and weights in F32. The same bits for the same config,
 * sounds and seed. Takes some seconds, stage "init" of `notify`. */
ace_status autoencoder_init(const char *folder, const char *config, const sound_set *sounds, uint64_t seed,
                            const ace_callbacks *notify, ace_error *err);

#endif
