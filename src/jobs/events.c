#include "jobs/events.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEPT = 4096, WATCHERS = 16 };

typedef struct watcher {
  void (*woken)(void *user);
  void *user;
} watcher;

struct events {
  pthread_mutex_t lock;
  event *ring[KEPT]; /* message n lies at n % KEPT; NULL where it could not be stored */
  uint64_t first;    /* number of the first message of this start */
  uint64_t next;
  watcher watchers[WATCHERS];
  int n_watchers;
};

static uint64_t oldest(const events *e) {
  return e->next - e->first > KEPT ? e->next - KEPT : e->first;
}

events *events_new(ace_error *err) {
  events *e = calloc(1, sizeof *e);
  if (!e) {
    ace_fail(err, ACE_ENOMEM, "events: out of memory");
    return NULL;
  }
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  /* Millions of messages a second would be needed to overtake the clock; JavaScript counts exactly up to 2^53. */
  e->first = e->next = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
  pthread_mutex_init(&e->lock, NULL);
  return e;
}

void event_free(event *x) {
  if (!x) return;
  free(x->session), free(x->job), free(x->name), free(x->data);
  free(x);
}

void events_free(events *e) {
  if (!e) return;
  for (int i = 0; i < KEPT; i++) event_free(e->ring[i]);
  pthread_mutex_destroy(&e->lock);
  free(e);
}

static event *event_new(const char *session, const char *job, const char *name, char *data) {
  event *x = calloc(1, sizeof *x);
  if (!x) {
    free(data);
    return NULL;
  }
  *x = (event){.session = strdup(session), .job = strdup(job), .name = strdup(name), .data = data};
  if (x->session && x->job && x->name && x->data) return x;
  event_free(x);
  return NULL;
}

void events_publish(events *e, const char *session, const char *job, const char *name, const json_t *data) {
  event *x = event_new(session, job, name, json_dumps(data, JSON_COMPACT));
  pthread_mutex_lock(&e->lock);
  event **place = &e->ring[e->next % KEPT];
  event_free(*place);
  *place = x;
  if (x) x->id = e->next;
  e->next++;
  for (int i = 0; i < e->n_watchers; i++) e->watchers[i].woken(e->watchers[i].user);
  pthread_mutex_unlock(&e->lock);
}

static bool concerns(const event *x, const char *session, const char *job) {
  if (*x->session && strcmp(x->session, session) != 0) return false;
  return !job || !*x->job || strcmp(x->job, job) == 0;
}

event *events_next(events *e, uint64_t *cursor, const char *session, const char *job, bool *gap) {
  event *found = NULL;
  pthread_mutex_lock(&e->lock);
  uint64_t from = *cursor + 1, low = oldest(e);
  bool lost = from < low || from > e->next; /* also a number from a start whose clock was ahead */
  if (gap) *gap = lost;
  if (lost) from = low;
  for (; !found && from < e->next; from++) {
    const event *x = e->ring[from % KEPT];
    if (x && concerns(x, session, job)) {
      char *data = strdup(x->data);
      found = event_new(x->session, x->job, x->name, data);
      if (!found) break; /* out of memory: the next call tries again */
      found->id = x->id;
    }
  }
  *cursor = from - 1;
  pthread_mutex_unlock(&e->lock);
  return found;
}

uint64_t events_newest(events *e) {
  pthread_mutex_lock(&e->lock);
  uint64_t newest = e->next - 1;
  pthread_mutex_unlock(&e->lock);
  return newest;
}

bool events_watch(events *e, void (*woken)(void *user), void *user) {
  pthread_mutex_lock(&e->lock);
  bool room = e->n_watchers < WATCHERS;
  if (room) e->watchers[e->n_watchers++] = (watcher){woken, user};
  pthread_mutex_unlock(&e->lock);
  return room;
}

void events_unwatch(events *e, void (*woken)(void *user), void *user) {
  pthread_mutex_lock(&e->lock);
  for (int i = 0; i < e->n_watchers; i++)
    if (e->watchers[i].woken == woken && e->watchers[i].user == user) {
      e->watchers[i] = e->watchers[--e->n_watchers];
      break;
    }
  pthread_mutex_unlock(&e->lock);
}
