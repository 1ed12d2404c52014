/* reply.c - the envelope of the API, and the two families of errors. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "server/route.h"

static json_t *envelope(json_t *data, int code, json_t *error) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return json_pack("{s:o, s:i, s:o, s:I, s:n}", "data", data ? data : json_null(), "code", code, "error", error,
                   "timestamp", (json_int_t)t.tv_sec * 1000 + t.tv_nsec / 1000000, "extra");
}

void reply_data(call *c, json_t *data) {
  http_json(c->http, 200, envelope(data, 200, json_null()));
}

/* A message that quotes what a client sent may be cut in the middle of a character; then it says less. */
static json_t *message(const char *text) {
  json_t *s = json_string(text);
  return s ? s : json_string("the request could not be understood");
}

ACE_PRINTF(1, 0) static json_t *formatted(const char *format, va_list args) {
  char text[1024];
  vsnprintf(text, sizeof text, format, args);
  return message(text);
}

void reply_error(call *c, int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  http_json(c->http, 200, envelope(NULL, code, formatted(format, args)));
  va_end(args);
}

void reply_detail(call *c, int status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  http_json(c->http, status, json_pack("{s:o}", "detail", formatted(format, args)));
  va_end(args);
}

void reply_invalid(call *c, const char *type, const char *where, const char *field, const char *text) {
  json_t *place = field ? json_pack("[s, s]", where, field) : json_pack("[s]", where);
  http_json(
      c->http, 422,
      json_pack("{s:[{s:s, s:o, s:o, s:{}}]}", "detail", "type", type, "loc", place, "msg", message(text), "input"));
}

void reply_failure(call *c, const ace_error *err) {
  int status = 500;
  switch (err->status) {
    case ACE_EINVAL:
    case ACE_EFORMAT:
    case ACE_EUNSUPPORTED: status = 400; break;
    case ACE_ENOTFOUND: status = 404; break;
    case ACE_EBUSY: status = 429; break;
    default: break;
  }
  reply_detail(c, status, "%s", err->message);
}
