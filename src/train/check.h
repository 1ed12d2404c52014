/* check.h - what is odd about the songs of a dataset, before hours are spent on learning it.
 *
 *   missing unreadable silent    there is nothing to learn from it
 *   short long length            below a second, longer than what is used, not as long as the dataset says
 *   clipped                      places where the sound stays at full scale, so that it was cut off
 *   content name                 the same as an earlier song, by its bytes or by the name of its file
 *   unlabeled caption lyrics     what is still to be said of it
 */
#ifndef ACE_TRAIN_CHECK_H
#define ACE_TRAIN_CHECK_H

#include "train/dataset.h"

/* One finding about sample i; `kind` is one of the words above, `message` one line for people. */
typedef void (*check_visit)(void *user, int i, const char *kind, const char *message);

/* Decodes every song; a finding stops nothing. max_duration: seconds of a song that are used. Progress has the stage
 * "check", whose steps are songs. Fails when it is cancelled. */
ace_status dataset_check(const dataset *d, double max_duration, const ace_callbacks *notify, check_visit visit,
                         void *user, ace_error *err);

#endif
