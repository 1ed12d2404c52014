/* parameters.h - the weights of opened checkpoints under training: one flat list in F32 with its gradients, which the models
 * run, and which goes back to checkpoint folders.
 *
 *   parameters *p = parameters_open(&(parameters_part){.folder = "models/vae", .name = "vae"}, 1, &err);
 *   vae *m = vae_from(parameters_checkpoint(p, 0, &err), VAE_ENCODER | VAE_DECODER, &err);   // any model of models/
 *   if (m && parameters_watch(p, &err) == ACE_OK) ...       // once, when all models are open
 *
 *   parameters_begin(p);                                    // a pass: the values may have changed since the last one
 *   tape_begin(c, p->tape);
 *   ... tape_backward(c, loss, share) ...
 *   tape_end(c);
 *   parameters_end(p);                                      // p->grads has the gradients
 *
 *   parameters_write(p, "out", PARAMETERS_BF16, &err);      // out/vae: config.json, weights, everything else
 *   vae_close(m), parameters_close(p);                      // in this order
 *
 * Files stay as they are; weights of any of F32, BF16, F16 and int8 (convert.h) are widened to F32 and live in `values` from
 * then on. What is frozen is used in its own type where it lies. Weights that a model keeps in another form (rearrange.h) are made
 * again in parameters_begin, and parameters_end leads their gradients back. Values lie 64-byte aligned, matrices first,
 * because they alone decay; between tensors there may be zeros.
 */
#ifndef ACE_TRAIN_PARAMETERS_H
#define ACE_TRAIN_PARAMETERS_H

#include "formats/checkpoint.h"
#include "tensor/tape.h"
#include "train/task.h"

enum { PARAMETERS_PARTS = 2 };

/* A checkpoint folder. Strings are borrowed until parameters_open returns. */
typedef struct parameters_part {
  const char *folder, *name;           /* name: of its folder where it is written */
  bool (*trained)(const char *tensor); /* NULL: all of it */
} parameters_part;

typedef struct parameters {
  int64_t count;         /* of the flat lists */
  int64_t decaying;      /* the first ones, which belong to matrices and convolutions */
  float *values, *grads; /* [count] */
  int tensors;
  train_tensor *tensor; /* [tensors], as train_task wants it; with several parts names begin with "PART/" */
  tape *tape;           /* that watches the values */
  struct parameters_inner *inner;
} parameters;

/* ACE_EUNSUPPORTED for weights of GGUF files' own types; ACE_EINVAL when nothing is to be trained. */
parameters *parameters_open(const parameters_part *part, int n, ace_error *err);
/* NULL is fine. The models that were made of it are closed already. */
void parameters_close(parameters *p);

/* A checkpoint over the values of a part, for one model, which takes it over. NULL on failure. */
ckpt *parameters_checkpoint(parameters *p, int part, ace_error *err);
ace_status parameters_watch(parameters *p, ace_error *err);

void parameters_begin(parameters *p);
void parameters_end(parameters *p);

/* Of trained values; what is frozen keeps its type, but int8, which would need its note in config.json, is widened too. */
typedef enum parameters_type { PARAMETERS_F32, PARAMETERS_BF16, PARAMETERS_F16 } parameters_type;

/* Writes FOLDER/NAME of each part in the published layout: one file of weights, config.json, and whatever else lies in
 * the folder that it was opened from. FOLDER exists. */
ace_status parameters_write(const parameters *p, const char *folder, parameters_type type, ace_error *err);
/* Reads the values of such folders in F32: ACE_EINVAL where a tensor is missing or has another shape. */
ace_status parameters_read(parameters *p, const char *folder, ace_error *err);

/* A training task's part of it: tensors, values, gradients, write and read (with `user` the parameters, which the task
 * that has another `user` calls itself). */
void parameters_task(const parameters *p, train_task *task);

#endif
