/* events.h - what happens, as numbered messages for those who listen now or come back.
 *
 * Messages are kept in a ring in memory. Their numbers grow from start to start of the program (they begin at the time
 * of day), so that a listener who names the last number he has seen is either given everything since, or told that the
 * ring no longer reaches that far; he then reads the state anew, which holds at least as much.
 *
 *   events_publish(e, session, job, "progress", json);
 *   for (event *x; (x = events_next(e, &cursor, session, job, &gap)); event_free(x)) send(x->id, x->name, x->data);
 *
 * Every function may be called from any thread.
 */
#ifndef ACE_JOBS_EVENTS_H
#define ACE_JOBS_EVENTS_H

#include "base/json.h"

typedef struct events events;

typedef struct event {
  uint64_t id;
  char *session; /* whose; "" is for everyone */
  char *job;     /* "" for none */
  char *name;    /* "progress", "sample", "done", "failed", "service" */
  char *data;    /* JSON text */
} event;

events *events_new(ace_error *err);
void events_free(events *e);

/* `data` is read, not kept. What cannot be stored for want of memory leaves a gap in the numbers. */
void events_publish(events *e, const char *session, const char *job, const char *name, const json_t *data);

/* The first message after *cursor for this session (those for everyone too) and, unless NULL, this job; moves the
 * cursor past all that was looked at. NULL when there is none yet. *gap: messages between the old cursor and the oldest
 * that is kept may be lost (`gap` may be NULL). */
event *events_next(events *e, uint64_t *cursor, const char *session, const char *job, bool *gap);
void event_free(event *x);
/* The number of the newest message: where a listener begins who wants only what is new. */
uint64_t events_newest(events *e);

/* `woken(user)` is called after each message, on the thread that published it; it must not call back in here. Watchers
 * are few. False when there are too many. */
bool events_watch(events *e, void (*woken)(void *user), void *user);
void events_unwatch(events *e, void (*woken)(void *user), void *user);

#endif
