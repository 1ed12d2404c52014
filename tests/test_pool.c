/* Tests of the thread pool (base/pool.h): every chunk runs once, jobs may follow each other at any distance, and a worker
 * that the system does not let run is not waited for: a song on a busy machine is slow, but never stands still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/pool.h"

enum { MOST = 300 };

typedef struct counts {
  int runs[MOST]; /* plain: a chunk belongs to one worker */
  int workers;
  atomic_bool stranger;
} counts;

static void count_chunk(void *arg, int chunk, int worker) {
  counts *n = arg;
  if (worker < 0 || worker >= n->workers) atomic_store(&n->stranger, true);
  n->runs[chunk]++;
}

static void run_and_check(pool *p, int chunks) {
  counts n = {.workers = pool_threads(p)};
  pool_run(p, chunks, count_chunk, &n);
  for (int i = 0; i < MOST; i++) assert_int_equal(n.runs[i], i < chunks);
  assert_false(atomic_load(&n.stranger));
}

static void rest(long nanoseconds) {
  nanosleep(&(struct timespec){0, nanoseconds}, NULL);
}

/* A lost or doubled chunk is a hole or a wrong sum in a song. */
static void test_every_chunk_runs_once(void **state) {
  for (int threads = 1; threads <= 5; threads++) {
    pool *p = pool_new(threads, NULL);
    assert_non_null(p);
    for (int i = 0; i < 2000; i++) run_and_check(p, i % MOST);
    for (long pause = 1000; pause < 1000000; pause *= 2) { /* workers spin, fall asleep, sleep */
      rest(pause);
      run_and_check(p, 7);
    }
    pool_free(p);
  }
}

/* ---- a worker that is kept from running: it sits in a signal handler until a byte arrives ------------------------- */

static int gate[2];
static atomic_bool held;

static void hold(int signal) {
  char byte;
  atomic_store(&held, true);
  if (read(gate[0], &byte, 1) != 1) _exit(3);
}

typedef struct find {
  pthread_t id;
  atomic_bool found;
} find;

static void find_worker(void *arg, int chunk, int worker) {
  find *f = arg;
  if (worker == 1 && !atomic_load(&f->found)) {
    f->id = pthread_self();
    atomic_store(&f->found, true);
  }
  if (worker == 0) rest(1000000); /* leaves chunks to the other */
}

static void test_a_held_worker_is_not_waited_for(void **state) {
  pool *p = pool_new(2, NULL);
  find f = {0};
  struct sigaction action = {.sa_handler = hold}, before;
  assert_int_equal(pipe(gate), 0);
  assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
  while (!atomic_load(&f.found)) pool_run(p, 4, find_worker, &f);
  assert_int_equal(pthread_kill(f.id, SIGUSR1), 0);
  for (int i = 0; i < 2000 && !atomic_load(&held); i++) rest(1000000);
  bool holding = atomic_load(&held); /* the thread sanitizer puts signals off while a thread waits */
  alarm(20);                         /* a pool that waits for it would wait for ever */
  for (int i = 0; holding && i < 500; i++) run_and_check(p, i % MOST);
  assert_int_equal(write(gate[1], "x", 1), 1);
  for (int i = 0; i < 500; i++) run_and_check(p, i % MOST); /* it comes back in the middle of these */
  alarm(0);
  pool_free(p);
  sigaction(SIGUSR1, &before, NULL);
  close(gate[0]);
  close(gate[1]);
  if (!holding) skip();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_chunk_runs_once),
      cmocka_unit_test(test_a_held_worker_is_not_waited_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
