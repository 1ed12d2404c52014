/* The request: no value outside its range, no unknown name and no impossible combination may get through to hours of
 * computing, and a saved request must read back as exactly itself. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "request/value.h"

#define GOLDEN        ACE_SOURCE_DIR "/../shared/golden/text/codes.json"
#define PARAMETERS_MD ACE_SOURCE_DIR "/docs/PARAMETERS.md"

/* ---- helpers ---- */

static ace_status set_json(ace_request *r, const char *json, ace_error *err) {
  return ace_request_set_json(r, json, strlen(json), err);
}

/* The refusal must name the field and leave the request as it was. */
static void refused(ace_request *r, const char *name, const char *value, const char *in_message) {
  ace_error err = {0};
  char *before = ace_request_to_json(r);
  ace_status status = ace_request_set(r, name, value, &err);
  char *after = ace_request_to_json(r);
  if (status == ACE_OK) fail_msg("%s=%s was accepted", name, value);
  assert_non_null(strstr(err.message, name));
  if (!strstr(err.message, in_message)) fail_msg("%s=%s: message \"%s\"", name, value, err.message);
  assert_null(strchr(err.message, '\n'));
  assert_string_equal(before, after);
  free(before);
  free(after);
}

static void refused_json(const char *json, const char *in_message) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  ace_error err = {0};
  char *before = ace_request_to_json(r);
  ace_status status = set_json(r, json, &err);
  char *after = ace_request_to_json(r);
  if (status == ACE_OK) fail_msg("accepted: %s", json);
  if (!strstr(err.message, in_message)) fail_msg("%s: message \"%s\"", json, err.message);
  assert_string_equal(before, after);
  free(before);
  free(after);
  ace_request_free(r);
}

static void sets(ace_request *r, const char *name, const char *value, const char *reads) {
  ace_error err = {0};
  if (ace_request_set(r, name, value, &err) != ACE_OK) fail_msg("%s=%s: %s", name, value, err.message);
  char *got = ace_request_get(r, name);
  if (!got || strcmp(got, reads) != 0) fail_msg("%s=%s reads \"%s\", not \"%s\"", name, value, got ? got : "-", reads);
  free(got);
}

static ace_request *fresh(void) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  assert_non_null(r);
  return r;
}

/* ---- the table ---- */

static void every_default_is_in_range_in_every_profile(void **state) {
  for (int profile = 0; profile < ACE_PROFILE_COUNT; profile++) {
    ace_request *r = ace_request_new((ace_profile)profile);
    assert_non_null(r);
    ace_error err = {0};
    if (ace_request_validate(r, &err) != ACE_OK) fail_msg("profile %d: %s", profile, err.message);
    ace_request_free(r);
  }
  assert_null(ace_request_new(ACE_PROFILE_COUNT));
}

static void the_documented_defaults(void **state) {
  static const struct {
    const char *name, *cli, *page, *rest, *chat;
  } want[] = {
      {"task_type", "text2music", "text2music", "text2music", "text2music"},
      {"duration", "-1", "-1", "-1", "-1"},
      {"bpm", "", "", "", ""},
      {"batch_size", "1", "2", "2", "1"},
      {"guidance_scale", "7", "7", "7", "7"},
      {"seed", "-1", "-1", "-1", "-1"},
      {"use_random_seed", "false", "true", "true", "false"},
      {"audio_format", "", "mp3", "mp3", "mp3"},
      {"shift", "3", "3", "3", "3"},
      {"infer_method", "ode", "ode", "ode", "ode"},
      {"inference_steps", "", "", "", ""},
      {"use_adg", "false", "false", "false", "false"},
      {"cfg_interval_end", "1", "1", "1", "1"},
      {"vocal_language", "unknown", "unknown", "en", "en"},
      {"lm_temperature", "0.85", "0.85", "0.85", "0.85"},
      {"lm_cfg_scale", "2", "2", "2.5", "2"},
      {"lm_top_p", "0.9", "0.9", "0.9", "0.9"},
      {"lm_negative_prompt", "NO USER INPUT", "NO USER INPUT", "NO USER INPUT", "NO USER INPUT"},
      {"use_cot_caption", "true", "false", "true", "true"},
      {"thinking", "auto", "auto", "false", "false"},
      {"repaint_mode", "balanced", "balanced", "balanced", "balanced"},
      {"repaint_strength", "0.5", "0.5", "0.5", "0.5"},
      {"audio_cover_strength", "1", "1", "1", "1"},
      {"cover_noise_strength", "0", "0", "0", "0"},
      {"chunk_mask_mode", "auto", "auto", "auto", "auto"},
      {"rng", "torch-cpu", "torch-cpu", "torch-cpu", "torch-cpu"},
      {"vae_encode", "mean", "mean", "mean", "mean"},
      {"normalization_db", "-1", "-1", "-1", "-1"},
  };
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    const char *by_profile[] = {want[i].cli, want[i].page, want[i].rest, want[i].chat};
    for (int profile = 0; profile < ACE_PROFILE_COUNT; profile++) {
      ace_request *r = ace_request_new((ace_profile)profile);
      char *got = ace_request_get(r, want[i].name);
      assert_string_equal(got, by_profile[profile]);
      free(got);
      ace_request_free(r);
    }
  }
}

