/* Workers spin briefly for the next job, then sleep on a futex-backed condition variable. A job is a counter of chunks;
 * the last worker to leave wakes the caller. */
#define _GNU_SOURCE
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPIN_ROUNDS = 2000, MAX_THREADS = 256 };

struct pool {
  int threads;
  pthread_t *ids;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;
  pool_fn fn;
  void *arg;
  int chunks;
  atomic_int next;        /* next chunk to claim */
  atomic_int active;      /* workers that have not left the current job */
  atomic_uint generation; /* counts jobs; a worker runs each generation once */
  atomic_bool quit;
};

typedef struct worker_start {
  pool *p;
  int index;
} worker_start;

static void claim_chunks(pool *p, int worker) {
  for (;;) {
    int chunk = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
    if (chunk >= p->chunks) return;
    p->fn(p->arg, chunk, worker);
  }
}

static void *worker_main(void *start) {
  worker_start s = *(worker_start *)start;
  free(start);
  pool *p = s.p;
  unsigned seen = 0;
  for (;;) {
    for (int i = 0; i < SPIN_ROUNDS; i++) {
      if (atomic_load_explicit(&p->generation, memory_order_acquire) != seen || atomic_load(&p->quit)) break;
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#endif
    }
    if (atomic_load_explicit(&p->generation, memory_order_acquire) == seen && !atomic_load(&p->quit)) {
      pthread_mutex_lock(&p->lock);
      while (atomic_load(&p->generation) == seen && !atomic_load(&p->quit)) pthread_cond_wait(&p->wake, &p->lock);
      pthread_mutex_unlock(&p->lock);
    }
    if (atomic_load(&p->quit)) return NULL;
    seen = atomic_load_explicit(&p->generation, memory_order_acquire);
    claim_chunks(p, s.index);
    if (atomic_fetch_sub_explicit(&p->active, 1, memory_order_acq_rel) == 1) {
      pthread_mutex_lock(&p->lock);
      pthread_cond_signal(&p->done);
      pthread_mutex_unlock(&p->lock);
    }
  }
}

int pool_cpus(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int n = CPU_COUNT(&set);
  return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

pool *pool_new(int threads, ace_error *err) {
  if (threads < 0 || threads > MAX_THREADS) {
    ace_fail(err, ACE_EINVAL, "threads: %d is outside 0..%d", threads, MAX_THREADS);
    return NULL;
  }
  if (threads == 0) threads = pool_cpus();
  pool *p = calloc(1, sizeof *p);
  if (p) p->ids = calloc((size_t)threads, sizeof *p->ids);
  if (!p || !p->ids) {
    free(p);
    ace_fail(err, ACE_ENOMEM, "threads: out of memory");
    return NULL;
  }
  p->threads = 1;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->wake, NULL);
  pthread_cond_init(&p->done, NULL);
  for (int i = 1; i < threads; i++) {
    worker_start *s = malloc(sizeof *s);
    if (s) *s = (worker_start){p, i};
    if (!s || pthread_create(&p->ids[i], NULL, worker_main, s) != 0) {
      free(s);
      pool_free(p);
      ace_fail(err, ACE_ENOMEM, "threads: the system would not start thread %d of %d; ask for fewer", i + 1, threads);
      return NULL;
    }
    p->threads++;
  }
  return p;
}

void pool_free(pool *p) {
  if (!p) return;
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->quit, true);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->lock);
  for (int i = 1; i < p->threads; i++) pthread_join(p->ids[i], NULL);
  pthread_cond_destroy(&p->wake);
  pthread_cond_destroy(&p->done);
  pthread_mutex_destroy(&p->lock);
  free(p->ids);
  free(p);
}

int pool_threads(const pool *p) {
  return p->threads;
}

void pool_run(pool *p, int chunks, pool_fn fn, void *arg) {
  if (p->threads == 1 || chunks <= 1) {
    for (int i = 0; i < chunks; i++) fn(arg, i, 0);
    return;
  }
  pthread_mutex_lock(&p->lock);
  p->fn = fn;
  p->arg = arg;
  p->chunks = chunks;
  atomic_store_explicit(&p->next, 0, memory_order_relaxed);
  atomic_store_explicit(&p->active, p->threads - 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->lock);
  claim_chunks(p, 0);
  for (int i = 0; i < SPIN_ROUNDS && atomic_load_explicit(&p->active, memory_order_acquire) > 0; i++) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }
  if (atomic_load_explicit(&p->active, memory_order_acquire) == 0) return;
  pthread_mutex_lock(&p->lock);
  while (atomic_load_explicit(&p->active, memory_order_acquire) > 0) pthread_cond_wait(&p->done, &p->lock);
  pthread_mutex_unlock(&p->lock);
}
