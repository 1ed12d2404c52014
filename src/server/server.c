/* server.c - from a request to its route: hosts, origins, keys, methods, bodies; one line of log each. */
#include "server/server.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "server/metrics.h"
#include "server/route.h"
#include "server/session.h"

enum { BODY_BYTES = 8 << 20, CHAT_BYTES = 300 << 20, FIELD_BYTES = 1 << 20, MEGABYTE = 1 << 20, UPLOAD_MB = 200 };

struct server {
  server_options options;
  http *http;
  logins *logins;
  metrics *metrics;
  pthread_mutex_t lock;
  pthread_cond_t news; /* something happened: listeners look */
};

static const route *const tables[] = {routes_state,      routes_task,    routes_words,    routes_events, routes_chat,
                                      routes_operations, routes_studio,  routes_songs,    routes_jobs,   routes_uploads,
                                      routes_page,       routes_dataset, routes_training, routes_lora,   routes_catalog,
                                      routes_folders,    routes_shared};

const route *route_at(int i) {
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
    for (const route *r = tables[t]; r->method; r++)
      if (i-- == 0) return r;
  return NULL;
}

const server_options *server_settings(const server *s) {
  return &s->options;
}

metrics *server_metrics(const server *s) {
  return s->metrics;
}

logins *server_logins(const server *s) {
  return s->logins;
}

/* ---- news -------------------------------------------------------------------------------------------------------- */

static void on_news(void *user) {
  server *s = user;
  pthread_mutex_lock(&s->lock);
  pthread_cond_broadcast(&s->news);
  pthread_mutex_unlock(&s->lock);
}

void server_await_event(server *s, int ms) {
  struct timespec until = clock_after(1e-3 * ms);
  pthread_mutex_lock(&s->lock);
  pthread_cond_timedwait(&s->news, &s->lock, &until);
  pthread_mutex_unlock(&s->lock);
}

/* ---- finding the route ------------------------------------------------------------------------------------------- */

/* Below the base path or, when a proxy has taken that off, without it. Every route is also there under /api, as some
 * clients expect it behind a proxy. */
static const char *bare_path(const server *s, const char *path) {
  size_t n = strlen(s->options.base);
  if (n > 0 && strncmp(path, s->options.base, n) == 0 && path[n] == '/') path += n;
  return strncmp(path, "/api/", 5) == 0 ? path + 4 : path;
}

/* Each star is one part of the path, not empty; `c` is told which. */
static bool path_matches(const char *pattern, const char *path, call *c) {
  int stars = 0;
  while (*pattern && *path) {
    if (*pattern != '*') {
      if (*pattern++ != *path++) return false;
      continue;
    }
    size_t n = strcspn(path, "/");
    if (n == 0 || n >= ROUTE_PART || stars == ROUTE_PARTS) return false;
    memcpy(c->part[stars], path, n);
    c->part[stars++][n] = 0;
    pattern++, path += n;
  }
  return *pattern == *path;
}

static const route *find_in(const route *r, const char *method, const char *path, call *c, const char **other) {
  for (; r->method; r++) {
    if (!path_matches(r->path, path, c)) continue;
    if (strcmp(r->method, method) == 0) return r;
    *other = r->method;
  }
  return NULL;
}