static void numbers_outside_their_range_are_refused(void **state) {
  ace_request *r = fresh();
  size_t n, checked = 0;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    if ((p[i].type != REQ_INT && p[i].type != REQ_NUMBER) || p[i].result) continue;
    char text[REQ_NUMBER_SIZE];
    double margin = p[i].type == REQ_INT ? 1 : 0.01;
    refused(r, p[i].name, req_number_format(p[i].hi + margin, text), p[i].values ? "none of" : "outside");
    refused(r, p[i].name, "1e999", "inf");
    refused(r, p[i].name, "fast", "fast");
    refused(r, p[i].name, "nan", "nan");
    bool gives_nothing = p[i].nullable && p[i].null < 0 && p[i].lo - margin <= 0; /* every negative: automatic */
    bool is_nothing = p[i].nullable && p[i].lo - margin == p[i].null;
    if (!gives_nothing && !is_nothing) refused(r, p[i].name, req_number_format(p[i].lo - margin, text), "is");
    if (p[i].type == REQ_INT && !p[i].values) refused(r, p[i].name, "1.5", "whole number");
    if (!p[i].values) sets(r, p[i].name, req_number_format(p[i].lo, text), text);
    sets(r, p[i].name, req_number_format(p[i].hi, text), text);
    checked++;
  }
  assert_true(checked >= 30);
  ace_request_free(r);
}

static void values_read_back_as_they_were_set(void **state) {
  ace_request *r = fresh();
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    if (p[i].result) continue;
    if (p[i].type == REQ_BOOL || p[i].type == REQ_TRI) {
      sets(r, p[i].name, "YES", "true");
      sets(r, p[i].name, " off ", "false");
      refused(r, p[i].name, "maybe", "maybe");
    }
    if (p[i].type == REQ_TRI) sets(r, p[i].name, "", "auto");
    if (p[i].type == REQ_ENUM) {
      for (size_t k = 0; p[i].values[k]; k++) sets(r, p[i].name, p[i].values[k], p[i].values[k]);
      refused(r, p[i].name, "bogus", "none of");
    }
    if ((p[i].type == REQ_STRING || p[i].type == REQ_PATH) && !p[i].values) {
      sets(r, p[i].name, "\xe9\x9f\xb3\xe6\xa5\xbd \xf0\x9f\x8e\xb5\n[x]",
           "\xe9\x9f\xb3\xe6\xa5\xbd \xf0\x9f\x8e\xb5\n[x]");
      sets(r, p[i].name, "", "");
      refused(r, p[i].name, "\xff", "UTF-8");
      refused(r, p[i].name, "\xed\xa0\x80", "UTF-8"); /* a surrogate */
      refused(r, p[i].name, "\xc0\x80", "UTF-8");     /* overlong */
    }
    if (p[i].type == REQ_SEEDS) sets(r, p[i].name, "1,-9,x", "1, -1, -1");
  }
  sets(r, "seed", "42", "42");
  sets(r, "seed", "1,2", "-1");
  sets(r, "seeds", "1,2", "1, 2");
  sets(r, "timesteps", "0.97,0.5", "0.97,0.5,0");
  sets(r, "timesteps", "", "");
  sets(r, "complete_track_classes", "drums | Bass,backing vocals,drums", "drums,bass,backing_vocals");
  sets(r, "duration", "0", "-1");
  sets(r, "duration", "-7", "-1");
  sets(r, "duration", "auto", "-1");
  sets(r, "duration", "61.5", "61.5");
  sets(r, "bpm", "N/A", "");
  sets(r, "bpm", "0", "");
  sets(r, "bpm", " 120 ", "120");
  sets(r, "audio-format", "FLAC", "flac");
  sets(r, "task_type", "cover_nofsq", "cover-nofsq");
  sets(r, "timesignature", " n/a ", "N/A");
  sets(r, "timesignature", "6/8", "6/8");
  refused(r, "timesignature", "5", "none of 2, 3, 4, 6");
  refused(r, "duration", "9.9", "outside 10..600");
  refused(r, "bpm", "999", "bpm: 999 is outside 30..300 (or leave it empty");
  refused(r, "complete_track_classes", "drums,piano", "piano");
  refused(r, "timesteps", "1,abc", "abc");
  refused(r, "timesteps", "1.5,0", "outside 0..1");
  refused(r, "timesteps", "0", "noise levels");
  refused(r, "seed", "4294967296", "4294967296");
  refused(r, "task_type", "covers", "text2music, repaint, cover, cover-nofsq, extract, lego, complete");
  refused(r, "cot_bpm", "100", "set bpm instead");
  ace_request_free(r);
}

static void too_long_texts_are_refused_by_name(void **state) {
  ace_request *r = fresh();
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    if ((p[i].type != REQ_STRING && p[i].type != REQ_PATH) || p[i].result || p[i].values) continue;
    size_t most = (size_t)p[i].hi;
    char *text = malloc(most + 2);
    memset(text, 'a', most + 1);
    text[most + 1] = '\0';
    refused(r, p[i].name, text, "accepted");
    text[most] = '\0';
    sets(r, p[i].name, text, text);
    assert_int_equal(ace_request_set(r, p[i].name, "", NULL), ACE_OK);
    free(text);
  }
  ace_request_free(r);
}

static void unknown_names_are_refused_with_a_suggestion(void **state) {
  ace_request *r = fresh();
  ace_error err = {0};
  assert_int_equal(ace_request_set(r, "duraton", "60", &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "\"duraton\"; did you mean \"duration\"?"));
  assert_int_equal(ace_request_set(r, "qwertyuiop", "60", &err), ACE_EINVAL);
  assert_null(strstr(err.message, "did you mean"));
  assert_null(ace_request_get(r, "qwertyuiop"));
  assert_int_equal(ace_request_set(r, "x\ny", "60", &err), ACE_EINVAL);
  assert_null(strchr(err.message, '\n'));
  ace_request_free(r);
}

