/* train_autoencoder.h - all of an autoencoder trained on a folder of sounds, from its weights or from nothing. It needs no
 * other model, so no engine is opened. */
#ifndef ACE_ENGINE_TRAIN_AUTOENCODER_H
#define ACE_ENGINE_TRAIN_AUTOENCODER_H

#include "train/trainer.h"

typedef struct autoencoder_training {
  const train_settings *settings; /* dataset_dir: the sounds */
  const char *model;              /* folder to begin with; NULL: */
  const char *config; /* a config.json of a new model, whose first weights are made for the sounds and lie in
                                     OUTPUT/first from then on */
  int crop_frames;    /* latent frames in a crop */
  int threads;        /* 0: all CPUs */
  uint64_t memory;    /* bytes; 0: what the machine has free */
  const train_group *group;
  const train_events *events; /* preview is not called */
} autoencoder_training;

/* As train_run. OUTPUT/final/vae is the model, in F32. */
ace_status train_autoencoder(const autoencoder_training *t, train_outcome *out, ace_error *err);

#endif
