#include "cli/toml_file.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request/text.h"

enum { MOST_KEYS = 400, MOST_ITEMS = 4096, KEY_SIZE = 80 };

typedef struct reader {
  const char *at, *end, *begin, *name;
  ace_error *err;
} reader;

static bool fail(const reader *r, const char *what) {
  int line = 1;
  for (const char *p = r->begin; p < r->at && p < r->end; p++) line += *p == '\n';
  ace_fail(r->err, ACE_EFORMAT, "%s: line %d: %s", r->name, line, what);
  return false;
}

static bool here(const reader *r, const char *text) {
  size_t n = strlen(text);
  return (size_t)(r->end - r->at) >= n && memcmp(r->at, text, n) == 0;
}

/* Blanks; `lines`: line ends too, and comments. */
static void skip(reader *r, bool lines) {
  for (; r->at < r->end; r->at++) {
    if (lines && *r->at == '#')
      while (r->at + 1 < r->end && r->at[1] != '\n') r->at++;
    else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r' && !(lines && *r->at == '\n')) return;
  }
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

static void add_rune(req_text *out, unsigned long u) {
  char b[4];
  size_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
  static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = n - 1; i > 0; i--) b[i] = (char)(0x80 | (u & 0x3f)), u >>= 6;
  b[0] = (char)(n == 1 ? u : first[n] | u);
  req_text_add_bytes(out, b, n);
}

/* Behind a backslash. */
static bool escape(reader *r, bool lines, req_text *out) {
  static const char letters[] = "btnfr\"\\e", meant[] = "\b\t\n\f\r\"\\\x1b";
  char c = r->at < r->end ? *r->at++ : 0;
  const char *known = c ? strchr(letters, c) : NULL;
  if (known) {
    req_text_add_bytes(out, &meant[known - letters], 1);
    return true;
  }
  if (c == 'u' || c == 'U') {
    char digits[9] = "", *end;
    int n = c == 'u' ? 4 : 8;
    if (r->end - r->at < n) return fail(r, "a broken escape");
    memcpy(digits, r->at, (size_t)n);
    unsigned long u = strtoul(digits, &end, 16);
    if (end != digits + n || !isxdigit((unsigned char)*digits) || u == 0 || u > 0x10ffff || (u >= 0xd800 && u < 0xe000))
      return fail(r, "a broken escape");
    r->at += n;
    add_rune(out, u);
    return true;
  }
  if (!lines || (c != '\n' && c != ' ' && c != '\t' && c != '\r')) return fail(r, "an unknown escape");
  while (r->at < r->end && isspace((unsigned char)*r->at)) r->at++; /* a line that goes on */
  return true;
}

/* Up to `mark`, which has one or three quotes. */
static bool string_body(reader *r, const char *mark, req_text *out) {
  bool lines = mark[1] != 0, escapes = *mark == '"';
  if (lines && here(r, "\r\n")) r->at += 2;
  else if (lines && here(r, "\n")) r->at++;
  while (!here(r, mark)) {
    if (r->at == r->end || (!lines && *r->at == '\n') || !*r->at) return fail(r, "a string without its end");
    if (escapes && *r->at == '\\') {
      r->at++;
      if (!escape(r, lines, out)) return false;
    } else {
      req_text_add_bytes(out, r->at++, 1);
    }
  }
  r->at += strlen(mark);
  return true;
}

static json_t *read_string(reader *r) {
  static const char *const marks[] = {"\"\"\"", "'''", "\"", "'"};
  req_text out = {0};
  int i = 0;
  while (!here(r, marks[i])) i++;
  r->at += strlen(marks[i]);
  bool ok = string_body(r, marks[i], &out);
  size_t n = out.size;
  char *text = req_text_take(&out);
  json_t *value = ok ? json_stringn(text ? text : "", n) : NULL;
  if (ok && !value) fail(r, "text that is not UTF-8");
  free(text);
  return value;
}

