/* pool.h - a thread pool for kernels: one call splits work into numbered chunks that threads claim in turn.
 *
 *   static void row_block(void *arg, int chunk, int worker) { ... }
 *   pool_run(p, n_chunks, row_block, &args);      // returns when every chunk is done
 *
 * Chunks are claimed dynamically and nobody waits for a worker that holds none, so a processor that other programs keep
 * busy costs at most the chunk under way there: make chunks small enough that one is cheap to wait for. What a chunk
 * computes must not depend on which worker runs it: results are the same for every number of threads. The caller works
 * too; a pool of one thread starts none, and no pool at all (NULL) is the caller's thread alone. One job at a time; pool_run must not be called from inside a chunk.
 */
#ifndef ACE_BASE_POOL_H
#define ACE_BASE_POOL_H

#include "base/error.h"

typedef struct pool pool;
typedef void (*pool_fn)(void *arg, int chunk, int worker); /* worker: 0..pool_threads(p)-1 */

/* threads: 0 = as many as the CPUs that this process may run on, at most 256. */
pool *pool_new(int threads, ace_error *err);
void pool_free(pool *p);
int pool_threads(const pool *p);
void pool_run(pool *p, int chunks, pool_fn fn, void *arg);

/* CPUs in this process's affinity mask (at least 1). */
int pool_cpus(void);

#endif