static void flags_come_from_names(void **state) {
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    char flag[REQ_FLAG_SIZE];
    req_param_flag(&p[i], flag);
    assert_null(strchr(flag, '_'));
    assert_ptr_equal(req_param_find(flag), &p[i]);
    assert_ptr_equal(req_param_find(p[i].name), &p[i]);
    for (size_t k = 0; k < i; k++) assert_string_not_equal(p[i].name, p[k].name);
    assert_true(p[i].help && *p[i].help && p[i].modes && p[i].models);
  }
}

/* ---- JSON ---- */

static void json_takes_any_subset_and_loose_types(void **state) {
  ace_request *r = fresh();
  ace_error err = {0};
  const char *json =
      "{\"bpm\": \"120\", \"duration\": 60, \"shift\": \"2.5\", \"use_adg\": \"yes\", \"timesignature\": 4,"
      "\"inference_steps\": 12.0, \"thinking\": true, \"track_name\": \"drums\", \"seeds\": [1, null, \"-3\", \"7\"],"
      "\"complete_track_classes\": [\"drums\", \"bass\"], \"timesteps\": [0.9, 0.5], \"retake_seed\": 5,"
      "\"result\": {\"model\": \"x\"}, \"lora_loaded\": false, \"cot_caption\": \"found\", \"caption\": \"a\\u0009b\"}";
  if (set_json(r, json, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(r->bpm, 120);
  assert_true(r->duration == 60 && r->shift == 2.5 && r->use_adg && r->inference_steps == 12);
  assert_string_equal(r->timesignature, "4");
  assert_int_equal(r->thinking, REQ_ON);
  assert_int_equal(r->track_name, REQ_TRACK_DRUMS);
  assert_true(r->seeds.count == 4 && r->seeds.value[1] == -1 && r->seeds.value[2] == -1 && r->seeds.value[3] == 7);
  assert_true(r->complete_track_classes.count == 2 && r->complete_track_classes.value[1] == REQ_TRACK_BASS);
  assert_true(r->timesteps.count == 3 && r->timesteps.value[0] == 0.9 && r->timesteps.value[2] == 0);
  assert_true(r->retake_seed.count == 1 && r->retake_seed.value[0] == 5);
  assert_string_equal(r->cot_caption, "found");
  assert_string_equal(r->caption, "a\tb");
  assert_true(r->guidance_scale == 7); /* not mentioned, not touched */
  ace_request_free(r);
}

static void json_null_means_not_given_or_default(void **state) {
  ace_request *r = ace_request_new(ACE_PROFILE_REST);
  const char *set =
      "{\"bpm\": 100, \"duration\": 50, \"lm_cfg_scale\": 1, \"audio_format\": \"wav\", \"src_audio\": "
      "\"a.wav\", \"thinking\": true, \"seed\": 4, \"lm_negative_prompt\": \"\", \"dcw_enabled\": true}";
  const char *unset =
      "{\"bpm\": null, \"duration\": null, \"lm_cfg_scale\": null, \"audio_format\": null, \"src_audio\": "
      "null, \"thinking\": null, \"seed\": null, \"lm_negative_prompt\": null, \"dcw_enabled\": null}";
  assert_int_equal(set_json(r, set, NULL), ACE_OK);
  assert_int_equal(r->audio_format, REQ_FORMAT_WAV);
  assert_string_equal(r->lm_negative_prompt, "");
  assert_int_equal(set_json(r, unset, NULL), ACE_OK);
  assert_true(r->bpm == 0 && r->duration == -1 && r->lm_cfg_scale == 2.5 && r->audio_format == REQ_FORMAT_MP3);
  assert_true(!*r->src_audio && r->thinking == REQ_AUTO && r->seed == -1 && r->dcw_enabled == REQ_AUTO);
  assert_string_equal(r->lm_negative_prompt, "NO USER INPUT");
  ace_request_free(r);
}

static void bad_json_changes_nothing_and_names_the_field(void **state) {
  refused_json("{\"caption\": \"kept?\", \"bpm\": 999}", "bpm: 999 is outside 30..300");
  refused_json("{\"caption\": \"kept?\", \"tempo\": 100}", "\"tempo\"");
  refused_json("{\"duraton\": 100}", "did you mean \"duration\"?");
  refused_json("{\"audio-format\": \"mp3\"}", "\"audio-format\"");
  refused_json("{\"bpm\": true}", "bpm: not a number");
  refused_json("{\"bpm\": 100.5}", "bpm: 100.5 is not a whole number");
  refused_json("{\"bpm\": 1e400}", "request");
  refused_json("{\"use_adg\": 1}", "use_adg: not true or false");
  refused_json("{\"caption\": 5}", "caption: not text");
  refused_json("{\"caption\": \"a\\u0000b\"}", "caption: a NUL");
  refused_json("{\"task_type\": 3}", "task_type: not text");
  refused_json("{\"task_type\": \"sing\"}", "task_type: \"sing\" is none of text2music");
  refused_json("{\"seed\": 1.5}", "seed: 1.5 is not a whole number");
  refused_json("{\"seeds\": [1, {}]}", "seeds: entry 2");
  refused_json("{\"seeds\": [\"1,2\"]}", "seeds: entry 1");
  refused_json("{\"seed\": 99999999999}", "seed: 99999999999 is outside");
  refused_json("{\"timesteps\": [2]}", "timesteps: 2 is outside 0..1");
  refused_json("{\"timesteps\": [\"x\"]}", "timesteps: entry 1");
  refused_json("{\"timesteps\": {}}", "timesteps: not a list");
  refused_json("{\"timesteps\": [0, 0]}", "timesteps: every level is 0");
  refused_json("{\"complete_track_classes\": [\"drums,bass\"]}", "complete_track_classes: entry 1");
  refused_json("{\"complete_track_classes\": [\"kazoo\"]}", "complete_track_classes: \"kazoo\"");
  refused_json("{\"bpm\": 100, \"bpm\": 101}", "duplicate");
  refused_json("[]", "not an object");
  refused_json("{\"bpm\": 100", "not valid JSON");
  refused_json("", "not valid JSON");
  refused_json("{\"caption\": \"\xff\"}", "not valid JSON");
}

/* A list of levels longer than the field would otherwise write behind it. */
static void overlong_lists_are_refused(void **state) {
  req_text json = {0};
  req_text_add(&json, "{\"timesteps\": [0.5");
  for (int i = 0; i < 400; i++) req_text_add(&json, ",0.5");
  req_text_add(&json, "]}");
  char *text = req_text_take(&json);
  refused_json(text, "timesteps: more than 256");
  free(text);
  ace_request *r = fresh();
  req_text levels = {0};
  for (int i = 0; i < 255; i++) req_text_add(&levels, "0.5,");
  req_text_add(&levels, "0");
  text = req_text_take(&levels);
  refused(r, "timesteps", text + 0, "noise levels");
  assert_int_equal(ace_request_set(r, "timesteps", text + 4, NULL), ACE_OK);
  assert_int_equal(r->timesteps.count, 255);
  free(text);
  ace_request_free(r);
}

/* ---- round trip ---- */

static uint64_t lottery; /* splitmix64, reseeded by each test that draws */

static uint64_t draw(void) {
  uint64_t z = (lottery += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static int below(int n) {
  return (int)(draw() % (uint64_t)n);
}

static void random_string(char **field, const req_param *p) {
  static const char *const pieces[] = {"a",
                                       "\"",
                                       "\\",
                                       "\n",
                                       "\t",
                                       "\x01",
                                       "\x7f",
                                       "/",
                                       "\xc3\xa9",
                                       "\xe2\x99\xad",
                                       "\xf0\x9f\x8e\xb6",
                                       " ",
                                       "null",
                                       "<|audio_code_7|>",
                                       "{",
                                       "N/A"};
  char text[400] = "";
  if (p->values) {
    int n = 0;
    while (p->values[n]) n++;
    strcpy(text, p->values[below(n)]);
  } else {
    for (int i = below(8); i > 0; i--) {
      const char *piece = pieces[below(16)];
      if ((double)(strlen(text) + strlen(piece)) <= p->hi) strcat(text, piece);
    }
  }
  assert_int_equal(req_set_string(field, text, NULL), ACE_OK);
}

static void random_field(ace_request *r, const req_param *p) {
  void *field = req_field(r, p);
  int n = 0;
  switch (p->type) {
    case REQ_BOOL: *(bool *)field = below(2); return;
    case REQ_TRI: *(int *)field = below(3) - 1; return;
    case REQ_INT:
      *(int *)field = p->nullable && below(4) == 0 ? (int)p->null
                      : p->values                  ? (below(2) ? 44100 : 48000)
                                                   : (int)p->lo + below((int)(p->hi - p->lo) + 1);
      return;
    case REQ_NUMBER:
      *(double *)field = p->nullable && below(4) == 0 ? p->null
                         : below(3) == 0              ? round((p->lo + (p->hi - p->lo) * below(101) / 100) * 100) / 100
                                                      : p->lo + (p->hi - p->lo) * (double)(draw() >> 11) * 0x1p-53;
      if (!(*(double *)field >= p->lo && *(double *)field <= p->hi) && !p->nullable) *(double *)field = p->lo;
      *(double *)field += 0.0; /* a request that was set holds no -0 */
      return;
    case REQ_SEED: *(int64_t *)field = below(3) == 0 ? -1 : (int64_t)(draw() >> 32); return;
    case REQ_ENUM:
      while (p->values[n]) n++;
      *(int *)field = below(n);
      return;
    case REQ_STRING:
    case REQ_PATH: random_string(field, p); return;
    case REQ_SEEDS: {
      req_seeds *s = field;
      *s = (req_seeds){.count = below(REQ_BATCH_MAX + 1)};
      for (int i = 0; i < s->count; i++) s->value[i] = below(3) == 0 ? -1 : (int64_t)(draw() >> 32);
      return;
    }
    case REQ_TIMESTEPS: {
      req_timesteps *t = field;
      *t = (req_timesteps){0};
      if (below(2)) return;
      t->count = 2 + below(REQ_TIMESTEPS_MAX - 2);
      for (int i = 0; i < t->count - 1; i++) t->value[i] = (double)(1 + (draw() >> 11)) * 0x1p-54;
      return;
    }
    case REQ_TRACKS: {
      req_tracks *t = field;
      *t = (req_tracks){0};
      for (int track = REQ_TRACK_WOODWINDS; track >= REQ_TRACK_VOCALS; track--)
        if (below(4) == 0) t->value[t->count++] = track;
      return;
    }
  }
}

/* Every field equal, bit for bit? NULL, or the name of one that is not. */
static const char *difference(const ace_request *a, const ace_request *b) {
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    const void *x = req_field_const(a, &p[i]), *y = req_field_const(b, &p[i]);
    bool same = true;
    switch (p[i].type) {
      case REQ_BOOL: same = *(const bool *)x == *(const bool *)y; break;
      case REQ_TRI:
      case REQ_ENUM:
      case REQ_INT: same = *(const int *)x == *(const int *)y; break;
      case REQ_SEED: same = *(const int64_t *)x == *(const int64_t *)y; break;
      case REQ_NUMBER: same = memcmp(x, y, sizeof(double)) == 0; break;
      case REQ_STRING:
      case REQ_PATH: same = strcmp(*(char *const *)x, *(char *const *)y) == 0; break;
      case REQ_SEEDS: same = memcmp(x, y, sizeof(req_seeds)) == 0; break;
      case REQ_TIMESTEPS: same = memcmp(x, y, sizeof(req_timesteps)) == 0; break;
      case REQ_TRACKS: same = memcmp(x, y, sizeof(req_tracks)) == 0; break;
    }
    if (!same) return p[i].name;
  }
  return NULL;
}

static void ten_thousand_requests_read_back_as_themselves(void **state) {
  lottery = 20250607;
  size_t n;
  const req_param *p = req_params(&n);
  for (int round_number = 0; round_number < 10000; round_number++) {
    ace_profile profile = (ace_profile)below(ACE_PROFILE_COUNT);
    ace_request *r = ace_request_new(profile), *again = ace_request_new(profile);
    ace_error err = {0};
    for (size_t i = 0; i < n; i++) random_field(r, &p[i]);
    char *json = ace_request_to_json(r);
    if (set_json(again, json, &err) != ACE_OK) fail_msg("round %d: %s", round_number, err.message);
    const char *name = difference(r, again);
    if (name) fail_msg("round %d: %s changed in\n%s", round_number, name, json);
    ace_request *copy = ace_request_copy(again);
    assert_null(difference(copy, again));
    if (round_number % 50 == 0) { /* and field by field, as text */
      ace_request *by_text = ace_request_new(profile);
      for (size_t i = 0; i < n; i++) {
        char *text = ace_request_get(r, p[i].name);
        if (!p[i].result && p[i].type != REQ_SEED)
          assert_int_equal(ace_request_set(by_text, p[i].name, text, &err), ACE_OK);
        char *text_again = ace_request_get(by_text, p[i].name);
        if (!p[i].result && p[i].type != REQ_SEED) assert_string_equal(text, text_again);
        free(text);
        free(text_again);
      }
      ace_request_free(by_text);
    }
    free(json);
    ace_request_free(r);
    ace_request_free(again);
    ace_request_free(copy);
  }
}

static void numbers_are_written_short(void **state) {
  char out[REQ_NUMBER_SIZE];
  assert_string_equal(req_number_format(0.85, out), "0.85");
  assert_string_equal(req_number_format(3, out), "3");
  assert_string_equal(req_number_format(0.1 + 0.2, out), "0.30000000000000004");
  ace_request *r = fresh();
  char *json = ace_request_to_json(r);
  assert_non_null(strstr(json, "\n  \"lm_temperature\": 0.85,\n"));
  assert_non_null(strstr(json, "\n  \"duration\": -1,\n"));
  assert_non_null(strstr(json, "\n  \"bpm\": null,\n"));
  assert_non_null(strstr(json, "\n  \"src_audio\": null,\n"));
  free(json);
  ace_request_free(r);
}

/* A program with a German or French locale must write and read the same files. */
static void the_locale_changes_nothing(void **state) {
  static const char *const comma[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8"};
  bool found = false;
  for (size_t i = 0; i < sizeof comma / sizeof *comma && !found; i++) found = setlocale(LC_ALL, comma[i]) != NULL;
  if (!found) skip();
  ace_request *r = fresh();
  sets(r, "shift", "2.5", "2.5");
  ace_request_free(r);
  setlocale(LC_ALL, "C");
}

/* ---- combinations ---- */

static void valid(ace_request *r) {
  ace_error err = {0};
  if (ace_request_validate(r, &err) != ACE_OK) fail_msg("%s", err.message);
}

static void invalid(ace_request *r, const char *in_message) {
  ace_error err = {0};
  assert_int_equal(ace_request_validate(r, &err), ACE_EINVAL);
  if (!strstr(err.message, in_message)) fail_msg("message \"%s\"", err.message);
}

static void tasks_need_their_inputs(void **state) {
  static const char *const tasks[] = {"repaint", "cover", "cover-nofsq", "extract", "lego", "complete"};
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
    ace_request *r = fresh();
    sets(r, "task_type", tasks[i], tasks[i]);
    invalid(r, "requires source audio");
    sets(r, "src_audio", "song.wav", "song.wav");
    sets(r, "track_name", "drums", "drums");
    sets(r, "complete_track_classes", "drums", "drums");
    valid(r);
    ace_request_free(r);
  }
  ace_request *r = fresh();
  sets(r, "task_type", "cover", "cover");
  sets(r, "audio_codes", "<|audio_code_5|>", "<|audio_code_5|>");
  valid(r); /* the codes are its source */
  ace_request_free(r);
}

static void stems_need_a_track(void **state) {
  ace_request *r = fresh();
  sets(r, "src_audio", "song.wav", "song.wav");
  sets(r, "task_type", "extract", "extract");
  invalid(r, "track_name: task extract needs one of vocals, backing_vocals, drums");
  sets(r, "task_type", "lego", "lego");
  invalid(r, "track_name: task lego needs");
  sets(r, "task_type", "complete", "complete");
  invalid(r, "complete_track_classes: task complete needs");
  sets(r, "instruction", "Add a kazoo:", "Add a kazoo:");
  valid(r);
  ace_request_free(r);
}

static void regions_must_not_be_empty(void **state) {
  ace_request *r = fresh();
  sets(r, "task_type", "repaint", "repaint");
  sets(r, "src_audio", "song.wav", "song.wav");
  valid(r);
  r->repainting_start = 10, r->repainting_end = 10;
  invalid(r, "repainting_end: 10 s is not after repainting_start, 10 s");
  r->repainting_end = 9.5;
  invalid(r, "repainting_end");
  r->repainting_end = 10.5;
  valid(r);
  r->repainting_end = -1;
  valid(r);
  r->repainting_start = -5;
  valid(r); /* music before the beginning */
  r->task_type = REQ_TASK_TEXT2MUSIC, r->repainting_start = 10, r->repainting_end = 5;
  valid(r); /* not used there */
  ace_request_free(r);
}

static void codes_must_hold_a_code(void **state) {
  ace_request *r = fresh();
  sets(r, "audio_codes", "  ", "  ");
  valid(r);
  sets(r, "audio_codes", "12, 13", "12, 13");
  invalid(r, "audio_codes");
  sets(r, "audio_codes", "<|audio_code_|><|audio_code_x|>", "<|audio_code_|><|audio_code_x|>");
  invalid(r, "audio_codes");
  sets(r, "audio_codes", "x <|audio_code_99999|> y", "x <|audio_code_99999|> y");
  valid(r);
  ace_request_free(r);
}

static void intervals_must_not_be_reversed(void **state) {
  ace_request *r = fresh();
  r->cfg_interval_start = 0.8, r->cfg_interval_end = 0.2;
  invalid(r, "cfg_interval_start: 0.8 is above cfg_interval_end, 0.2");
  r->cfg_interval_end = 0.8;
  valid(r);
  r->flow_edit_n_min = 0.9, r->flow_edit_n_max = 0.5;
  invalid(r, "flow_edit_n_min");
  r->flow_edit_n_max = 1;
  valid(r);
  r->flow_edit_morph = true;
  invalid(r, "src_audio: flow_edit_morph requires source audio");
  ace_request_free(r);
}

/* Fields written directly by other rooms are checked as well. */
static void validation_catches_what_set_never_saw(void **state) {
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    ace_request *r = fresh();
    void *field = req_field(r, &p[i]);
    switch (p[i].type) {
      case REQ_TRI:
      case REQ_ENUM:
      case REQ_INT: *(int *)field = 1 << 20; break;
      case REQ_NUMBER: *(double *)field = NAN; break;
      case REQ_SEED: *(int64_t *)field = REQ_SEED_MAX + 1; break;
      case REQ_SEEDS: *(req_seeds *)field = (req_seeds){.count = 9}; break;
      case REQ_TRACKS: *(req_tracks *)field = (req_tracks){.count = 1, .value = {99}}; break;
      case REQ_TIMESTEPS: *(req_timesteps *)field = (req_timesteps){.count = 1, .value = {1}}; break;
      case REQ_STRING:
      case REQ_PATH: assert_int_equal(req_set_string(field, "\xff", NULL), ACE_OK); break;
      case REQ_BOOL: ace_request_free(r); continue;
    }
    invalid(r, p[i].name);
    ace_request_free(r);
  }
}

static void models_refuse_what_they_cannot_do(void **state) {
  ace_request *r = fresh();
  ace_error err = {0};
  sets(r, "inference_steps", "20", "20");
  assert_int_equal(req_check_model(r, REQ_MODEL_TURBO, &err), ACE_OK);
  sets(r, "inference_steps", "21", "21");
  assert_int_equal(req_check_model(r, REQ_MODEL_TURBO, &err), ACE_EUNSUPPORTED);
  assert_non_null(strstr(err.message, "inference_steps: 21 is outside 1..20 of a turbo model"));
  assert_int_equal(req_check_model(r, REQ_MODEL_SFT, &err), ACE_OK);
  assert_int_equal(req_check_model(r, REQ_MODEL_BASE, &err), ACE_OK);
  sets(r, "inference_steps", "", "");
  static const int base_only[] = {REQ_TASK_EXTRACT, REQ_TASK_LEGO, REQ_TASK_COMPLETE};
  for (int i = 0; i < 3; i++) {
    r->task_type = base_only[i];
    assert_int_equal(req_check_model(r, REQ_MODEL_BASE, &err), ACE_OK);
    assert_int_equal(req_check_model(r, REQ_MODEL_SFT, &err), ACE_EUNSUPPORTED);
    assert_int_equal(req_check_model(r, REQ_MODEL_TURBO, &err), ACE_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "needs a base model"));
  }
  ace_request_free(r);
}

static void steps_and_correction_follow_the_model(void **state) {
  ace_request *r = fresh();
  assert_int_equal(req_steps(r, REQ_MODEL_TURBO), 8);
  assert_int_equal(req_steps(r, REQ_MODEL_SFT), 50);
  assert_int_equal(req_steps(r, REQ_MODEL_BASE), 32);
  assert_true(req_dcw(r, REQ_MODEL_TURBO) && !req_dcw(r, REQ_MODEL_SFT) && !req_dcw(r, REQ_MODEL_BASE));
  sets(r, "dcw_enabled", "true", "true");
  assert_true(req_dcw(r, REQ_MODEL_BASE));
  sets(r, "inference_steps", "12", "12");
  assert_int_equal(req_steps(r, REQ_MODEL_SFT), 12);
  sets(r, "timesteps", "1,0.5,0.0", "1,0.5,0,0");
  assert_int_equal(req_steps(r, REQ_MODEL_TURBO), 2); /* trailing zeros are implicit there */
  assert_int_equal(req_steps(r, REQ_MODEL_BASE), 3);
  ace_request_free(r);
}

static void collect(void *user, const char *line) {
  strncat(user, line, 2000 - strlen(user) - 1);
  strncat(user, "\n", 2000 - strlen(user) - 1);
}

static void surprises_are_announced(void **state) {
  char said[2000] = "";
  ace_request *r = fresh();
  req_advise(r, REQ_MODEL_TURBO, collect, said);
  assert_string_equal(said, "");
  sets(r, "timesteps", "0.5,0.9", "0.5,0.9,0");
  sets(r, "inference_steps", "8", "8");
  sets(r, "vocal_language", "klingon", "klingon");
  sets(r, "sampler_mode", "heun", "heun");
  sets(r, "infer_method", "sde", "sde");
  sets(r, "src_audio", "a.wav", "a.wav");
  req_advise(r, 0, collect, said);
  assert_non_null(strstr(said, "taking 2 steps instead of inference_steps, 8"));
  assert_non_null(strstr(said, "do not fall"));
  assert_non_null(strstr(said, "klingon"));
  assert_non_null(strstr(said, "euler is used"));
  assert_non_null(strstr(said, "src_audio: task text2music"));
  ace_request_free(r);
}

/* ---- what is made from the table ---- */

static void the_schema_describes_what_is_written(void **state) {
  for (int profile = 0; profile < ACE_PROFILE_COUNT; profile++) {
    char *text = ace_request_schema((ace_profile)profile);
    ace_error err = {0};
    json_t *schema = json_parse(text, strlen(text), "schema", &err);
    if (!schema) fail_msg("%s", err.message);
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    ace_request *r = ace_request_new((ace_profile)profile);
    char *json = ace_request_to_json(r);
    json_t *written = json_parse(json, strlen(json), "request", &err),
           *properties = json_object_get(schema, "properties");
    const char *key;
    json_t *value;
    assert_int_equal(json_object_size(properties), json_object_size(written) + 1); /* and "result" */
    json_object_foreach(written, key, value) {
      json_t *property = json_object_get(properties, key);
      if (!property) fail_msg("%s is not in the schema", key);
      if (!json_equal(json_object_get(property, "default"), value)) fail_msg("%s: another default", key);
      assert_true(*json_string_value(json_object_get(property, "description")) != '\0');
      json_t *low = json_object_get(property, "minimum"), *high = json_object_get(property, "maximum");
      if (low && json_is_number(value))
        assert_true(json_number_value(value) >= json_number_value(low) &&
                    json_number_value(value) <= json_number_value(high));
    }
    json_t *steps = json_object_get(properties, "inference_steps");
    assert_int_equal(json_integer_value(json_object_get(steps, "maximum")), 200);
    json_decref(written);
    json_decref(schema);
    free(json);
    free(text);
    ace_request_free(r);
  }
}

static void help_names_every_flag_within_the_width(void **state) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  assert_int_equal(req_print_help(out, ACE_PROFILE_CLI, 80), ACE_OK);
  fclose(out);
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    char flag[REQ_FLAG_SIZE + 4];
    snprintf(flag, 4, "  ");
    req_param_flag(&p[i], flag + 2);
    if (p[i].result == (strstr(text, flag) != NULL)) fail_msg("%s: %s", flag, p[i].result ? "listed" : "not listed");
  }
  assert_non_null(strstr(text, "10..600"));
  for (char *line = text; *line; line += strcspn(line, "\n") + 1) {
    int width = 0;
    for (size_t k = 0; line[k] && line[k] != '\n'; k++) width += ((unsigned char)line[k] & 0xc0) != 0x80;
    if (width > 80) fail_msg("%d columns: %.*s", width, (int)strcspn(line, "\n"), line);
  }
  free(text);
}

