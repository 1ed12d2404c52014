/* What a folder of songs becomes, what a user can change of it, and that nothing of that is lost on the way through the
 * file: hours of describing songs live in that JSON. Broken files beside the songs must cost that file alone. */
#include "train/dataset.h"

#include "dataset_testing.h"
#include "train/scan.h"
#include "train/sidecar.h"

static json_t *field(const dataset *d, int i, const char *name) {
  return json_object_get(d->sample[i].fields, name);
}

static int find(const dataset *d, const char *path) {
  for (int i = 0; i < d->n; i++)
    if (strstr(dataset_text(d, i, "audio_path"), path)) return i;
  fail_msg("no %s", path);
  return -1;
}

static void scan(const temp *t, dataset *d, heard *h, scan_report *found) {
  ace_error err = {0};
  ace_callbacks notify = {.log = hear, .user = h};
  if (dataset_scan(d, t->folder, "mine", &notify, found, &err) != ACE_OK) fail_msg("%s", err.message);
}

/* Every file beside a song counts, in the order of precedence that people rely on. */
static void test_scan(void **state) {
  temp t = temp_open();
  heard h = {{0}};
  dataset d;
  scan_report found;
  mkdir(temp_path(&t, "b"), 0700);
  folder_song(t.folder, "one.wav", 1.5, 200, 0.5);
  folder_song(t.folder, "b/one.wav", 1.5, 200, 0.5); /* same name, same content */
  folder_song(t.folder, "TWO.WAV", 2, 300, 0.5);
  folder_song(t.folder, "three.wav", 1, 400, 0.5);
  folder_song(t.folder, "four.wav", 1, 500, 0.5);
  folder_put(t.folder, "broken.mp3", "no sound at all");
  folder_put(t.folder, "notes.pdf", "x");
  assert_int_equal(symlink(t.folder, temp_path(&t, "b/loop")), 0);
  folder_put(t.folder, "one.caption.txt", "\xef\xbb\xbf  of the text file \n");
  folder_put(t.folder, "one.lyrics.txt", "la la\nla\n");
  folder_put(t.folder, "one.txt", "not these");
  folder_put(t.folder, "one.json", "{\"caption\": \"of the JSON\", \"bpm\": \"91.7\", \"keyscale\": \"C major\"}");
  folder_put(t.folder, "three.json", "{\"language\": \"de\", \"bpm\": 0, \"timesignature\": 3, \"genre\": \"folk\"}");
  folder_put(t.folder, "four.json", "{\"caption\": ");
  folder_put(
      t.folder, "key_bpm.csv",
      "\xef\xbb\xbf File ;Artist; BPM;Key;Caption\r\none.wav;x;120.9;\"A \"\"minor\"\"\";\r\nTWO.WAV;;fast;D major;"
      "\"from, the CSV\"\r\n");
  folder_put(t.folder, "other.csv", "name,tempo\nx,1\n");
  scan(&t, &d, &h, &found);
  assert_int_equal(d.n, 6);
  assert_string_equal(dataset_name(&d), "mine");
  assert_int_equal(found.json, 2);
  assert_int_equal(found.captions, 1);
  assert_int_equal(found.lyrics, 1);
  assert_int_equal(found.csv, 3); /* both songs of that name */
  assert_int_equal(found.failed, 0);
  assert_int_equal(find(&d, "TWO.WAV"), 0); /* bytewise order of paths */

  int one = find(&d, temp_path(&t, "one.wav"));
  assert_string_equal(dataset_text(&d, one, "caption"), "of the JSON");
  assert_string_equal(dataset_text(&d, one, "keyscale"), "A \"minor\"");
  assert_int_equal(json_integer_value(field(&d, one, "bpm")), 120);
  assert_string_equal(dataset_text(&d, one, "lyrics"), "la la\nla");
  assert_string_equal(dataset_text(&d, one, "raw_lyrics"), "la la\nla");
  assert_false(dataset_flag(&d, one, "is_instrumental"));
  assert_true(dataset_flag(&d, one, "labeled"));
  assert_int_equal(json_integer_value(field(&d, one, "duration")), 1);

  int two = find(&d, "TWO.WAV"), three = find(&d, "three.wav");
  assert_string_equal(dataset_text(&d, two, "caption"), "from, the CSV");
  assert_true(json_is_null(field(&d, two, "bpm")));
  assert_true(dataset_flag(&d, two, "labeled"));
  assert_true(dataset_flag(&d, two, "is_instrumental"));
  assert_string_equal(dataset_text(&d, two, "lyrics"), "[Instrumental]");
  assert_string_equal(dataset_text(&d, three, "language"), "de"); /* although all are instrumental by default */
  assert_false(dataset_flag(&d, three, "is_instrumental"));
  assert_string_equal(dataset_text(&d, three, "timesignature"), "3");
  assert_string_equal(dataset_text(&d, three, "genre"), "folk");
  assert_false(dataset_flag(&d, three, "labeled"));
  assert_int_equal(json_integer_value(field(&d, find(&d, "broken.mp3"), "duration")), 0);
  assert_non_null(strstr(h.text, "four.json: not valid JSON"));
  assert_non_null(strstr(h.text, "other.csv: its first line names no column"));
  assert_non_null(strstr(h.text, "broken.mp3: not a sound file"));
  assert_non_null(strstr(h.text, "one.wav has the same content as"));
  assert_non_null(strstr(h.text, "one.wav has the same name as"));

  /* The same folder gives the same ids again, so prepared files are found again. */
  dataset again;
  scan(&t, &again, &h, &found);
  for (int i = 0; i < d.n; i++) assert_string_equal(dataset_text(&d, i, "id"), dataset_text(&again, i, "id"));
  assert_int_equal(strlen(dataset_text(&d, 0, "id")), 8);
  char id[DATASET_ID];
  dataset none;
  ace_error err = {0};
  assert_int_equal(dataset_new(&none, "x", &err), ACE_OK);
  dataset_make_id(&none, "three.wav", id);
  assert_string_equal(dataset_text(&d, three, "id"), id);
  dataset_free(&none), dataset_free(&again), dataset_free(&d);
  folder_remove(&t);
}

