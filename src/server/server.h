/* server.h - the REST API on top of the service: routes, keys, origins.
 *
 *   server *s = server_open(&(server_options){.service = studio, .http = {...}, .api_key = key}, &err);
 *   printf("http://127.0.0.1:%d\n", server_port(s));
 *   server_close(s);
 *
 * The wire format is the public ACE-Step API: docs/API.md lists the routes. Answers are
 *   {"data", "code", "error", "timestamp", "extra"}      or, for what HTTP itself refuses,      {"detail"}
 */
#ifndef ACE_SERVER_H
#define ACE_SERVER_H

#include "server/http.h"
#include "service/service.h"

typedef struct server server;

typedef struct server_options {
  service *service;
  http_options http;           /* address, port, listener, TLS, limits; the rest is filled in */
  const char *api_key;         /* NULL or "": no key is asked for */
  const char *user, *password; /* for signing in, both or neither */
  int batch;                   /* songs that the page makes at a time at first; 0: what suits the machine */
  const char *language;        /* of the page for those who chose none: "en", "zh", ...; NULL: what browsers ask for */
  bool service_mode;           /* models and settings stay as they are */
  const char *const
      *origins;             /* web origins that may read answers, besides this machine's; ends with NULL; may be NULL */
  const char *const *hosts; /* names under which the server is reached; a request for another one is refused, which
                                 stops DNS rebinding. NULL: the address and its port, localhost, any numeric address */
  const char *const *roots; /* folders whose files callers may name; ends with NULL; may be NULL */
  bool acecpp;              /* the routes of acestep.cpp's server are there too; see docs/API.md */
  int acecpp_batch;         /* plans of one of its requests, 1..9; 0: 1 */
  uint64_t most_upload;     /* bytes; 0: 200 MB */
  int chat_seconds;         /* that a chat completion waits; 0: 600 */
  const char *base;         /* path that a proxy serves us under, "/music"; it may take it off. NULL or "": none */
  bool log_json;            /* lines of the log are JSON objects */
  void (*log)(void *user, const char *line); /* one line a request, without secrets; NULL: none */
  void *log_user;
} server_options;

server *server_open(const server_options *options, ace_error *err);
/* Connections end; the service is the caller's. */
void server_close(server *s);
void server_drain(server *s);
int server_port(const server *s);
/* Connections that are there. */
int server_connections(const server *s);

#endif
