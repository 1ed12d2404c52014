#include "cli/args.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "request/text.h"

static const cli_flag common[] = {{"help", 'h', NULL, "Show this help"}, {0}};

/* Short names of parameters that people type often. */
static const struct {
  const char *flag, *parameter;
} aliases[] = {{"batch", "batch_size"}, {"steps", "inference_steps"}, {"think", "thinking"}};

/* ---- look-up -------------------------------------------------------------------------------------------------- */

static bool same_name(const char *a, const char *b) {
  for (; *a && *b; a++, b++)
    if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_'))) return false;
  return *a == *b;
}

static const cli_flag *in_list(const cli_flag *list, const char *name) {
  for (; list && list->name; list++)
    if (same_name(list->name, name)) return list;
  return NULL;
}

bool args_takes(const cli_command *c, const req_param *p) {
  if (!c->parameters || p->result) return false;
  for (const char *const *name = c->only; name && *name; name++)
    if (strcmp(*name, p->name) == 0) return true;
  return !c->only;
}

/* What a name without its dashes stands for; false if nothing. */
static bool look_up(const cli_command *c, const char *name, arg *out) {
  *out = (arg){.flag = in_list(c->flags, name)};
  if (!out->flag) out->flag = in_list(common, name);
  if (out->flag || !c->parameters) return out->flag != NULL;
  for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
    if (same_name(aliases[i].flag, name)) name = aliases[i].parameter;
  if (strncmp(name, "--", 2) != 0) out->param = req_param_find(name);
  if (out->param && !out->param->result && !args_takes(c, out->param)) out->param = NULL;
  return out->param != NULL;
}

static const cli_flag *by_letter(const cli_command *c, char letter) {
  for (const cli_flag *f = c->flags; f && f->name; f++)
    if (f->letter == letter) return f;
  return letter == 'h' ? common : NULL;
}

static const char *operand_of(const arg *a) {
  return a->flag ? a->flag->operand : req_param_operand(a->param);
}

/* ---- nearest flag --------------------------------------------------------------------------------------------- */

static bool same_letter(char a, char b) {
  return a == b || ((a == '-' || a == '_') && (b == '-' || b == '_'));
}

size_t cli_distance(const char *a, const char *b) { /* Levenshtein's, one row at a time */
  enum { LONGEST = REQ_FLAG_SIZE };
  size_t row[LONGEST + 1], na = strlen(a), nb = strlen(b);
  if (na > LONGEST || nb > LONGEST) return SIZE_MAX;
  for (size_t j = 0; j <= nb; j++) row[j] = j;
  for (size_t i = 1; i <= na; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      size_t replaced = diagonal + !same_letter(a[i - 1], b[j - 1]);
      size_t shifted = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      diagonal = row[j];
      row[j] = replaced < shifted ? replaced : shifted;
    }
  }
  return row[nb];
}

/* Is `part` one of the words of a name? "format" of "audio_format". */
static bool is_word(const char *part, const char *name) {
  size_t n = strlen(part);
  for (const char *at = name; n > 0 && (at = strstr(at, part)); at++) {
    bool begins = at == name || at[-1] == '_' || at[-1] == '-', ends = !at[n] || at[n] == '_' || at[n] == '-';
    if (begins && ends) return true;
  }
  return false;
}

static void nearer(const char *name, const char *candidate, size_t *least, const char **nearest) {
  size_t d = cli_distance(name, candidate);
  if (d >= *least) return;
  *least = d;
  *nearest = candidate;
}

/* The known name that looks most like `name`, without dashes; NULL when none is near. */
static const char *nearest_name(const cli_command *c, const char *name) {
  size_t length = strlen(name), least = length < 3 ? 0 : length < 6 ? 2 : 3; /* up to two slips of the finger */
  const char *nearest = NULL;
  for (const cli_flag *f = c->flags; f && f->name; f++) nearer(name, f->name, &least, &nearest);
  for (const cli_flag *f = common; f->name; f++) nearer(name, f->name, &least, &nearest);
  if (!c->parameters) return nearest;
  for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
    if (args_takes(c, req_param_find(aliases[i].parameter))) nearer(name, aliases[i].flag, &least, &nearest);
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++)
    if (args_takes(c, &p[i])) nearer(name, p[i].name, &least, &nearest);
  for (size_t i = 0; i < n && !nearest; i++)
    if (args_takes(c, &p[i]) && is_word(name, p[i].name)) nearest = p[i].name;
  return nearest;
}

