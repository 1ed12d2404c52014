/* grammar_given.c - values of the user, brought into the form that the model was trained on and queued as tokens. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "planner/grammar_table.h"
#include "planner/span.h"
#include "request/text.h"

enum { TEXT_SIZE = 96 }; /* of a value that is written as given, in bytes */

/* A number above 0, cut off; 0 when there is none. */
static int64_t number_of(const plan_value *v) {
  double x = 0;
  if (v->kind == PLAN_NUMBER) return v->number > 0 ? v->number : 0;
  if (v->kind != PLAN_TEXT || !req_number_parse(v->text, v->length, &x) || !(x > 0)) return 0;
  return (int64_t)fmin(x, 1e9);
}

static plan_span text_of(const plan_value *v, char number[32]) {
  plan_span s = {v->text, v->kind == PLAN_TEXT ? v->length : 0};
  if (v->kind == PLAN_NUMBER) {
    snprintf(number, 32, "%lld", (long long)v->number);
    s = plan_span_of(number);
  }
  s = plan_trim(s);
  return plan_equal_any_case(s, "N/A") ? (plan_span){s.at, 0} : s;
}

/* ---- keys ---- */

/* Takes the accidental that s starts with; "b" counts only where no word begins. */
static const char *take_accidental(plan_span *s) {
  static const struct {
    const char *spelled, *usual;
  } all[] = {{"#", "#"}, {"\u266f", "\u266f"}, {"\u266d", "\u266d"}, {"b", "b"}, {"sharp", "#"}, {"flat", "b"}};
  plan_span rest = plan_trim_start(*s);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    plan_span from = all[i].spelled[1] ? rest : *s;
    if (!plan_starts_any_case(from, all[i].spelled)) continue;
    *s = plan_span_from(from, strlen(all[i].spelled));
    return all[i].usual;
  }
  return "";
}

/* "major", "minor", or NULL for anything else; a capital M alone is major. */
static const char *mode_of(plan_span s) {
  static const char *const major[] = {"", "maj", "major", "dur"}, *const minor[] = {"m", "min", "minor", "moll", "mi"};
  s = plan_trim(s);
  if (plan_equal(s, "M")) return "major";
  for (size_t i = 0; i < sizeof major / sizeof *major; i++)
    if (plan_equal_any_case(s, major[i])) return "major";
  for (size_t i = 0; i < sizeof minor / sizeof *minor; i++)
    if (plan_equal_any_case(s, minor[i])) return "minor";
  return NULL;
}

/* "Am", "C Major", "f# min", "E flat" in the form "A minor"; false when it is something else. */
static bool usual_key(plan_span s, char out[TEXT_SIZE]) {
  static const char notes[] = "ABCDEFGabcdefg";
  const char *note = s.n > 0 ? memchr(notes, s.at[0], sizeof notes - 1) : NULL;
  if (!note) return false;
  plan_span rest = plan_span_from(s, 1);
  const char *accidental = take_accidental(&rest), *mode = mode_of(rest);
  if (!mode) return false;
  snprintf(out, TEXT_SIZE, "%c%s %s", notes[(note - notes) % 7], accidental, mode);
  return true;
}

/* ---- time signatures and languages ---- */

/* "3/4" as "3", "6/8" as "6", and the four values themselves. */
static bool usual_meter(plan_span s, char out[TEXT_SIZE]) {
  char buffer[GRAM_VALUE_SIZE], fourths[GRAM_VALUE_SIZE + 2];
  const char *value;
  for (int i = 0; (value = gram_value(PLAN_TIMESIGNATURE, i, buffer)); i++) {
    snprintf(fourths, sizeof fourths, "%s/4", value);
    if (!plan_equal(s, value) && !plan_equal(s, fourths) && !(value[0] == '6' && plan_equal(s, "6/8"))) continue;
    snprintf(out, TEXT_SIZE, "%s", value);
    return true;
  }
  return false;
}

static bool usual_language(plan_span s, char out[TEXT_SIZE]) {
  char buffer[GRAM_VALUE_SIZE];
  const char *value;
  for (int i = 0; (value = gram_value(PLAN_LANGUAGE, i, buffer)); i++) {
    if (!plan_equal_any_case(s, value)) continue;
    snprintf(out, TEXT_SIZE, "%s", value);
    return true;
  }
  return false;
}

/* ---- the queue ---- */

