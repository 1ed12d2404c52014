/* prompts.c - the prompts of the ACE-Step 1.5 language models: Qwen3's chat frame around strings that the published
 * checkpoints were trained on. */
#include "planner/prompts.h"

#include <stdlib.h>
#include <string.h>

#include "planner/span.h"
#include "planner/yaml.h"
#include "text/codes.h"

static const char NOTHING_GIVEN[] = "NO USER INPUT", INSTRUMENTAL[] = "[Instrumental]";
static const char GENERATE[] = "Generate audio semantic tokens based on the given conditions:";
static const char CREATE[] = "Expand the user's input into a more detailed and specific musical description:";
static const char FORMAT[] = "Format the user's input into a more detailed and specific musical description:";
static const char UNDERSTAND[] =
    "Understand the given musical conditions and describe the audio semantics accordingly:";

/* ---- building ---------------------------------------------------------------------------------------------------- */

typedef struct builder {
  req_text text;
  plan_stretch *special;
  size_t n, capacity;
} builder;

static void add(builder *b, const char *text) {
  req_text_add(&b->text, text ? text : "");
}

static void add_special(builder *b, const char *text, size_t length) {
  if (b->n == b->capacity) {
    size_t capacity = b->capacity ? b->capacity * 2 : 8;
    plan_stretch *grown = realloc(b->special, capacity * sizeof *grown);
    if (!grown) {
      b->text.failed = true;
      return;
    }
    b->special = grown;
    b->capacity = capacity;
  }
  b->special[b->n++] = (plan_stretch){b->text.size, length};
  req_text_add_bytes(&b->text, text, length);
}

static void add_token(builder *b, const char *token) {
  add_special(b, token, strlen(token));
}

static ace_status finish(builder *b, plan_prompt *out, ace_error *err) {
  size_t length = b->text.size;
  char *text = req_text_take(&b->text);
  *out = (plan_prompt){0};
  if (!text) {
    free(b->special);
    return ace_fail(err, ACE_ENOMEM, "prompt: out of memory");
  }
  *out = (plan_prompt){.text = text, .length = length, .special = b->special, .n_special = b->n};
  return ACE_OK;
}

void plan_prompt_free(plan_prompt *p) {
  if (!p) return;
  free(p->text);
  free(p->special);
  *p = (plan_prompt){0};
}

ace_status plan_prompt_encode(const plan_prompt *p, const bpe *tokenizer, bpe_ids *out, ace_error *err) {
  ace_status status = ACE_OK;
  size_t at = 0;
  for (size_t i = 0; i <= p->n_special && status == ACE_OK; i++) {
    plan_stretch special = i < p->n_special ? p->special[i] : (plan_stretch){p->length, 0};
    status = bpe_encode(tokenizer, p->text + at, special.at - at, 0, out, err);
    if (status == ACE_OK) status = bpe_encode(tokenizer, p->text + special.at, special.length, BPE_ADDED, out, err);
    at = special.at + special.length;
  }
  return status;
}

/* ---- the frame --------------------------------------------------------------------------------------------------- */

static builder begin(const char *instruction) {
  builder b = {0};
  add_token(&b, "<|im_start|>");
  add(&b, "system\n# Instruction\n");
  add(&b, instruction);
  add(&b, "\n\n");
  add_token(&b, "<|im_end|>");
  add(&b, "\n");
  add_token(&b, "<|im_start|>");
  add(&b, "user\n");
  return b;
}

static void end_user(builder *b) {
  add_token(b, "<|im_end|>");
  add(b, "\n");
  add_token(b, "<|im_start|>");
  add(b, "assistant\n");
}

static void add_song(builder *b, const char *caption, const char *lyrics) {
  add(b, "# Caption\n");
  add(b, caption);
  add(b, "\n\n# Lyric\n");
  add(b, lyrics);
}

/* What the model is to have thought already. */
static void add_thought(builder *b, const char *yaml) {
  add_token(b, "<think>");
  add(b, "\n");
  add(b, yaml);
  add(b, "\n");
  add_token(b, "</think>");
}

static bool has_negative(const plan_input *in) {
  plan_span s = plan_trim(plan_span_of(in->negative_prompt));
  return s.n > 0 && !plan_equal(s, NOTHING_GIVEN);
}

