/* A job is two counters: chunks that nobody has claimed, and chunks that are not done. Whoever claims a chunk keeps the
 * job alive until that chunk is done; the caller waits for nothing else. So a worker that wakes up late finds nothing
 * to claim, has not looked at the job, and nobody has waited for it: a processor that other programs hold costs the
 * chunk that was under way there, not the job.
 *
 * Waiting threads spin for SPIN_NS, because the next operation of a forward pass follows within microseconds, then
 * sleep on a futex (elsewhere on a condition variable). */
#define _GNU_SOURCE
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { SPIN_NS = 50000, SPINS_A_LOOK = 32 /* at the clock */, MAX_THREADS = 256, CACHE_LINE = 64 };

/* ---- a number that threads wait on ------------------------------------------------------------------------------- */

typedef struct event {
  _Alignas(CACHE_LINE) atomic_uint value;
  atomic_int asleep; /* threads that only a wake reaches */
#if !defined(__linux__)
  pthread_mutex_t lock;
  pthread_cond_t changed;
#endif
} event;

static void event_open(event *e) {
#if !defined(__linux__)
  pthread_mutex_init(&e->lock, NULL);
  pthread_cond_init(&e->changed, NULL);
#endif
}

static void event_close(event *e) {
#if !defined(__linux__)
  pthread_cond_destroy(&e->changed);
  pthread_mutex_destroy(&e->lock);
#endif
}

/* May return early. */
static void event_sleep(event *e, unsigned value) {
  atomic_fetch_add(&e->asleep, 1);
#if defined(__linux__)
  syscall(SYS_futex, &e->value, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
  pthread_mutex_lock(&e->lock);
  if (atomic_load(&e->value) == value) pthread_cond_wait(&e->changed, &e->lock);
  pthread_mutex_unlock(&e->lock);
#endif
  atomic_fetch_sub(&e->asleep, 1);
}

/* Called after a change of the value: wakes up to n sleepers. */
static void event_wake(event *e, int n) {
  if (atomic_load(&e->asleep) == 0) return;
#if defined(__linux__)
  syscall(SYS_futex, &e->value, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
#else
  pthread_mutex_lock(&e->lock);
  pthread_cond_broadcast(&e->changed);
  pthread_mutex_unlock(&e->lock);
#endif
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Returns when the value is another one. */
static void event_wait(event *e, unsigned value) {
  int64_t end = now_ns() + SPIN_NS;
  do
    for (int i = 0; i < SPINS_A_LOOK; i++) {
      if (atomic_load_explicit(&e->value, memory_order_acquire) != value) return;
      relax();
    }
  while (now_ns() < end);
  while (atomic_load_explicit(&e->value, memory_order_acquire) == value) event_sleep(e, value);
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

struct pool {
  int threads;
  pthread_t *ids;
  pool_fn fn; /* fn, arg and chunks of the job: for threads that hold a chunk of it */
  void *arg;
  int chunks;
  atomic_bool quit;
  event jobs;                                /* counts jobs */
  event undone;                              /* chunks of the job that are not done */
  _Alignas(CACHE_LINE) atomic_int unclaimed; /* of the job; at or below 0: none */
};

typedef struct worker_start {
  pool *p;
  int index;
} worker_start;

/* Takes chunks until there are none, of whatever job there is. */
static void run_chunks(pool *p, int worker) {
  while (atomic_load_explicit(&p->unclaimed, memory_order_relaxed) > 0) {
    int left = atomic_fetch_sub_explicit(&p->unclaimed, 1, memory_order_acquire);
    if (left <= 0) return;
    p->fn(p->arg, p->chunks - left, worker);
    if (atomic_fetch_sub(&p->undone.value, 1) == 1) event_wake(&p->undone, 1);
  }
}

static void *worker_main(void *start) {
  worker_start s = *(worker_start *)start;
  free(start);
  pool *p = s.p;
  while (!atomic_load(&p->quit)) {
    unsigned seen = atomic_load(&p->jobs.value);
    run_chunks(p, s.index);
    if (!atomic_load(&p->quit)) event_wait(&p->jobs, seen);
  }
  return NULL;
}

int pool_cpus(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int n = CPU_COUNT(&set);
  return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

static pool *pool_alloc(int threads) {
  pool *p = aligned_alloc(_Alignof(pool), sizeof *p);
  if (!p) return NULL;
  *p = (pool){.threads = 1, .ids = calloc((size_t)threads, sizeof *p->ids)};
  if (!p->ids) {
    free(p);
    return NULL;
  }
  event_open(&p->jobs);
  event_open(&p->undone);
  return p;
}

pool *pool_new(int threads, ace_error *err) {
  if (threads < 0 || threads > MAX_THREADS) {
    ace_fail(err, ACE_EINVAL, "threads: %d is outside 0..%d", threads, MAX_THREADS);
    return NULL;
  }
  if (threads == 0) threads = pool_cpus();
  pool *p = pool_alloc(threads);
  if (!p) {
    ace_fail(err, ACE_ENOMEM, "threads: out of memory");
    return NULL;
  }
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
  atomic_store(&p->quit, true);
  atomic_fetch_add(&p->jobs.value, 1);
  event_wake(&p->jobs, MAX_THREADS);
  for (int i = 1; i < p->threads; i++) pthread_join(p->ids[i], NULL);
  event_close(&p->jobs);
  event_close(&p->undone);
  free(p->ids);
  free(p);
}

int pool_threads(const pool *p) {
  return p ? p->threads : 1;
}

void pool_run(pool *p, int chunks, pool_fn fn, void *arg) {
  if (!p || p->threads == 1 || chunks <= 1) {
    for (int i = 0; i < chunks; i++) fn(arg, i, 0);
    return;
  }
  p->fn = fn;
  p->arg = arg;
  p->chunks = chunks;
  atomic_store_explicit(&p->undone.value, (unsigned)chunks, memory_order_relaxed);
  atomic_store_explicit(&p->unclaimed, chunks, memory_order_release);
  atomic_fetch_add(&p->jobs.value, 1);
  event_wake(&p->jobs, chunks - 1);
  run_chunks(p, 0);
  for (unsigned left; (left = atomic_load_explicit(&p->undone.value, memory_order_acquire)) > 0;)
    event_wait(&p->undone, left);
}