static ace_status queue(const plan_grammar *g, plan_field field, const char *value, plan_grammar_state *s, int *used,
                        ace_error *err) {
  int32_t id[GRAM_MOST_VALUE];
  int n;
  ace_status status = gram_value_tokens(g, field, value, id, &n, err);
  if (status != ACE_OK) return status;
  if (*used + n + 1 > PLAN_MOST_GIVEN)
    return ace_fail(err, ACE_EINVAL, "%s: the given values take more than %d tokens in all", plan_field_name(field),
                    PLAN_MOST_GIVEN);
  memcpy(s->given + *used, id, (size_t)n * sizeof *id);
  s->given[*used + n] = g->line_feed;
  s->given_first[field] = (uint8_t)*used;
  s->given_n[field] = (uint8_t)(n + 1);
  *used += n + 1;
  gram_log(s, "%s: given: %s", plan_field_name(field), value);
  return ACE_OK;
}

/* Something that the grammar does not know but that cannot break the form of the metadata. */
static ace_status as_given(plan_field field, plan_span s, char out[TEXT_SIZE], ace_error *err) {
  char shown[REQ_EXCERPT_SIZE];
  bool fits = s.n < TEXT_SIZE && req_utf8_valid(s.at, s.n);
  for (size_t i = 0; i < s.n; i++) fits = fits && (unsigned char)s.at[i] >= 0x20 && s.at[i] != 0x7F && s.at[i] != '<';
  if (!fits)
    return ace_fail(err, ACE_EINVAL, "%s: \"%s\" cannot be written; at most %d bytes, no control characters, no \"<\"",
                    plan_field_name(field), req_excerpt(s.at, s.n, shown), TEXT_SIZE - 1);
  snprintf(out, TEXT_SIZE, "%.*s", (int)s.n, s.at);
  return ACE_OK;
}

static ace_status take_number(const plan_grammar *g, const plan_metadata *user, plan_field field, int low, int high,
                              plan_grammar_state *s, int *used, ace_error *err) {
  int64_t asked = number_of(&user->field[field]);
  if (asked <= 0) return ACE_OK;
  char text[32];
  snprintf(text, sizeof text, "%d", (int)(asked < low ? low : asked > high ? high : asked));
  if (asked < low || asked > high)
    gram_log(s, "%s: %lld is outside %d..%d", plan_field_name(field), (long long)asked, low, high);
  return queue(g, field, text, s, used, err);
}

/* The usual form of a value of a field with closed values in words. */
static bool usual(plan_field field, plan_span s, char out[TEXT_SIZE]) {
  if (field == PLAN_KEYSCALE) return usual_key(s, out);
  return field == PLAN_LANGUAGE ? usual_language(s, out) : usual_meter(s, out);
}

ace_status plan_grammar_tidy(plan_metadata *m, int max_duration, ace_error *err) {
  static const plan_field words[] = {PLAN_KEYSCALE, PLAN_LANGUAGE, PLAN_TIMESIGNATURE};
  const plan_typed t = plan_metadata_typed(m);
  char text[TEXT_SIZE], number[32];
  ace_status status = ACE_OK;
  if (t.bpm > 0) plan_set_number(m, PLAN_BPM, t.bpm);
  else plan_unset(m, PLAN_BPM);
  if (t.duration > 0)
    plan_set_number(m, PLAN_DURATION, (int64_t)fmax(GRAM_DURATION_LOW, fmin(t.duration, max_duration)));
  else plan_unset(m, PLAN_DURATION);
  for (size_t i = 0; i < sizeof words / sizeof *words && status == ACE_OK; i++) {
    plan_span found = text_of(&m->field[words[i]], number);
    if (found.n > 0 && usual(words[i], found, text)) status = plan_set_text(m, words[i], text, strlen(text), err);
    else plan_unset(m, words[i]);
  }
  return status;
}

ace_status gram_take_given(const plan_grammar *g, const plan_metadata *user, plan_grammar_state *s, ace_error *err) {
  char text[TEXT_SIZE], number[32];
  int used = 0;
  ace_status status = take_number(g, user, PLAN_BPM, GRAM_BPM_LOW, GRAM_BPM_HIGH, s, &used, err);
  if (status == ACE_OK) status = take_number(g, user, PLAN_DURATION, GRAM_DURATION_LOW, s->max_duration, s, &used, err);
  for (int i = PLAN_KEYSCALE; i < PLAN_FIELDS && status == ACE_OK; i++) {
    const plan_field field = (plan_field)i;
    plan_span asked = text_of(&user->field[i], number);
    if (asked.n == 0) continue;
    bool known = usual(field, asked, text);
    if (!known && field == PLAN_LANGUAGE) {
      gram_log(s, "language: not one that the model knows, left to the model");
      continue;
    }
    if (!known) status = as_given(field, asked, text, err);
    if (status == ACE_OK) status = queue(g, field, text, s, &used, err);
  }
  return status;
}