static ace_status unknown_flag(const cli_command *c, const char *given, const char *name, ace_error *err) {
  char excerpt[REQ_EXCERPT_SIZE], near[REQ_FLAG_SIZE + 32] = "";
  const char *candidate = name ? nearest_name(c, name) : NULL;
  if (candidate) {
    snprintf(near, sizeof near, "; did you mean --%s?", candidate);
    for (char *p = near; *p; p++)
      if (*p == '_') *p = '-';
  }
  return ace_fail(err, ACE_EINVAL, "%s: there is no flag %s%s (acestep help %s lists them)", c->name,
                  req_excerpt(given, strlen(given), excerpt), near, c->name);
}

/* ---- parsing -------------------------------------------------------------------------------------------------- */

static void add(args *a, arg found, const char *value) {
  found.value = value;
  a->given[a->n_given++] = found;
}

/* Is the next word a flag rather than a value? Negative numbers and a lone "-" are values. */
static bool is_flag(const cli_command *c, const char *word) {
  arg ignored;
  if (word[0] != '-' || !word[1]) return false;
  if (word[1] != '-') return !word[2] && by_letter(c, word[1]);
  char name[REQ_FLAG_SIZE];
  size_t n = strcspn(word + 2, "=");
  if (n == 0 || n >= sizeof name) return n == 0;
  memcpy(name, word + 2, n);
  name[n] = 0;
  return look_up(c, name, &ignored) || (strncmp(name, "no-", 3) == 0 && look_up(c, name + 3, &ignored));
}

/* A flag that needs a value takes `inside` ("--name=inside") or the next word. */
static ace_status take_value(args *a, arg found, const char *shown, const char *inside, int argc,
                             const char *const *argv, int *i, ace_error *err) {
  const char *value = inside;
  if (!value && *i + 1 < argc && !is_flag(a->command, argv[*i + 1])) value = argv[++*i];
  if (!value) {
    char range[REQ_RANGE_SIZE], of[REQ_RANGE_SIZE + 16] = "";
    if (found.param && found.param->type != REQ_STRING && found.param->type != REQ_PATH)
      snprintf(of, sizeof of, ": %.200s", req_param_range(found.param, range));
    return ace_fail(err, ACE_EINVAL, "%s: %s needs %s behind it%s", a->command->name, shown, operand_of(&found), of);
  }
  add(a, found, value);
  return ACE_OK;
}

/* An own switch that may have a word behind it. */
static bool may_have_word(const arg *a) {
  return a->flag && a->flag->operand && *a->flag->operand == '[';
}

static ace_status take_switch(args *a, arg found, const char *shown, const char *inside, bool on, ace_error *err) {
  if (inside && found.flag && !may_have_word(&found))
    return ace_fail(err, ACE_EINVAL, "%s: %s is a switch and takes no value", a->command->name, shown);
  add(a, found, inside ? inside : on ? "true" : "false");
  return ACE_OK;
}

/* "--thinking true": nobody's operand looks like that behind a switch. */
static const char *switch_word(const arg *found, int argc, const char *const *argv, int *i) {
  if ((!found->param && !may_have_word(found)) || *i + 1 >= argc) return NULL;
  const char *word = argv[*i + 1];
  if (strcmp(word, "true") != 0 && strcmp(word, "false") != 0) return NULL;
  return argv[++*i];
}

/* "--name", "--name=value", "--no-name". */
static ace_status take_long(args *a, int argc, const char *const *argv, int *i, ace_error *err) {
  const char *word = argv[*i], *equals = strchr(word, '='), *inside = equals ? equals + 1 : NULL;
  char name[REQ_FLAG_SIZE], shown[REQ_FLAG_SIZE + 2];
  size_t n = strcspn(word + 2, "=");
  if (n == 0 || n >= sizeof name) return unknown_flag(a->command, word, NULL, err);
  memcpy(name, word + 2, n);
  name[n] = 0;
  snprintf(shown, sizeof shown, "--%s", name);
  arg found;
  if (look_up(a->command, name, &found)) {
    if (operand_of(&found) && !may_have_word(&found)) return take_value(a, found, shown, inside, argc, argv, i, err);
    if (!inside) inside = switch_word(&found, argc, argv, i);
    return take_switch(a, found, shown, inside, true, err);
  }
  bool negated = strncmp(name, "no-", 3) == 0 && look_up(a->command, name + 3, &found);
  if (!negated) return unknown_flag(a->command, shown, name, err);
  if (operand_of(&found) || inside)
    return ace_fail(err, ACE_EINVAL, "%s: %s: only switches can be turned off, without a value", a->command->name,
                    shown);
  return take_switch(a, found, shown, NULL, false, err);
}