static void test_scan_refusals(void **state) {
  temp t = temp_open();
  dataset d;
  scan_report found;
  ace_error err = {0};
  assert_int_not_equal(dataset_scan(&d, "", "x", NULL, &found, &err), ACE_OK);
  assert_int_not_equal(dataset_scan(&d, temp_path(&t, "gone"), "x", NULL, &found, &err), ACE_OK);
  expect_error(&err, ACE_ENOTFOUND, "gone", "Directory not found");
  temp_put(&t, "file", "x", 1);
  assert_int_not_equal(dataset_scan(&d, temp_path(&t, "file"), "x", NULL, &found, &err), ACE_OK);
  expect_error(&err, ACE_EINVAL, "file", "Not a directory");
  assert_int_not_equal(dataset_scan(&d, t.folder, "x", NULL, &found, &err), ACE_OK);
  expect_error(&err, ACE_ENOTFOUND, t.folder, "wav, mp3, flac");
  temp_close(&t);
}

static const char BOTH[] =
    "[{\"id\": \"a1\", \"filename\": \"x.wav\", \"caption\": \"c\", \"bpm\": 99.9, \"unknown\": [1]},"
    " {\"id\": \"a1\", \"audio_path\": \"/nowhere/y.wav\", \"is_instrumental\": false, \"bpm\": \"\","
    "  \"prompt_override\": \"else\", \"labeled\": true}]";

static void parse(dataset *d, const char *text, const char *folder) {
  ace_error err = {0};
  if (dataset_parse(d, text, strlen(text), folder, "mine.json", NULL, &err) != ACE_OK) fail_msg("%s", err.message);
}

/* Files of other programs come with fields missing, of other types, or as an array alone: all of it is understood, and
 * what is written has every key in its place. */
