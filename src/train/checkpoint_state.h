/* checkpoint_state.h - training_state.safetensors: epoch, global_step and adam_step as I64 [1], moments as exp_avg/NAME and
 * exp_avg_sq/NAME in F32 under the names of the adapter's file, and master/NAME where that does not hold the values as
 * they are (task.h); the rest as strings of its header. Inside this room. */
#ifndef ACE_TRAIN_CHECKPOINT_STATE_H
#define ACE_TRAIN_CHECKPOINT_STATE_H

#include "train/checkpoint.h"

ace_status checkpoint_state_write(const char *folder, const train_task *task, const train_state *s, const json_t *about,
                                  ace_error *err);
/* Refuses a state of other parameters, and numbers out of range. */
ace_status checkpoint_state_read(const char *folder, const train_task *task, train_state *s, ace_error *err);
/* global_step; -1: there is no state that can be read. */
int64_t checkpoint_state_steps(const char *folder);

#endif
