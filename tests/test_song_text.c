/* The words that a song is trained under, to the byte: a blank too many teaches the model a prompt that nobody will ever
 * write. */
#include "train/song_text.h"

#include "temp.h"

static dataset one(const char *metadata, const char *fields) {
  char text[2048];
  dataset d;
  ace_error err = {0};
  snprintf(text, sizeof text, "{\"metadata\": {%s}, \"samples\": [{\"id\": \"a\", \"labeled\": true, %s}]}", metadata,
           fields);
  if (dataset_parse(&d, text, strlen(text), "/nowhere", "x", NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  return d;
}

static void expect(const char *position, const char *tag, const char *fields, bool by_genre, const char *caption,
                   const char *metas) {
  char metadata[256], whole[1024];
  ace_error err = {0};
  song_text t;
  snprintf(metadata, sizeof metadata, "\"custom_tag\": \"%s\", \"tag_position\": \"%s\"", tag, position);
  dataset d = one(metadata, fields);
  assert_int_equal(song_text_make(&d, 0, by_genre, 61.9, SONG_TEXT_MATCHED, &t, &err), ACE_OK);
  snprintf(whole, sizeof whole,
           "# Instruction\nFill the audio semantic mask based on the given conditions:\n\n# Caption\n%s\n\n# Metas\n%s"
           "- duration: 61 seconds\n<|endoftext|>\n",
           caption, metas);
  assert_string_equal(t.prompt, whole);
  assert_string_equal(t.caption, caption);
  song_text_free(&t);
  dataset_free(&d);
}

#define UNKNOWN "- bpm: N/A\n- timesignature: N/A\n- keyscale: N/A\n"
#define BOTH    "\"caption\": \"slow waltz\", \"genre\": \"folk, waltz\""

static void test_prompt(void **state) {
  static const char known[] = BOTH ", \"bpm\": 90, \"timesignature\": \"3\", \"keyscale\": \"D minor\"";
  static const char metas[] = "- bpm: 90\n- timesignature: 3\n- keyscale: D minor\n";
  expect("prepend", "zx", BOTH, false, "zx, slow waltz", UNKNOWN);
  expect("append", "zx", BOTH, false, "slow waltz, zx", UNKNOWN);
  expect("replace", "zx", BOTH, false, "zx", UNKNOWN);
  expect("prepend", "", BOTH, false, "slow waltz", UNKNOWN);
  expect("prepend", "zx", BOTH, true, "zx, folk, waltz", UNKNOWN);
  expect("append", "zx", BOTH, true, "folk, waltz, zx", UNKNOWN);
  expect("replace", "zx", BOTH, true, "zx", UNKNOWN);
  expect("prepend", "zx", "\"caption\": \"\"", false, "zx", UNKNOWN);
  expect("append", "zx", "\"caption\": \"\"", false, "zx", UNKNOWN);
  expect("append", "zx", known, false, "slow waltz, zx", metas);
  expect("prepend", "", BOTH ", \"prompt_override\": \"genre\"", false, "folk, waltz", UNKNOWN);
  expect("prepend", "", BOTH ", \"prompt_override\": \"caption\"", true, "slow waltz", UNKNOWN);
  expect("prepend", "", "\"caption\": \"c\", \"prompt_override\": \"genre\"", false, "c", UNKNOWN);
  expect("prepend", "zx", BOTH ", \"custom_tag\": \"qq\"", false, "qq, slow waltz", UNKNOWN); /* its own goes first */
  expect("append", "", BOTH ", \"custom_tag\": \"qq\"", false, "slow waltz, qq", UNKNOWN);
  expect("append", "zx", BOTH ", \"custom_tag\": \"\"", false, "slow waltz, zx", UNKNOWN);
}

static void expect_lyrics(const char *fields, song_text_profile profile, const char *lyrics) {
  ace_error err = {0};
  song_text t;
  dataset d = one("", fields);
  assert_int_equal(song_text_make(&d, 0, false, 10, profile, &t, &err), ACE_OK);
  assert_string_equal(t.lyrics, lyrics);
  song_text_free(&t);
  dataset_free(&d);
}

/* As inference: language and lyrics in its frame. As the Python trainer: lyrics alone. */
static void test_lyrics(void **state) {
  static const char sung[] = "\"lyrics\": \"la\\nla\", \"language\": \"de\", \"is_instrumental\": false";
  expect_lyrics(sung, SONG_TEXT_MATCHED, "# Languages\nde\n\n# Lyric\nla\nla<|endoftext|>");
  expect_lyrics(sung, SONG_TEXT_REFERENCE, "la\nla");
  expect_lyrics("\"language\": \"de\"", SONG_TEXT_MATCHED,
                "# Languages\nunknown\n\n# Lyric\n[Instrumental]<|endoftext|>");
  expect_lyrics("\"is_instrumental\": false, \"lyrics\": \" \"", SONG_TEXT_REFERENCE, "[Instrumental]");
}

/* The Python trainer says how long the file is, not how much of it is trained. */
static void test_reference_duration(void **state) {
  ace_error err = {0};
  song_text t;
  dataset d = one("", "\"caption\": \"c\", \"duration\": 300.7");
  assert_int_equal(song_text_make(&d, 0, false, 240, SONG_TEXT_REFERENCE, &t, &err), ACE_OK);
  assert_non_null(strstr(t.prompt, "- duration: 300 seconds\n"));
  song_text_free(&t);
  dataset_free(&d);
}

/* The share of genres is exact, and the same samples are chosen every time. */
static void test_genre_ratio(void **state) {
  enum { N = 41 };
  ace_error err = {0};
  dataset d;
  bool first[N], again[N];
  assert_int_equal(dataset_new(&d, "x", &err), ACE_OK);
  for (int i = 0; i < N; i++) {
    json_t *fields = json_pack("{s:b}", "labeled", i % 4 != 3);
    assert_int_equal(dataset_add(&d, fields, false, "x", &err), ACE_OK);
    json_decref(fields);
  }
  const int labeled = dataset_labeled(&d);
  for (int percent = 0; percent <= 100; percent += 10) {
    int chosen = 0;
    assert_int_equal(dataset_set_genre_ratio(&d, percent, &err), ACE_OK);
    song_text_choose(&d, first);
    song_text_choose(&d, again);
    for (int i = 0; i < N; i++) {
      assert_int_equal(first[i], again[i]);
      assert_true(!first[i] || dataset_flag(&d, i, "labeled"));
      chosen += first[i];
    }
    assert_int_equal(chosen, labeled * percent / 100);
  }
  assert_int_not_equal(dataset_set_genre_ratio(&d, 101, &err), ACE_OK);
  dataset_free(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_prompt),
      cmocka_unit_test(test_lyrics),
      cmocka_unit_test(test_reference_duration),
      cmocka_unit_test(test_genre_ratio),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
