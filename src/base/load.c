#include "base/load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds that all processors were busy since the system started. */
static double busy_seconds(void) {
  FILE *f = fopen("/proc/stat", "r");
  if (!f) return 0;
  unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
  int n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq, &soft,
                 &steal);
  fclose(f);
  long hz = sysconf(_SC_CLK_TCK);
  return n >= 4 && hz > 0 ? (double)(user + nice + system + irq + soft + steal) / (double)hz : 0;
}

load_mark load_now(void) {
  return (load_mark){
      .time = seconds(CLOCK_MONOTONIC), .busy = busy_seconds(), .own = seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

double load_foreign(const load_mark *since) {
  load_mark now = load_now();
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  double span = (now.time - since->time) * (double)(cpus > 0 ? cpus : 1);
  double share = span > 0 ? (now.busy - since->busy - (now.own - since->own)) / span : 0;
  return share < 0 ? 0 : share > 1 ? 1 : share;
}

bool load_wait(double share, double cap, bool (*stop)(void *user), void *user) {
  const struct timespec pause = {.tv_nsec = 200000000};
  for (double begin = seconds(CLOCK_MONOTONIC);;) {
    load_mark m = load_now();
    nanosleep(&pause, NULL);
    if (load_foreign(&m) < share) return true;
    if (seconds(CLOCK_MONOTONIC) - begin > cap || (stop && stop(user))) return false;
  }
}

/* A field of /proc/self/status, in bytes. */
static size_t status_bytes(const char *field) {
  FILE *f = fopen("/proc/self/status", "r");
  if (!f) return 0;
  char line[128];
  unsigned long long kib = 0;
  size_t n = strlen(field);
  while (fgets(line, sizeof line, f))
    if (strncmp(line, field, n) == 0 && sscanf(line + n, " %llu", &kib) == 1) break;
  fclose(f);
  return (size_t)kib << 10;
}

size_t load_peak_memory(void) {
  return status_bytes("VmHWM:");
}

size_t load_own_memory(void) {
  return status_bytes("RssAnon:");
}
