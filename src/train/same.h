/* same.h - songs that a dataset has twice: a song that is learnt twice counts double. */
#ifndef ACE_TRAIN_SAME_H
#define ACE_TRAIN_SAME_H

#include "train/dataset.h"

/* Sample b is the same as sample a, which comes before it: by content, or else by the name of its file. */
typedef void (*same_visit)(void *user, int a, int b, bool content, const dataset *d);

/* Files with equal names in different folders: rows of a CSV count for both. */
void same_names(const dataset *d, same_visit visit, void *user);
/* Files with equal bytes. Only those of equal size are read. */
void same_content(const dataset *d, same_visit visit, void *user);

#endif
