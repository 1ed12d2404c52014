/* group.h - several processes that train one adapter together (data parallel): each computes its share of a step, the
 * gradients are summed, and all make the same update.
 *
 *   train_group g;
 *   if (group_open(&g, &err) == ACE_OK) ...      // in a program that mpirun started: all of them; else this one alone
 *   group_close(&g);
 *
 * Sums are made in the order of ranks, so that every process gets the same bits. The functions are collective: every
 * process calls them in the same order. Tests make groups of threads.
 */
#ifndef ACE_TRAIN_GROUP_H
#define ACE_TRAIN_GROUP_H

#include "base/error.h"

typedef struct train_group {
  int rank, size;
  /* x [n] becomes the sum over all processes. NULL where size is 1. */
  ace_status (*sum_floats)(void *user, float *x, int64_t n, ace_error *err);
  ace_status (*sum_doubles)(void *user, double *x, int n, ace_error *err);
  void *user;
} train_group;

/* The processes of Open MPI, where the program was built with it and mpirun started it; else one process. */
ace_status group_open(train_group *g, ace_error *err);
void group_close(train_group *g);
/* Was the program built with MPI? */
bool group_has_mpi(void);

#endif
