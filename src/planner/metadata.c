#include "planner/metadata.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "planner/span.h"
#include "request/text.h"

static const char *const names[PLAN_FIELDS] = {
    [PLAN_BPM] = "bpm",
    [PLAN_CAPTION] = "caption",
    [PLAN_DURATION] = "duration",
    [PLAN_GENRES] = "genres",
    [PLAN_KEYSCALE] = "keyscale",
    [PLAN_LANGUAGE] = "language",
    [PLAN_TIMESIGNATURE] = "timesignature",
};

const char *plan_field_name(plan_field field) {
  return (unsigned)field < PLAN_FIELDS ? names[field] : "";
}

plan_field plan_field_find(const char *name, size_t length) {
  int field = 0;
  while (field < PLAN_FIELDS && !plan_equal_any_case((plan_span){name, length}, names[field])) field++;
  return (plan_field)field;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

bool plan_has(const plan_metadata *m, plan_field field) {
  return m->field[field].kind != PLAN_ABSENT;
}

bool plan_is_empty(const plan_metadata *m) {
  for (int i = 0; i < PLAN_FIELDS; i++)
    if (plan_has(m, (plan_field)i)) return false;
  return true;
}

void plan_unset(plan_metadata *m, plan_field field) {
  free(m->field[field].text);
  m->field[field] = (plan_value){0};
}

void plan_set_number(plan_metadata *m, plan_field field, int64_t number) {
  plan_unset(m, field);
  m->field[field] = (plan_value){.kind = PLAN_NUMBER, .number = number};
}

ace_status plan_set_text(plan_metadata *m, plan_field field, const char *text, size_t length, ace_error *err) {
  char *copy = length < SIZE_MAX ? malloc(length + 1) : NULL;
  if (!copy) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", names[field]);
  if (length > 0) memcpy(copy, text, length);
  copy[length] = '\0';
  plan_unset(m, field);
  m->field[field] = (plan_value){.kind = PLAN_TEXT, .text = copy, .length = length};
  return ACE_OK;
}

void plan_metadata_free(plan_metadata *m) {
  if (!m) return;
  for (int i = 0; i < PLAN_FIELDS; i++) plan_unset(m, (plan_field)i);
}

/* ---- what values mean -------------------------------------------------------------------------------------------- */

bool plan_whole_number(const char *text, size_t length, int64_t *out) {
  plan_span s = plan_trim((plan_span){text, length});
  bool negative = plan_starts(s, "-");
  if (negative || plan_starts(s, "+")) s = plan_span_from(s, 1);
  int64_t value = 0;
  for (size_t i = 0; i < s.n; i++) {
    if (s.at[i] < '0' || s.at[i] > '9') return false;
    int digit = s.at[i] - '0';
    if (value > (INT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  if (s.n == 0) return false;
  *out = negative ? -value : value;
  return true;
}

enum { BPM_MIN = 30, BPM_MAX = 300 };

static int typed_bpm(const plan_value *v) {
  int64_t n = v->number;
  if (v->kind == PLAN_TEXT && !plan_whole_number(v->text, v->length, &n)) return 0;
  return v->kind != PLAN_ABSENT && n >= BPM_MIN && n <= BPM_MAX ? (int)n : 0;
}

static double typed_duration(const plan_value *v) {
  double seconds = (double)v->number;
  if (v->kind == PLAN_TEXT && !req_number_parse(v->text, v->length, &seconds)) return -1;
  return v->kind != PLAN_ABSENT && isfinite(seconds) && seconds > 0 ? seconds : -1;
}

static const char *typed_text(const plan_value *v) {
  bool none = v->kind != PLAN_TEXT || plan_equal_any_case(plan_trim((plan_span){v->text, v->length}), "N/A");
  return none ? "" : v->text;
}

plan_typed plan_metadata_typed(const plan_metadata *m) {
  return (plan_typed){
      .bpm = typed_bpm(&m->field[PLAN_BPM]),
      .duration = typed_duration(&m->field[PLAN_DURATION]),
      .caption = typed_text(&m->field[PLAN_CAPTION]),
      .genres = typed_text(&m->field[PLAN_GENRES]),
      .keyscale = typed_text(&m->field[PLAN_KEYSCALE]),
      .language = typed_text(&m->field[PLAN_LANGUAGE]),
      .timesignature = typed_text(&m->field[PLAN_TIMESIGNATURE]),
  };
}

int64_t plan_code_count(double seconds) {
  double codes = seconds * PLAN_CODES_A_SECOND;
  if (!(seconds > 0)) return 0;
  return codes < 1e15 ? (int64_t)codes : (int64_t)1e15;
}
