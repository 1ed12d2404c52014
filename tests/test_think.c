/* The planner at work on the tiny model set: whatever an untrained model babbles, the song is a song. */
#include "songs.h"

#include <jansson.h>
#include <math.h>

static const char *const usual[] = {"caption", "a test", "duration", "10",   "inference_steps", "1",
                                    "seeds",   "7",      "thinking", "true", "use_cot_caption", "false",
                                    NULL};

static ace_engine *open_engine(const songs *s, int threads) {
  return songs_engine(s, NULL, threads, 0);
}

static ace_request *request(const char *const *pairs) {
  return songs_request(usual, pairs);
}

static ace_result *generate(ace_engine *e, const char *const *pairs) {
  return songs_generate(e, usual, pairs);
}

static json_t *json_of(const ace_result *r, int item) {
  json_t *json = json_loads(ace_result_json(r, item), 0, NULL);
  assert_non_null(json);
  return json;
}

static const char *text_at(const json_t *json, const char *key) {
  const char *text = json_string_value(json_object_get(json, key));
  return text ? text : "";
}

static int count_codes(const char *text) {
  int n = 0;
  for (; (text = strstr(text, "<|audio_code_")); text++) n++;
  return n;
}

/* Ten seconds are fifty codes; what was left open is filled in, within its range; what was given stays. */
static void a_planned_song_keeps_what_was_given(void **state) {
  ace_engine *e = open_engine(*state, 2);
  ace_result *r = generate(e, PAIRS("bpm", "93", "keyscale", "C major"));
  json_t *json = json_of(r, 0);
  assert_int_equal(json_integer_value(json_object_get(json, "bpm")), 93);
  assert_string_equal(text_at(json, "keyscale"), "C major");
  assert_string_equal(text_at(json, "caption"), "a test");
  assert_non_null(strchr("2346", *text_at(json, "timesignature")));
  assert_int_equal(strlen(text_at(json, "timesignature")), 1);
  assert_true(*text_at(json, "vocal_language") != 0);
  assert_int_equal(count_codes(text_at(json, "audio_codes")), 50);
  assert_int_equal(ace_result_audio(r, 0).frames, 480000);
  json_decref(json);
  ace_result_free(r);
  ace_engine_close(e);
}

/* Open tempo and length come out within what the models know. */
static void open_fields_come_out_in_range(void **state) {
  static const char *const seeds[] = {"1", "2", "3"};
  ace_engine *e = open_engine(*state, 2);
  for (int i = 0; i < 3; i++) {
    ace_error err;
    ace_request *r = request(PAIRS("seeds", seeds[i]));
    char *text = ace_create_sample(e, "anything", r, NULL, &err);
    if (!text) fail_msg("%s", err.message);
    json_t *json = json_loads(text, 0, NULL);
    assert_in_range(json_integer_value(json_object_get(json, "bpm")), 30, 300);
    double duration = json_number_value(json_object_get(json, "duration"));
    assert_true(duration >= 10 && duration <= 600);
    json_decref(json);
    free(text);
    ace_request_free(r);
  }
  ace_engine_close(e);
}

/* Codes depend on the item's seed and the shared metadata alone: not on the batch, on chunks, or on threads. */
static void items_are_the_same_together_and_apart(void **state) {
  ace_engine *e = open_engine(*state, 2), *one = open_engine(*state, 1);
  /* With all metadata given nothing is asked twice, so that the items share it however they are made. */
#define GIVEN "bpm", "100", "keyscale", "A minor", "timesignature", "4", "lm_cfg_scale", "1.5"
  ace_result *batch = generate(e, PAIRS(GIVEN, "batch_size", "2", "seeds", "7,8"));
  ace_result *chunks = generate(one, PAIRS(GIVEN, "batch_size", "2", "seeds", "7,8", "allow_lm_batch", "false"));
  ace_result *second = generate(e, PAIRS(GIVEN, "seeds", "8"));
#undef GIVEN
  for (int i = 0; i < 2; i++) assert_true(same_sound(ace_result_audio(batch, i), ace_result_audio(chunks, i)));
  assert_true(same_sound(ace_result_audio(batch, 1), ace_result_audio(second, 0)));
  json_t *a = json_of(batch, 0), *b = json_of(batch, 1);
  assert_string_not_equal(text_at(a, "audio_codes"), text_at(b, "audio_codes"));
  json_decref(a), json_decref(b);
  ace_result_free(batch), ace_result_free(chunks), ace_result_free(second);
  ace_engine_close(e), ace_engine_close(one);
}

