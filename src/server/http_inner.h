/* http_inner.h - what the files of http.h share. */
#ifndef ACE_SERVER_HTTP_INNER_H
#define ACE_SERVER_HTTP_INNER_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/http.h"

/* Names and values out of a query, a form or a header, in memory of their own. */
typedef struct http_list {
  http_field *fields;
  int n, room;
} http_list;

/* Where a body goes while it arrives; see http_body.c. */
typedef struct http_intake {
  http_wish wish;
  char *text; /* a body that is no multipart form */
  size_t length, room;
  struct MHD_PostProcessor *form;
  int file;          /* of the file that arrives, -1 between files */
  uint64_t uploaded; /* bytes of files so far */
  int refused;       /* the status to refuse with; 0: all is well */
  const char *why;
} http_intake;

struct http_call {
  http *server;
  struct MHD_Connection *connection;
  struct http_guarded *guarded; /* its connection's entry in the guard */
  char *method, *path;
  char peer[64];
  bool admitted; /* the head has been judged */
  bool proxied;  /* it comes from a proxy that we believe */
  http_intake intake;
  http_list form, query;

  struct MHD_Response *response;
  http_list headers; /* to be added to the answer */
  int status;        /* of the answer; 0: none yet */
  void *kept;
  double began; /* monotonic seconds */
};

/* A connection that the guard watches. */
typedef struct http_guarded {
  struct http_guarded *next, *before;
  int socket;
  enum { HTTP_IDLE, HTTP_RECEIVING, HTTP_ANSWERING } phase;
  double since; /* of the phase */
  uint64_t received;
} http_guarded;

struct http {
  http_options options;
  struct MHD_Daemon *daemon;
  int port, own_listener; /* a socket to close, or -1 */
  char *uploads;
  atomic_bool closing;
  pthread_mutex_t lock; /* of the list of connections */
  pthread_cond_t bell;  /* ends the guard's nap */
  pthread_t guard;
  bool guarded;
  http_guarded *connections;
};

/* ---- http_guard.c ---- */
bool http_guard_start(http *h);
void http_guard_stop(http *h);
http_guarded *http_guard_add(http *h, int socket);
void http_guard_remove(http *h, http_guarded *g);
void http_guard_phase(http *h, http_guarded *g, int phase);
void http_guard_received(http *h, http_guarded *g, size_t bytes);

/* ---- http_proxy.c ---- */
/* The peer is the client behind the proxy, if the proxy is one of ours. */
void http_believe_proxy(http_call *c);

/* ---- http_body.c ---- */
http_field *http_list_add(http_list *l, const char *name, const char *value, size_t length);
void http_list_free(http_list *l);
/* "a=1&b=x+y%21": names and values decoded. False when out of memory or over `most` fields. */
bool http_parse_form(const char *text, size_t length, int most, http_list *out);
bool http_intake_open(http_call *c);
/* False: refused, see the intake. */
bool http_intake_add(http_call *c, const char *data, size_t length);
bool http_intake_end(http_call *c);
void http_intake_close(http_call *c);

#endif
