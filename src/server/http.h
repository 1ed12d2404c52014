/* http.h - the HTTP server: requests come in whole, answers go out; limits and deadlines are kept here.
 *
 *   static void answer(void *user, http_call *c) { http_json(c, 200, body); }
 *   http *h = http_open(&(http_options){.address = "127.0.0.1", .port = 7860, .answer = answer, ...}, &err);
 *   printf("%d\n", http_port(h));
 *   http_close(h);
 *
 * Built on libmicrohttpd with a thread for each connection, so a handler may wait. A request passes three stages:
 *   admit   the head has arrived: refuse by answering, or return how much body is wanted
 *   body    collected in memory; the files of a form go to disk, into the folder for uploads
 *   answer  everything is there
 * A client that is too slow is cut off: a head must arrive within http_options.head_seconds, a body at 16 KB a second or
 * more.
 */
#ifndef ACE_SERVER_HTTP_H
#define ACE_SERVER_HTTP_H

#include "base/json.h"

typedef struct http http;
typedef struct http_call http_call;

/* What a route lets a client send. */
typedef struct http_wish {
  size_t body;     /* bytes of a body that is not a form with files, and of one field of such a form */
  uint64_t upload; /* bytes of all files of a form; 0: files are refused */
  int parts;       /* fields and files of a form; 0: 256 */
} http_wish;

typedef struct http_options {
  const char *address; /* a numeric address of this machine, or "localhost" */
  int port;            /* 0: any free one */
  int listener; /* a socket that listens already (socket activation); < 0: none. Then address and port are idle */
  const char *certificate, *key; /* PEM texts for TLS; NULL: plain HTTP */
  const char *const *proxies;    /* addresses whose X-Forwarded headers are believed; ends with NULL; may be NULL */
  const char *uploads;           /* folder for the files of forms; must be there */
  int most_connections;          /* 0: 1024 */
  int head_seconds;              /* 0: 75 */
  http_wish (*admit)(void *user, http_call *c);
  void (*answer)(void *user, http_call *c);
  void (*done)(void *user, const http_call *c, int status, double seconds); /* after the answer has gone; may be NULL */
  void *user;
} http_options;

http *http_open(const http_options *options, ace_error *err);
/* Cuts off what still runs, ends all streams, waits for the handlers. */
void http_close(http *h);
/* Connections that are there. */
int http_connections(http *h);
/* No new connections from now on; those that are there go on. */
void http_drain(http *h);
int http_port(const http *h);
/* True once http_close began: what waits for the sake of a client ends. */
bool http_closing(const http *h);

/* ---- the request; all strings live as long as the call ----------------------------------------------------------- */

const char *http_method(const http_call *c);
const char *http_path(const http_call *c);                     /* percent-decoded, without the query */
const char *http_header(const http_call *c, const char *name); /* NULL: not there */
const char *http_query(const http_call *c, const char *name);  /* the first of that name; NULL: not there */
const char *http_peer(const http_call *c);                     /* the client's numeric address */
/* The name under which the client reached us, its port behind it; NULL: it did not say. */
const char *http_host(const http_call *c);
/* The client's own connection is encrypted, to us or to the proxy. */
bool http_secure(const http_call *c);
const char *http_cookie(const http_call *c, const char *name); /* NULL: not there */
http *http_of(const http_call *c);
/* Whatever the user keeps with the call; NULL at first. */
void http_keep(http_call *c, void *what);
void *http_kept(const http_call *c);

/* The whole body, NUL-terminated; NULL for a form with files and where there is none. */
const char *http_body(const http_call *c, size_t *length);

/* One field of a form. */
typedef struct http_field {
  const char *name;
  const char *value; /* NUL-terminated; of a file NULL */
  size_t length;
  const char *file_name; /* as the client calls the file, a label only; NULL: not a file */
  const char *path;      /* where it lies; unlinked with the call unless the handler has moved it away */
  uint64_t bytes;
} http_field;
/* Of an urlencoded or multipart body, in the order of arrival; n may be 0. */
const http_field *http_fields(const http_call *c, int *n);
/* The body taken as urlencoded text whatever its type says; NULL when it has too many fields. */
const http_field *http_parse_text(http_call *c, const char *text, size_t length, int *n);
/* The same for the query string. */
const http_field *http_query_fields(const http_call *c, int *n);

/* ---- the answer: exactly one of these for each call -------------------------------------------------------------- */

/* Added to the answer that follows. */
void http_set(http_call *c, const char *name, const char *value);

void http_bytes(http_call *c, int status, const char *type, const void *data, size_t length);
void http_text(http_call *c, int status, const char *text); /* text/plain */
/* Takes the reference; compact, UTF-8. NULL is out of memory and becomes 500. */
void http_json(http_call *c, int status, json_t *body);
/* A file with its length, modification time and entity tag; ranges (RFC 9110, one a request) and conditions are
 * honoured. 404 in the house's form when it cannot be read. */
void http_file(http_call *c, const char *path, const char *type);
/* A body that comes piece by piece: `next` blocks until it has a piece, returns its bytes, or 0 for the end. It must
 * look at http_closing at least twice a second. `end` frees `source` in every case. */
typedef size_t (*http_next)(void *source, char *out, size_t room);
void http_stream(http_call *c, int status, const char *type, http_next next, void *source, void (*end)(void *source));

bool http_answered(const http_call *c);

#endif