/* The saved JSON makes the song again without asking the language model. */
static void saved_plans_need_no_planner(void **state) {
  ace_error err;
  ace_engine *e = open_engine(*state, 2);
  ace_result *r = generate(e, NULL);
  const char *json = ace_result_json(r, 0);
  ace_request *again = ace_request_new(ACE_PROFILE_CLI);
  if (ace_request_set_json(again, json, strlen(json), &err) != ACE_OK) fail_msg("%s", err.message);
  ace_engine *fresh = open_engine(*state, 2);
  ace_result *second = ace_generate(fresh, again, NULL, &err);
  if (!second) fail_msg("%s", err.message);
  assert_true(same_sound(ace_result_audio(r, 0), ace_result_audio(second, 0)));
  ace_result_free(r), ace_result_free(second);
  ace_request_free(again);
  ace_engine_close(e), ace_engine_close(fresh);
}

/* Codes of a sound, and what the model makes of them. */
static void a_song_can_be_understood(void **state) {
  ace_error err;
  temp t = temp_open();
  char path[800];
  snprintf(path, sizeof path, "%s", temp_path(&t, "song.wav"));
  ace_engine *e = open_engine(*state, 2);
  ace_request *r = request(PAIRS("thinking", "false"));
  ace_result *song = ace_generate(e, r, NULL, &err);
  assert_non_null(song);
  ace_request *shorter = request(PAIRS("thinking", "false"));
  if (ace_result_save(song, 0, path, &err) != ACE_OK) fail_msg("%s", err.message);
  char *codes = ace_audio_to_codes(e, path, NULL, &err);
  if (!codes) fail_msg("%s", err.message);
  assert_int_equal(count_codes(codes), 50);
  char *text = ace_understand(e, codes, r, NULL, &err);
  if (!text) fail_msg("%s", err.message);
  assert_non_null(strstr(text, "bpm"));
  char *formatted = ace_format_sample(e, r, NULL, &err);
  if (!formatted) fail_msg("%s", err.message);
  assert_non_null(strstr(formatted, "\"duration\": 10.0"));
  assert_null(ace_audio_to_codes(e, "/nowhere/at/all.wav", NULL, &err));
  assert_int_equal(err.status, ACE_ENOTFOUND);
  free(codes), free(text), free(formatted);
  ace_result_free(song);
  ace_request_free(r), ace_request_free(shorter);
  ace_engine_close(e);
  temp_close(&t);
}

/* The frugal backend plans the same songs one after the other; mlx is taken for it and says so; others are refused. */
static void note(void *user, const char *line) {
  snprintf(user, 100, "%.99s", line);
}

static void backends_plan_the_same_songs(void **state) {
  const songs *s = *state;
  ace_error err;
  char said[100] = "";
  ace_engine *vllm = open_engine(s, 2);
  ace_engine *pt = ace_engine_open(s->models, &(ace_engine_options){.threads = 1, .lm_backend = "pt"}, &err);
  ace_engine_options other = {.threads = 1, .lm_backend = "mlx", .notify = {.log = note, .user = said}};
  ace_engine *mlx = ace_engine_open(s->models, &other, &err);
  assert_non_null(pt);
  assert_non_null(mlx);
  assert_non_null(strstr(said, "using pt"));
  const char *const *pairs = PAIRS("batch_size", "2", "seeds", "5,6", "allow_lm_batch", "true");
  ace_result *a = generate(vllm, pairs), *b = generate(pt, pairs);
  for (int i = 0; i < 2; i++) {
    json_t *x = json_of(a, i), *y = json_of(b, i);
    assert_int_equal(count_codes(text_at(x, "audio_codes")), 50);
    assert_string_equal(text_at(x, "audio_codes"), text_at(y, "audio_codes"));
    json_decref(x), json_decref(y);
  }
  other.lm_backend = "tpu";
  assert_null(ace_engine_open(s->models, &other, &err));
  assert_int_equal(err.status, ACE_EINVAL);
  ace_result_free(a), ace_result_free(b);
  ace_engine_close(vllm), ace_engine_close(pt), ace_engine_close(mlx);
}

