/* parameters_inner.h - what the files of parameters.h share. */
#ifndef ACE_TRAIN_PARAMETERS_INNER_H
#define ACE_TRAIN_PARAMETERS_INNER_H

#include "train/parameters.h"

enum { PARAMETERS_ALIGN = 16 /* floats */ };

typedef struct parameters_source {
  char *folder, *name; /* owned */
  bool (*trained)(const char *tensor);
  ckpt *from;         /* as it is in its folder; owned */
  const ckpt *opened; /* what a model has of it; NULL: there is none yet */
} parameters_source;

/* Where a tensor of the list comes from. */
typedef struct parameters_place {
  int part, index; /* of ckpt_at */
} parameters_place;

/* A weight that a model made of others, and where gradients go. */
typedef struct parameters_derivation {
  const ckpt_derived *d;
  float *dy; /* like d->y; owned */
  float *grad[CKPT_DERIVED_FROM];
} parameters_derivation;

typedef struct parameters_inner {
  parameters_source source[PARAMETERS_PARTS];
  int parts;
  parameters_place *place; /* [tensors] */
  parameters_derivation *derivation;
  int derived;
} parameters_inner;

#endif
