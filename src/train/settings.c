#include "train/settings.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const char *const train_adapters[] = {"lora", "lokr", "full", NULL};
static const char *const train_parts[] = {"dit", "tokenizer", "lm", "autoencoder", "decoder", NULL};
static const char *const train_attentions[] = {"both", "self", "cross", NULL};
static const char *const train_biases[] = {"none", NULL};
static const char *const train_optimizers[] = {"adamw", "adamw8bit", "adafactor", "prodigy", NULL};
static const char *const train_schedulers[] = {"cosine",   "cosine_restarts",      "linear",
                                               "constant", "constant_with_warmup", NULL};
static const char *const train_timesteps[] = {"auto", "discrete", "logit_normal", NULL};
static const char *const train_paddings[] = {"masked", "parity", NULL};
static const char *const train_recomputing[] = {"auto", "on", "off", NULL};

static const train_setting table[] = {
#define TRAIN_LINE(field, flag, type, operand, lo, hi, step, values, guide, rest, lokr, lokr_rest, help)         \
  {#field,    flag, TRAIN_TYPE_##type, offsetof(train_settings, field), lo, hi, step, values, guide, rest, lokr, \
   lokr_rest, help},
    TRAIN_SETTINGS(TRAIN_LINE)
#undef TRAIN_LINE
};

enum { COUNT = sizeof table / sizeof *table };

const char *const train_setting_aliases[] = {
#define TRAIN_ALIAS(theirs, ours) theirs, ours,
    TRAIN_ALIASES(TRAIN_ALIAS)
#undef TRAIN_ALIAS
        NULL};

const train_setting *train_settings_table(int *n) {
  *n = COUNT;
  return table;
}

static bool same_name(const char *a, const char *b) {
  for (; *a && *b; a++, b++)
    if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_'))) return false;
  return *a == *b;
}

const train_setting *train_setting_find(const char *name) {
  for (const char *const *a = train_setting_aliases; *a; a += 2)
    if (same_name(*a, name)) name = a[1];
  for (int i = 0; i < COUNT; i++)
    if (same_name(table[i].name, name)) return &table[i];
  return NULL;
}

/* Where a full training begins differently. */
static const char *const full_defaults[][2] = {
    {"output_dir", "./full_output"},
    {"learning_rate", "1e-3"},
    {"epochs", "10"},
    {"batch_size", "4"},
    {"save_every", "1"},
};

static const char *full_default(const char *name) {
  for (size_t i = 0; i < sizeof full_defaults / sizeof *full_defaults; i++)
    if (strcmp(full_defaults[i][0], name) == 0) return full_defaults[i][1];
  return NULL;
}

