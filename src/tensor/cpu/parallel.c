/* parallel.c - even pieces of a range for the pool. */
#include "tensor/cpu/cpu.h"

enum { PIECE_COST = 1 << 15, PIECES_A_WORKER = 4 };

typedef struct range {
  cpu_range_fn fn;
  void *arg;
  int64_t n, pieces;
} range;

static void run_piece(void *arg, int piece, int worker) {
  const range *r = arg;
  int64_t each = r->n / r->pieces, more = r->n % r->pieces; /* the first `more` pieces are longer by one */
  int64_t first = piece * each + cpu_min(piece, more);
  r->fn(r->arg, first, each + (piece < more), worker);
}

void cpu_for(tens_ctx *c, int64_t n, int64_t cost, cpu_range_fn fn, void *arg) {
  int workers = tens_workers(c);
  int64_t pieces = cpu_min(cpu_min(n, (int64_t)workers * PIECES_A_WORKER), cpu_ceil(n * cost, PIECE_COST));
  if (workers == 1 || pieces <= 1) {
    fn(arg, 0, n, 0);
    return;
  }
  range r = {fn, arg, n, pieces};
  tens_parallel(c, (int)pieces, run_piece, &r);
}
