/* decode.c - bodies become objects. */
#include <string.h>
#include <strings.h>

#include "request/text.h"
#include "server/route.h"

enum { DEPTH_MOST = 32 };

/* jansson recurses; clients do not need to go deep. */
static bool too_deep(const char *text, size_t length) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < length; i++) {
    if (quoted && text[i] == '\\') i++;
    else if (text[i] == '"') quoted = !quoted;
    else if (!quoted && (text[i] == '{' || text[i] == '[') && ++depth > DEPTH_MOST) return true;
    else if (!quoted && (text[i] == '}' || text[i] == ']')) depth--;
  }
  return false;
}

/* A later key of the same name wins, as with most parsers of clients' languages. */
static json_t *parse(const char *text, size_t length) {
  return too_deep(text, length) ? NULL : json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

static bool add_field(json_t *object, const http_field *f, bool lists) {
  json_t *value = json_stringn(f->value, f->length), *before = json_object_get(object, f->name);
  if (!value || !req_utf8_valid(f->name, strlen(f->name))) {
    json_decref(value);
    return false;
  }
  if (!lists || !before) return json_object_set_new(object, f->name, value) == 0;
  if (!json_is_array(before)) json_object_set_new(object, f->name, json_pack("[O]", before));
  return json_array_append_new(json_object_get(object, f->name), value) == 0;
}

/* Fields that are no UTF-8 are refused. */
static bool take_form(call *c, const http_field *fields, int n, bool lists) {
  json_t *object = json_object();
  for (int i = 0; i < n; i++) {
    if (fields[i].path || add_field(object, &fields[i], lists)) continue;
    json_decref(object);
    reply_detail(c, 400, "the form holds text that is not UTF-8");
    return false;
  }
  c->body = object;
  return true;
}

static bool take_json(call *c, const char *broken, const char *other) {
  size_t length;
  const char *text = http_body(c->http, &length);
  json_t *value = text ? parse(text, length) : NULL;
  if (json_is_object(value)) {
    c->body = value;
    return true;
  }
  reply_detail(c, 400, "%s", value ? other : broken);
  json_decref(value);
  return false;
}

static bool has(const char *text, const char *part) {
  for (; *text; text++)
    if (strncasecmp(text, part, strlen(part)) == 0) return true;
  return false;
}

static bool begins(const char *text, const char *with) {
  return strncasecmp(text, with, strlen(with)) == 0;
}

static const char malformed[] = "Malformed JSON payload", no_object[] = "JSON payload must be an object";

static bool decode_loose(call *c, const char *type) {
  int n;
  if (has(type, "json")) return take_json(c, malformed, no_object);
  const http_field *fields = http_fields(c->http, &n);
  return take_form(c, fields, n, begins(type, "multipart/"));
}

/* The type "application/json; charset=x" without what follows it. */
static bool is_json_type(const char *type) {
  size_t n = strcspn(type, "; ");
  return begins(type, "application/json") || (n >= 5 && strncasecmp(type + n - 5, "+json", 5) == 0);
}

/* Without a type, the first of fields of one name counts. */
static bool take_guessed_form(call *c, const char *text, size_t length) {
  int n;
  const http_field *fields = http_parse_text(c->http, text, length, &n);
  json_t *object = json_object();
  bool ok = fields != NULL;
  for (int i = 0; ok && i < n; i++)
    if (!json_object_get(object, fields[i].name)) ok = add_field(object, &fields[i], false);
  if (ok) c->body = object;
  else {
    json_decref(object);
    reply_detail(c, 400, "the body cannot be read as a form");
  }
  return ok;
}

static bool decode_task(call *c, const char *type) {
  static const char hint[] = "Invalid JSON body (hint: set 'Content-Type: application/json')";
  int n;
  size_t length, at = 0;
  if (is_json_type(type)) return take_json(c, malformed, no_object);
  if (begins(type, "multipart/form-data") || begins(type, "application/x-www-form-urlencoded"))
    return decode_loose(c, type);
  const char *text = http_body(c->http, &length);
  while (text && at < length && req_is_space(text[at])) at++;
  if (text && at < length && (text[at] == '{' || text[at] == '[')) return take_json(c, hint, no_object);
  if (text && memchr(text, '=', length)) return take_guessed_form(c, text, length);
  n = (int)strnlen(type, 100);
  reply_detail(c, 415,
               "Unsupported Content-Type: %.*s; use application/json, application/x-www-form-urlencoded, or "
               "multipart/form-data",
               *type ? n : 9, *type ? type : "(missing)");
  return false;
}

static bool decode_typed(call *c) {
  size_t length;
  const char *text = http_body(c->http, &length);
  json_t *value = length ? parse(text, length) : json_object();
  if (json_is_object(value)) {
    c->body = value;
    return true;
  }
  if (value) reply_invalid(c, "model_attributes_type", "body", NULL, "Input should be a valid dictionary or object");
  else reply_invalid(c, "json_invalid", "body", NULL, "JSON decode error");
  json_decref(value);
  return false;
}

static bool decode_any(call *c) {
  size_t length;
  const char *text = http_body(c->http, &length);
  json_t *value = text ? parse(text, length) : NULL;
  c->body = json_is_object(value) ? json_incref(value) : json_object();
  json_decref(value);
  return true;
}

bool decode_body(call *c, route_body kind) {
  const char *type = http_header(c->http, "Content-Type");
  if (!type) type = "";
  switch (kind) {
    case BODY_NONE:
    case BODY_RAW: return true;
    case BODY_TYPED: return decode_typed(c);
    case BODY_LOOSE: return decode_loose(c, type);
    case BODY_ANY: return decode_any(c);
    case BODY_TASK: return decode_task(c, type);
    case BODY_CHAT:
      return take_json(c, "Invalid request format: not valid JSON", "Invalid request format: not an object");
  }
  return true;
}
