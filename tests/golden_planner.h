/* golden_planner.h - one golden case of the planner's texts (text/cot_yaml.json, text/lm_prompts.json) compared with
 * this build, for the tests and for golden-check.
 *
 *   char why[PLANNER_WHY];
 *   if (!planner_emit_case(c, why)) ...             // `why`: what differs
 */
#ifndef ACE_TESTS_GOLDEN_PLANNER_H
#define ACE_TESTS_GOLDEN_PLANNER_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "planner/answer.h"
#include "planner/prompts.h"
#include "planner/yaml.h"

enum { PLANNER_WHY = 4096 };

static inline const json_t *planner_get(const json_t *c, const char *name) {
  return json_object_get(c, name);
}

static inline const char *planner_text(const json_t *c, const char *name) {
  return json_string_value(planner_get(c, name));
}

/* Text or, where null is expected, nothing. */
static inline bool planner_same(const char *what, const char *got, const json_t *want, char *why) {
  const char *expected = json_string_value(want);
  bool same = got && expected ? strcmp(got, expected) == 0 : !got && !expected;
  if (!same)
    snprintf(why, PLANNER_WHY, "%s\n--- is\n%s\n--- not\n%s", what, got ? got : "(nothing)",
             expected ? expected : "(nothing)");
  return same;
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

/* A JSON value as the model's text would give it; numbers are cut off. */
static inline void planner_set(plan_metadata *m, plan_field field, const json_t *v) {
  if (json_is_string(v)) plan_set_text(m, field, json_string_value(v), json_string_length(v), NULL);
  else if (json_is_number(v)) plan_set_number(m, field, (int64_t)json_number_value(v));
}

static inline plan_metadata planner_metadata(const json_t *map) {
  plan_metadata m = {0};
  for (int i = 0; i < PLAN_FIELDS; i++)
    planner_set(&m, (plan_field)i, planner_get(map, plan_field_name((plan_field)i)));
  return m;
}

static inline bool planner_same_metadata(const plan_metadata *m, const json_t *want, char *why) {
  size_t present = 0;
  for (int i = 0; i < PLAN_FIELDS; i++) {
    const plan_value *v = &m->field[i];
    const char *name = plan_field_name((plan_field)i);
    const json_t *w = planner_get(want, name);
    bool same = v->kind == PLAN_ABSENT   ? !w
                : v->kind == PLAN_NUMBER ? json_is_integer(w) && json_integer_value(w) == v->number
                                         : json_is_string(w) && json_string_length(w) == v->length &&
                                               memcmp(json_string_value(w), v->text, v->length) == 0;
    present += v->kind != PLAN_ABSENT;
    if (same) continue;
    snprintf(why, PLANNER_WHY, "%s is %lld \"%s\"", name, (long long)v->number, v->text ? v->text : "");
    return false;
  }
  snprintf(why, PLANNER_WHY, "%zu values instead of %zu", present, json_object_size(want));
  return present == json_object_size(want);
}

static inline bool planner_emit_case(const json_t *c, char *why) {
  plan_metadata m = planner_metadata(planner_get(c, "metadata"));
  char *text = plan_yaml(&m, NULL);
  bool same = planner_same("yaml", text, planner_get(c, "out"), why);
  free(text);
  plan_metadata_free(&m);
  return same;
}

static inline bool planner_target_case(const json_t *c, char *why) {
  const char *name = planner_text(c, "field");
  plan_field field = plan_field_find(name, strlen(name));
  plan_metadata m = {0};
  plan_prompt p = {0};
  planner_set(&m, field, planner_get(c, "value"));
  bool same = plan_expect_value(&p, field, &m.field[field], NULL) == ACE_OK &&
              planner_same("target", p.text, planner_get(c, "out"), why);
  plan_prompt_free(&p);
  plan_metadata_free(&m);
  return same;
}

static inline bool planner_parse_case(const json_t *c, char *why) {
  const json_t *text = planner_get(c, "text"), *out = planner_get(c, "out"), *lyrics = planner_get(out, "lyrics");
  plan_answer a;
  snprintf(why, PLANNER_WHY, "no memory");
  if (plan_answer_parse(&a, json_string_value(text), json_string_length(text), NULL) != ACE_OK) return false;
  bool same = planner_same_metadata(&a.metadata, planner_get(out, "metadata"), why) &&
              planner_same("codes", a.codes, planner_get(out, "codes"), why) &&
              (!lyrics || planner_same("lyrics", a.lyrics, lyrics, why));
  plan_answer_free(&a);
  return same;
}

/* ---- prompts ----------------------------------------------------------------------------------------------------- */

static inline bool planner_same_settings(const plan_settings *s, const json_t *want, char *why) {
  static const char *const phases[] = {[PLAN_COT] = "cot", [PLAN_CODES] = "codes", [PLAN_UNDERSTAND] = "understand"};
  const struct {
    const char *name;
    bool value;
  } flags[] = {{"stop_at_reasoning", s->stop_at_reasoning},
               {"skip_genres", s->skip_genres},
               {"skip_caption", s->skip_caption},
               {"skip_language", s->skip_language}};
  if (!planner_same("phase", phases[s->phase], planner_get(want, "phase"), why)) return false;
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    if (json_is_true(planner_get(want, flags[i].name)) == flags[i].value) continue;
    snprintf(why, PLANNER_WHY, "%s", flags[i].name);
    return false;
  }
  const json_t *user = planner_get(want, "user_metadata");
  if (json_is_object(user)) return planner_same_metadata(&s->user, user, why);
  snprintf(why, PLANNER_WHY, "values to inject where there are none");
  return plan_is_empty(&s->user);
}

