#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

json_t *json_parse(const char *text, size_t length, const char *where, ace_error *err) {
  json_error_t why;
  json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
  if (!json) ace_fail(err, ACE_EFORMAT, "%s: not valid JSON: line %d: %s", where, why.line, why.text);
  return json;
}

json_t *json_parse_file(const char *path, size_t limit, ace_error *err) {
  size_t length;
  char *text = file_read(path, limit, &length, err);
  if (!text) return NULL;
  json_t *json = json_parse(text, length, path, err);
  free(text);
  return json;
}

const char *json_text(const json_t *object, const char *field) {
  const char *text = json_string_value(json_object_get(object, field));
  return text ? text : "";
}

/* The field, or NULL when it is missing or null. */
static const json_t *present(const json_t *object, const char *field) {
  const json_t *value = json_object_get(object, field);
  return json_is_null(value) ? NULL : value;
}

ace_status json_int_field(const json_t *object, const char *field, int64_t fallback, int64_t lo, int64_t hi,
                          const char *where, int64_t *out, ace_error *err) {
  const json_t *value = present(object, field);
  int64_t n = fallback;
  if (value) {
    if (json_is_integer(value)) {
      n = json_integer_value(value);
    } else if (json_is_real(value) && floor(json_real_value(value)) == json_real_value(value) &&
               fabs(json_real_value(value)) < 0x1p53) {
      n = (int64_t)json_real_value(value);
    } else {
      return ace_fail(err, ACE_EFORMAT, "%s: %s: not a whole number", where, field);
    }
    if (n < lo || n > hi)
      return ace_fail(err, ACE_EFORMAT, "%s: %s: %lld is outside %lld..%lld", where, field, (long long)n, (long long)lo,
                      (long long)hi);
  }
  *out = n;
  return ACE_OK;
}

ace_status json_number_field(const json_t *object, const char *field, double fallback, double lo, double hi,
                             const char *where, double *out, ace_error *err) {
  const json_t *value = present(object, field);
  double x = fallback;
  if (value) {
    if (!json_is_number(value)) return ace_fail(err, ACE_EFORMAT, "%s: %s: not a number", where, field);
    x = json_number_value(value);
    if (!(x >= lo && x <= hi))
      return ace_fail(err, ACE_EFORMAT, "%s: %s: %g is outside %g..%g", where, field, x, lo, hi);
  }
  *out = x;
  return ACE_OK;
}

ace_status json_bool_field(const json_t *object, const char *field, bool fallback, const char *where, bool *out,
                           ace_error *err) {
  const json_t *value = present(object, field);
  if (value && !json_is_boolean(value)) return ace_fail(err, ACE_EFORMAT, "%s: %s: not true or false", where, field);
  *out = value ? json_is_true(value) : fallback;
  return ACE_OK;
}

ace_status json_string_field(const json_t *object, const char *field, const char *fallback, const char *where,
                             const char **out, ace_error *err) {
  const json_t *value = present(object, field);
  if (value && !json_is_string(value)) return ace_fail(err, ACE_EFORMAT, "%s: %s: not a string", where, field);
  if (value && strlen(json_string_value(value)) != json_string_length(value))
    return ace_fail(err, ACE_EFORMAT, "%s: %s: a NUL character inside", where, field);
  *out = value ? json_string_value(value) : fallback;
  return ACE_OK;
}