/* NULL: no such route; *other: there is one for another method, whose name it is. */
static const route *find(const char *method, const char *path, call *c, const char **other) {
  *other = NULL;
  path = bare_path(c->server, path);
  const route *found = NULL;
  for (size_t t = 0; t < sizeof tables / sizeof *tables && !found; t++)
    found = find_in(tables[t], method, path, c, other);
  return found || !c->server->options.acecpp ? found : find_in(routes_acecpp, method, path, c, other);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

bool route_authorized(call *c, const char *token, bool body_style) {
  const server_options *o = &c->server->options;
  const char *key = o->api_key && *o->api_key ? o->api_key : NULL, *header = http_header(c->http, "Authorization");
  if (session_asks(c) == SESSION_ASKS_NOTHING) return true;
  if (key && token && *token) {
    if (session_same_secret(token, key)) return true;
    reply_detail(c, 401, "Invalid ai_token");
  } else if (session_signed_in(c)) {
    return true;
  } else if (!key) {
    reply_detail(c, 401, "Sign in first");
  } else if (!header || !*header) {
    reply_detail(c, 401, body_style ? "Missing ai_token or Authorization header" : "Missing Authorization header");
  } else {
    if (session_same_secret(strncmp(header, "Bearer ", 7) == 0 ? header + 7 : header, key)) return true;
    reply_detail(c, 401, "Invalid API key");
  }
  return false;
}

bool route_key_fits(const call *c) {
  const char *key = c->server->options.api_key, *header = http_header(c->http, "Authorization");
  return key && *key && header && session_same_secret(strncmp(header, "Bearer ", 7) == 0 ? header + 7 : header, key);
}

/* False: answered. */
static bool welcome(call *c, route_auth auth) {
  if (auth == AUTH_HEADER) return route_authorized(c, NULL, false);
  if (auth != AUTH_SESSION || session_asks(c) == SESSION_ASKS_NOTHING || session_signed_in(c) || route_key_fits(c))
    return true;
  refuse(c, 401, "login", NULL, "sign in first");
  return false;
}

/* ---- jobs that are waited for ------------------------------------------------------------------------------------ */

bool route_ended(const json_t *job) {
  const char *state = json_text(job, "state");
  return strcmp(state, job_state_name(JOB_QUEUED)) != 0 && strcmp(state, job_state_name(JOB_RUNNING)) != 0;
}

json_t *route_run(call *c, const char *kind, const json_t *task) {
  char id[JOBS_ID];
  ace_error err;
  job_new j = {.session = c->session, .kind = kind, .request = task};
  ace_status status = jobs_submit(service_jobs(c->service), &j, id, NULL, &err);
  json_t *job = NULL;
  while (status == ACE_OK && !http_closing(http_of(c->http))) {
    job = jobs_wait(service_jobs(c->service), id, 0.5, &err);
    if (job && route_ended(job)) return job;
    if (!job) status = err.status;
    bool later = job && jobs_draining(service_jobs(c->service)) && strcmp(json_text(job, "state"), "queued") == 0;
    json_decref(job);
    if (later) break; /* it waits for the next start */
  }
  if (status == ACE_OK) ace_fail(&err, ACE_EBUSY, "the program is ending");
  reply_failure(c, &err);
  return NULL;
}

const char *route_failure(const json_t *job) {
  if (strcmp(json_string_value(json_object_get(job, "state")), job_state_name(JOB_SUCCEEDED)) == 0) return NULL;
  const char *why = json_string_value(json_object_get(json_object_get(job, "error"), "message"));
  return why ? why : "cancelled";
}

/* ---- hosts and origins ------------------------------------------------------------------------------------------- */

/* The host without its port. */
static size_t host_length(const char *host) {
  if (*host == '[') return strcspn(host, "]") + (strchr(host, ']') != NULL);
  return strcspn(host, ":");
}

static bool is_numeric(const char *host, size_t n) {
  char text[64];
  unsigned char address[16];
  bool brackets = n > 1 && host[0] == '[';
  if (n >= sizeof text) return false;
  snprintf(text, sizeof text, "%.*s", (int)(brackets ? n - 2 : n), host + brackets);
  return inet_pton(brackets ? AF_INET6 : AF_INET, text, address) == 1;
}

/* A page elsewhere can make a browser send requests here under a name of its own (DNS rebinding), never under these. */
static bool host_is_ours(const server *s, const char *host) {
  if (!host) return true; /* no browser */
  size_t n = host_length(host);
  if (is_numeric(host, n) || (n == 9 && strncasecmp(host, "localhost", 9) == 0)) return true;
  for (const char *const *h = s->options.hosts; h && *h; h++)
    if (strlen(*h) == n && strncasecmp(*h, host, n) == 0) return true;
  return false;
}

static bool only_digits(const char *s) {
  while (isdigit((unsigned char)*s)) s++;
  return *s == 0;
}

static bool origin_is_local(const char *origin) {
  static const char *const local[] = {"http://localhost", "http://127.0.0.1", "https://localhost", "https://127.0.0.1"};
  for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
    size_t n = strlen(local[i]);
    if (strncmp(origin, local[i], n) == 0 &&
        (!origin[n] || (origin[n] == ':' && origin[n + 1] && only_digits(origin + n + 1))))
      return true;
  }
  return false;
}

