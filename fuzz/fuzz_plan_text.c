/* fuzz_plan_text - any bytes as the language model's answer. What is read from it is written into its next prompt,
 * whose metadata must be free of NULs, keep its length and, once more read, be what it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "planner/answer.h"
#include "planner/prompts.h"
#include "planner/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The metadata, read and written again. */
static char *round_trip(const char *yaml) {
  plan_answer a;
  if (plan_answer_parse(&a, yaml, strlen(yaml), NULL) != ACE_OK || *a.codes || *a.lyrics) return NULL;
  char *again = plan_yaml(&a.metadata, NULL);
  plan_answer_free(&a);
  return again;
}

/* Values without quotes, escapes and folds are read as they are written. */
static bool is_plain(const char *yaml) {
  return !strpbrk(yaml, "'\"<\\") && !strstr(yaml, "\n ");
}

static void check_prompts(const plan_answer *a) {
  plan_input in = {.caption = a->lyrics, .lyrics = a->codes, .negative_prompt = a->lyrics};
  plan_prompt p;
  plan_settings s;
  if (plan_ask_codes(&p, &in, &a->metadata, NULL) != ACE_OK || strlen(p.text) != p.length || p.n_special != 7) abort();
  plan_prompt_free(&p);
  if (plan_ask_format(&p, &s, a->lyrics, a->codes, &a->metadata, NULL) != ACE_OK || p.n_special != 5) abort();
  plan_prompt_free(&p);
  plan_settings_free(&s);
  if (plan_ask_understand(&p, &s, a->codes, NULL) != ACE_OK || p.n_special < 5) abort();
  plan_prompt_free(&p);
  for (int i = 0; i < PLAN_FIELDS; i++) {
    if (!plan_has(&a->metadata, (plan_field)i)) continue;
    if (plan_expect_value(&p, (plan_field)i, &a->metadata.field[i], NULL) != ACE_OK) abort();
    if (strlen(p.text) != p.length) abort();
    plan_prompt_free(&p);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  plan_answer a;
  if (plan_answer_parse(&a, (const char *)data, size, NULL) != ACE_OK) abort();
  plan_typed t = plan_metadata_typed(&a.metadata);
  if (t.bpm < 0 || t.bpm > 300 || !(t.duration == -1 || t.duration > 0)) abort();
  check_prompts(&a);
  char *yaml = plan_yaml(&a.metadata, NULL);
  if (!yaml) abort();
  if (is_plain(yaml)) {
    char *again = round_trip(yaml);
    if (!again || strcmp(again, yaml) != 0) abort();
    free(again);
  }
  free(yaml);
  plan_answer_free(&a);
  return 0;
}