const char *train_setting_default(const train_setting *t, train_surface surface, int adapter) {
  bool rest = surface == TRAIN_SURFACE_REST;
  if (adapter == TRAIN_FULL && full_default(t->name)) return full_default(t->name);
  if (adapter == TRAIN_LOKR && rest && t->lokr_rest) return t->lokr_rest;
  if (adapter == TRAIN_LOKR && t->lokr) return t->lokr;
  return rest && t->rest ? t->rest : t->guide;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static void *field_of(train_settings *s, const train_setting *t) {
  return (char *)s + t->offset;
}

static const void *value_of(const train_settings *s, const train_setting *t) {
  return (const char *)s + t->offset;
}

static bool is_text(const train_setting *t) {
  return t->type == TRAIN_TYPE_TEXT || t->type == TRAIN_TYPE_PATH;
}

static ace_status set_text(const train_setting *t, char **field, const char *value, ace_error *err) {
  if (strlen(value) > (size_t)t->hi) return ace_fail(err, ACE_EINVAL, "%s: longer than %.0f bytes", t->name, t->hi);
  char *copy = strdup(value);
  if (!copy) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", t->name);
  free(*field);
  *field = copy;
  return ACE_OK;
}

static ace_status set_choice(const train_setting *t, int *field, const char *value, ace_error *err) {
  char names[160] = "";
  for (int i = 0; t->values[i]; i++) {
    if (strcmp(t->values[i], value) == 0) {
      *field = i;
      return ACE_OK;
    }
    if (i) strncat(names, ", ", sizeof names - strlen(names) - 1);
    strncat(names, t->values[i], sizeof names - strlen(names) - 1);
  }
  return ace_fail(err, ACE_EINVAL, "%s: \"%.40s\" is not one of %s", t->name, value, names);
}

static ace_status set_number(const train_setting *t, void *field, double x, const char *shown, ace_error *err) {
  bool whole = t->type == TRAIN_TYPE_INT;
  if (!(x >= t->lo && x <= t->hi) || (whole && x != floor(x)))
    return ace_fail(err, ACE_EINVAL, "%s: %.40s is not %s from %g to %.10g", t->name, shown,
                    whole ? "a whole number" : "a number", t->lo, t->hi);
  if (strcmp(t->name, "cfg_ratio") == 0 && x < 0 && x != -1)
    return ace_fail(err, ACE_EINVAL, "cfg_ratio: %.40s is neither -1 (automatic) nor from 0 to 1", shown);
  if (strcmp(t->name, "lokr_factor") == 0 && x == 0)
    return ace_fail(err, ACE_EINVAL, "lokr_factor: 0 is neither -1 (automatic) nor from 1 to 8");
  if (whole) *(int *)field = (int)x;
  else *(double *)field = x;
  return ACE_OK;
}

static ace_status set_bool(const train_setting *t, bool *field, const char *value, ace_error *err) {
  bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
  if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
    return ace_fail(err, ACE_EINVAL, "%s: \"%.40s\" is neither true nor false", t->name, value);
  *field = yes;
  return ACE_OK;
}

static ace_status set_field(train_settings *s, const train_setting *t, const char *value, ace_error *err) {
  void *field = field_of(s, t);
  if (is_text(t)) return set_text(t, field, value, err);
  if (t->type == TRAIN_TYPE_CHOICE) return set_choice(t, field, value, err);
  if (t->type == TRAIN_TYPE_BOOL) return set_bool(t, field, value, err);
  char *end;
  double x = strtod(value, &end);
  return set_number(t, field, *value && !*end ? x : NAN, value, err);
}

ace_status train_settings_init(train_settings *s, train_surface surface, int adapter, ace_error *err) {
  *s = (train_settings){0};
  ace_status status = ACE_OK;
  for (int i = 0; i < COUNT && status == ACE_OK; i++)
    status = set_field(s, &table[i], train_setting_default(&table[i], surface, adapter), err);
  s->adapter = adapter;
  if (status != ACE_OK) train_settings_free(s);
  return status;
}

void train_settings_free(train_settings *s) {
  for (int i = 0; i < COUNT; i++)
    if (is_text(&table[i])) free(*(char **)field_of(s, &table[i]));
  *s = (train_settings){0};
}

ace_status train_settings_set(train_settings *s, const char *name, const char *value, ace_error *err) {
  const train_setting *t = train_setting_find(name);
  if (!t) return ace_fail(err, ACE_EINVAL, "train: there is no setting \"%.60s\"", name);
  return set_field(s, t, value, err);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static ace_status set_json(train_settings *s, const train_setting *t, const json_t *value, ace_error *err) {
  if (json_is_null(value)) return ACE_OK;
  if (json_is_string(value)) return set_field(s, t, json_string_value(value), err);
  if (json_is_boolean(value) && t->type == TRAIN_TYPE_BOOL) {
    *(bool *)field_of(s, t) = json_is_true(value);
    return ACE_OK;
  }
  bool number = t->type == TRAIN_TYPE_INT || t->type == TRAIN_TYPE_NUMBER;
  if (json_is_number(value) && number)
    return set_number(t, field_of(s, t), json_number_value(value), "the number given", err);
  return ace_fail(err, ACE_EINVAL, "%s: a value of another kind than it takes", t->name);
}

ace_status train_settings_set_json(train_settings *s, const json_t *object, ace_error *err) {
  const char *key;
  json_t *value;
  ace_status status = ACE_OK;
  json_object_foreach((json_t *)object, key, value) {
    const train_setting *t = train_setting_find(key);
    if (!t) return ace_fail(err, ACE_EINVAL, "train: there is no setting \"%.60s\"", key);
    if (status == ACE_OK) status = set_json(s, t, value, err);
  }
  return status;
}

static json_t *value_json(const train_settings *s, const train_setting *t) {
  const void *field = value_of(s, t);
  switch (t->type) {
    case TRAIN_TYPE_INT: return json_integer(*(const int *)field);
    case TRAIN_TYPE_NUMBER: return json_real(*(const double *)field);
    case TRAIN_TYPE_BOOL: return json_boolean(*(const bool *)field);
    case TRAIN_TYPE_CHOICE: return json_string(t->values[*(const int *)field]);
    case TRAIN_TYPE_TEXT:
    case TRAIN_TYPE_PATH: break;
  }
  return json_string(*(char *const *)field);
}

json_t *train_settings_json(const train_settings *s) {
  json_t *object = json_object();
  for (int i = 0; i < COUNT; i++)
    if (json_object_set_new(object, table[i].name, value_json(s, &table[i])) != 0) {
      json_decref(object);
      return NULL;
    }
  return object;
}

static json_t *names_json(const char *const *values) {
  json_t *names = json_array();
  for (; *values; values++) json_array_append_new(names, json_string(*values));
  return names;
}

/* Of a full training alone, which the page and the API do not start. */
static bool is_of_full(const train_setting *t) {
  return strcmp(t->name, "part") == 0 || string_begins(t->name, "train_") || string_begins(t->name, "teacher");
}

json_t *train_settings_schema(train_surface surface, int adapter) {
  static const char *const types[] = {"integer", "number", "boolean", "choice", "text", "path"};
  train_settings s;
  if (train_settings_init(&s, surface, adapter, NULL) != ACE_OK) return NULL;
  json_t *list = json_array();
  for (int i = 0; i < COUNT; i++) {
    const train_setting *t = &table[i];
    if (adapter != TRAIN_FULL && is_of_full(t)) continue;
    json_t *o = json_pack("{s:s, s:s, s:o, s:s}", "name", t->name, "type", types[t->type], "default", value_json(&s, t),
                          "help", t->help);
    if (t->type == TRAIN_TYPE_INT || t->type == TRAIN_TYPE_NUMBER) {
      json_object_set_new(o, "minimum", json_real(t->lo));
      json_object_set_new(o, "maximum", json_real(t->hi));
      if (t->step > 0) json_object_set_new(o, "step", json_real(t->step));
    }
    if (t->values) json_object_set_new(o, "values", names_json(t->values));
    json_array_append_new(list, o);
  }
  train_settings_free(&s);
  return list;
}

/* ---- together ---------------------------------------------------------------------------------------------------- */

static ace_status check_targets(const char *list, ace_error *err) {
  static const char *const known[] = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  bool any = false;
  for (const char *at = list; *at;) {
    at += strspn(at, ", ");
    size_t n = strcspn(at, ", ");
    bool found = n == 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
      found |= strlen(known[i]) == n && !strncmp(known[i], at, n);
    if (!found)
      return ace_fail(err, ACE_EINVAL,
                      "target_modules: \"%.*s\" is not one of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
                      "down_proj",
                      n < 40 ? (int)n : 40, at);
    any |= n > 0;
    at += n;
  }
  return any ? ACE_OK : ace_fail(err, ACE_EINVAL, "target_modules: name at least one kind of layer, such as q_proj");
}

static double default_number(const char *name) {
  return strtod(train_setting_find(name)->guide, NULL);
}

static ace_status check_teacher(const train_settings *s, ace_error *err) {
  bool guided = s->teacher_guidance != default_number("teacher_guidance"),
       stepped = s->teacher_steps != (int)default_number("teacher_steps");
  if (!*s->teacher && (guided || stepped))
    return ace_fail(err, ACE_EINVAL, "teacher_%s: there is no teacher; name one with teacher",
                    guided ? "guidance" : "steps");
  if (!*s->teacher) return ACE_OK;
  if (s->adapter != TRAIN_FULL || s->part != TRAIN_PART_DIT)
    return ace_fail(err, ACE_EINVAL, "teacher: only for a full training of dit (--full dit)");
  if (s->train_text_encoder)
    return ace_fail(err, ACE_EINVAL,
                    "teacher: not with train_text_encoder; the teacher hears through the same text encoder");
  if (s->train_tokenizer)
    return ace_fail(err, ACE_EINVAL, "teacher: not with train_tokenizer; codes mean the same to both models");
  if (s->timestep_mode == TRAIN_TIMESTEP_LOGIT_NORMAL)
    return ace_fail(err, ACE_EINVAL, "teacher: not with timestep_mode logit_normal; steps lead from time to time");
  return ACE_OK;
}

ace_status train_settings_check(const train_settings *s, ace_error *err) {
  ace_status status = check_targets(s->target_modules, err);
  if (status == ACE_OK) status = check_teacher(s, err);
  if (status == ACE_OK && !*s->dataset_dir)
    status = ace_fail(err, ACE_EINVAL, "dataset_dir: Please enter a tensor directory path");
  if (status == ACE_OK && !*s->output_dir)
    status = ace_fail(err, ACE_EINVAL, "output_dir: Please enter an output directory");
  return status;
}
