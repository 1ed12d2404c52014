/* dataset_fields.c - values as they come, from files, people and programs, to fields of their types. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "request/text.h"
#include "train/dataset_inner.h"

/* clang-format off */
const dataset_field dataset_fields[] = {
    {"id",               FIELD_TEXT,   "",                   false, false},
    {"audio_path",       FIELD_TEXT,   "",                   false, false},
    {"filename",         FIELD_TEXT,   "",                   false, false},
    {"caption",          FIELD_TEXT,   "",                   false, true},
    {"genre",            FIELD_TEXT,   "",                   false, true},
    {"lyrics",           FIELD_TEXT,   DATASET_INSTRUMENTAL, false, true},
    {"raw_lyrics",       FIELD_TEXT,   "",                   false, false},
    {"formatted_lyrics", FIELD_TEXT,   "",                   false, false},
    {"bpm",              FIELD_BPM,    NULL,                 false, true},
    {"keyscale",         FIELD_TEXT,   "",                   false, true},
    {"timesignature",    FIELD_TEXT,   "",                   false, true},
    {"duration",         FIELD_COUNT,  NULL,                 false, false},
    {"language",         FIELD_TEXT,   "unknown",            false, true},
    {"is_instrumental",  FIELD_FLAG,   NULL,                 true,  true},
    {"custom_tag",       FIELD_TEXT,   "",                   false, false},
    {"labeled",          FIELD_FLAG,   NULL,                 false, false},
    {"prompt_override",  FIELD_OPTION, NULL,                 false, true},
    {NULL,               FIELD_TEXT,   NULL,                 false, false},
};
/* clang-format on */

enum { BPM_MOST = 1000, SECONDS_MOST = 1000000, TEXT_MOST = 1 << 20 };

const dataset_field *dataset_field_find(const char *name) {
  for (const dataset_field *f = dataset_fields; f->name; f++)
    if (strcmp(f->name, name) == 0) return f;
  return NULL;
}

bool dataset_is_id(const char *id) {
  enum { LONGEST = 128 };
  size_t n = strlen(id);
  bool good = n > 0 && n <= LONGEST;
  for (size_t i = 0; i < n && good; i++)
    good = (id[i] >= 'a' && id[i] <= 'z') || (id[i] >= 'A' && id[i] <= 'Z') || (id[i] >= '0' && id[i] <= '9') ||
           id[i] == '_' || id[i] == '-';
  return good;
}

const char *dataset_basename(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* A number, or text that is one; NAN for everything else. Blank text is 0. */
static double number_of(const json_t *v) {
  double x;
  const char *text = json_string_value(v);
  if (json_is_number(v)) return json_number_value(v);
  if (!text) return NAN;
  if (req_is_blank(text)) return 0;
  return req_number_parse(text, json_string_length(v), &x) ? x : NAN;
}

/* Whole numbers, cut off; what is not above 0 and at most `most` is `other`. */
static json_t *count_of(double x, int most, json_t *other) {
  if (!(x >= 1 && x <= most)) return other;
  json_decref(other);
  return json_integer((json_int_t)x);
}

static ace_status take_text(const json_t *v, const dataset_field *f, const char *where, json_t **out, ace_error *err) {
  char number[REQ_NUMBER_SIZE];
  if (json_is_number(v) && isfinite(json_number_value(v))) {
    *out = json_string(req_number_format(json_number_value(v), number));
    return ACE_OK;
  }
  if (!json_is_string(v)) return ace_fail(err, ACE_EFORMAT, "%s: %s: not text", where, f->name);
  if (strlen(json_string_value(v)) != json_string_length(v))
    return ace_fail(err, ACE_EFORMAT, "%s: %s: a NUL character inside", where, f->name);
  if (json_string_length(v) > TEXT_MOST)
    return ace_fail(err, ACE_EFORMAT, "%s: %s: %zu bytes, more than %d", where, f->name, json_string_length(v),
                    TEXT_MOST);
  *out = json_string(json_string_value(v));
  return ACE_OK;
}

/* Anything but the words "caption" and "genre" leaves it to the dataset. */
static json_t *override_of(const json_t *v) {
  const char *text = json_string_value(v);
  bool known = text && (strcmp(text, "caption") == 0 || strcmp(text, "genre") == 0);
  return known ? json_string(text) : json_null();
}

static ace_status take_flag(const json_t *v, const dataset_field *f, const char *where, json_t **out, ace_error *err) {
  static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off"};
  const char *text = json_string_value(v);
  bool is_yes = json_is_true(v) || (json_is_integer(v) && json_integer_value(v) != 0), known = !text;
  for (size_t i = 0; text && i < sizeof yes / sizeof *yes; i++) {
    if (req_same(text, strlen(text), yes[i])) is_yes = known = true;
    if (req_same(text, strlen(text), no[i])) known = true;
  }
  if (!known || !(text || json_is_boolean(v) || json_is_integer(v)))
    return ace_fail(err, ACE_EFORMAT, "%s: %s: not true or false", where, f->name);
  *out = json_boolean(is_yes);
  return ACE_OK;
}

static json_t *default_of(const dataset_field *f) {
  switch (f->type) {
    case FIELD_TEXT: return json_string(f->text);
    case FIELD_COUNT: return json_integer(0);
    case FIELD_FLAG: return json_boolean(f->flag);
    case FIELD_BPM:
    case FIELD_OPTION: break;
  }
  return json_null();
}

ace_status dataset_put(json_t *fields, const dataset_field *f, const json_t *value, const char *where, ace_error *err) {
  json_t *out = NULL;
  ace_status status = ACE_OK;
  if (!value || json_is_null(value)) {
    out = default_of(f);
  } else {
    switch (f->type) {
      case FIELD_TEXT: status = take_text(value, f, where, &out, err); break;
      case FIELD_OPTION: out = override_of(value); break;
      case FIELD_COUNT: out = count_of(number_of(value), SECONDS_MOST, json_integer(0)); break;
      case FIELD_BPM: out = count_of(number_of(value), BPM_MOST, json_null()); break;
      case FIELD_FLAG: status = take_flag(value, f, where, &out, err); break;
    }
  }
  if (status != ACE_OK) return status;
  return out && json_object_set_new(fields, f->name, out) == 0 ? ACE_OK
                                                               : ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
}

json_t *dataset_complete(const json_t *in, const char *where, ace_error *err) {
  json_t *fields = json_object();
  ace_status status = fields ? ACE_OK : ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
  for (const dataset_field *f = dataset_fields; f->name && status == ACE_OK; f++)
    status = dataset_put(fields, f, in ? json_object_get(in, f->name) : NULL, where, err);
  if (status == ACE_OK) return fields;
  json_decref(fields);
  return NULL;
}