/* "null" is a page that lies in a file, but also any site's page in a frame without rights: where nobody has to show a key
 * it could do what it likes. */
static bool origin_allowed(const call *c, const char *origin) {
  for (const char *const *o = c->server->options.origins; o && *o; o++)
    if (strcmp(*o, origin) == 0) return true;
  if (strcmp(origin, "null") == 0) return session_asks(c) != SESSION_ASKS_NOTHING;
  return origin_is_local(origin);
}

static const char methods[] = "GET, POST, OPTIONS, PUT, DELETE";

static bool headers_allowed(const char *asked) {
  static const char *const simple[] = {"accept", "accept-language", "authorization", "content-language",
                                       "content-type"};
  while (asked && *asked) {
    asked += strspn(asked, " ,");
    size_t n = strcspn(asked, " ,"), known = n == 0;
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
      known |= strlen(simple[i]) == n && strncasecmp(simple[i], asked, n) == 0;
    if (!known) return false;
    asked += n;
  }
  return true;
}

static bool method_allowed(const char *method) {
  const char *at = strstr(methods, method);
  size_t n = strlen(method);
  return n > 0 && at && (at == methods || at[-1] == ' ') && (!at[n] || at[n] == ',');
}

/* A browser asks before it sends: may this page? */
static void answer_preflight(call *c, const char *origin, const char *method) {
  const char *headers = http_header(c->http, "Access-Control-Request-Headers");
  const char *refused = !origin_allowed(c, origin)  ? "Disallowed CORS origin"
                        : !method_allowed(method)   ? "Disallowed CORS method"
                        : !headers_allowed(headers) ? "Disallowed CORS headers"
                                                    : NULL;
  if (refused) {
    http_text(c->http, 400, refused);
    return;
  }
  http_set(c->http, "Access-Control-Allow-Origin", origin);
  http_set(c->http, "Vary", "Origin");
  http_set(c->http, "Access-Control-Allow-Methods", methods);
  http_set(c->http, "Access-Control-Allow-Headers",
           "Accept, Accept-Language, Authorization, Content-Language, Content-Type");
  http_set(c->http, "Access-Control-Max-Age", "600");
  http_text(c->http, 200, "OK");
}

static bool changes_something(const char *method) {
  return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "OPTIONS") != 0;
}

/* False: answered. A page of another site may neither read answers nor change anything. */
static bool check_origin(call *c) {
  const char *origin = http_header(c->http, "Origin"), *host = http_host(c->http);
  const char *asked = http_header(c->http, "Access-Control-Request-Method");
  if (!host_is_ours(c->server, host)) {
    reply_detail(c, 421, "this server is not called %.200s; add the name with --allowed-host", host);
    return false;
  }
  if (!origin) return true;
  if (asked && strcmp(http_method(c->http), "OPTIONS") == 0) {
    answer_preflight(c, origin, asked);
    return false;
  }
  const char *scheme_end = strstr(origin, "://");
  bool same = scheme_end && host && strcmp(scheme_end + 3, host) == 0;
  if (origin_allowed(c, origin)) {
    http_set(c->http, "Access-Control-Allow-Origin", origin);
    http_set(c->http, "Vary", "Origin");
  } else if (!same && changes_something(http_method(c->http))) {
    reply_detail(c, 403, "pages of %.200s may not use this server; allow them with --allowed-origin", origin);
    return false;
  }
  return true;
}

/* "/music" is where the page seems to be, but its files lie below "/music/". False: answered. */
static bool has_slash(call *c) {
  char folder[256];
  const char *base = c->server->options.base;
  if (!*base || strcmp(http_path(c->http), base) != 0) return true;
  snprintf(folder, sizeof folder, "%.250s/", base);
  http_set(c->http, "Location", folder);
  http_text(c->http, 308, "Permanent Redirect");
  return false;
}

/* ---- the three stages of a request ------------------------------------------------------------------------------- */

static call call_of(server *s, http_call *h) {
  call c = {.http = h, .server = s, .service = s->options.service};
  session_of(&c);
  return c;
}