/* ACE_WRITE_DOCS=1 in the environment writes the document anew. */
static void the_document_is_the_table(void **state) {
  char *text = req_markdown();
  assert_non_null(text);
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    char row[80];
    snprintf(row, sizeof row, "\n| `%s` |", p[i].name);
    if (!strstr(text, row)) fail_msg("%s is not in the document", p[i].name);
  }
  if (getenv("ACE_WRITE_DOCS")) assert_int_equal(file_write(PARAMETERS_MD, text, strlen(text), NULL), ACE_OK);
  if (file_exists(PARAMETERS_MD)) {
    size_t length;
    char *file = file_read(PARAMETERS_MD, 1 << 20, &length, NULL);
    assert_non_null(file);
    if (strcmp(file, text) != 0)
      fail_msg("docs/PARAMETERS.md is not what the table says: run ACE_WRITE_DOCS=1 test_request");
    free(file);
  }
  free(text);
}

/* ---- small rules ---- */

static void lyrics_may_say_instrumental(void **state) {
  assert_true(req_lyrics_instrumental("") && req_lyrics_instrumental(" \n") && req_lyrics_instrumental(" [INST] \n"));
  assert_true(req_lyrics_instrumental("[Instrumental]"));
  assert_false(req_lyrics_instrumental("[instrumental] la"));
  assert_false(req_lyrics_instrumental("instrumental"));
  ace_request *r = fresh();
  sets(r, "lyrics", "la la", "la la");
  assert_false(req_is_instrumental(r));
  r->instrumental = true;
  assert_true(req_is_instrumental(r));
  ace_request_free(r);
}

