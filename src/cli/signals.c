#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

/* A handler has no other place to put what it saw. */
static volatile sig_atomic_t caught;
static volatile sig_atomic_t caught_second; /* low bits of the clock's seconds and its tenths, when it came */

static sig_atomic_t tenths(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (sig_atomic_t)((t.tv_sec % 1000000) * 10 + t.tv_nsec / 100000000);
}

static void on_signal(int number) {
  if (!caught) {
    caught = number;
    caught_second = tenths();
    return;
  }
  /* Programs that end a whole group (timeout, a closing terminal) signal twice in one breath: that is still once. */
  if (tenths() - caught_second < 3) return;
  signal(number, SIG_DFL);
  raise(number);
}

void signals_install(void) {
  static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
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