/* ---- other values ------------------------------------------------------------------------------------------------ */

static json_t *read_number(reader *r) {
  char text[64], *end;
  size_t n = 0;
  for (const char *p = r->at; p < r->end && (isalnum((unsigned char)*p) || strchr("+-._", *p)); p++, r->at++)
    if (*p != '_' && n < sizeof text - 1) text[n++] = *p;
  text[n] = 0;
  errno = 0;
  long long whole = strtoll(text, &end, 10);
  if (n && !*end && errno == 0) return json_integer(whole);
  double x = strtod(text, &end);
  if (n && !*end && isfinite(x) && (isdigit((unsigned char)text[n - 1]))) return json_real(x);
  fail(r, "a value is a string, a number, true, false or an array");
  return NULL;
}

static json_t *read_simple(reader *r) {
  if (r->at < r->end && (*r->at == '"' || *r->at == '\'')) return read_string(r);
  for (int i = 0; i < 2; i++)
    if (here(r, i ? "true" : "false")) {
      r->at += i ? 4 : 5;
      return json_boolean(i);
    }
  return read_number(r);
}

static json_t *read_array(reader *r) {
  json_t *list = json_array();
  bool open = true;
  for (r->at++; open;) {
    skip(r, true);
    if (here(r, "]")) break;
    json_t *v = json_array_size(list) < MOST_ITEMS ? read_simple(r) : NULL;
    if (!v) {
      if (json_array_size(list) >= MOST_ITEMS) fail(r, "an array that is too long");
      json_decref(list);
      return NULL;
    }
    json_array_append_new(list, v);
    skip(r, true);
    open = here(r, ",");
    r->at += open;
  }
  if (here(r, "]")) {
    r->at++;
    return list;
  }
  fail(r, "an array without its end");
  json_decref(list);
  return NULL;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static bool read_key(reader *r, char key[KEY_SIZE]) {
  size_t n = 0;
  bool quoted = here(r, "\"");
  r->at += quoted;
  while (r->at < r->end && (isalnum((unsigned char)*r->at) || *r->at == '_' || *r->at == '-') && n < KEY_SIZE - 1)
    key[n++] = *r->at++;
  key[n] = 0;
  if (quoted && !here(r, "\"")) return fail(r, "a name that is not understood");
  r->at += quoted;
  skip(r, false);
  if (n == 0 && here(r, "[")) return fail(r, "tables have no meaning here");
  if (n == 0 || !here(r, "=")) return fail(r, "NAME = VALUE is expected");
  r->at++;
  skip(r, false);
  return true;
}

static bool read_line(reader *r, json_t *object) {
  char key[KEY_SIZE];
  if (!read_key(r, key)) return false;
  if (json_object_get(object, key)) return fail(r, "this name was given before");
  if (json_object_size(object) >= MOST_KEYS) return fail(r, "there are too many names");
  json_t *value = here(r, "[") ? read_array(r) : read_simple(r);
  if (!value) return false;
  json_object_set_new(object, key, value);
  skip(r, false);
  if (here(r, "#"))
    while (r->at < r->end && *r->at != '\n') r->at++;
  return r->at == r->end || *r->at == '\n' || fail(r, "one setting a line");
}

json_t *toml_parse(const char *text, size_t length, const char *name, ace_error *err) {
  ace_error own;
  reader r = {text, text + length, text, name, err ? err : &own};
  json_t *object = json_object();
  for (skip(&r, true); r.at < r.end; skip(&r, true))
    if (!read_line(&r, object)) {
      json_decref(object);
      return NULL;
    }
  return object;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* JSON writes strings as TOML's basic ones, but for DEL, and numbers and arrays of them as TOML does. */
char *toml_write(const json_t *object) {
  req_text out = {0};
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)object, key, value) {
    char *text = json_is_null(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    if (text) req_text_addf(&out, "%s = %s\n", key, text);
    free(text);
  }
  return req_text_take(&out);
}