/* "-o FILE", "-oFILE", "-q"; switches may stand together: "-qh". */
static ace_status take_short(args *a, int argc, const char *const *argv, int *i, ace_error *err) {
  const char *word = argv[*i];
  for (const char *letter = word + 1; *letter; letter++) {
    arg found = {.flag = by_letter(a->command, *letter)};
    char shown[3] = {'-', *letter, 0};
    if (!found.flag) return unknown_flag(a->command, word, NULL, err);
    if (found.flag->operand)
      return take_value(a, found, shown, letter[1] ? letter + 1 + (letter[1] == '=') : NULL, argc, argv, i, err);
    add(a, found, "true");
  }
  return ACE_OK;
}

ace_status args_parse(args *a, const cli_command *command, int argc, const char *const *argv, ace_error *err) {
  *a = (args){.command = command};
  size_t room = 1; /* "-qhq" gives one flag a letter */
  for (int i = 0; i < argc; i++) room += strlen(argv[i]) + 1;
  a->given = calloc(room, sizeof *a->given);
  a->operand = calloc((size_t)argc + 1, sizeof *a->operand);
  if (!a->given || !a->operand) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", command->name);
  bool flags_over = false;
  for (int i = 0; i < argc; i++) {
    const char *word = argv[i];
    ace_status status = ACE_OK;
    if (flags_over || word[0] != '-' || !word[1]) a->operand[a->n_operands++] = word;
    else if (strcmp(word, "--") == 0) flags_over = true;
    else if (word[1] == '-') status = take_long(a, argc, argv, &i, err);
    else status = take_short(a, argc, argv, &i, err);
    if (status != ACE_OK) return status;
  }
  if (a->n_operands > command->most_operands && !args_on(a, "help")) {
    char excerpt[REQ_EXCERPT_SIZE];
    const char *extra = a->operand[command->most_operands];
    return ace_fail(err, ACE_EINVAL, "%s: \"%s\" is one operand too many%s", command->name,
                    req_excerpt(extra, strlen(extra), excerpt),
                    command->most_operands ? "; put text with blanks in quotes" : "");
  }
  return ACE_OK;
}

void args_free(args *a) {
  free(a->given);
  free(a->operand);
  *a = (args){0};
}

/* ---- asking --------------------------------------------------------------------------------------------------- */

const char *args_value(const args *a, const char *name) {
  const char *value = NULL;
  for (int i = 0; i < a->n_given; i++)
    if (a->given[i].flag && strcmp(a->given[i].flag->name, name) == 0) value = a->given[i].value;
  return value;
}

void args_values(const args *a, const char *name, const char **out, int most) {
  int n = 0;
  for (int i = 0; i < a->n_given && n < most - 1; i++)
    if (a->given[i].flag && strcmp(a->given[i].flag->name, name) == 0) out[n++] = a->given[i].value;
  out[n] = NULL;
}

bool args_on(const args *a, const char *name) {
  const char *value = args_value(a, name);
  return value && strcmp(value, "true") == 0;
}

bool args_gives(const args *a, const char *parameter) {
  for (int i = 0; i < a->n_given; i++)
    if (a->given[i].param && strcmp(a->given[i].param->name, parameter) == 0) return true;
  return false;
}

ace_status args_bytes(const char *text, const char *flag, uint64_t *bytes, ace_error *err) {
  static const char units[] = "kmgt";
  char excerpt[REQ_EXCERPT_SIZE];
  size_t digits = strspn(text, "0123456789.");
  const char *unit = text + digits;
  double x, scale = 1;
  bool ok = req_number_parse(text, digits, &x);
  if (ok && *unit) {
    const char *known = strchr(units, *unit | 0x20);
    ok = known != NULL;
    for (const char *u = units; ok && u <= known; u++) scale *= 1024;
    unit++;
    if (*unit == 'i') unit++;
    if (*unit == 'B' || *unit == 'b') unit++;
    ok = ok && !*unit;
  }
  ok = ok && x * scale >= 1048576 && x * scale <= 1e15;
  if (!ok)
    return ace_fail(err, ACE_EINVAL, "%s: \"%s\" is no amount of memory from 1M on, such as 512M, 6G or 1.5G", flag,
                    req_excerpt(text, strlen(text), excerpt));
  *bytes = (uint64_t)(x * scale);
  return ACE_OK;
}

ace_status args_int(const char *text, const char *flag, int lo, int hi, int *out, ace_error *err) {
  char excerpt[REQ_EXCERPT_SIZE];
  double x;
  if (!req_number_parse(text, strlen(text), &x) || x != floor(x) || x < lo || x > hi)
    return ace_fail(err, ACE_EINVAL, "%s: \"%s\" is no whole number in %d..%d", flag,
                    req_excerpt(text, strlen(text), excerpt), lo, hi);
  *out = (int)x;
  return ACE_OK;
}