static void page_timesteps_warn_instead_of_failing(void **state) {
  req_timesteps t;
  int steps = 8;
  assert_int_equal(req_timesteps_parse("1,abc", &t, &steps), REQ_TIMESTEPS_FORMAT);
  assert_int_equal(req_timesteps_parse("1,-0.1", &t, &steps), REQ_TIMESTEPS_RANGE);
  assert_true(t.count == 0 && steps == 8);
  assert_int_equal(req_timesteps_parse("1,0.5", &t, &steps), REQ_TIMESTEPS_COUNT);
  assert_true(t.count == 3 && steps == 2 && t.value[2] == 0);
  assert_int_equal(req_timesteps_parse(" 1 ,, .5 , 0", &t, &steps), REQ_TIMESTEPS_NONE);
  assert_int_equal(t.count, 3);
}

static void golden_timesteps(void **state) {
  if (!file_exists(GOLDEN)) skip();
  static const char *const words[] = {"none", "format", "range", "count"};
  json_t *all = json_parse_file(GOLDEN, 1 << 24, NULL), *item, *want;
  assert_non_null(all);
  size_t i, k, checked = 0;
  json_array_foreach(json_object_get(all, "timesteps"), i, item) {
    const char *id = json_string_value(json_object_get(item, "id"));
    const json_t *out = json_object_get(item, "out"), *levels = json_object_get(out, "timesteps");
    int steps = (int)json_integer_value(json_object_get(item, "inference_steps"));
    req_timesteps t;
    req_timesteps_warning w = req_timesteps_parse(json_string_value(json_object_get(item, "text")), &t, &steps);
    if (strcmp(words[w], json_string_value(json_object_get(out, "warning"))) != 0) fail_msg("%s: %s", id, words[w]);
    if (steps != json_integer_value(json_object_get(out, "steps"))) fail_msg("%s: %d steps", id, steps);
    if ((size_t)t.count != json_array_size(levels)) fail_msg("%s: %d levels", id, t.count);
    json_array_foreach(levels, k, want) {
      if (t.value[k] != json_number_value(want)) fail_msg("%s: level %zu is %.17g", id, k, t.value[k]);
    }
    checked++;
  }
  assert_int_equal(checked, 26);
  json_decref(all);
}

