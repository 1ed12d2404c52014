/* metadata.h - what is known about a song before it exists: tempo, description, length, genres, key, language, metre.
 *
 *   plan_metadata m = {0};                                    // nothing present
 *   plan_set_number(&m, PLAN_BPM, 120);
 *   plan_set_text(&m, PLAN_KEYSCALE, "A minor", 7, &err);
 *   ... plan_yaml(&m, &err) ...                               // "bpm: 120\nkeyscale: A minor"
 *   plan_metadata_free(&m);
 *
 * A value is kept as it was found: the language model may write "N/A" where a number belongs, and what it wrote goes
 * back into its next prompt unchanged. plan_metadata_typed says what such values mean for a request.
 */
#ifndef ACE_PLANNER_METADATA_H
#define ACE_PLANNER_METADATA_H

#include "base/error.h"

/* In the order in which the model writes and reads them: by name. */
typedef enum plan_field {
  PLAN_BPM,
  PLAN_CAPTION,
  PLAN_DURATION, /* seconds */
  PLAN_GENRES,
  PLAN_KEYSCALE,
  PLAN_LANGUAGE,
  PLAN_TIMESIGNATURE,
  PLAN_FIELDS
} plan_field;

typedef enum plan_kind { PLAN_ABSENT, PLAN_NUMBER, PLAN_TEXT } plan_kind;

typedef struct plan_value {
  plan_kind kind;
  int64_t number;
  char *text; /* owned, NUL-terminated; any bytes, NULs included */
  size_t length;
} plan_value;

typedef struct plan_metadata {
  plan_value field[PLAN_FIELDS];
} plan_metadata;

const char *plan_field_name(plan_field field); /* "bpm" */
/* The field of that name, upper and lower case alike; PLAN_FIELDS when there is none. */
plan_field plan_field_find(const char *name, size_t length);

bool plan_has(const plan_metadata *m, plan_field field);
bool plan_is_empty(const plan_metadata *m);
void plan_unset(plan_metadata *m, plan_field field);
void plan_set_number(plan_metadata *m, plan_field field, int64_t number);
ace_status plan_set_text(plan_metadata *m, plan_field field, const char *text, size_t length, ace_error *err);
void plan_metadata_free(plan_metadata *m);

/* A whole number as the model may write it: ASCII digits, a sign, blanks around. False for anything else and for
 * numbers beyond 64 bits. */
bool plan_whole_number(const char *text, size_t length, int64_t *out);

/* The metadata as values of a request. Strings point into the metadata and end at their first NUL. */
typedef struct plan_typed {
  int bpm;                                                            /* 30..300; 0: not known */
  double duration;                                                    /* seconds, above 0; -1: not known */
  const char *caption, *genres, *keyscale, *language, *timesignature; /* never NULL; "": not known */
} plan_typed;

/* Numbers written as text count, "N/A" in any case and what cannot be read do not. */
plan_typed plan_metadata_typed(const plan_metadata *m);

enum { PLAN_CODES_A_SECOND = 5 };
/* Codes for that many seconds of music, cut off; 0: no target (nothing, not a number, or not above 0). */
int64_t plan_code_count(double seconds);

#endif
