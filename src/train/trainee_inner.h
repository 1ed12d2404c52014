/* trainee_inner.h - what only the loss needs to know of an adapter under training. */
#ifndef ACE_TRAIN_TRAINEE_INNER_H
#define ACE_TRAIN_TRAINEE_INNER_H

#include "models/adapters.h"
#include "tensor/tape.h"
#include "train/trainee.h"

typedef struct trainee_module {
  char name[ADAPTER_NAME_SIZE];
  linear *at;         /* where it sits */
  linear_delta delta; /* in use by it */
  linear_kron kron;
  bool scaled;    /* LoKr: with alpha / rank */
  float *lengths; /* [rows] what its magnitudes were at first, owned; NULL: it has none */
} trainee_module;

typedef struct trainee_inner {
  trainee_module *module;
  int modules;
  float *scale; /* alpha / rank, over and over */
  tape *tape;   /* that watches the values */
} trainee_inner;

#endif