static inline plan_input planner_input(const json_t *c) {
  const json_t *legacy = planner_get(c, "legacy_uncond");
  return (plan_input){
      .caption = planner_text(c, "caption"),
      .lyrics = planner_text(c, "lyrics"),
      .bpm = (int)json_integer_value(planner_get(c, "bpm")),
      .duration = json_number_value(planner_get(c, "duration")),
      .keyscale = planner_text(c, "keyscale"),
      .timesignature = planner_text(c, "timesignature"),
      .use_cot_metas = json_is_true(planner_get(c, "use_cot_metas")),
      .use_cot_caption = json_is_true(planner_get(c, "use_cot_caption")),
      .use_cot_language = json_is_true(planner_get(c, "use_cot_language")),
      .negative_prompt = planner_text(c, "negative_prompt"),
      .legacy_uncond = json_is_true(legacy),
  };
}

/* One question: prompt and settings. Frees both. */
static inline bool planner_same_question(ace_status status, plan_prompt *p, plan_settings *s, const json_t *prompt,
                                         const json_t *settings, char *why) {
  bool same = status == ACE_OK && planner_same("prompt", p->text, prompt, why) && strlen(p->text) == p->length &&
              planner_same_settings(s, settings, why);
  plan_prompt_free(p);
  plan_settings_free(s);
  return same;
}

static inline bool planner_codes_match(const json_t *c, const plan_input *in, const plan_metadata *m, char *why) {
  const json_t *out = planner_get(c, "out"), *target = planner_get(out, "phase2_target_duration");
  plan_prompt p = {0}, unguided = {0};
  bool thinking = json_is_true(planner_get(c, "thinking"));
  bool guided = thinking && json_number_value(planner_get(c, "cfg_scale")) > 1;
  if (thinking) plan_ask_codes(&p, in, m, NULL);
  if (guided) plan_ask_codes_unguided(&unguided, in, NULL);
  bool same = planner_same("codes prompt", p.text, planner_get(out, "phase2_prompt"), why) &&
              planner_same("unguided codes prompt", unguided.text, planner_get(out, "phase2_uncond_prompt"), why);
  double seconds = thinking ? plan_target_duration(in, m) : 0;
  if (same && fabs(seconds - json_number_value(target)) > 1e-6) {
    snprintf(why, PLANNER_WHY, "%g seconds instead of %g", seconds, json_number_value(target));
    same = false;
  }
  plan_prompt_free(&p);
  plan_prompt_free(&unguided);
  return same;
}

/* The two phases of a song, with the recorded answer between them. */
static inline bool planner_generate_case(const json_t *c, char *why) {
  const json_t *out = planner_get(c, "out"), *answered = planner_get(c, "phase1_output");
  plan_input in = planner_input(c);
  plan_metadata given;
  plan_answer a = {0};
  if (plan_given(&given, &in, NULL) != ACE_OK) return false;
  bool asks = plan_wants_metadata(&in, &given), same = asks == json_is_string(planner_get(out, "phase1_prompt"));
  snprintf(why, PLANNER_WHY, asks ? "metadata is asked for" : "no metadata is asked for");
  if (same && asks) {
    plan_prompt p;
    plan_settings s;
    ace_status status = plan_ask_metadata(&p, &s, &in, NULL);
    same = planner_same_question(status, &p, &s, planner_get(out, "phase1_prompt"), planner_get(out, "phase1_settings"),
                                 why) &&
           plan_answer_parse(&a, json_string_value(answered), json_string_length(answered), NULL) == ACE_OK;
  }
  same = same && planner_codes_match(c, &in, asks ? &a.metadata : &given, why);
  plan_answer_free(&a);
  plan_metadata_free(&given);
  return same;
}

static inline bool planner_question_case(const json_t *c, char *why) {
  const json_t *out = planner_get(c, "out"), *prompt = planner_get(out, "prompt");
  const char *kind = planner_text(c, "kind");
  plan_input in = planner_input(c);
  plan_prompt p = {0};
  plan_settings s = {0};
  ace_status status = ACE_EINVAL;
  if (strcmp(kind, "phase1_uncond") == 0) {
    bool same = plan_ask_metadata_unguided(&p, &in, NULL) == ACE_OK && planner_same("prompt", p.text, prompt, why);
    plan_prompt_free(&p);
    return same;
  }
  if (strcmp(kind, "create") == 0) {
    status = plan_ask_create(&p, &s, planner_text(c, "query"), json_is_true(planner_get(c, "instrumental")),
                             planner_text(c, "vocal_language"), NULL);
  } else if (strcmp(kind, "format") == 0) {
    plan_metadata given = planner_metadata(planner_get(c, "metas"));
    status = plan_ask_format(&p, &s, in.caption, in.lyrics, &given, NULL);
    plan_metadata_free(&given);
  } else if (strcmp(kind, "understand") == 0) {
    status = plan_ask_understand(&p, &s, planner_text(c, "codes"), NULL);
  }
  snprintf(why, PLANNER_WHY, "no prompt for kind %s", kind);
  return planner_same_question(status, &p, &s, prompt, planner_get(out, "settings"), why);
}

static inline bool planner_prompt_case(const json_t *c, char *why) {
  bool song = strcmp(planner_text(c, "kind"), "generate") == 0;
  return song ? planner_generate_case(c, why) : planner_question_case(c, why);
}

#endif
