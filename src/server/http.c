/* http.c - the daemon, and a request from its first byte to its end. */
#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/http_inner.h"

enum { MOST_CONNECTIONS = 1024, HEAD_BYTES = 64 * 1024, IDLE_SECONDS = 90, STACK_BYTES = 256 * 1024, BACKLOG = 511 };

/* ---- a call ------------------------------------------------------------------------------------------------------ */

static void name_peer(http_call *c) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const struct sockaddr *a = info ? info->client_addr : NULL;
  const void *address =
      !a                         ? NULL
      : a->sa_family == AF_INET  ? (const void *)&((const struct sockaddr_in *)(const void *)a)->sin_addr
      : a->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr
                                 : NULL;
  if (!address || !inet_ntop(a->sa_family, address, c->peer, sizeof c->peer)) strcpy(c->peer, "local");
}

static void call_free(http_call *c) {
  if (!c) return;
  http_intake_close(c);
  http_list_free(&c->form), http_list_free(&c->query), http_list_free(&c->headers);
  if (c->response) MHD_destroy_response(c->response);
  free(c->method), free(c->path);
  free(c);
}

static enum MHD_Result add_query(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                 const char *value, size_t size) {
  http_call *c = cls;
  return http_list_add(&c->query, name, value ? value : "", size) ? MHD_YES : MHD_NO;
}

static http_guarded *guarded_of(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

static http_call *call_new(http *h, struct MHD_Connection *connection, const char *path, const char *method) {
  http_call *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  *c = (http_call){.server = h, .connection = connection, .method = strdup(method), .path = strdup(path)};
  c->intake.file = -1;
  c->guarded = guarded_of(connection);
  c->began = clock_seconds();
  name_peer(c);
  http_believe_proxy(c);
  bool ok = c->method && c->path && MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, add_query, c) >= 0;
  if (ok && (int)c->query.n == MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, NULL, NULL)) return c;
  call_free(c);
  return NULL;
}

/* Gives the response to libmicrohttpd. */
static enum MHD_Result send_answer(http_call *c) {
  if (!c->response) http_text(c, 500, "Internal Server Error");
  if (!c->response) return MHD_NO;
  http_guard_phase(c->server, c->guarded, HTTP_ANSWERING);
  return MHD_queue_response(c->connection, (unsigned)c->status, c->response);
}

static void refuse(http_call *c) {
  http_json(c, c->intake.refused, json_pack("{s:s}", "detail", c->intake.why));
}

/* The head is there: is the request welcome, and how much of a body? */
static enum MHD_Result admit(http_call *c) {
  c->admitted = true;
  http_guard_phase(c->server, c->guarded, HTTP_RECEIVING);
  c->intake.wish = c->server->options.admit(c->server->options.user, c);
  if (!http_answered(c) && !http_intake_open(c)) refuse(c);
  return http_answered(c) ? send_answer(c) : MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *data, size_t *size, void **state) {
  http_call *c = *state;
  if (!c) {
    c = *state = call_new(cls, connection, path, method);
    return c ? admit(c) : MHD_NO;
  }
  if (http_answered(c)) return MHD_YES; /* what still comes of a refused body is dropped */
  if (*size > 0) {
    http_guard_received(c->server, c->guarded, *size);
    http_intake_add(c, data, *size); /* a refusal is answered below: until the end, an answer would be lost */
    *size = 0;
    return MHD_YES;
  }
  if (c->intake.refused || !http_intake_end(c)) refuse(c);
  else c->server->options.answer(c->server->options.user, c);
  return send_answer(c);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why) {
  http *h = cls;
  http_call *c = *state;
  if (!c) return;
  if (h->options.done) h->options.done(h->options.user, c, c->status, clock_seconds() - c->began);
  http_guard_phase(h, c->guarded, HTTP_IDLE);
  call_free(c);
  *state = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what) {
  http *h = cls;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *context = info ? http_guard_add(h, info->connect_fd) : NULL;
  } else {
    http_guard_remove(h, *context);
    *context = NULL;
  }
}

/* ---- opening, closing -------------------------------------------------------------------------------------------- */

