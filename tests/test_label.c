/* What becomes of the language model's answers: they fill what is open, never what somebody wrote, and lyrics that it
 * made up must not be trained. And what a check finds in songs before they cost a night. */
#include "train/label.h"

#include "dataset_testing.h"
#include "train/check.h"
#include "train/scan.h"

static dataset one(const char *fields) {
  char text[1024];
  dataset d;
  ace_error err = {0};
  snprintf(text, sizeof text, "[{\"id\": \"a\", \"filename\": \"my_slow-song.mp3\", %s}]", fields);
  if (dataset_parse(&d, text, strlen(text), "/nowhere", "x", NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  return d;
}

static const char ANSWER[] =
    "{\"caption\": \"slow waltz\", \"lyrics\": \"made up\", \"bpm\": 90, \"keyscale\": \"D minor\","
    "\"vocal_language\": \"fr\", \"timesignature\": \"3\", \"result\": {\"genres\": \"folk\"}}";

static dataset labeled(const char *fields, const label_options *o, label_way way, const char *remark) {
  ace_error err = {0};
  dataset d = one(fields);
  json_t *answer = json_loads(ANSWER, 0, NULL);
  assert_int_equal(label_way_of(&d, 0, o), way);
  assert_int_equal(label_take(&d, 0, way, o, way == LABEL_NAME ? NULL : answer, &err), ACE_OK);
  assert_true(dataset_flag(&d, 0, "labeled"));
  assert_string_equal(label_remark(&d, 0, way, o), remark);
  json_decref(answer);
  return d;
}

static void expect(dataset d, const char *lyrics, const char *formatted, const char *language, const char *key) {
  assert_string_equal(dataset_text(&d, 0, "lyrics"), lyrics);
  assert_string_equal(dataset_text(&d, 0, "formatted_lyrics"), formatted);
  assert_string_equal(dataset_text(&d, 0, "language"), language);
  assert_string_equal(dataset_text(&d, 0, "keyscale"), key);
  dataset_free(&d);
}

#define VOICE "\"is_instrumental\": false, \"lyrics\": \"[Instrumental]\""
#define WORDS "\"is_instrumental\": false, \"raw_lyrics\": \"la\", \"lyrics\": \"la\""

static void test_lyrics(void **state) {
  static const label_options none = {0}, transcribe = {.transcribe_lyrics = true}, format = {.format_lyrics = true};
  expect(labeled("\"is_instrumental\": true", &transcribe, LABEL_LISTEN, "(instrumental)"), "[Instrumental]", "",
         "unknown", "D minor");
  expect(labeled(VOICE, &transcribe, LABEL_LISTEN, "(lyrics transcribed by LM)"), "made up", "made up", "fr",
         "D minor");
  expect(labeled(WORDS, &none, LABEL_LISTEN, "(using raw lyrics)"), "la", "", "fr", "D minor");
  expect(labeled(VOICE, &none, LABEL_LISTEN, "(needs lyrics)"), "", "", "fr", "D minor");
  expect(labeled(WORDS, &format, LABEL_FORMAT, "(lyrics formatted by LM)"), "made up", "made up", "fr", "D minor");
  expect(labeled(VOICE, &format, LABEL_LISTEN, "(needs lyrics)"), "", "", "fr", "D minor");
  expect(labeled("\"is_instrumental\": false, \"lyrics\": \"typed\"", &none, LABEL_LISTEN, "(its lyrics stay)"),
         "typed", "", "fr", "D minor");
}

static void test_fields(void **state) {
  ace_error err = {0};
  static const label_options none = {0}, skip = {.skip_metas = true},
                             only = {.skip_metas = true, .captions_only = true};
  dataset d = labeled("\"bpm\": 120, \"keyscale\": \"C major\", \"language\": \"de\", " VOICE, &none, LABEL_LISTEN,
                      "(needs lyrics)");
  assert_int_equal(json_integer_value(json_object_get(d.sample[0].fields, "bpm")), 120); /* given ones stay */
  assert_string_equal(dataset_text(&d, 0, "timesignature"), "3");
  assert_string_equal(dataset_text(&d, 0, "caption"), "slow waltz");
  assert_string_equal(dataset_text(&d, 0, "genre"), "folk");
  expect(d, "", "", "de", "C major");
  d = labeled("\"bpm\": null", &only, LABEL_LISTEN, "(instrumental)");
  assert_true(json_is_null(json_object_get(d.sample[0].fields, "bpm")));
  assert_string_equal(dataset_text(&d, 0, "caption"), "slow waltz");
  expect(d, "[Instrumental]", "", "unknown", "");
  d = labeled("\"bpm\": null", &skip, LABEL_NAME, "(instrumental)");
  assert_string_equal(dataset_text(&d, 0, "caption"), "my slow song");
  dataset_free(&d);
  d = labeled("\"caption\": \"mine\"", &skip, LABEL_NAME, "(instrumental)");
  assert_string_equal(dataset_text(&d, 0, "caption"), "mine");
  dataset_free(&d);

  /* An answer without a caption changes nothing. */
  d = one("\"caption\": \"mine\"");
  json_t *before = json_deep_copy(d.sample[0].fields), *empty = json_pack("{s:n, s:i}", "caption", "bpm", 7);
  assert_int_equal(label_take(&d, 0, LABEL_LISTEN, &none, empty, &err), ACE_EFORMAT);
  assert_true(json_equal(before, d.sample[0].fields));
  json_decref(before), json_decref(empty);
  dataset_free(&d);
}

static void test_wanted(void **state) {
  static const label_options all = {0}, open = {.only_unlabeled = true};
  dataset d = one("\"labeled\": true, \"caption\": \"c\"");
  assert_true(label_wanted(&d, 0, &all));
  assert_false(label_wanted(&d, 0, &open));
  json_object_set_new(d.sample[0].fields, "caption", json_string(" "));
  assert_true(label_wanted(&d, 0, &open));
  dataset_free(&d);
}

typedef struct found {
  char text[2048];
  const dataset *d;
} found;

static void note(void *user, int i, const char *kind, const char *message) {
  found *f = user;
  size_t n = strlen(f->text);
  snprintf(f->text + n, sizeof f->text - n, "%s %s;", dataset_text(f->d, i, "filename"), kind);
}

/* Each kind of trouble is found where it is, and nowhere else. */
static void test_check(void **state) {
  temp t = temp_open();
  ace_error err = {0};
  dataset d;
  scan_report scanned;
  folder_song(t.folder, "a_good.wav", 1.5, 200, 0.9);
  folder_song(t.folder, "b_clipped.wav", 1.5, 100, 3);
  folder_song(t.folder, "c_short.wav", 0.5, 210, 0.9);
  folder_song(t.folder, "d_silent.wav", 1.5, 200, 0);
  folder_song(t.folder, "e_long.wav", 4, 200, 0.9);
  folder_song(t.folder, "f_good.wav", 1.5, 200, 0.9); /* = a_good */
  folder_put(t.folder, "g.mp3", "none");
  assert_int_equal(dataset_scan(&d, t.folder, "x", NULL, &scanned, &err), ACE_OK);
  for (int i = 0; i < d.n; i++) json_object_set_new(d.sample[i].fields, "labeled", json_true());
  for (int i = 0; i < d.n; i++) json_object_set_new(d.sample[i].fields, "caption", json_string("c"));
  json_object_set_new(d.sample[5].fields, "labeled", json_false());
  json_object_set_new(d.sample[4].fields, "duration", json_integer(9));
  assert_int_equal(unlink(temp_path(&t, "c_short.wav")), 0);
  folder_song(t.folder, "c_short.wav", 0.4, 210, 0.9);
  found f = {.d = &d};
  assert_int_equal(dataset_check(&d, 3, NULL, note, &f, &err), ACE_OK);
  assert_string_equal(f.text,
                      "b_clipped.wav clipped;c_short.wav short;d_silent.wav silent;e_long.wav long;e_long.wav length;"
                      "f_good.wav unlabeled;g.mp3 unreadable;f_good.wav content;");
  dataset_free(&d);
  folder_remove(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lyrics),
      cmocka_unit_test(test_fields),
      cmocka_unit_test(test_wanted),
      cmocka_unit_test(test_check),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