static const char *or_else(const char *text, const char *otherwise) {
  return plan_is_blank(plan_span_of(text)) ? otherwise : text;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

void plan_settings_free(plan_settings *s) {
  if (s) plan_metadata_free(&s->user);
}

/* The prompt, or on failure neither prompt nor settings. */
static ace_status finish_both(builder *b, plan_prompt *out, plan_settings *settings, ace_error *err) {
  ace_status status = finish(b, out, err);
  if (status != ACE_OK) plan_settings_free(settings);
  return status;
}

/* ---- a song ------------------------------------------------------------------------------------------------------ */

static ace_status give_text(plan_metadata *m, plan_field field, const char *text, ace_error *err) {
  plan_span s = plan_trim(plan_span_of(text));
  if (s.n == 0 || plan_equal_any_case(s, "N/A")) return ACE_OK;
  return plan_set_text(m, field, s.at, s.n, err);
}

ace_status plan_given(plan_metadata *out, const plan_input *in, ace_error *err) {
  static const double LONGEST = 1e9; /* seconds; far beyond any song, and safe to convert */
  *out = (plan_metadata){0};
  if (in->bpm > 0) plan_set_number(out, PLAN_BPM, in->bpm);
  if (in->duration > 0) plan_set_number(out, PLAN_DURATION, (int64_t)(in->duration < LONGEST ? in->duration : LONGEST));
  ace_status status = give_text(out, PLAN_KEYSCALE, in->keyscale, err);
  if (status == ACE_OK) status = give_text(out, PLAN_TIMESIGNATURE, in->timesignature, err);
  if (status != ACE_OK) plan_metadata_free(out);
  return status;
}

bool plan_wants_metadata(const plan_input *in, const plan_metadata *given) {
  bool all = plan_has(given, PLAN_BPM) && plan_has(given, PLAN_DURATION) && plan_has(given, PLAN_KEYSCALE) &&
             plan_has(given, PLAN_TIMESIGNATURE);
  return in->use_cot_metas && !all;
}

double plan_target_duration(const plan_input *in, const plan_metadata *m) {
  double found = in->duration > 0 ? in->duration : plan_metadata_typed(m).duration;
  return found > 0 ? found : 0;
}

ace_status plan_ask_metadata(plan_prompt *out, plan_settings *settings, const plan_input *in, ace_error *err) {
  *out = (plan_prompt){0};
  *settings = (plan_settings){
      .phase = PLAN_COT,
      .stop_at_reasoning = true,
      .skip_genres = true,
      .skip_caption = !in->use_cot_caption,
      .skip_language = !in->use_cot_language,
  };
  ace_status status = plan_given(&settings->user, in, err);
  if (status != ACE_OK) return status;
  builder b = begin(GENERATE);
  add_song(&b, in->caption, in->lyrics);
  add(&b, "\n");
  end_user(&b);
  return finish_both(&b, out, settings, err);
}

ace_status plan_ask_metadata_unguided(plan_prompt *out, const plan_input *in, ace_error *err) {
  builder b = begin(GENERATE);
  if (has_negative(in)) {
    add_song(&b, in->negative_prompt, in->lyrics);
  } else {
    add(&b, "# Lyric\n");
    add(&b, in->lyrics);
  }
  add(&b, "\n");
  end_user(&b);
  return finish(&b, out, err);
}

static ace_status finish_codes(builder *b, plan_prompt *out, const char *yaml, ace_error *err) {
  end_user(b);
  add_thought(b, yaml);
  add(b, "\n\n");
  return finish(b, out, err);
}

ace_status plan_ask_codes(plan_prompt *out, const plan_input *in, const plan_metadata *m, ace_error *err) {
  *out = (plan_prompt){0};
  char *yaml = plan_yaml(m, err);
  if (!yaml) return ACE_ENOMEM;
  builder b = begin(GENERATE);
  add_song(&b, in->caption, in->lyrics);
  add(&b, "\n");
  ace_status status = finish_codes(&b, out, yaml, err);
  free(yaml);
  return status;
}

ace_status plan_ask_codes_unguided(plan_prompt *out, const plan_input *in, ace_error *err) {
  const char *negative = has_negative(in) ? in->negative_prompt : NULL;
  builder b = begin(GENERATE);
  if (in->legacy_uncond) {
    add_song(&b, negative ? negative : in->caption, in->lyrics);
    add(&b, "\n");
  } else {
    add(&b, negative ? negative : NOTHING_GIVEN);
  }
  return finish_codes(&b, out, "", err);
}

/* ---- the other questions ----------------------------------------------------------------------------------------- */

ace_status plan_ask_create(plan_prompt *out, plan_settings *settings, const char *query, bool instrumental,
                           const char *language, ace_error *err) {
  *out = (plan_prompt){0};
  *settings = (plan_settings){.phase = PLAN_UNDERSTAND};
  plan_span wanted = plan_trim(plan_span_of(language));
  if (wanted.n > 0 && !plan_equal_any_case(wanted, "unknown")) {
    ace_status status = plan_set_text(&settings->user, PLAN_LANGUAGE, wanted.at, wanted.n, err);
    if (status != ACE_OK) return status;
  }
  builder b = begin(CREATE);
  add(&b, or_else(query, NOTHING_GIVEN));
  add(&b, instrumental ? "\n\ninstrumental: true" : "\n\ninstrumental: false");
  end_user(&b);
  return finish_both(&b, out, settings, err);
}

/* Numbers above zero, also where they are written as text, and text that is not empty. */
static ace_status keep_given(plan_metadata *to, const plan_metadata *given, ace_error *err) {
  static const plan_field numbers[] = {PLAN_BPM, PLAN_DURATION};
  static const plan_field texts[] = {PLAN_KEYSCALE, PLAN_LANGUAGE, PLAN_TIMESIGNATURE};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const plan_value *v = &given->field[numbers[i]];
    int64_t n = v->kind == PLAN_NUMBER ? v->number : 0;
    if (v->kind == PLAN_TEXT && !plan_whole_number(v->text, v->length, &n)) continue;
    if (n > 0) plan_set_number(to, numbers[i], n);
  }
  ace_status status = ACE_OK;
  for (size_t i = 0; i < sizeof texts / sizeof *texts && status == ACE_OK; i++) {
    const plan_value *v = &given->field[texts[i]];
    if (v->kind == PLAN_TEXT && v->length > 0) status = plan_set_text(to, texts[i], v->text, v->length, err);
  }
  if (status != ACE_OK) plan_metadata_free(to);
  return status;
}

