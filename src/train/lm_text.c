#include "train/lm_text.h"

#include <stdlib.h>
#include <string.h>

#include "planner/prompts.h"
#include "planner/yaml.h"
#include "text/codes.h"

static const char INSTRUMENTAL[] = "[Instrumental]";

typedef struct song {
  const char *caption, *lyrics, *genre;
  bool instrumental;
  plan_metadata metadata; /* owned */
} song;

/* ---- what is true of it ------------------------------------------------------------------------------------------- */

static ace_status add_text(plan_metadata *m, plan_field field, const char *text, ace_error *err) {
  return *text ? plan_set_text(m, field, text, strlen(text), err) : ACE_OK;
}

static ace_status read_song(song *s, const json_t *about, double seconds, ace_error *err) {
  const char *lyrics = json_text(about, "lyrics"), *language = json_text(about, "language");
  int64_t bpm = json_integer_value(json_object_get(about, "bpm"));
  *s = (song){.caption = json_text(about, "caption"), .genre = json_text(about, "genre")};
  s->instrumental = json_is_true(json_object_get(about, "is_instrumental")) || !*lyrics;
  s->lyrics = s->instrumental ? INSTRUMENTAL : lyrics;
  if (bpm > 0) plan_set_number(&s->metadata, PLAN_BPM, bpm);
  plan_set_number(&s->metadata, PLAN_DURATION, (int64_t)(seconds + 0.5));
  ace_status status = add_text(&s->metadata, PLAN_CAPTION, s->caption, err);
  if (status == ACE_OK) status = add_text(&s->metadata, PLAN_KEYSCALE, json_text(about, "keyscale"), err);
  if (status == ACE_OK) status = add_text(&s->metadata, PLAN_TIMESIGNATURE, json_text(about, "timesignature"), err);
  if (status == ACE_OK)
    status = add_text(&s->metadata, PLAN_LANGUAGE, s->instrumental || !*language ? "unknown" : language, err);
  if (status != ACE_OK) plan_metadata_free(&s->metadata);
  return status;
}

/* ---- questions ---------------------------------------------------------------------------------------------------- */

static ace_status ask(plan_prompt *out, lm_kind kind, const song *s, const char *codes, ace_error *err) {
  plan_settings settings = {0};
  plan_metadata nothing = {0};
  plan_input in = {.caption = s->caption, .lyrics = s->lyrics, .use_cot_metas = true};
  ace_status status = ACE_OK;
  switch (kind) {
    case LM_PLAN: status = plan_ask_metadata(out, &settings, &in, err); break;
    case LM_UNDERSTAND: status = plan_ask_understand(out, &settings, codes, err); break;
    case LM_FORMAT: status = plan_ask_format(out, &settings, s->caption, s->lyrics, &nothing, err); break;
    default: status = plan_ask_create(out, &settings, s->genre, s->instrumental, "", err); break;
  }
  plan_settings_free(&settings);
  return status;
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

static ace_status add_words(bpe_ids *ids, const bpe *t, const char *text, int flags, ace_error *err) {
  return bpe_encode(t, text, strlen(text), flags, ids, err);
}

static ace_status add_answer(bpe_ids *ids, const bpe *t, lm_kind kind, const song *s, const char *codes,
                             ace_error *err) {
  char *yaml = plan_yaml(&s->metadata, err);
  if (!yaml) return err->status;
  ace_status status = add_words(ids, t, "<think>", BPE_ADDED, err);
  if (status == ACE_OK) status = add_words(ids, t, "\n", 0, err);
  if (status == ACE_OK) status = add_words(ids, t, yaml, 0, err);
  if (status == ACE_OK) status = add_words(ids, t, "\n", 0, err);
  if (status == ACE_OK) status = add_words(ids, t, "</think>", BPE_ADDED, err);
  if (status == ACE_OK) status = add_words(ids, t, "\n\n", 0, err);
  if (status == ACE_OK && kind == LM_PLAN) status = add_words(ids, t, codes, BPE_ADDED, err);
  if (status == ACE_OK && kind != LM_PLAN) status = add_words(ids, t, "# Lyric\n", 0, err);
  if (status == ACE_OK && kind != LM_PLAN) status = add_words(ids, t, s->lyrics, 0, err);
  if (status == ACE_OK) status = add_words(ids, t, "<|im_end|>", BPE_ADDED, err);
  free(yaml);
  return status;
}

ace_status lm_text_make(lm_text *out, lm_kind kind, const json_t *about, double seconds, const int32_t *codes,
                        size_t n_codes, const bpe *tokenizer, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  song s;
  plan_prompt question = {0};
  *out = (lm_text){0};
  ace_status status = read_song(&s, about, seconds, err);
  if (status != ACE_OK) return status;
  char *text = codes_format(codes, n_codes, NULL);
  status = text ? ask(&question, kind, &s, text, err) : ace_fail(err, ACE_ENOMEM, "train: out of memory");
  if (status == ACE_OK) status = plan_prompt_encode(&question, tokenizer, &out->ids, err);
  out->question = out->ids.n;
  if (status == ACE_OK) status = add_answer(&out->ids, tokenizer, kind, &s, text, err);
  plan_prompt_free(&question);
  plan_metadata_free(&s.metadata);
  free(text);
  if (status != ACE_OK) lm_text_free(out);
  return status;
}

void lm_text_free(lm_text *t) {
  bpe_ids_free(&t->ids);
  *t = (lm_text){0};
}
