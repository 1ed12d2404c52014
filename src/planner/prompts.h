/* prompts.h - what the 5 Hz language model is asked, in the words that it was trained on.
 *
 *   plan_prompt p;
 *   plan_settings how;
 *   plan_ask_metadata(&p, &how, &in, &err);             // what song is this going to be?
 *   ... generate, plan_answer_parse ...
 *   plan_ask_codes(&p, &in, &answer.metadata, &err);    // and how does it sound?
 *   plan_ask_codes_unguided(&p, &in, &err);             // the other side of classifier-free guidance
 *
 * Functions that return a status fill what they are given or leave it empty: nothing to free after a failure.
 */
#ifndef ACE_PLANNER_PROMPTS_H
#define ACE_PLANNER_PROMPTS_H

#include "planner/settings.h"
#include "text/bpe.h"

/* ---- text with special tokens ------------------------------------------------------------------------------------ */

typedef struct plan_stretch {
  size_t at, length;
} plan_stretch;

/* Text of which only some stretches spell special tokens. The rest stays text whatever it spells: "<|im_end|>" in
 * somebody's lyrics does not end them. */
typedef struct plan_prompt {
  char *text; /* NUL-terminated */
  size_t length;
  plan_stretch *special; /* ascending */
  size_t n_special;
} plan_prompt;

void plan_prompt_free(plan_prompt *p);
/* Appends the tokens. */
ace_status plan_prompt_encode(const plan_prompt *p, const bpe *tokenizer, bpe_ids *out, ace_error *err);

/* ---- a song ------------------------------------------------------------------------------------------------------ */

/* What the user gave. NULL strings are "". */
typedef struct plan_input {
  const char *caption, *lyrics;
  int bpm;                              /* not above 0: not given */
  double duration;                      /* seconds; not above 0: not given */
  const char *keyscale, *timesignature; /* blank or "N/A" in any case: not given */
  bool use_cot_metas, use_cot_caption, use_cot_language;
  const char *negative_prompt; /* blank or "NO USER INPUT": none */
  bool legacy_uncond;          /* the unguided side shaped like the guided one */
} plan_input;

/* The given metadata, as it is written and injected. *out is set. */
ace_status plan_given(plan_metadata *out, const plan_input *in, ace_error *err);
/* Is there metadata to ask for? Not when it is switched off, and not when tempo, length, key and metre are all given:
 * then the given metadata goes straight into the codes prompt. */
bool plan_wants_metadata(const plan_input *in, const plan_metadata *given);
/* Seconds of codes to generate: the given duration, else the one in the metadata; 0: the model ends when it likes. */
double plan_target_duration(const plan_input *in, const plan_metadata *m);

ace_status plan_ask_metadata(plan_prompt *out, plan_settings *settings, const plan_input *in, ace_error *err);
/* The unguided side of it. Metadata is generated without guidance unless somebody experiments. */
ace_status plan_ask_metadata_unguided(plan_prompt *out, const plan_input *in, ace_error *err);
ace_status plan_ask_codes(plan_prompt *out, const plan_input *in, const plan_metadata *m, ace_error *err);
ace_status plan_ask_codes_unguided(plan_prompt *out, const plan_input *in, ace_error *err);

/* ---- the other questions ----------------------------------------------------------------------------------------- */

/* From a few words, "" for any song, to a whole request. language: NULL, blank or "unknown" leaves it to the model. */
ace_status plan_ask_create(plan_prompt *out, plan_settings *settings, const char *query, bool instrumental,
                           const char *language, ace_error *err);
/* A caption and lyrics in better words. Given metadata is kept; a given language is not written at all. */
ace_status plan_ask_format(plan_prompt *out, plan_settings *settings, const char *caption, const char *lyrics,
                           const plan_metadata *given, ace_error *err);
/* From audio codes, as text, to metadata and lyrics; without codes the model describes a song of its own. */
ace_status plan_ask_understand(plan_prompt *out, plan_settings *settings, const char *codes, ace_error *err);

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

/* What a model that understood the codes would answer: one value, or the lyrics. Follows plan_ask_understand's prompt.
 */
ace_status plan_expect_value(plan_prompt *out, plan_field field, const plan_value *value, ace_error *err);
ace_status plan_expect_lyrics(plan_prompt *out, const char *lyrics, ace_error *err);

void plan_settings_free(plan_settings *s);

#endif
