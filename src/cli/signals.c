#include "cli/signals.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

/* A handler has no other place to put what it saw, and a process has one set of handlers. */
static volatile sig_atomic_t caught;
static volatile sig_atomic_t caught_at; /* tenths of a second */
static sem_t came;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int (*watch_stop)(void *user); /* under the lock, as is all below */
static void *watch_user;
static bool watching; /* the thread runs */

static sig_atomic_t tenths(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (sig_atomic_t)((t.tv_sec % 1000000) * 10 + t.tv_nsec / 100000000);
}

static void on_signal(int number) {
  int before = errno;
  if (!caught) {
    caught = number;
    caught_at = tenths();
    sem_post(&came);
  } else if (tenths() - caught_at >= 3) {
    /* Programs that end a whole group (timeout, a closing terminal) signal twice in one breath: that is still once. */
    signal(number, SIG_DFL);
    raise(number);
  }
  errno = before;
}

void signals_install(void) {
  static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
  sem_init(&came, 0, 0);
  for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
    struct sigaction old, mine = {.sa_handler = on_signal}; /* no SA_RESTART: a read from the keyboard ends too */
    sigemptyset(&mine.sa_mask);
    if (stops[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue; /* nohup */
    sigaction(stops[i], &mine, NULL);
  }
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

int signals_caught(void) {
  return caught;
}

void signals_lock(void) {
  pthread_mutex_lock(&lock);
}

void signals_unlock(void) {
  pthread_mutex_unlock(&lock);
}

static void *watcher(void *unused) {
  struct timespec patience = {.tv_nsec = 600000000}; /* the promise is a second */
  while (sem_wait(&came) != 0 && errno == EINTR) continue;
  while (nanosleep(&patience, &patience) != 0 && errno == EINTR) continue;
  signals_lock();
  if (watch_stop) _exit(watch_stop(watch_user));
  watching = false;
  signals_unlock();
  return NULL;
}

void signals_watch(int (*stop)(void *user), void *user) {
  signals_lock();
  watch_stop = stop;
  watch_user = user;
  if (stop && !watching) {
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals go to the threads that work */
    watching = pthread_create(&thread, NULL, watcher, NULL) == 0;
    if (watching) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  signals_unlock();
}
