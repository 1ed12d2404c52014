/* The request: no value outside its range, no unknown name and no impossible combination may get through to hours of
 * computing, and a saved request must read back as exactly itself. */
#include <locale.h>
#include <math.h>

#include "request_testing.h"

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
                      : p->values                  ? strtod(p->values[below(2)], NULL)
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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