static void golden_instrumental(void **state) {
  if (!file_exists(GOLDEN)) skip();
  json_t *all = json_parse_file(GOLDEN, 1 << 24, NULL), *item;
  assert_non_null(all);
  size_t i, checked = 0;
  json_array_foreach(json_object_get(all, "instrumental"), i, item) {
    bool got = req_lyrics_instrumental(json_string_value(json_object_get(item, "lyrics")));
    if (got != json_is_true(json_object_get(item, "out")))
      fail_msg("%s: %d", json_string_value(json_object_get(item, "id")), got);
    checked++;
  }
  assert_int_equal(checked, 9);
  json_decref(all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_default_is_in_range_in_every_profile),
      cmocka_unit_test(the_documented_defaults),
      cmocka_unit_test(numbers_outside_their_range_are_refused),
      cmocka_unit_test(values_read_back_as_they_were_set),
      cmocka_unit_test(too_long_texts_are_refused_by_name),
      cmocka_unit_test(unknown_names_are_refused_with_a_suggestion),
      cmocka_unit_test(flags_come_from_names),
      cmocka_unit_test(json_takes_any_subset_and_loose_types),
      cmocka_unit_test(json_null_means_not_given_or_default),
      cmocka_unit_test(bad_json_changes_nothing_and_names_the_field),
      cmocka_unit_test(overlong_lists_are_refused),
      cmocka_unit_test(ten_thousand_requests_read_back_as_themselves),
      cmocka_unit_test(numbers_are_written_short),
      cmocka_unit_test(the_locale_changes_nothing),
      cmocka_unit_test(tasks_need_their_inputs),
      cmocka_unit_test(stems_need_a_track),
      cmocka_unit_test(regions_must_not_be_empty),
      cmocka_unit_test(codes_must_hold_a_code),
      cmocka_unit_test(intervals_must_not_be_reversed),
      cmocka_unit_test(validation_catches_what_set_never_saw),
      cmocka_unit_test(models_refuse_what_they_cannot_do),
      cmocka_unit_test(steps_and_correction_follow_the_model),
      cmocka_unit_test(surprises_are_announced),
      cmocka_unit_test(the_schema_describes_what_is_written),
      cmocka_unit_test(help_names_every_flag_within_the_width),
      cmocka_unit_test(the_document_is_the_table),
      cmocka_unit_test(lyrics_may_say_instrumental),
      cmocka_unit_test(page_timesteps_warn_instead_of_failing),
      cmocka_unit_test(golden_timesteps),
      cmocka_unit_test(golden_instrumental),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
