/* group_mpi.c - the processes that mpirun started. Sums are not left to MPI, whose order may change with the number of
 * processes and the network: the shares of a piece are gathered, and added in the order of ranks. */
#include "train/group.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 16 };

static ace_status lost(ace_error *err) {
  return ace_fail(err, ACE_EIO, "train: MPI: the processes cannot reach each other any more");
}

static int processes(void) {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

static void add_ranks(const float *all, int size, int count, float *out) {
  for (int i = 0; i < count; i++) {
    float sum = 0;
    for (int r = 0; r < size; r++) sum += all[(size_t)r * (size_t)count + (size_t)i];
    out[i] = sum;
  }
}

static ace_status sum_floats(void *user, float *x, int64_t n, ace_error *err) {
  int size = processes();
  float *all = malloc((size_t)size * PIECE * sizeof *all);
  if (!all) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  ace_status status = ACE_OK;
  for (int64_t first = 0; first < n && status == ACE_OK; first += PIECE) {
    int count = n - first < PIECE ? (int)(n - first) : PIECE;
    if (MPI_Allgather(x + first, count, MPI_FLOAT, all, count, MPI_FLOAT, MPI_COMM_WORLD) != MPI_SUCCESS)
      status = lost(err);
    else add_ranks(all, size, count, x + first);
  }
  free(all);
  return status;
}

static ace_status sum_doubles(void *user, double *x, int n, ace_error *err) {
  int size = processes();
  double *all = malloc((size_t)size * (size_t)n * sizeof *all);
  if (!all) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  ace_status status = ACE_OK;
  if (MPI_Allgather(x, n, MPI_DOUBLE, all, n, MPI_DOUBLE, MPI_COMM_WORLD) != MPI_SUCCESS) status = lost(err);
  for (int i = 0; i < n && status == ACE_OK; i++) {
    x[i] = 0;
    for (int r = 0; r < size; r++) x[i] += all[r * n + i];
  }
  free(all);
  return status;
}

ace_status group_open(train_group *g, ace_error *err) {
  int given;
  *g = (train_group){.size = 1};
  if (!getenv("OMPI_COMM_WORLD_SIZE")) return ACE_OK; /* nobody's child: no need to start a runtime */
  if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS) return lost(err);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &g->rank);
  g->size = processes();
  g->sum_floats = sum_floats;
  g->sum_doubles = sum_doubles;
  return ACE_OK;
}

void group_close(train_group *g) {
  int started = 0;
  MPI_Initialized(&started);
  if (started) MPI_Finalize();
  *g = (train_group){.size = 1};
}

bool group_has_mpi(void) {
  return true;
}
