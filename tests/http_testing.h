/* http_testing.h - a client of a few lines: what it sends and gets is seen as bytes.
 *
 *   reply r = http_ask(port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
 *   assert_int_equal(r.status, 200);
 *   ... r.body, reply_header(&r, "ETag") ...
 *   reply_free(&r);
 */
#ifndef ACE_TESTS_HTTP_TESTING_H
#define ACE_TESTS_HTTP_TESTING_H

#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "temp.h"

typedef struct reply {
  int status; /* 0: the connection was closed without an answer */
  char *raw, *body;
  size_t length; /* of the body */
} reply;

static inline int http_connect(int port) {
  int s = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(connect(s, (struct sockaddr *)&a, sizeof a), 0);
  struct timeval patience = {.tv_sec = 120};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return s;
}

static inline void http_send(int s, const void *data, size_t length) {
  for (const char *p = data; length > 0;) {
    ssize_t n = send(s, p, length, MSG_NOSIGNAL);
    if (n <= 0) return; /* the other side may have had enough: what it answered is read below */
    p += n, length -= (size_t)n;
  }
}

/* The answer's header of that name, in a buffer that the next call reuses; NULL without one. */
static inline const char *reply_header(const reply *r, const char *name) {
  static char value[1024];
  size_t n = strlen(name);
  for (const char *line = strstr(r->raw, "\r\n"); line && line + 2 < r->body; line = strstr(line + 2, "\r\n"))
    if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
      const char *from = line + 3 + n, *to = strstr(from, "\r\n");
      from += *from == ' ';
      snprintf(value, sizeof value, "%.*s", (int)(to - from), from);
      return value;
    }
  return NULL;
}

/* Chunks put together in place. */
static inline void http_unchunk(reply *r) {
  char *from = r->body, *to = r->body;
  for (;;) {
    char *end;
    unsigned long n = strtoul(from, &end, 16);
    if (end == from || n == 0) break;
    from = end + 2;
    memmove(to, from, n);
    to += n, from += n + 2;
  }
  *to = 0;
  r->length = (size_t)(to - r->body);
}

/* Reads until the connection is closed, or the body is as long as its header says. */
static inline reply http_read(int s) {
  reply r = {0};
  size_t used = 0, room = 0;
  for (;;) {
    if (used + 65536 > room) assert_non_null(r.raw = realloc(r.raw, room = 2 * room + 131072));
    ssize_t n = recv(s, r.raw + used, 65535, 0);
    if (n <= 0) break;
    used += (size_t)n;
    r.raw[used] = 0;
    r.body = strstr(r.raw, "\r\n\r\n");
    if (!r.body) continue;
    r.body += 4;
    r.length = used - (size_t)(r.body - r.raw);
    const char *length = reply_header(&r, "Content-Length"), *coding = reply_header(&r, "Transfer-Encoding");
    if (length && r.length >= strtoull(length, NULL, 10)) break;
    if (coding && r.length >= 5 && strcmp(r.body + r.length - 5, "0\r\n\r\n") == 0) break;
  }
  if (!r.body) return r;
  assert_int_equal(sscanf(r.raw, "HTTP/1.1 %d", &r.status), 1);
  if (reply_header(&r, "Transfer-Encoding")) http_unchunk(&r);
  return r;
}

static inline reply http_ask_bytes(int port, const void *request, size_t length) {
  int s = http_connect(port);
  http_send(s, request, length);
  reply r = http_read(s);
  close(s);
  return r;
}

static inline reply http_ask(int port, const char *request) {
  return http_ask_bytes(port, request, strlen(request));
}

/* With a body; `head` is "POST /x HTTP/1.1" and further lines, each but the last ended by \r\n. */
static inline reply http_post(int port, const char *head, const void *body, size_t length) {
  char *request = malloc(strlen(head) + length + 100);
  assert_non_null(request);
  int n = sprintf(request, "%s\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", head, length);
  memcpy(request + n, body, length);
  reply r = http_ask_bytes(port, request, (size_t)n + length);
  free(request);
  return r;
}

static inline void reply_free(reply *r) {
  free(r->raw);
}

#endif