static http_wish wish_of(const server *s, const route *r) {
  uint64_t upload = s->options.most_upload ? s->options.most_upload : (uint64_t)UPLOAD_MB * MEGABYTE;
  if (r->body == BODY_CHAT) return (http_wish){.body = CHAT_BYTES};
  return (http_wish){.body = r->body == BODY_NONE ? 0
                             : r->files           ? 4 * FIELD_BYTES
                                                  : BODY_BYTES,
                     .upload = r->files ? upload : 0};
}

static http_wish admit(void *user, http_call *h) {
  server *s = user;
  const char *other;
  call c = call_of(s, h);
  if (!check_origin(&c) || !has_slash(&c)) return (http_wish){0};
  const route *r = find(http_method(h), http_path(h), &c, &other);
  http_keep(h, (void *)(uintptr_t)r);
  if (!r && other) {
    http_set(h, "Allow", other);
    reply_detail(&c, 405, "Method Not Allowed");
  } else if (!r) {
    reply_detail(&c, 404, "Not Found");
  } else {
    welcome(&c, r->auth);
  }
  return r ? wish_of(s, r) : (http_wish){0};
}

static void answer(void *user, http_call *h) {
  const route *r = http_kept(h);
  call c = call_of(user, h);
  path_matches(r->path, bare_path(c.server, http_path(h)), &c);
  bool ok = decode_body(&c, r->body);
  if (ok && r->auth == AUTH_BODY)
    ok = route_authorized(&c, json_string_value(json_object_get(c.body, "ai_token")), true);
  if (ok) r->run(&c);
  json_decref(c.body);
}

static char *log_object(const http_call *h, int status, double seconds) {
  char when[32], path[256];
  time_t now = time(NULL);
  struct tm utc;
  gmtime_r(&now, &utc);
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  snprintf(path, sizeof path, "%.200s", http_path(h));
  for (char *p = path; *p; p++)
    if ((unsigned char)*p >= 0x7f) *p = '?'; /* it may be no UTF-8, or cut in the middle of a character */
  const route *r = http_kept(h);
  json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:i, s:f}", "time", when, "event", "request", "peer",
                        http_peer(h), "method", http_method(h), "path", path, "route", r ? r->path : NULL, "status",
                        status, "seconds", seconds);
  char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
  json_decref(o);
  return text;
}

static void done(void *user, const http_call *h, int status, double seconds) {
  const server *s = user;
  metrics_count(s->metrics, http_kept(h), status, seconds);
  if (!s->options.log) return;
  char line[512];
  if (!s->options.log_json) {
    snprintf(line, sizeof line, "%s %s %.200s %d %.0f ms", http_peer(h), http_method(h), http_path(h), status,
             1000 * seconds);
    s->options.log(s->options.log_user, line);
    return;
  }
  char *text = log_object(h, status, seconds);
  if (text) s->options.log(s->options.log_user, text);
  free(text);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

server *server_open(const server_options *options, ace_error *err) {
  server *s = calloc(1, sizeof *s);
  if (!s) {
    ace_fail(err, ACE_ENOMEM, "server: out of memory");
    return NULL;
  }
  s->options = *options;
  if (!s->options.base) s->options.base = "";
  s->logins = logins_new(options, err);
  s->metrics = metrics_new(err);
  pthread_mutex_init(&s->lock, NULL);
  clock_condition(&s->news);
  events_watch(jobs_events(service_jobs(options->service)), on_news, s);
  if (!s->logins || !s->metrics) {
    server_close(s);
    return NULL;
  }
  http_options o = options->http;
  o.uploads = service_uploads(options->service);
  o.admit = admit, o.answer = answer, o.done = done, o.user = s;
  s->http = http_open(&o, err);
  if (s->http) return s;
  server_close(s);
  return NULL;
}

void server_drain(server *s) {
  http_drain(s->http);
}

void server_close(server *s) {
  if (!s) return;
  http_close(s->http);
  events_unwatch(jobs_events(service_jobs(s->options.service)), on_news, s);
  pthread_cond_destroy(&s->news);
  pthread_mutex_destroy(&s->lock);
  logins_free(s->logins), metrics_free(s->metrics);
  free(s);
}

int server_connections(const server *s) {
  return http_connections(s->http);
}

int server_port(const server *s) {
  return http_port(s->http);
}
