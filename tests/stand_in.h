/* stand_in.h - a small HTTP server inside a test, as well- or ill-behaved as the test wants it to be.
 *
 *   static void answer(void *user, const stand_request *r, int fd) { stand_text(fd, 200, "hello"); }
 *   stand_in s;
 *   stand_open(&s, answer, user);            // at http://127.0.0.1:s.port, a thread for each connection
 *   ... stand_url(&s, "/path") ...           // valid until the next call
 *   stand_close(&s);
 *
 * The handler runs on the connection's own thread; each connection carries one request.
 */
#ifndef ACE_TESTS_STAND_IN_H
#define ACE_TESTS_STAND_IN_H

#include "temp.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

typedef struct stand_request {
  char head[16384]; /* all lines up to the empty one */
  char method[8], target[1024];
  char *body; /* NUL-terminated */
  size_t length;
} stand_request;

typedef struct stand_in {
  void (*answer)(void *user, const stand_request *r, int fd);
  void *user;
  int fd, port;
  pthread_t thread;
  atomic_int open, served; /* connections under way; requests so far */
  char url[1200];
} stand_in;

static inline void stand_wait(int milliseconds) {
  nanosleep(&(struct timespec){.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L}, NULL);
}

static inline void stand_send(int fd, const void *data, size_t n) {
  const char *p = data;
  while (n > 0) {
    ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
    if (sent <= 0) return;
    p += sent;
    n -= (size_t)sent;
  }
}

/* An answer with these bytes; `headers`: further lines, each with its line end. */
static inline void stand_bytes(int fd, int status, const char *headers, const void *data, size_t n) {
  char head[2048];
  int length = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n",
                        status, n, headers);
  stand_send(fd, head, (size_t)length);
  stand_send(fd, data, n);
}

static inline void stand_text(int fd, int status, const char *text) {
  stand_bytes(fd, status, "", text, strlen(text));
}

static inline void stand_redirect(int fd, const char *to) {
  char line[1400];
  snprintf(line, sizeof line, "Location: %s\r\n", to);
  stand_bytes(fd, 302, line, "", 0);
}

/* The value of a header in `out`; "" when there is none. */
static inline const char *stand_header(const stand_request *r, const char *name, char out[1024]) {
  size_t n = strlen(name);
  out[0] = 0;
  for (const char *line = strchr(r->head, '\n'); line; line = strchr(line, '\n')) {
    line++;
    if (strncasecmp(line, name, n) != 0 || line[n] != ':') continue;
    snprintf(out, 1024, "%.*s", (int)strcspn(line + n + 2, "\r\n"), line + n + 2);
    break;
  }
  return out;
}

/* The whole of a file, or the part that the request asks for. */
static inline void stand_file(int fd, const stand_request *r, const char *headers, const char *data, size_t n) {
  char range[1024], lines[1500];
  uint64_t from = 0;
  if (sscanf(stand_header(r, "Range", range), "bytes=%" SCNu64 "-", &from) != 1) {
    stand_bytes(fd, 200, headers, data, n);
  } else if (from >= n) {
    stand_bytes(fd, 416, "", "", 0);
  } else {
    snprintf(lines, sizeof lines, "%sContent-Range: bytes %" PRIu64 "-%zu/%zu\r\n", headers, from, n - 1, n);
    stand_bytes(fd, 206, lines, data + from, n - from);
  }
}

typedef struct stand_connection {
  stand_in *server;
  int fd;
} stand_connection;

/* False: the other side went away. */
static inline bool stand_read(int fd, stand_request *r) {
  size_t n = 0;
  char *end = NULL;
  while (!end) {
    ssize_t got = recv(fd, r->head + n, sizeof r->head - 1 - n, 0);
    if (got <= 0) return false;
    n += (size_t)got;
    r->head[n] = 0;
    end = strstr(r->head, "\r\n\r\n");
  }
  end += 4;
  char value[1024];
  size_t have = n - (size_t)(end - r->head);
  r->length = strtoul(stand_header(r, "Content-Length", value), NULL, 10);
  r->body = calloc(1, r->length + 1);
  if (!r->body) return false;
  memcpy(r->body, end, have < r->length ? have : r->length);
  while (have < r->length) {
    ssize_t got = recv(fd, r->body + have, r->length - have, 0);
    if (got <= 0) return false;
    have += (size_t)got;
  }
  *end = 0;
  return sscanf(r->head, "%7s %1023s", r->method, r->target) == 2;
}

static inline void *stand_serve(void *user) {
  stand_connection c = *(stand_connection *)user;
  free(user);
  stand_request *r = calloc(1, sizeof *r);
  if (r && stand_read(c.fd, r)) {
    c.server->served++;
    c.server->answer(c.server->user, r, c.fd);
  }
  if (r) free(r->body);
  free(r);
  shutdown(c.fd, SHUT_WR);
  close(c.fd);
  c.server->open--;
  return NULL;
}

static inline void *stand_listen(void *user) {
  stand_in *s = user;
  for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
    stand_connection *c = malloc(sizeof *c);
    pthread_t thread;
    *c = (stand_connection){s, fd};
    s->open++;
    if (pthread_create(&thread, NULL, stand_serve, c) != 0) fail_msg("no thread");
    pthread_detach(thread);
  }
  return NULL;
}

static inline void stand_open(stand_in *s, void (*answer)(void *user, const stand_request *r, int fd), void *user) {
  *s = (stand_in){.answer = answer, .user = user, .fd = socket(AF_INET, SOCK_STREAM, 0)};
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  assert_true(s->fd >= 0);
  assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
  assert_int_equal(listen(s->fd, 64), 0);
  s->port = ntohs(at.sin_port);
  assert_int_equal(pthread_create(&s->thread, NULL, stand_listen, s), 0);
  /* A proxy of this machine's has no business here. */
  setenv("no_proxy", "127.0.0.1", 1);
}

static inline void stand_close(stand_in *s) {
  shutdown(s->fd, SHUT_RDWR);
  close(s->fd);
  pthread_join(s->thread, NULL);
  while (s->open > 0) stand_wait(1);
}

static inline const char *stand_url(stand_in *s, const char *path) {
  snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d%s", s->port, path);
  return s->url;
}

#endif
