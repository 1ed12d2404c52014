/* json.h - glue over jansson: bounded parsing and typed access that names file and field in its errors.
 *
 * All JSON that comes from outside goes through json_parse: duplicate keys are rejected, "\u0000" is allowed inside
 * strings, sizes and depth are limited.
 */
#ifndef ACE_BASE_JSON_H
#define ACE_BASE_JSON_H

#include "base/error.h"

#include <jansson.h>

/* `where` names the source in error messages, e.g. a path. NULL on failure. */
json_t *json_parse(const char *text, size_t length, const char *where, ace_error *err);
/* Reads and parses a file of at most `limit` bytes. */
json_t *json_parse_file(const char *path, size_t limit, ace_error *err);

/* The text under a key, borrowed; "" where there is none. */
const char *json_text(const json_t *object, const char *field);

/* Typed fields of an object. A missing field takes `fallback`; JSON null counts as missing; a value of another type or
 * outside lo..hi is an error "where: field: ...". */
ace_status json_int_field(const json_t *object, const char *field, int64_t fallback, int64_t lo, int64_t hi,
                          const char *where, int64_t *out, ace_error *err);
ace_status json_number_field(const json_t *object, const char *field, double fallback, double lo, double hi,
                             const char *where, double *out, ace_error *err);
ace_status json_bool_field(const json_t *object, const char *field, bool fallback, const char *where, bool *out,
                           ace_error *err);
/* The string is borrowed from the object; strings with a NUL inside are an error. */
ace_status json_string_field(const json_t *object, const char *field, const char *fallback, const char *where,
                             const char **out, ace_error *err);

#endif
