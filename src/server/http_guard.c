/* http_guard.c - cuts off clients that are too slow.
 *
 * The time-out of libmicrohttpd counts from the last byte, so a client that sends one byte a minute would keep its
 * connection for ever. The guard looks at every connection once a second and counts from the beginning.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/http_inner.h"

enum { HEAD_SECONDS = 75, BODY_SECONDS = 30, BODY_RATE = 16 * 1024 };

static bool too_slow(const http *h, const http_guarded *g, double now) {
  double taken = now - g->since;
  int head = h->options.head_seconds > 0 ? h->options.head_seconds : HEAD_SECONDS;
  if (g->phase == HTTP_IDLE) return taken > head;
  return g->phase == HTTP_RECEIVING && taken > BODY_SECONDS + (double)g->received / BODY_RATE;
}

static void *watch(void *arg) {
  http *h = arg;
  pthread_mutex_lock(&h->lock);
  while (!atomic_load(&h->closing)) {
    double now = clock_seconds();
    for (http_guarded *g = h->connections; g; g = g->next)
      if (too_slow(h, g, now)) shutdown(g->socket, SHUT_RDWR);
    struct timespec next = clock_after(1);
    pthread_cond_timedwait(&h->bell, &h->lock, &next);
  }
  pthread_mutex_unlock(&h->lock);
  return NULL;
}

bool http_guard_start(http *h) {
  h->guarded = pthread_create(&h->guard, NULL, watch, h) == 0;
  return h->guarded;
}

void http_guard_stop(http *h) {
  if (!h->guarded) return;
  pthread_mutex_lock(&h->lock);
  atomic_store(&h->closing, true);
  pthread_cond_broadcast(&h->bell);
  pthread_mutex_unlock(&h->lock);
  pthread_join(h->guard, NULL);
  h->guarded = false;
}

http_guarded *http_guard_add(http *h, int socket) {
  http_guarded *g = calloc(1, sizeof *g);
  if (!g) return NULL;
  *g = (http_guarded){.socket = socket, .phase = HTTP_IDLE, .since = clock_seconds()};
  pthread_mutex_lock(&h->lock);
  g->next = h->connections;
  if (g->next) g->next->before = g;
  h->connections = g;
  pthread_mutex_unlock(&h->lock);
  return g;
}

void http_guard_remove(http *h, http_guarded *g) {
  if (!g) return;
  pthread_mutex_lock(&h->lock);
  if (g->before) g->before->next = g->next;
  else h->connections = g->next;
  if (g->next) g->next->before = g->before;
  pthread_mutex_unlock(&h->lock);
  free(g);
}

int http_connections(http *h) {
  int n = 0;
  pthread_mutex_lock(&h->lock);
  for (const http_guarded *g = h->connections; g; g = g->next) n++;
  pthread_mutex_unlock(&h->lock);
  return n;
}

void http_guard_phase(http *h, http_guarded *g, int phase) {
  if (!g) return;
  pthread_mutex_lock(&h->lock);
  g->phase = phase;
  g->since = clock_seconds();
  g->received = 0;
  pthread_mutex_unlock(&h->lock);
}

void http_guard_received(http *h, http_guarded *g, size_t bytes) {
  if (!g) return;
  pthread_mutex_lock(&h->lock);
  g->received += bytes;
  pthread_mutex_unlock(&h->lock);
}