ace_status plan_ask_format(plan_prompt *out, plan_settings *settings, const char *caption, const char *lyrics,
                           const plan_metadata *given, ace_error *err) {
  *out = (plan_prompt){0};
  *settings = (plan_settings){.phase = PLAN_UNDERSTAND};
  ace_status status = keep_given(&settings->user, given, err);
  if (status != ACE_OK) return status;
  settings->skip_language = plan_has(&settings->user, PLAN_LANGUAGE);
  builder b = begin(FORMAT);
  add_song(&b, or_else(caption, NOTHING_GIVEN), or_else(lyrics, INSTRUMENTAL));
  end_user(&b);
  return finish_both(&b, out, settings, err);
}

/* Here, and only here, special tokens come from outside. */
static void add_codes(builder *b, plan_span text) {
  codes_match match;
  size_t done = 0;
  for (size_t cursor = 0; codes_next(text.at, text.n, &cursor, &match); done = cursor) {
    req_text_add_bytes(&b->text, text.at + done, match.at - done);
    add_special(b, text.at + match.at, match.length);
  }
  req_text_add_bytes(&b->text, text.at + done, text.n - done);
}

ace_status plan_ask_understand(plan_prompt *out, plan_settings *settings, const char *codes, ace_error *err) {
  *settings = (plan_settings){.phase = PLAN_UNDERSTAND};
  builder b = begin(UNDERSTAND);
  add_codes(&b, plan_span_of(or_else(codes, NOTHING_GIVEN)));
  end_user(&b);
  return finish_both(&b, out, settings, err);
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

ace_status plan_expect_value(plan_prompt *out, plan_field field, const plan_value *value, ace_error *err) {
  builder b = {0};
  add_token(&b, "<think>");
  add(&b, "\n");
  plan_yaml_entry(&b.text, field, value);
  add(&b, "\n");
  add_token(&b, "</think>");
  add(&b, "\n");
  return finish(&b, out, err);
}

ace_status plan_expect_lyrics(plan_prompt *out, const char *lyrics, ace_error *err) {
  builder b = {0};
  add_token(&b, "<think>");
  add(&b, "\n");
  add_token(&b, "</think>");
  add(&b, "\n# Lyric\n");
  add(&b, lyrics);
  add(&b, "\n");
  return finish(&b, out, err);
}
