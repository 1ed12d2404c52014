/* checkpoint.h - folders that a training can go on from, below OUTPUT/checkpoints:
 *
 *   epoch_200_loss_0.5713/    adapter files (of the task), training_state.safetensors
 *   best/, last/              the same; replaced as the training goes on
 *   epoch_7_step_66_stopped/  the same, of a training that was stopped in the middle of an epoch
 *
 * and OUTPUT/final, the adapter alone. A folder appears whole or not at all: it is written as .tmp-NAME and renamed. A
 * program that dies while it replaces one leaves .old-NAME, which checkpoint_recover puts back.
 */
#ifndef ACE_TRAIN_CHECKPOINT_H
#define ACE_TRAIN_CHECKPOINT_H

#include "train/task.h"

#define CHECKPOINT_FOLDER "checkpoints"
#define CHECKPOINT_STATE  "training_state.safetensors"

/* Where a training stands. With the values of the parameters it decides everything that comes. */
typedef struct train_state {
  int epoch;         /* epochs that are complete */
  int64_t step;      /* updates made */
  int next;          /* samples of the running epoch that are done, */
  int samples;       /* of so many that are trained on */
  double epoch_loss; /* sum of their losses */
  double ema, best;  /* smoothed loss; least loss in validation. NAN: none yet */
  float *m, *v;      /* [count] of the task: moments of AdamW. One allocation, train_state_free */
  json_t *history;   /* [[step, loss, ema], ...] for the plot, thinned as it grows; never NULL */
} train_state;

ace_status train_state_open(train_state *s, int64_t count, ace_error *err);
void train_state_free(train_state *s);

/* Writes OUTPUT/checkpoints/NAME. about: settings and hashes, for people. */
ace_status checkpoint_write(const char *output, const char *name, const train_task *task, const train_state *s,
                            const json_t *about, ace_error *err);
/* Writes OUTPUT/final and reads it back: values must be finite. */
ace_status checkpoint_write_final(const char *output, const train_task *task, ace_error *err);

/* The checkpoint that a path means: the folder itself; the folder of a file; of an output folder, the one that
 * was written last. free() it; NULL: there is none. */
char *checkpoint_find(const char *path, ace_error *err);
/* Reads parameters and state. A folder with an adapter alone is a warm start: *warm, and the epoch from its name. */
ace_status checkpoint_read(const char *folder, const train_task *task, train_state *s, bool *warm, ace_error *err);

/* What a death in the middle of writing left behind in OUTPUT/checkpoints. */
void checkpoint_recover(const char *output);

#endif
