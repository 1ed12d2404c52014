/* settings.h - what a training is asked for. Every setting is one line of settings_table.h; the struct, defaults of each
 * surface, checks, JSON and the command line's flags come from there.
 *
 *   train_settings s;
 *   if (train_settings_init(&s, TRAIN_SURFACE_GUIDE, TRAIN_LORA, &err) == ACE_OK &&
 *       train_settings_set(&s, "learning_rate", "3e-4", &err) == ACE_OK) ...
 *   train_settings_free(&s);
 */
#ifndef ACE_TRAIN_SETTINGS_H
#define ACE_TRAIN_SETTINGS_H

#include "base/json.h"
#include "train/settings_table.h"

typedef enum train_surface { TRAIN_SURFACE_GUIDE, TRAIN_SURFACE_REST } train_surface;

/* Values of choices, in the order of their names. */
enum { TRAIN_LORA, TRAIN_LOKR, TRAIN_FULL };
enum { TRAIN_PART_DIT, TRAIN_PART_TOKENIZER, TRAIN_PART_LM, TRAIN_PART_AUTOENCODER, TRAIN_PART_DECODER };
enum { TRAIN_ATTENTION_BOTH, TRAIN_ATTENTION_SELF, TRAIN_ATTENTION_CROSS };
enum { TRAIN_TIMESTEP_AUTO, TRAIN_TIMESTEP_DISCRETE, TRAIN_TIMESTEP_LOGIT_NORMAL };
enum { TRAIN_PADDING_MASKED, TRAIN_PADDING_PARITY };
enum { TRAIN_RECOMPUTE_AUTO, TRAIN_RECOMPUTE_ON, TRAIN_RECOMPUTE_OFF };
enum { TRAIN_OPTIMIZER_ADAMW };

typedef int train_field_INT, train_field_CHOICE;
typedef double train_field_NUMBER;
typedef bool train_field_BOOL;
typedef char *train_field_TEXT, *train_field_PATH; /* owned, never NULL */

typedef struct train_settings {
#define TRAIN_FIELD(field, flag, type, ...) train_field_##type field;
  TRAIN_SETTINGS(TRAIN_FIELD)
#undef TRAIN_FIELD
} train_settings;

typedef enum train_type {
  TRAIN_TYPE_INT,
  TRAIN_TYPE_NUMBER,
  TRAIN_TYPE_BOOL,
  TRAIN_TYPE_CHOICE,
  TRAIN_TYPE_TEXT,
  TRAIN_TYPE_PATH
} train_type;

typedef struct train_setting {
  const char *name, *flag; /* JSON key; flag without dashes in front */
  train_type type;
  size_t offset; /* in train_settings */
  double lo, hi, step;
  const char *const *values; /* NULL-terminated, of a choice */
  const char *guide, *rest, *lokr, *lokr_rest;
  const char *help;
} train_setting;

const train_setting *train_settings_table(int *n);
/* By name or flag, or by a name that other trainers give it ("lr", "tensor_dir", "lora_rank"); NULL: there is none. */
const train_setting *train_setting_find(const char *name);
/* Those other names, two strings each: theirs, ours. Ends with NULL. */
extern const char *const train_setting_aliases[];
const char *train_setting_default(const train_setting *t, train_surface surface, int adapter);

/* Every setting at its default. `adapter`: TRAIN_LORA, TRAIN_LOKR or TRAIN_FULL. On failure nothing is to be freed. */
ace_status train_settings_init(train_settings *s, train_surface surface, int adapter, ace_error *err);
void train_settings_free(train_settings *s);

/* One setting from text. The message names it and its range. */
ace_status train_settings_set(train_settings *s, const char *name, const char *value, ace_error *err);
/* The fields of an object, by any of their names; null means "as it is". Unknown keys are an error. */
ace_status train_settings_set_json(train_settings *s, const json_t *object, ace_error *err);
/* What no single setting can see: names of layers, a batch that fits, what a teacher goes with. */
ace_status train_settings_check(const train_settings *s, ace_error *err);

/* All of them as an object; a new reference, NULL: out of memory. */
json_t *train_settings_json(const train_settings *s);
/* What the page and the API are made from: [{"name", "type", "default", "minimum", "maximum", "step", "values",
 * "help"}]. */
json_t *train_settings_schema(train_surface surface, int adapter);

#endif
