/* api_events.c - GET /v1/events: server-sent events of the caller's jobs and of the service.
 *
 * A browser that lost its connection names the last number it has seen (Last-Event-ID) and gets everything since. When
 * that is too long ago, or from an earlier start of the program, it gets the state of its jobs instead, which holds as
 * much.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "request/text.h"
#include "server/route.h"

enum { SNAPSHOT = 50, HEARTBEAT_SECONDS = 10, LOOK_MS = 250 };

typedef struct listening {
  server *server;
  http *http;
  jobs *jobs;
  char session[80], job[JOBS_ID]; /* job "": every one of the session */
  uint64_t cursor;
  bool behind; /* the state of the jobs is to be told first */
  char *text;  /* what is being sent, and how much of it has gone */
  size_t length, sent;
  time_t last; /* something was sent */
} listening;

static void end(void *source) {
  listening *l = source;
  free(l->text);
  free(l);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static void add_event(req_text *out, uint64_t id, const char *name, const char *data) {
  req_text_addf(out, "id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)id, name, data);
}

/* How a job stands, under the name that its message would have. */
static void add_job(req_text *out, uint64_t id, const json_t *job) {
  const char *name = !route_ended(job)                                ? "progress"
                     : strcmp(json_text(job, "state"), "failed") == 0 ? "failed"
                                                                      : "done";
  static const char *const keys[] = {"id", "state", "position", "progress", "seconds_left", "error", "samples"};
  json_t *brief = json_object();
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    json_t *v = json_object_get(job, keys[i]);
    if (v && !json_is_null(v)) json_object_set(brief, keys[i], v);
  }
  char *data = json_dumps(brief, JSON_COMPACT);
  if (data) add_event(out, id, name, data);
  free(data);
  json_decref(brief);
}

/* The oldest first, as it happened. */
static void add_snapshot(const listening *l, req_text *out) {
  uint64_t id = l->cursor;
  if (*l->job) {
    json_t *job = jobs_get(l->jobs, l->job, NULL);
    if (job) add_job(out, id, job);
    json_decref(job);
    return;
  }
  json_t *list = jobs_list(l->jobs, &(jobs_filter){.session = l->session, .limit = SNAPSHOT}, NULL);
  for (size_t i = json_array_size(list); i > 0; i--) add_job(out, id, json_array_get(list, i - 1));
  json_decref(list);
}

/* Everything that is new, as one text; false: nothing is. */
static bool gather(listening *l) {
  req_text out = {0};
  bool gap = false;
  event *x = events_next(jobs_events(l->jobs), &l->cursor, l->session, *l->job ? l->job : NULL, &gap);
  if (gap || l->behind) {
    l->cursor = events_newest(jobs_events(l->jobs));
    l->behind = false;
    add_snapshot(l, &out);
  } else {
    for (int n = 0; x && n < SNAPSHOT; n++) {
      add_event(&out, x->id, x->name, x->data);
      event_free(x);
      x = n + 1 < SNAPSHOT ? events_next(jobs_events(l->jobs), &l->cursor, l->session, *l->job ? l->job : NULL, NULL)
                           : NULL;
    }
  }
  event_free(x);
  l->length = out.size, l->sent = 0;
  free(l->text);
  l->text = req_text_take(&out);
  return l->text && l->length > 0;
}

static size_t next(void *source, char *out, size_t room) {
  listening *l = source;
  while (l->sent >= l->length && !gather(l)) {
    if (http_closing(l->http)) return 0;
    server_await_event(l->server, LOOK_MS);
    if (time(NULL) - l->last < HEARTBEAT_SECONDS) continue;
    l->last = time(NULL);
    return (size_t)snprintf(out, room, ": still here\n\n");
  }
  size_t n = l->length - l->sent < room ? l->length - l->sent : room;
  memcpy(out, l->text + l->sent, n);
  l->sent += n;
  l->last = time(NULL);
  return n;
}

/* ---- the route --------------------------------------------------------------------------------------------------- */

/* Whose messages: the caller's, or those of one job, whose number is secret enough. False: answered. */
static bool choose(call *c, listening *l) {
  const char *id = http_query(c->http, "task_id");
  snprintf(l->session, sizeof l->session, "%s", c->session);
  if (!id) return true;
  ace_error err;
  json_t *job = jobs_get(l->jobs, id, &err);
  if (!job) {
    reply_failure(c, &err);
    return false;
  }
  snprintf(l->job, sizeof l->job, "%s", id);
  snprintf(l->session, sizeof l->session, "%s", json_string_value(json_object_get(job, "session")));
  json_decref(job);
  return true;
}

static void get_events(call *c) {
  listening *l = calloc(1, sizeof *l);
  if (!l) {
    reply_detail(c, 503, "out of memory");
    return;
  }
  l->server = c->server, l->http = http_of(c->http), l->jobs = service_jobs(c->service);
  if (!choose(c, l)) {
    end(l);
    return;
  }
  const char *seen = http_header(c->http, "Last-Event-ID");
  if (!seen) seen = http_query(c->http, "last_event_id");
  l->cursor = seen ? strtoull(seen, NULL, 10) : events_newest(jobs_events(l->jobs));
  l->behind = !seen;
  l->last = time(NULL);
  http_set(c->http, "Cache-Control", "no-store");
  http_set(c->http, "X-Accel-Buffering", "no");
  http_stream(c->http, 200, "text/event-stream", next, l, end);
}

const route routes_events[] = {
    {"GET", "/v1/events", AUTH_HEADER, BODY_NONE, false, get_events,
     "Server-sent events of the caller's jobs and of the service", "task_id? last_event_id?", "text/event-stream"},
    {0},
};
