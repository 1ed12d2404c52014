#include "request/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void *req_field(ace_request *r, const req_param *p) {
  return (char *)r + p->offset;
}

const void *req_field_const(const ace_request *r, const req_param *p) {
  return (const char *)r + p->offset;
}

ace_status req_set_string(char **field, const char *text, ace_error *err) {
  char *copy = strdup(text);
  if (!copy) return ace_fail(err, ACE_ENOMEM, "request: out of memory");
  free(*field);
  *field = copy;
  return ACE_OK;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* " (or leave it empty: automatic)", or nothing. */
static const char *or_empty(const req_param *p, char out[96]) {
  out[0] = '\0';
  if (p->nullable && p->null_number) {
    char number[REQ_NUMBER_SIZE];
    snprintf(out, 96, " (or %s: %s)", req_number_format(p->null, number), p->null_means ? p->null_means : "not given");
  } else if (p->nullable && !p->result) {
    snprintf(out, 96, " (or leave it empty: %s)", p->null_means ? p->null_means : "not given");
  }
  return out;
}

static ace_status outside(const req_param *p, double x, ace_error *err) {
  char number[REQ_NUMBER_SIZE], range[REQ_RANGE_SIZE], empty[96];
  return ace_fail(err, ACE_EINVAL, "%s: %s is %s %s%s", p->name, req_number_format(x, number),
                  p->values ? "none of" : "outside", req_param_range(p, range), or_empty(p, empty));
}

static ace_status not_a(const req_param *p, const char *s, size_t n, const char *what, ace_error *err) {
  char excerpt[REQ_EXCERPT_SIZE], empty[96];
  return ace_fail(err, ACE_EINVAL, "%s: \"%s\" is not %s%s", p->name, req_excerpt(s, n, excerpt), what,
                  or_empty(p, empty));
}

static ace_status none_of(const req_param *p, const char *s, size_t n, ace_error *err) {
  char excerpt[REQ_EXCERPT_SIZE], range[REQ_RANGE_SIZE];
  return ace_fail(err, ACE_EINVAL, "%s: \"%s\" is none of %s", p->name, req_excerpt(s, n, excerpt),
                  req_param_range(p, range));
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* Is x within the parameter's own range? Among the values of an int that has a list of them? */
static bool in_range(const req_param *p, double x) {
  if (p->nullable && x == p->null) return true;
  if (!(x >= p->lo && x <= p->hi)) return false;
  if (!p->values) return true;
  for (size_t i = 0; p->values[i]; i++)
    if (strtod(p->values[i], NULL) == x) return true;
  return false;
}

/* Stores a number in an int, seed or number field. */
static ace_status store_number(ace_request *r, const req_param *p, double x, ace_error *err) {
  if (p->nullable && p->null < 0 && x <= 0 && x < p->lo) x = p->null; /* 0 and every negative: automatic */
  if (p->type == REQ_SEED && x < 0) x = -1;
  if (p->type != REQ_NUMBER && x != floor(x)) {
    char number[REQ_NUMBER_SIZE];
    return ace_fail(err, ACE_EINVAL, "%s: %s is not a whole number", p->name, req_number_format(x, number));
  }
  if (!in_range(p, x)) return outside(p, x, err);
  void *field = req_field(r, p);
  if (p->type == REQ_NUMBER) *(double *)field = x + 0.0; /* -0 becomes 0, so that the saved form reads back as it was */
  else if (p->type == REQ_SEED) *(int64_t *)field = (int64_t)x;
  else *(int *)field = (int)x;
  return ACE_OK;
}

/* "", "auto", "N/A" and the like: not given. */
static bool says_nothing(const char *s, size_t n) {
  while (n > 0 && req_is_space(s[n - 1])) n--;
  while (n > 0 && req_is_space(*s)) s++, n--;
  return n == 0 || req_same(s, n, "auto") || req_same(s, n, "n/a") || req_same(s, n, "null") || req_same(s, n, "none");
}

static ace_status number_from_text(ace_request *r, const req_param *p, const char *s, ace_error *err) {
  size_t n = strlen(s);
  double x;
  if (p->nullable && says_nothing(s, n)) return store_number(r, p, p->null, err);
  if (req_is_blank(s)) return req_value_reset(r, p, err);
  if (!req_number_parse(s, n, &x)) return not_a(p, s, n, p->type == REQ_INT ? "a whole number" : "a number", err);
  return store_number(r, p, x, err);
}

/* ---- switches and names ------------------------------------------------------------------------------------------ */

bool req_switch_parse(const char *s, size_t n, bool *on) {
  static const char *const yes[] = {"true", "1", "yes", "y", "on"}, *const no[] = {"false", "0", "no", "n", "off"};
  while (n > 0 && req_is_space(s[n - 1])) n--;
  while (n > 0 && req_is_space(*s)) s++, n--;
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
    *on = req_same(s, n, yes[i]);
    if (*on || req_same(s, n, no[i])) return true;
  }
  return false;
}

static ace_status switch_from_text(ace_request *r, const req_param *p, const char *s, ace_error *err) {
  size_t n = strlen(s);
  bool on;
  if (p->type == REQ_BOOL && req_is_blank(s)) return req_value_reset(r, p, err);
  if (p->type == REQ_TRI && says_nothing(s, n)) {
    *(int *)req_field(r, p) = REQ_AUTO;
    return ACE_OK;
  }
  if (!req_switch_parse(s, n, &on))
    return not_a(p, s, n, p->type == REQ_TRI ? "true, false or auto" : "true or false", err);
  if (p->type == REQ_BOOL) *(bool *)req_field(r, p) = on;
  else *(int *)req_field(r, p) = on ? REQ_ON : REQ_OFF;
  return ACE_OK;
}

/* Which of the parameter's names this is: letter case does not matter, and "-", "_" and " " are the same. -1: none. */
static int find_value(const req_param *p, const char *s, size_t n) {
  while (n > 0 && req_is_space(s[n - 1])) n--;
  while (n > 0 && req_is_space(*s)) s++, n--;
  for (int i = 0; p->values[i]; i++) {
    size_t k = 0;
    for (; k < n && p->values[i][k]; k++) {
      char a = s[k], b = p->values[i][k];
      bool dash = (a == '-' || a == '_' || a == ' ') && (b == '-' || b == '_');
      if (!dash && !req_same(&a, 1, (const char[]){b, '\0'})) break;
    }
    if (k == n && p->values[i][k] == '\0') return i;
  }
  return -1;
}

static ace_status name_from_text(ace_request *r, const req_param *p, const char *s, ace_error *err) {
  int i = find_value(p, s, strlen(s));
  if (i < 0 && says_nothing(s, strlen(s))) return req_value_reset(r, p, err);
  if (i < 0) return none_of(p, s, strlen(s), err);
  *(int *)req_field(r, p) = i;
  return ACE_OK;
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

static ace_status check_string(const req_param *p, const char *s, ace_error *err) {
  size_t n = strlen(s);
  if ((double)n > p->hi)
    return ace_fail(err, ACE_EINVAL, "%s: %zu bytes are more than the %.0f that are accepted", p->name, n, p->hi);
  if (!req_utf8_valid(s, n)) return ace_fail(err, ACE_EINVAL, "%s: the text is not valid UTF-8", p->name);
  if (p->values && find_value(p, s, n) < 0) {
    char empty[96];
    snprintf(empty, sizeof empty, " (or leave it empty: %s)", p->null_means ? p->null_means : "not given");
    char excerpt[REQ_EXCERPT_SIZE], range[REQ_RANGE_SIZE];
    return ace_fail(err, ACE_EINVAL, "%s: \"%s\" is none of %s%s", p->name, req_excerpt(s, n, excerpt),
                    req_param_range(p, range), empty);
  }
  return ACE_OK;
}

static ace_status string_from_text(ace_request *r, const req_param *p, const char *s, ace_error *err) {
  ace_status status = check_string(p, s, err);
  if (status != ACE_OK) return status;
  if (p->values) s = p->values[find_value(p, s, strlen(s))];
  return req_set_string(req_field(r, p), s, err);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static ace_status track_add(const req_param *p, req_tracks *list, const char *s, size_t n, ace_error *err) {
  int track = find_value(p, s, n);
  if (track < REQ_TRACK_VOCALS) return none_of(p, s, n, err);
  for (int i = 0; i < list->count; i++)
    if (list->value[i] == track) return ACE_OK;
  list->value[list->count++] = track;
  return ACE_OK;
}

static ace_status tracks_from_text(ace_request *r, const req_param *p, const char *s, ace_error *err) {
  req_tracks list = {0};
  for (bool more = !says_nothing(s, strlen(s)); more;) {
    size_t n = strcspn(s, ",|");
    ace_status status = track_add(p, &list, s, n, err);
    if (status != ACE_OK) return status;
    more = s[n] != '\0';
    s += n + more;
  }
  *(req_tracks *)req_field(r, p) = list;
  return ACE_OK;
}

static ace_status check_levels(const req_param *p, const req_timesteps *t, ace_error *err);

static ace_status timesteps_from_text(ace_request *r, const req_param *p, const char *s, ace_error *err) {
  req_timesteps list = {0};
  int steps = 0;
  char excerpt[REQ_EXCERPT_SIZE];
  if (!says_nothing(s, strlen(s))) {
    req_timesteps_warning why = req_timesteps_parse(s, &list, &steps);
    if (why == REQ_TIMESTEPS_FORMAT)
      return not_a(p, s, strlen(s), "a list of up to 255 noise levels such as 0.97,0.76,0.5,0.28,0", err);
    if (why == REQ_TIMESTEPS_RANGE)
      return ace_fail(err, ACE_EINVAL, "%s: a level in \"%s\" is outside 0..1", p->name,
                      req_excerpt(s, strlen(s), excerpt));
  }
  for (int i = 0; i < list.count; i++) list.value[i] += 0.0; /* no -0 */
  ace_status status = check_levels(p, &list, err);
  if (status == ACE_OK) *(req_timesteps *)req_field(r, p) = list;
  return status;
}

/* `seed` may carry several: those go to `seeds`. One seed alone replaces the list that was there. */
static ace_status seed_store(ace_request *r, const req_param *p, const req_seeds *list) {
  r->seeds = (req_seeds){0};
  *(int64_t *)req_field(r, p) = list->count == 1 ? list->value[0] : -1;
  if (list->count > 1) r->seeds = *list;
  return ACE_OK;
}

ace_status req_value_from_text(ace_request *r, const req_param *p, const char *text, ace_error *err) {
  req_seeds seeds;
  ace_status status;
  switch (p->type) {
    case REQ_BOOL:
    case REQ_TRI: return switch_from_text(r, p, text, err);
    case REQ_INT:
    case REQ_NUMBER: return number_from_text(r, p, text, err);
    case REQ_ENUM: return name_from_text(r, p, text, err);
    case REQ_STRING:
    case REQ_PATH: return string_from_text(r, p, text, err);
    case REQ_TRACKS: return tracks_from_text(r, p, text, err);
    case REQ_TIMESTEPS: return timesteps_from_text(r, p, text, err);
    case REQ_SEED:
    case REQ_SEEDS:
      status = req_seeds_parse(text, p->name, &seeds, err);
      if (status != ACE_OK) return status;
      if (p->type == REQ_SEED) return seed_store(r, p, &seeds);
      *(req_seeds *)req_field(r, p) = seeds;
      return ACE_OK;
  }
  return ace_fail(err, ACE_EINTERNAL, "%s: no such type", p->name);
}

ace_status req_value_reset(ace_request *r, const req_param *p, ace_error *err) {
  const char *text = req_param_default(p, r->profile);
  /* An empty default of a number or name that has no such value would come back here: the table has none, but a wrong
   * table must not recurse. */
  if (!*text && !p->nullable && (p->type == REQ_INT || p->type == REQ_NUMBER || p->type == REQ_BOOL))
    return ace_fail(err, ACE_EINTERNAL, "%s: the table has no default", p->name);
  return req_value_from_text(r, p, text, err);
}

/* ---- back to text ------------------------------------------------------------------------------------------------ */

static void seeds_to(const req_seeds *s, const char *between, req_text *out) {
  for (int i = 0; i < s->count; i++) req_text_addf(out, "%s%lld", i ? between : "", (long long)s->value[i]);
}

static void levels_to(const req_timesteps *t, const char *between, req_text *out) {
  char number[REQ_NUMBER_SIZE];
  for (int i = 0; i < t->count; i++) {
    if (i) req_text_add(out, between);
    req_text_add(out, req_number_format(t->value[i], number));
  }
}

static const char *value_name(const req_param *p, int i) {
  for (int k = 0; p->values[k]; k++)
    if (k == i) return p->values[k];
  return "";
}

/* Numbers and switches: text and JSON write them alike, but for what stands for "not given". */
static void scalar_to(const ace_request *r, const req_param *p, const char *nothing, req_text *out) {
  const void *field = req_field_const(r, p);
  char number[REQ_NUMBER_SIZE];
  double x;
  switch (p->type) {
    case REQ_BOOL: req_text_add(out, *(const bool *)field ? "true" : "false"); return;
    case REQ_TRI:
      req_text_add(out, *(const int *)field == REQ_AUTO ? nothing : *(const int *)field ? "true" : "false");
      return;
    case REQ_SEED: req_text_addf(out, "%lld", (long long)*(const int64_t *)field); return;
    default:
      x = p->type == REQ_NUMBER ? *(const double *)field : *(const int *)field;
      req_text_add(out, p->nullable && !p->null_number && x == p->null ? nothing : req_number_format(x, number));
      return;
  }
}

void req_value_to_text(const ace_request *r, const req_param *p, req_text *out) {
  const void *field = req_field_const(r, p);
  switch (p->type) {
    case REQ_TRI: scalar_to(r, p, "auto", out); return;
    case REQ_ENUM: req_text_add(out, value_name(p, *(const int *)field)); return;
    case REQ_STRING:
    case REQ_PATH: req_text_add(out, *(char *const *)field); return;
    case REQ_SEEDS: seeds_to(field, ", ", out); return;
    case REQ_TIMESTEPS: levels_to(field, ",", out); return;
    case REQ_TRACKS:
      for (int i = 0; i < ((const req_tracks *)field)->count; i++)
        req_text_addf(out, "%s%s", i ? "," : "", value_name(p, ((const req_tracks *)field)->value[i]));
      return;
    default: scalar_to(r, p, "", out); return;
  }
}

void req_value_to_json(const ace_request *r, const req_param *p, req_text *out) {
  const void *field = req_field_const(r, p);
  const char *s;
  switch (p->type) {
    case REQ_ENUM: req_text_add_json(out, value_name(p, *(const int *)field)); return;
    case REQ_STRING:
    case REQ_PATH:
      s = *(char *const *)field;
      if (p->type == REQ_PATH && !*s) req_text_add(out, "null");
      else req_text_add_json(out, s);
      return;
    case REQ_SEEDS:
    case REQ_TIMESTEPS: /* both begin with their count */
      if (*(const int *)field == 0) {
        req_text_add(out, "null");
        return;
      }
      req_text_add(out, "[");
      if (p->type == REQ_SEEDS) seeds_to(field, ", ", out);
      else levels_to(field, ", ", out);
      req_text_add(out, "]");
      return;
    case REQ_TRACKS:
      req_text_add(out, "[");
      for (int i = 0; i < ((const req_tracks *)field)->count; i++) {
        if (i) req_text_add(out, ", ");
        req_text_add_json(out, value_name(p, ((const req_tracks *)field)->value[i]));
      }
      req_text_add(out, "]");
      return;
    default: scalar_to(r, p, "null", out); return;
  }
}

/* ---- checks of fields that were written directly ----------------------------------------------------------------- */

static ace_status check_seeds(const req_param *p, const req_seeds *s, ace_error *err) {
  if (s->count < 0 || s->count > REQ_BATCH_MAX)
    return ace_fail(err, ACE_EINVAL, "%s: %d seeds are outside 0..%d", p->name, s->count, REQ_BATCH_MAX);
  for (int i = 0; i < s->count; i++)
    if (s->value[i] < -1 || s->value[i] > REQ_SEED_MAX) return outside(p, (double)s->value[i], err);
  return ACE_OK;
}

static ace_status check_levels(const req_param *p, const req_timesteps *t, ace_error *err) {
  if (t->count == 0) return ACE_OK;
  if (t->count < 2 || t->count > REQ_TIMESTEPS_MAX)
    return ace_fail(err, ACE_EINVAL, "%s: %d levels are outside 2..%d", p->name, t->count, REQ_TIMESTEPS_MAX);
  double most = 0;
  for (int i = 0; i < t->count; i++) {
    if (!(t->value[i] >= p->lo && t->value[i] <= p->hi)) return outside(p, t->value[i], err);
    if (t->value[i] > most) most = t->value[i];
  }
  if (t->value[t->count - 1] != 0) return ace_fail(err, ACE_EINVAL, "%s: the last level is not 0", p->name);
  if (most == 0) return ace_fail(err, ACE_EINVAL, "%s: every level is 0, so there is no step to take", p->name);
  return ACE_OK;
}

static ace_status check_tracks(const req_param *p, const req_tracks *t, ace_error *err) {
  if (t->count < 0 || t->count >= REQ_TRACK_COUNT)
    return ace_fail(err, ACE_EINVAL, "%s: %d tracks are outside 0..%d", p->name, t->count, REQ_TRACK_COUNT - 1);
  for (int i = 0; i < t->count; i++)
    if (t->value[i] < REQ_TRACK_VOCALS || t->value[i] >= REQ_TRACK_COUNT)
      return ace_fail(err, ACE_EINVAL, "%s: %d is no track", p->name, t->value[i]);
  return ACE_OK;
}

ace_status req_value_check(const ace_request *r, const req_param *p, ace_error *err) {
  const void *field = req_field_const(r, p);
  double x;
  int i;
  switch (p->type) {
    case REQ_BOOL: return ACE_OK;
    case REQ_TRI:
      i = *(const int *)field;
      return i >= REQ_AUTO && i <= REQ_ON ? ACE_OK : ace_fail(err, ACE_EINVAL, "%s: %d is no switch", p->name, i);
    case REQ_ENUM:
      for (i = 0; p->values[i]; i++)
        if (i == *(const int *)field) return ACE_OK;
      return ace_fail(err, ACE_EINVAL, "%s: %d is outside 0..%d", p->name, *(const int *)field, i - 1);
    case REQ_STRING:
    case REQ_PATH:
      if (!*(char *const *)field) return ace_fail(err, ACE_EINVAL, "%s: no text", p->name);
      return check_string(p, *(char *const *)field, err);
    case REQ_SEEDS: return check_seeds(p, field, err);
    case REQ_TIMESTEPS: return check_levels(p, field, err);
    case REQ_TRACKS: return check_tracks(p, field, err);
    case REQ_NUMBER: x = *(const double *)field; break;
    case REQ_SEED: x = (double)*(const int64_t *)field; break;
    default: x = *(const int *)field; break;
  }
  return in_range(p, x) ? ACE_OK : outside(p, x, err);
}
