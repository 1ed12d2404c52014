/* group_alone.c - of builds without MPI. */
#include "train/group.h"

ace_status group_open(train_group *g, ace_error *err) {
  *g = (train_group){.size = 1};
  return ACE_OK;
}

void group_close(train_group *g) {
  *g = (train_group){.size = 1};
}

bool group_has_mpi(void) {
  return false;
}