static void test_load_save(void **state) {
  temp t = temp_open();
  ace_error err = {0};
  dataset d, back;
  temp_put(&t, "x.wav", "", 0);
  parse(&d, BOTH, t.folder);
  assert_int_equal(d.n, 2);
  assert_string_equal(dataset_name(&d), "untitled");
  assert_string_equal(dataset_text(&d, 0, "audio_path"), temp_path(&t, "x.wav"));
  assert_false(d.sample[0].missing);
  assert_true(d.sample[1].missing);
  assert_int_equal(json_integer_value(field(&d, 0, "bpm")), 99);
  assert_true(json_is_null(field(&d, 1, "bpm")));
  assert_true(json_is_null(field(&d, 1, "prompt_override")));
  assert_string_not_equal(dataset_text(&d, 1, "id"), "a1"); /* two songs cannot share a file */
  assert_string_equal(dataset_text(&d, 1, "filename"), "y.wav");
  assert_null(field(&d, 0, "unknown"));
  assert_int_equal(dataset_set_tag(&d, "z\xc3\xbc", "append", &err), ACE_OK);
  assert_int_equal(dataset_save(&d, temp_path(&t, "out.json"), &err), ACE_OK);

  char text[8192] = "";
  FILE *f = fopen(temp_path(&t, "out.json"), "rb");
  assert_true(fread(text, 1, sizeof text - 1, f) > 0);
  fclose(f);
  static const char begin[] =
      "{\n  \"metadata\": {\n    \"name\": \"untitled\",\n    \"custom_tag\": \"z\xc3\xbc\",\n"
      "    \"tag_position\": \"append\",\n    \"created_at\": \"20";
  assert_memory_equal(text, begin, sizeof begin - 1);
  static const char *const keys[] = {"num_samples\": 2",
                                     "all_instrumental\": true",
                                     "genre_ratio\": 0",
                                     "samples\": [",
                                     "id\": \"a1\"",
                                     "audio_path\"",
                                     "filename\"",
                                     "caption\"",
                                     "genre\"",
                                     "lyrics\"",
                                     "raw_lyrics\"",
                                     "formatted_lyrics\"",
                                     "bpm\": 99",
                                     "keyscale\"",
                                     "timesignature\"",
                                     "duration\": 0",
                                     "language\": \"unknown\"",
                                     "is_instrumental\": true",
                                     "custom_tag\": \"z\xc3\xbc\"",
                                     "labeled\": false",
                                     "prompt_override\": null"};
  const char *at = text;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const char *found = strstr(at, keys[i]);
    if (!found) fail_msg("%s is not in its place", keys[i]);
    at = found;
  }
  assert_int_equal(dataset_load(&back, temp_path(&t, "out.json"), NULL, &err), ACE_OK);
  for (int i = 0; i < d.n; i++) assert_true(json_equal(d.sample[i].fields, back.sample[i].fields));
  assert_true(back.sample[1].decided); /* it differs from what was said of all */
  dataset_free(&d), dataset_free(&back);
  temp_close(&t);
}

