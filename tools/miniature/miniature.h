/* miniature.h - the parts of the tool that begins the miniature: untrained models of its sizes, and pieces to train them
 * on. */
#ifndef MINIATURE_H
#define MINIATURE_H

#include "base/error.h"
#include "base/pool.h"

typedef struct miniature_order {
  const char *folder; /* to write to */
  const char *vae;    /* folder of its trained autoencoder */
  uint64_t seed;      /* of the first piece */
  int count;          /* pieces */
  double seconds;     /* of each */
  int tracks;         /* of each piece at most: each costs two encodings more */
  pool *threads;
} miniature_order;

/* Writes FOLDER, an autoencoder that does what VAE does with latents of size 1 in each channel, as measured over the pieces. */
ace_status miniature_scale(const miniature_order *o, ace_error *err);

/* Writes FOLDER/{vae, Qwen3-Embedding-0.6B, acestep-5Hz-lm-0.6B, acestep-v15-base, acestep-v15-turbo}: the autoencoder as
 * it is, everything else with first weights (engine/weights_fresh.h) and a vocabulary learned from the conservatory. */
ace_status miniature_models(const miniature_order *o, ace_error *err);

/* Writes FOLDER/SEED.safetensors (train/piece.h) of pieces of the conservatory, with F16 latents, and their manifest. What is
 * there already stays. */
ace_status miniature_pieces(const miniature_order *o, ace_error *err);

#endif
