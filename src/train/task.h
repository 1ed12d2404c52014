/* task.h - what the trainer trains, seen from the trainer: numbered samples, one flat list of parameters with its
 * gradients, a loss, and files that hold the parameters. The trainer knows nothing of songs or models; flow_task.h is
 * the adapter of a diffusion model, and tests bring small tasks whose answer is known.
 */
#ifndef ACE_TRAIN_TASK_H
#define ACE_TRAIN_TASK_H

#include "base/json.h"

enum { TRAIN_NAME_SIZE = 128 };

typedef struct train_tensor {
  char name[TRAIN_NAME_SIZE]; /* in its file */
  int64_t rows, columns;
  int64_t first; /* of its values in the flat lists */
} train_tensor;

/* Some samples of one epoch, to be computed together. */
typedef struct train_batch {
  const int *sample; /* [n] */
  int n;
  uint32_t epoch; /* with the sample, what all that is left to chance depends on */
  bool learn;     /* false: validation. No dropout, times and noise the same every time, no gradients */
  double weight;  /* of the batch's mean loss in the gradients */
} train_batch;

typedef struct train_task {
  int samples;
  const int64_t *lengths; /* [samples], of whatever unit; NULL: all alike */
  const train_tensor *tensor;
  int tensors;
  int64_t count;         /* parameters */
  int64_t decaying;      /* so many of them, the first ones, are held small by weight decay */
  float *values, *grads; /* [count] */

  /* loss [n]: of each sample. grads += weight d(mean loss) when learning. ACE_ECANCELED: the caller asked to stop; grads
   * are then of no use. */
  ace_status (*run)(void *user, const train_batch *batch, double *loss, ace_error *err);
  /* Writes the values, in full precision, as files into a folder that exists. */
  ace_status (*write)(void *user, const char *folder, ace_error *err);
  /* Reads them from such a folder. ACE_EINVAL with a list of what does not fit: another rank, other layers. */
  ace_status (*read)(void *user, const char *folder, ace_error *err);
  /* Do the values still change nothing, as at the start? */
  bool (*idle)(void *user);
  /* Makes the values those that reading their own files gives: the same, but put together otherwise. NULL: they are. With it
   * the state of a checkpoint holds the values, too. */
  void (*settle)(void *user);
  void *user;
} train_task;

#endif
