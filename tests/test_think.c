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
      cmocka_unit_test(planning_reports_and_stops),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
