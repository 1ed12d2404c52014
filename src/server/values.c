/* values.c - numbers, booleans and texts in the many ways in which clients write them. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "request/text.h"
#include "server/route.h"

const char *value_text(const json_t *v, const char *fallback) {
  const char *s = json_string_value(v);
  return s && !req_is_blank(s) ? s : fallback;
}

double value_number(const json_t *v, double fallback) {
  double x;
  if (json_is_number(v)) return json_number_value(v);
  const char *s = json_string_value(v);
  return s && req_number_parse(s, json_string_length(v), &x) && isfinite(x) ? x : fallback;
}

bool value_says_yes(const char *s) {
  static const char *const words[] = {"1", "true", "yes", "y", "on"};
  while (req_is_space(*s)) s++;
  size_t n = strlen(s);
  while (n > 0 && req_is_space(s[n - 1])) n--;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (req_same(s, n, words[i])) return true;
  return false;
}

bool value_bool(const json_t *v, bool fallback) {
  if (json_is_boolean(v)) return json_is_true(v);
  if (json_is_number(v)) return json_number_value(v) == 1;
  const char *s = json_string_value(v);
  return s && !req_is_blank(s) ? value_says_yes(s) : fallback;
}

const char *value_as_text(const json_t *v, char out[VALUE_SIZE]) {
  char number[REQ_NUMBER_SIZE];
  if (json_is_string(v)) return json_string_value(v);
  if (json_is_boolean(v)) return json_is_true(v) ? "true" : "false";
  if (json_is_integer(v)) snprintf(out, VALUE_SIZE, "%lld", (long long)json_integer_value(v));
  else if (json_is_real(v)) snprintf(out, VALUE_SIZE, "%s", req_number_format(json_real_value(v), number));
  else return NULL;
  return out;
}

/* ---- typed routes ------------------------------------------------------------------------------------------------ */

/* The value; *missing when there is none. False: it is required. */
static bool present(call *c, const char *field, bool required, const json_t **v) {
  *v = json_object_get(c->body, field);
  if (json_is_null(*v)) *v = NULL;
  if (*v || !required) return true;
  reply_invalid(c, "missing", "body", field, "Field required");
  return false;
}

bool typed_text(call *c, const char *field, bool required, const char **out) {
  const json_t *v;
  if (!present(c, field, required, &v)) return false;
  if (v && !json_is_string(v)) {
    reply_invalid(c, "string_type", "body", field, "Input should be a valid string");
    return false;
  }
  if (v) *out = json_string_value(v);
  return true;
}

bool typed_bool(call *c, const char *field, bool required, bool *out) {
  static const char *const words[] = {"true", "false", "1", "0", "yes", "no", "y", "n", "on", "off", "t", "f"};
  const json_t *v;
  if (!present(c, field, required, &v)) return false;
  bool ok = !v || json_is_boolean(v) || (json_is_integer(v) && (uint64_t)json_integer_value(v) <= 1);
  for (size_t i = 0; !ok && json_is_string(v) && i < sizeof words / sizeof *words; i++)
    ok = strcasecmp(json_string_value(v), words[i]) == 0;
  if (!ok) {
    reply_invalid(c, "bool_parsing", "body", field, "Input should be a valid boolean");
    return false;
  }
  if (v) *out = (json_is_string(v) && strcasecmp(json_string_value(v), "t") == 0) || value_bool(v, false);
  return true;
}

bool typed_number(call *c, const char *field, bool required, double lo, double hi, double *out) {
  const json_t *v;
  char text[96];
  if (!present(c, field, required, &v)) return false;
  if (!v) return true;
  double x = json_is_boolean(v) ? NAN : value_number(v, NAN);
  if (isnan(x)) {
    reply_invalid(c, "float_parsing", "body", field, "Input should be a valid number");
    return false;
  }
  if (x < lo || x > hi) {
    snprintf(text, sizeof text, "Input should be from %g to %g", lo, hi);
    reply_invalid(c, x < lo ? "greater_than_equal" : "less_than_equal", "body", field, text);
    return false;
  }
  *out = x;
  return true;
}
