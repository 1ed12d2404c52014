/* dataset_inner.h - the fields of a sample, one line each. Inside this room only. */
#ifndef ACE_TRAIN_DATASET_INNER_H
#define ACE_TRAIN_DATASET_INNER_H

#include "train/dataset.h"

typedef enum field_type { FIELD_TEXT, FIELD_OPTION /* text or null */, FIELD_COUNT, FIELD_BPM, FIELD_FLAG } field_type;

typedef struct dataset_field {
  const char *name;
  field_type type;
  const char *text; /* default of texts */
  bool flag;        /* ... of flags */
  bool edited;      /* by users */
} dataset_field;

/* In the order of the file; ends with a name NULL. */
extern const dataset_field dataset_fields[];
const dataset_field *dataset_field_find(const char *name);

/* Sets a field from any value that can mean it: numbers as text and text as numbers; null is the default. `where`
 * stands in messages. */
ace_status dataset_put(json_t *fields, const dataset_field *f, const json_t *value, const char *where, ace_error *err);
/* An object with all fields, taken from `in` (NULL: none). A new reference, NULL on failure. */
json_t *dataset_complete(const json_t *in, const char *where, ace_error *err);
bool dataset_is_id(const char *id);
/* The last part of a path. */
const char *dataset_basename(const char *path);

#endif