/* Who looks at a plan sees what was given and what the model chose. */
static void a_plan_says_who_chose_what(void **state) {
  static const char *const expected[][2] = {
      {"caption", "user"},        {"bpm", "user"},          {"duration", "user"}, {"keyscale", "model"},
      {"timesignature", "model"}, {"audio_codes", "model"}, {"lyrics", "default"}};
  ace_engine *e = open_engine(*state, 2);
  ace_result *r = generate(e, PAIRS("bpm", "93"));
  json_t *json = json_of(r, 0), *sources = json_object_get(json_object_get(json, "result"), "sources");
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
    assert_string_equal(text_at(sources, expected[i][0]), expected[i][1]);
  json_decref(json);
  ace_result_free(r);
  ace_error err;
  ace_request *q = request(PAIRS("vocal_language", "fr"));
  char *text = ace_create_sample(e, "anything", q, NULL, &err);
  if (!text) fail_msg("%s", err.message);
  json = json_loads(text, 0, NULL);
  sources = json_object_get(json_object_get(json, "result"), "sources");
  assert_string_equal(text_at(sources, "vocal_language"), "user");
  assert_string_equal(text_at(sources, "bpm"), "model");
  json_decref(json);
  free(text);
  ace_request_free(q);
  ace_engine_close(e);
}

/* Without its grammar an untrained model writes nonsense. What can be used of it is used, within range and never in
 * place of what was given; where nothing can, the message says so. */
static void decoding_without_the_grammar(void **state) {
  ace_error err;
  ace_engine *e = open_engine(*state, 2);
  ace_request *r =
      request(PAIRS("use_constrained_decoding", "false", "bpm", "93", "keyscale", "C major", "timesignature", "3"));
  ace_result *song = ace_generate(e, r, NULL, &err);
  if (!song) fail_msg("%s", err.message);
  json_t *json = json_of(song, 0);
  assert_in_range(count_codes(text_at(json, "audio_codes")), 1, 50);
  assert_int_equal(json_integer_value(json_object_get(json, "bpm")), 93);
  json_decref(json);
  ace_result_free(song);
  for (int seed = 0; seed < 4; seed++) {
    char number[8];
    snprintf(number, sizeof number, "%d", seed);
    assert_int_equal(ace_request_set(r, "seeds", number, &err), ACE_OK);
    char *text = ace_create_sample(e, "anything", r, NULL, &err);
    if (!text) {
      assert_int_equal(err.status, ACE_EFORMAT);
      assert_non_null(strstr(err.message, "no metadata"));
      continue;
    }
    ace_request *again = ace_request_new(ACE_PROFILE_CLI);
    if (ace_request_set_json(again, text, strlen(text), &err) != ACE_OK) fail_msg("%s", err.message);
    if (ace_request_validate(again, &err) != ACE_OK) fail_msg("%s", err.message);
    ace_request_free(again);
    free(text);
  }
  ace_request_free(r);
  ace_engine_close(e);
}

typedef struct stopper {
  int calls, after;
  double fraction;
  bool fell;
} stopper;

static void watch(void *user, const ace_progress *p) {
  stopper *s = user;
  s->fell |= p->fraction < s->fraction;
  s->fraction = p->fraction;
  s->calls++;
}

static bool stop(void *user) {
  const stopper *s = user;
  return s->after >= 0 && s->calls > s->after;
}

/* Progress counts tokens and never falls; a stop in the middle of the plan is a stop. */
static void planning_reports_and_stops(void **state) {
  ace_error err;
  ace_engine *e = open_engine(*state, 2);
  ace_request *r = request(NULL);
  stopper s = {.after = -1};
  ace_callbacks notify = {.progress = watch, .cancelled = stop, .user = &s};
  ace_result *result = ace_generate(e, r, &notify, &err);
  assert_non_null(result);
  assert_false(s.fell);
  assert_true(s.calls > 50);
  ace_result_free(result);
  stopper cut = {.after = 30};
  notify.user = &cut;
  assert_null(ace_generate(e, r, &notify, &err));
  assert_int_equal(err.status, ACE_ECANCELED);
  ace_request_free(r);
  ace_engine_close(e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_planned_song_keeps_what_was_given),
      cmocka_unit_test(open_fields_come_out_in_range),
      cmocka_unit_test(items_are_the_same_together_and_apart),
      cmocka_unit_test(saved_plans_need_no_planner),
      cmocka_unit_test(a_song_can_be_understood),
      cmocka_unit_test(backends_plan_the_same_songs),
      cmocka_unit_test(a_plan_says_who_chose_what),
      cmocka_unit_test(decoding_without_the_grammar),
      cmocka_unit_test(planning_reports_and_stops),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
