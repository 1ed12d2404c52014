/* route.h - what every route is given, and how it answers. */
#ifndef ACE_SERVER_ROUTE_H
#define ACE_SERVER_ROUTE_H

#include "server/server.h"

/* Stars in a route's path, and bytes of what may stand there. */
enum { ROUTE_PARTS = 2, ROUTE_PART = 200 };

typedef struct call {
  http_call *http;
  server *server;
  service *service;
  json_t *body;                       /* see route_body; NULL for BODY_NONE */
  char part[ROUTE_PARTS][ROUTE_PART]; /* what stands in the path for each star of the route's */
  char session[80];                   /* whose jobs these are */
} call;

typedef enum route_auth {
  AUTH_NONE,
  AUTH_HEADER,  /* Authorization: Bearer KEY, or KEY alone */
  AUTH_SESSION, /* the same, or signed in; for the page */
  AUTH_BODY     /* the body's ai_token if there is one, else the header; looked at once the body is decoded */
} route_auth;

/* How a body becomes an object. Forms give their fields as strings, one that is repeated in a multipart form a list. */
typedef enum route_body {
  BODY_NONE,
  BODY_TYPED, /* JSON, whatever the type says; "" is {}; a broken one is answered with 422 */
  BODY_LOOSE, /* JSON when the type says so, else a form */
  BODY_TASK,  /* by type, or guessed without one; see spec of POST /release_task in docs/API.md */
  BODY_ANY,   /* an object if it is one in JSON, else an empty one */
  BODY_RAW,   /* as it came: the route reads it */
  BODY_CHAT   /* JSON; a broken one is answered with 400 */
} route_body;

typedef struct route {
  const char *method, *path; /* a part of the path that is a star stands for any text without a slash */
  route_auth auth;
  route_body body;
  bool files; /* takes uploads */
  void (*run)(call *c);
  const char *summary;       /* for people who read /openapi.json */
  const char *takes, *gives; /* in the words of openapi.h; NULL: nothing that needs words */
} route;

/* The routes of one file; the last has no method. */
extern const route routes_state[], routes_task[], routes_words[], routes_events[], routes_chat[];
extern const route routes_operations[], routes_studio[], routes_songs[], routes_jobs[], routes_uploads[], routes_page[];
extern const route routes_dataset[], routes_training[], routes_lora[], routes_catalog[], routes_folders[];
extern const route routes_shared[];

/* Those of another server's protocol, found and described only where they are asked for. */
extern const route routes_acecpp[];

/* All of them but the latter, one after the other; NULL behind the last. */
const route *route_at(int i);

const server_options *server_settings(const server *s);
/* Returns when something was published (jobs/events.h), or after `ms` milliseconds. */
void server_await_event(server *s, int ms);
/* The Authorization header or `token` (may be NULL) against the key, in constant time. False: answered with 401. */
bool route_authorized(call *c, const char *token, bool body_style);

/* Models and settings may be changed here; false: answered. */
bool route_may_change(call *c);
/* The key stands in the Authorization header. */
bool route_key_fits(const call *c);

/* Runs a job and waits for its end, however long. The job as jobs_get describes it; NULL: answered. */
json_t *route_run(call *c, const char *kind, const json_t *task);
/* It neither waits nor runs. */
bool route_ended(const json_t *job);
/* Why it has not succeeded, valid as long as the job; NULL: it has. */
const char *route_failure(const json_t *job);

/* ---- answers (reply.c) ------------------------------------------------------------------------------------------- */

void reply_data(call *c, json_t *data); /* takes the reference; 200 */
/* The same with one more field beside the envelope's. */
void reply_data_beside(call *c, json_t *data, const char *field, const char *text);
void reply_error(call *c, int code, const char *format, ...) ACE_PRINTF(3, 4); /* HTTP 200, "code" 400 or 500 */
/* The same with data. */
void reply_error_data(call *c, int code, json_t *data, const char *format, ...) ACE_PRINTF(4, 5);
void reply_detail(call *c, int status, const char *format, ...) ACE_PRINTF(3, 4);
/* {"detail": [{"type", "loc": ["body" or "query", field], "msg", "input": {}}]}, 422 */
void reply_invalid(call *c, const char *type, const char *where, const char *field, const char *message);
/* A job found no place: 429 when the queue is full, 503 when the program is ending, with the time to wait. */
void reply_busy(call *c);
/* An error of the library as a status of HTTP: refused input 400, not found 404, busy as above, else 500. */
void reply_failure(call *c, const ace_error *err);

/* Refusals of the page's routes: {"detail", "status": a word, "kind", "field"}; kind and field may be NULL. */
void refuse(call *c, int status, const char *kind, const char *field, const char *format, ...) ACE_PRINTF(5, 6);
/* The same from an error of the library, with the status that reply_failure has for it. */
void refuse_error(call *c, const char *kind, const char *field, const ace_error *err);

/* ---- bodies (decode.c) ------------------------------------------------------------------------------------------- */

/* Fills c->body. False: answered. */
bool decode_body(call *c, route_body kind);

/* ---- values of an object, as clients write them (values.c) ------------------------------------------------------- */

/* Null, missing, blank or unreadable: the fallback. Numbers may be text, booleans "1 true yes y on". */
const char *value_text(const json_t *v, const char *fallback);
double value_number(const json_t *v, double fallback);
bool value_bool(const json_t *v, bool fallback);
/* One of the words of a yes, in any case, blanks around it allowed. */
bool value_says_yes(const char *text);
/* Numbers and booleans as text, in `out`; strings themselves. NULL: nothing that is text. */
enum { VALUE_SIZE = 64 };
const char *value_as_text(const json_t *v, char out[VALUE_SIZE]);
/* A field of a typed route, coerced; false: answered with 422. `required`: it must be there. */
bool typed_text(call *c, const char *field, bool required, const char **out);
bool typed_bool(call *c, const char *field, bool required, bool *out);
bool typed_number(call *c, const char *field, bool required, double lo, double hi, double *out);

#endif
