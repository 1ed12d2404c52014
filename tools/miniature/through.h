/* through.h - a sound through an autoencoder: encoder, means, decoder. */
#ifndef MINIATURE_THROUGH_H
#define MINIATURE_THROUGH_H

#include "audio/buffer.h"
#include "base/pool.h"
#include "models/vae.h"

/* `in` at the model's rate and of its channels; `out`, owned, is as long, but for what is left over of a latent frame. */
ace_status through(const vae *m, pool *threads, const audio_buffer *in, audio_buffer *out, ace_error *err);

#endif