static void test_load_refusals(void **state) {
  static const struct {
    const char *text, *says;
  } cases[] = {
      {"{\"samples\": 1}", "samples: not an array"},
      {"{}", "samples: not an array"},
      {"{\"metadata\": 3, \"samples\": []}", "metadata: not an object"},
      {"{\"metadata\": {\"tag_position\": \"above\"}, \"samples\": []}", "prepend, append or replace"},
      {"{\"metadata\": {\"genre_ratio\": 101}, \"samples\": []}", "0..100"},
      {"[[]]", "sample 0: not an object"},
      {"[{}, {\"id\": \"../../etc/x\"}]", "sample 1: id"},
      {"[{\"caption\": {}}]", "sample 0: caption: not text"},
      {"[{\"lyrics\": \"a\\u0000b\"}]", "lyrics: a NUL"},
      {"[{\"labeled\": \"perhaps\"}]", "labeled: not true or false"},
      {"[{\"a\": 1, \"a\": 2}]", "not valid JSON"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    dataset d;
    ace_error err = {0};
    assert_int_not_equal(dataset_parse(&d, cases[i].text, strlen(cases[i].text), "/", "mine.json", NULL, &err), ACE_OK);
    expect_error(&err, err.status, i == 3 || i == 4 ? "" : "mine.json", cases[i].says);
    assert_int_equal(d.n, 0);
  }
}

/* Switching "all instrumental" back and forth must not eat lyrics, nor override what was said of one song. */
static void test_instrumental(void **state) {
  ace_error err = {0};
  dataset d;
  parse(&d,
        "[{\"id\": \"raw\", \"raw_lyrics\": \"from a file\"},"
        " {\"id\": \"lm\", \"lyrics\": \"by the model\", \"formatted_lyrics\": \"by the model\", \"language\": \"fr\"},"
        " {\"id\": \"said\", \"is_instrumental\": false, \"lyrics\": \"\"}]",
        "/");
  assert_int_equal(dataset_set_instrumental(&d, true, &err), ACE_OK);
  assert_string_equal(dataset_text(&d, 0, "lyrics"), "from a file");
  assert_false(dataset_flag(&d, 0, "is_instrumental"));
  assert_string_equal(dataset_text(&d, 1, "lyrics"), "[Instrumental]");
  assert_string_equal(dataset_text(&d, 1, "language"), "unknown");
  assert_true(dataset_flag(&d, 1, "is_instrumental"));
  assert_false(dataset_flag(&d, 2, "is_instrumental"));
  assert_int_equal(dataset_set_instrumental(&d, false, &err), ACE_OK);
  assert_string_equal(dataset_text(&d, 1, "lyrics"), "by the model");
  assert_false(dataset_flag(&d, 1, "is_instrumental"));
  dataset_free(&d);
}

/* An edit changes what it names, labels the song, and is refused as a whole when a part of it is wrong. */
static void test_edit(void **state) {
  ace_error err = {0};
  dataset d;
  parse(&d, "[{\"id\": \"a\", \"raw_lyrics\": \"raw\"}]", "/");
  json_t *changes = json_pack("{s:s, s:s, s:i, s:s, s:b, s:s}", "caption", "slow", "lyrics", "mine", "bpm", 0,
                              "language", "en", "is_instrumental", 0, "prompt_override", "genre");
  assert_int_equal(dataset_edit(&d, 0, changes, &err), ACE_OK);
  assert_string_equal(dataset_text(&d, 0, "formatted_lyrics"), "mine");
  assert_string_equal(dataset_text(&d, 0, "raw_lyrics"), "raw");
  assert_true(json_is_null(field(&d, 0, "bpm")));
  assert_true(dataset_flag(&d, 0, "labeled"));
  assert_true(d.sample[0].decided);
  json_object_set_new(changes, "is_instrumental", json_true());
  assert_int_equal(dataset_edit(&d, 0, changes, &err), ACE_OK);
  assert_string_equal(dataset_text(&d, 0, "lyrics"), "[Instrumental]");
  assert_string_equal(dataset_text(&d, 0, "language"), "unknown");
  assert_string_equal(dataset_text(&d, 0, "formatted_lyrics"), "");
  json_object_set_new(changes, "caption", json_string("not this"));
  json_object_set_new(changes, "audio_path", json_string("/etc/passwd"));
  assert_int_not_equal(dataset_edit(&d, 0, changes, &err), ACE_OK);
  expect_error(&err, ACE_EINVAL, "sample 0", "audio_path");
  assert_string_equal(dataset_text(&d, 0, "caption"), "slow");
  assert_int_not_equal(dataset_edit(&d, 1, changes, &err), ACE_OK);
  expect_error(&err, ACE_EINVAL, "sample 1", "0..0");
  json_decref(changes);
  dataset_free(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scan),          cmocka_unit_test(test_scan_refusals), cmocka_unit_test(test_load_save),
      cmocka_unit_test(test_load_refusals), cmocka_unit_test(test_instrumental),  cmocka_unit_test(test_edit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
