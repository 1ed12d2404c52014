/* http_answer.c - answers: texts, JSON, files with ranges and conditions, streams. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/http_inner.h"

enum { STREAM_BLOCK = 16 * 1024 };

bool http_answered(const http_call *c) {
  return c->status != 0;
}

void http_set(http_call *c, const char *name, const char *value) {
  http_list_add(&c->headers, name, value, strlen(value));
}

/* Takes the response, which may be NULL for want of memory. */
static void answer(http_call *c, int status, const char *type, struct MHD_Response *response) {
  if (c->response) MHD_destroy_response(c->response);
  c->response = response;
  c->status = status;
  if (!response) return;
  if (type) MHD_add_response_header(response, "Content-Type", type);
  for (int i = 0; i < c->headers.n; i++)
    MHD_add_response_header(response, c->headers.fields[i].name, c->headers.fields[i].value);
}

void http_bytes(http_call *c, int status, const char *type, const void *data, size_t length) {
  answer(c, status, type, MHD_create_response_from_buffer(length, (void *)data, MHD_RESPMEM_MUST_COPY));
}

void http_text(http_call *c, int status, const char *text) {
  http_bytes(c, status, "text/plain; charset=utf-8", text, strlen(text));
}

void http_json(http_call *c, int status, json_t *body) {
  char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
  json_decref(body);
  if (text) http_bytes(c, status, "application/json", text, strlen(text));
  else http_text(c, 500, "Internal Server Error");
  free(text);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct span {
  uint64_t first, count;
} span;

/* "bytes=a-b", "bytes=a-", "bytes=-n". 0: no range that we know, send everything; 1: a range; -1: none of it is there. */
static int parse_range(const char *text, uint64_t size, span *out) {
  if (!text || strncmp(text, "bytes=", 6) != 0 || strchr(text, ',')) return 0;
  uint64_t a, b;
  int end = 0;
  if (sscanf(text + 6, "-%" SCNu64 "%n", &b, &end) == 1 && !text[6 + end]) {
    if (b == 0 || size == 0) return -1;
    out->count = b < size ? b : size;
    out->first = size - out->count;
    return 1;
  }
  int n = sscanf(text + 6, "%" SCNu64 "-%n", &a, &end);
  if (n != 1 || end == 0 || text[6] == '-') return 0;
  b = UINT64_MAX;
  int tail = 0;
  if (text[6 + end] && (sscanf(text + 6 + end, "%" SCNu64 "%n", &b, &tail) != 1 || text[6 + end + tail] || b < a))
    return 0;
  if (a >= size) return -1;
  out->first = a;
  out->count = (b < size ? b + 1 : size) - a;
  return 1;
}

static void http_date(time_t t, char out[64]) {
  struct tm utc;
  gmtime_r(&t, &utc);
  strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

static void send_span(http_call *c, int fd, int status, const char *type, span s, uint64_t size) {
  char range[96];
  if (status == 206) {
    snprintf(range, sizeof range, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, s.first, s.first + s.count - 1, size);
    http_set(c, "Content-Range", range);
  }
  struct MHD_Response *r = MHD_create_response_from_fd_at_offset64(s.count, fd, s.first);
  if (!r) close(fd);
  answer(c, status, type, r);
}

static void send_open_file(http_call *c, int fd, const struct stat *st, const char *type) {
  char tag[80], date[64], whole[64];
  uint64_t size = (uint64_t)st->st_size;
  snprintf(tag, sizeof tag, "\"%llx-%llx-%lx\"", (unsigned long long)st->st_ino, (unsigned long long)st->st_mtim.tv_sec,
           (unsigned long)st->st_mtim.tv_nsec ^ (unsigned long)size);
  http_date(st->st_mtim.tv_sec, date);
  http_set(c, "ETag", tag);
  http_set(c, "Last-Modified", date);
  http_set(c, "Accept-Ranges", "bytes");
  const char *known = http_header(c, "If-None-Match"), *only = http_header(c, "If-Range");
  if (known && strstr(known, tag)) {
    close(fd);
    http_bytes(c, 304, NULL, "", 0);
    return;
  }
  bool stale = only && strcmp(only, tag) != 0 && strcmp(only, date) != 0;
  span s = {0, size};
  int ranged = stale ? 0 : parse_range(http_header(c, "Range"), size, &s);
  if (ranged >= 0) {
    send_span(c, fd, ranged ? 206 : 200, type, s, size);
    return;
  }
  close(fd);
  snprintf(whole, sizeof whole, "bytes */%" PRIu64, size);
  http_set(c, "Content-Range", whole);
  http_text(c, 416, "Range Not Satisfiable");
}

void http_file(http_call *c, const char *path, const char *type) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
    send_open_file(c, fd, &st, type);
    return;
  }
  if (fd >= 0) close(fd);
  http_json(c, 404, json_pack("{s:s}", "detail", "Not Found"));
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

typedef struct stream {
  http_next next;
  void *source;
  void (*end)(void *source);
} stream;

static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t room) {
  stream *s = cls;
  size_t n = s->next(s->source, out, room);
  return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void end_stream(void *cls) {
  stream *s = cls;
  s->end(s->source);
  free(s);
}

void http_stream(http_call *c, int status, const char *type, http_next next, void *source, void (*end)(void *source)) {
  stream *s = malloc(sizeof *s);
  struct MHD_Response *r = NULL;
  if (s) {
    *s = (stream){next, source, end};
    r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, s, end_stream);
  }
  if (!r) {
    free(s);
    end(source);
  }
  answer(c, status, type, r);
}
