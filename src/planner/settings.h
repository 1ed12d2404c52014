/* settings.h - what the decoder of the language model is told about one generation. */
#ifndef ACE_PLANNER_SETTINGS_H
#define ACE_PLANNER_SETTINGS_H

#include "planner/metadata.h"

typedef enum plan_phase {
  PLAN_COT,       /* metadata before a song */
  PLAN_CODES,     /* the song's audio codes */
  PLAN_UNDERSTAND /* metadata, then lyrics: create, format and understand */
} plan_phase;

typedef struct plan_settings {
  plan_phase phase;
  bool stop_at_reasoning; /* end where the metadata ends */
  bool skip_genres, skip_caption, skip_language;
  bool unconstrained; /* the model writes what it likes; what it wrote is read and tidied afterwards */
  plan_metadata user; /* owned: values that the model is made to write, as the user gave them */
} plan_settings;

#endif
