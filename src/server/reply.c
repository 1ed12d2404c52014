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

void reply_data_beside(call *c, json_t *data, const char *field, const char *text) {
  json_t *all = envelope(data, 200, json_null());
  json_object_set_new(all, field, json_string(text));
  http_json(c->http, 200, all);
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

void reply_error_data(call *c, int code, json_t *data, const char *format, ...) {
  va_list args;
  va_start(args, format);
  http_json(c->http, 200, envelope(data, code, formatted(format, args)));
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

/* How long a caller should wait who is told that there is no room. */
static void set_retry(call *c, int seconds) {
  char text[16];
  snprintf(text, sizeof text, "%d", seconds);
  http_set(c->http, "Retry-After", text);
}

/* No room in the queue: 429. No more jobs before the next start: 503. */
static int busy_status(call *c) {
  const int restart = 30, turn = 5;
  bool ending = jobs_draining(service_jobs(c->service));
  set_retry(c, ending ? restart : turn);
  return ending ? 503 : 429;
}

void reply_busy(call *c) {
  int status = busy_status(c);
  reply_detail(c, status, status == 503 ? "Server is shutting down; try again" : "Server busy: queue is full");
}

static int http_status(call *c, ace_status status) {
  switch (status) {
    case ACE_EINVAL:
    case ACE_EFORMAT:
    case ACE_EUNSUPPORTED: return 400;
    case ACE_ENOTFOUND: return 404;
    case ACE_EBUSY: return busy_status(c);
    default: return 500;
  }
}

void reply_failure(call *c, const ace_error *err) {
  reply_detail(c, http_status(c, err->status), "%s", err->message);
}

/* ---- the page's routes ------------------------------------------------------------------------------------------- */

static const char *word_of(int status) {
  ace_status s = status == 404                    ? ACE_ENOTFOUND
                 : status == 409 || status == 429 ? ACE_EBUSY
                 : status >= 500                  ? ACE_EINTERNAL
                                                  : ACE_EINVAL;
  return ace_status_name(s);
}

static void send_refusal(call *c, int status, const char *word, const char *kind, const char *field, json_t *detail) {
  http_json(c->http, status,
            json_pack("{s:o, s:s, s:s*, s:s*}", "detail", detail, "status", word, "kind", kind, "field", field));
}

void refuse(call *c, int status, const char *kind, const char *field, const char *format, ...) {
  va_list args;
  va_start(args, format);
  send_refusal(c, status, word_of(status), kind, field, formatted(format, args));
  va_end(args);
}

void refuse_error(call *c, const char *kind, const char *field, const ace_error *err) {
  send_refusal(c, http_status(c, err->status), ace_status_name(err->status), kind, field, message(err->message));
}
