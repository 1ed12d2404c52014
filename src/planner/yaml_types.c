/* yaml_types.c - the forms of the YAML 1.1 type repository (yaml.org/type: null, bool, int, float, timestamp, merge,
 * value) as PyYAML, which wrote the training data, recognises them: a float needs its point, its exponent a sign. */
#include "planner/yaml_types.h"

#include <string.h>

static const char DIGITS[] = "0123456789", DIGITS_[] = "0123456789_";

/* ---- taking from the front --------------------------------------------------------------------------------------- */

static bool take(plan_span *s, const char *any_of) {
  if (s->n == 0 || *s->at == '\0' || !strchr(any_of, *s->at)) return false;
  *s = plan_span_from(*s, 1);
  return true;
}

static size_t take_all(plan_span *s, const char *any_of) {
  size_t n = 0;
  while (take(s, any_of)) n++;
  return n;
}

static bool take_word(plan_span *s, const char *word) {
  if (!plan_starts(*s, word)) return false;
  *s = plan_span_from(*s, strlen(word));
  return true;
}

/* At most `most` digits; how many. */
static int take_digits(plan_span *s, int most) {
  int n = 0;
  while (n < most && take(s, DIGITS)) n++;
  return n;
}

/* ---- forms ------------------------------------------------------------------------------------------------------- */

static bool is_one_of(plan_span s, const char *const *words) {
  while (*words && !plan_equal(s, *words)) words++;
  return *words != NULL;
}

/* ":59:59", at least one group, each below 60. */
static bool take_sixtieths(plan_span *s) {
  int groups = 0;
  for (; take(s, ":"); groups++) {
    plan_span tens = *s;
    if (!take(s, DIGITS)) return false;
    if (*tens.at <= '5') take(s, DIGITS);
  }
  return groups > 0;
}

static bool is_integer(plan_span s) {
  take(&s, "+-");
  if (take_word(&s, "0b")) return take_all(&s, "01_") > 0 && s.n == 0;
  if (take_word(&s, "0x")) return take_all(&s, "0123456789abcdefABCDEF_") > 0 && s.n == 0;
  if (take(&s, "0")) {
    take_all(&s, "01234567_");
    return s.n == 0;
  }
  if (!take(&s, DIGITS)) return false;
  take_all(&s, DIGITS_);
  return s.n == 0 || (take_sixtieths(&s) && s.n == 0);
}

/* The rest of a number behind its digits: nothing, or an exponent with its sign. */
static bool is_exponent(plan_span s) {
  return s.n == 0 || (take(&s, "eE") && take(&s, "+-") && take_all(&s, DIGITS) > 0 && s.n == 0);
}

static bool is_float(plan_span s) {
  static const char *const nan[] = {".nan", ".NaN", ".NAN", NULL}, *const infinity[] = {".inf", ".Inf", ".INF", NULL};
  if (is_one_of(s, nan)) return true;
  plan_span fraction = s;
  if (take(&fraction, ".") && take(&fraction, DIGITS)) {
    take_all(&fraction, DIGITS_);
    return is_exponent(fraction);
  }
  take(&s, "+-");
  if (is_one_of(s, infinity)) return true;
  if (!take(&s, DIGITS)) return false;
  take_all(&s, DIGITS_);
  if (take(&s, ".")) {
    take_all(&s, DIGITS_);
    return is_exponent(s);
  }
  if (!take_sixtieths(&s) || !take(&s, ".")) return false;
  take_all(&s, DIGITS_);
  return s.n == 0;
}

/* Nothing, or a time zone. */
static bool is_zone(plan_span s) {
  if (s.n == 0) return true;
  take_all(&s, " \t");
  if (take(&s, "Z")) return s.n == 0;
  if (!take(&s, "+-") || take_digits(&s, 2) == 0) return false;
  return s.n == 0 || (take(&s, ":") && take_digits(&s, 2) == 2 && s.n == 0);
}

/* A date with two digits for month and day, or a date and a time. */
static bool is_timestamp(plan_span s) {
  if (take_digits(&s, 4) != 4 || !take(&s, "-")) return false;
  int month = take_digits(&s, 2);
  if (month == 0 || !take(&s, "-")) return false;
  int day = take_digits(&s, 2);
  if (day == 0) return false;
  if (s.n == 0) return month == 2 && day == 2;
  if (!take(&s, "Tt") && take_all(&s, " \t") == 0) return false;
  if (take_digits(&s, 2) == 0 || !take(&s, ":") || take_digits(&s, 2) != 2 || !take(&s, ":") || take_digits(&s, 2) != 2)
    return false;
  if (take(&s, ".")) take_all(&s, DIGITS);
  return is_zone(s);
}

bool plan_yaml_is_typed(plan_span s) {
  static const char *const words[] = {"",   "~",  "null", "Null", "NULL", "yes",   "Yes",   "YES",   "no",
                                      "No", "NO", "true", "True", "TRUE", "false", "False", "FALSE", "on",
                                      "On", "ON", "off",  "Off",  "OFF",  "<<",    "=",     NULL};
  return is_one_of(s, words) || is_integer(s) || is_float(s) || is_timestamp(s);
}