static int listen_on(const char *address, int port, ace_error *err) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (strcmp(address, "localhost") == 0) address = "127.0.0.1";
  bool is_four = inet_pton(AF_INET, address, &four.sin_addr) == 1;
  if (!is_four && inet_pton(AF_INET6, address, &six.sin6_addr) != 1) {
    ace_fail(err, ACE_EINVAL, "server: \"%.64s\" is no numeric address; 127.0.0.1 is this machine only, 0.0.0.0 is all",
             address);
    return -1;
  }
  int s = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (s >= 0) setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  bool bound = s >= 0 && (is_four ? bind(s, (struct sockaddr *)&four, sizeof four)
                                  : bind(s, (struct sockaddr *)&six, sizeof six)) == 0;
  if (bound && listen(s, BACKLOG) == 0) return s;
  if (errno == EADDRINUSE)
    ace_fail(err, ACE_EIO, "server: port %d of %.64s is taken by another program; choose one with --port", port,
             address);
  else ace_fail_errno(err, "server: cannot listen on port %d of %.64s", port, address);
  if (s >= 0) close(s);
  return -1;
}

static int port_of(int listener) {
  union {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
  } a;
  socklen_t size = sizeof a;
  if (getsockname(listener, &a.any, &size) != 0) return 0;
  return ntohs(a.any.sa_family == AF_INET6 ? a.six.sin6_port : a.four.sin_port);
}

static bool start_daemon(http *h, int listener) {
  const http_options *o = &h->options;
  bool tls = o->certificate && o->key;
  struct MHD_OptionItem secure[] = {{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)o->key},
                                    {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)o->certificate},
                                    {MHD_OPTION_END, 0, NULL}};
  unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC;
  h->daemon = MHD_start_daemon(
      tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, listener,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)(o->most_connections > 0 ? o->most_connections : MOST_CONNECTIONS),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
      MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_ARRAY, tls ? secure : &secure[2], MHD_OPTION_END);
  return h->daemon != NULL;
}

http *http_open(const http_options *options, ace_error *err) {
  http *h = calloc(1, sizeof *h);
  if (!h || !(h->uploads = strdup(options->uploads))) {
    free(h);
    ace_fail(err, ACE_ENOMEM, "server: out of memory");
    return NULL;
  }
  h->options = *options;
  pthread_mutex_init(&h->lock, NULL);
  clock_condition(&h->bell);
  int listener = options->listener >= 0 ? options->listener : listen_on(options->address, options->port, err);
  h->own_listener = listener;
  bool ok = listener >= 0;
  h->port = ok ? port_of(listener) : 0;
  if (ok && !http_guard_start(h))
    ok = ace_fail(err, ACE_ENOMEM, "server: the system would not start a thread") == ACE_OK;
  if (ok && !start_daemon(h, listener))
    ok = ace_fail(err, ACE_EIO, "server: cannot start%s",
                  options->certificate ? "; are certificate and key PEM files that belong together?" : "") == ACE_OK;
  if (ok) h->own_listener = -1; /* the daemon closes it */
  if (ok) return h;
  http_close(h);
  return NULL;
}

void http_drain(http *h) {
  int listener = h->daemon ? MHD_quiesce_daemon(h->daemon) : -1;
  if (listener >= 0) close(listener);
}

void http_close(http *h) {
  if (!h) return;
  atomic_store(&h->closing, true);
  if (h->daemon) MHD_stop_daemon(h->daemon);
  http_guard_stop(h);
  if (h->own_listener >= 0) close(h->own_listener);
  pthread_cond_destroy(&h->bell);
  pthread_mutex_destroy(&h->lock);
  free(h->uploads);
  free(h);
}

int http_port(const http *h) {
  return h->port;
}

bool http_closing(const http *h) {
  return atomic_load(&h->closing);
}

/* ---- reading a call ---------------------------------------------------------------------------------------------- */

const char *http_method(const http_call *c) {
  return c->method;
}

const char *http_path(const http_call *c) {
  return c->path;
}

const char *http_header(const http_call *c, const char *name) {
  return MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const http_call *c, const char *name) {
  for (int i = 0; i < c->query.n; i++)
    if (strcmp(c->query.fields[i].name, name) == 0) return c->query.fields[i].value;
  return NULL;
}

const char *http_cookie(const http_call *c, const char *name) {
  return MHD_lookup_connection_value(c->connection, MHD_COOKIE_KIND, name);
}

const char *http_peer(const http_call *c) {
  return c->peer;
}

http *http_of(const http_call *c) {
  return c->server;
}

void http_keep(http_call *c, void *what) {
  c->kept = what;
}

void *http_kept(const http_call *c) {
  return c->kept;
}

const char *http_body(const http_call *c, size_t *length) {
  *length = c->intake.length;
  return c->intake.text;
}

const http_field *http_fields(const http_call *c, int *n) {
  *n = c->form.n;
  return c->form.fields;
}

const http_field *http_query_fields(const http_call *c, int *n) {
  *n = c->query.n;
  return c->query.fields;
}
