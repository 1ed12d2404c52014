#include "server/metrics.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "server/openapi.h"

/* Upper bounds in seconds; what is longer goes into one bucket more. */
static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};
enum { BOUNDS = sizeof bounds / sizeof *bounds, STATUSES = 12 };

typedef struct counted {
  struct {
    int status;
    uint64_t n;
  } status[STATUSES]; /* in the order they came up; the last takes what has no room */
  uint64_t bucket[BOUNDS + 1];
  double seconds;
} counted;

struct metrics {
  pthread_mutex_t lock;
  int n;           /* routes */
  counted *routes; /* one more than there are: requests for no route */
};

metrics *metrics_new(ace_error *err) {
  metrics *m = calloc(1, sizeof *m);
  while (m && route_at(m->n)) m->n++;
  if (m) m->routes = calloc((size_t)m->n + 1, sizeof *m->routes);
  if (m && m->routes) {
    pthread_mutex_init(&m->lock, NULL);
    return m;
  }
  free(m);
  ace_fail(err, ACE_ENOMEM, "server: out of memory");
  return NULL;
}

void metrics_free(metrics *m) {
  if (!m) return;
  pthread_mutex_destroy(&m->lock);
  free(m->routes);
  free(m);
}

static int index_of(const metrics *m, const route *r) {
  for (int i = 0; r && i < m->n; i++)
    if (route_at(i) == r) return i;
  return m->n;
}

void metrics_count(metrics *m, const route *r, int status, double seconds) {
  counted *c = &m->routes[index_of(m, r)];
  int b = 0, s = 0;
  while (b < BOUNDS && seconds > bounds[b]) b++;
  pthread_mutex_lock(&m->lock);
  while (s < STATUSES - 1 && c->status[s].status && c->status[s].status != status) s++;
  c->status[s].status = status;
  c->status[s].n++;
  c->bucket[b]++;
  c->seconds += seconds;
  pthread_mutex_unlock(&m->lock);
}

/* ---- as text ----------------------------------------------------------------------------------------------------- */

static void labels_of(const metrics *m, int i, char out[300]) {
  char path[256] = "none";
  const route *r = i < m->n ? route_at(i) : NULL;
  if (r) openapi_path(r->path, path, sizeof path);
  snprintf(out, 300, "method=\"%s\",route=\"%s\"", r ? r->method : "", path);
}

static uint64_t total_of(const counted *c) {
  uint64_t n = 0;
  for (int s = 0; s < STATUSES; s++) n += c->status[s].n;
  return n;
}

static void write_histogram(const counted *c, const char *labels, req_text *out) {
  uint64_t below = 0;
  for (int b = 0; b < BOUNDS; b++) {
    below += c->bucket[b];
    req_text_addf(out, "acestep_http_request_seconds_bucket{%s,le=\"%g\"} %llu\n", labels, bounds[b],
                  (unsigned long long)below);
  }
  req_text_addf(out, "acestep_http_request_seconds_bucket{%s,le=\"+Inf\"} %llu\n", labels,
                (unsigned long long)(below + c->bucket[BOUNDS]));
  req_text_addf(out, "acestep_http_request_seconds_sum{%s} %.6f\n", labels, c->seconds);
  req_text_addf(out, "acestep_http_request_seconds_count{%s} %llu\n", labels, (unsigned long long)total_of(c));
}

void metrics_write(metrics *m, req_text *out) {
  char labels[300];
  pthread_mutex_lock(&m->lock);
  req_text_add(out,
               "# HELP acestep_http_requests_total Requests that were answered\n"
               "# TYPE acestep_http_requests_total counter\n");
  for (int i = 0; i <= m->n; i++)
    for (int s = 0; s < STATUSES && m->routes[i].status[s].n; s++) {
      labels_of(m, i, labels);
      req_text_addf(out, "acestep_http_requests_total{%s,status=\"%d\"} %llu\n", labels, m->routes[i].status[s].status,
                    (unsigned long long)m->routes[i].status[s].n);
    }
  req_text_add(out,
               "# HELP acestep_http_request_seconds From the head of a request to the end of its answer\n"
               "# TYPE acestep_http_request_seconds histogram\n");
  for (int i = 0; i <= m->n; i++)
    if (total_of(&m->routes[i])) {
      labels_of(m, i, labels);
      write_histogram(&m->routes[i], labels, out);
    }
  pthread_mutex_unlock(&m->lock);
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

static int descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  int n = 0;
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n > 3 ? n - 3 : 0; /* ".", "..", and the folder itself */
}

static void gauge(req_text *out, const char *name, const char *type, const char *help, double value) {
  req_text_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name, value);
}

void metrics_write_process(req_text *out) {
  unsigned long long size = 0, resident = 0;
  struct rlimit most;
  struct timespec cpu;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f && fscanf(f, "%llu %llu", &size, &resident) != 2) size = resident = 0;
  if (f) fclose(f);
  double page = (double)sysconf(_SC_PAGESIZE);
  gauge(out, "process_resident_memory_bytes", "gauge", "Memory in use", page * (double)resident);
  gauge(out, "process_virtual_memory_bytes", "gauge", "Address space in use", page * (double)size);
  gauge(out, "process_open_fds", "gauge", "Open descriptors", descriptors());
  if (getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur != RLIM_INFINITY)
    gauge(out, "process_max_fds", "gauge", "Descriptors that may be open", (double)most.rlim_cur);
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
    gauge(out, "process_cpu_seconds_total", "counter", "Processor time",
          (double)cpu.tv_sec + 1e-9 * (double)cpu.tv_nsec);
}
