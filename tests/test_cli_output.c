/* What the command line shows and where it puts songs: names, the progress line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/output.h"
#include "cli/terminal.h"

/* ---- names ------------------------------------------------------------------------------------------------------ */

static void expect_slug(const char *text, const char *wanted) {
  char *slug = output_slug(text);
  assert_non_null(slug);
  assert_string_equal(slug, wanted);
  free(slug);
}

static void test_slug(void **state) {
  expect_slug("Jazz Trio, in a smoky bar!", "jazz-trio-in-a-smoky-bar");
  expect_slug("", "song");
  expect_slug("../../etc/passwd", "etc-passwd");
  expect_slug("  --- ", "song");
  expect_slug("a\nb\tc", "a-b-c");
  expect_slug("Zürich 音楽", "zürich-音楽");
  /* 48 bytes, and no half of a character */
  expect_slug("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  expect_slug("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa音楽", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  expect_slug("音音音音音音音音音音音音音音音音音音", "音音音音音音音音音音音音音音音音");
}

static void test_json_path(void **state) {
  static const char *const pairs[][2] = {{"song.flac", "song.json"},
                                         {"a.b/song", "a.b/song.json"},
                                         {".hidden", ".hidden.json"},
                                         {"x.tar.gz", "x.tar.json"}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    char *json = output_json_path(pairs[i][0]);
    assert_string_equal(json, pairs[i][1]);
    free(json);
  }
}

static char folder[] = "/tmp/acestep-cli-XXXXXX";

static int make_folder(void **state) {
  strcpy(folder + strlen(folder) - 6, "XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  return rmdir(folder);
}

static void put(const char *name, const char *text) {
  char *path = file_join(folder, name);
  assert_int_equal(file_write(path, text, strlen(text), NULL), ACE_OK);
  free(path);
}

static void drop(const char *name) {
  char *path = file_join(folder, name);
  assert_int_equal(unlink(path), 0);
  free(path);
}

static ace_request *request(const char *caption, const char *batch) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  assert_int_equal(ace_request_set(r, "caption", caption, NULL), ACE_OK);
  assert_int_equal(ace_request_set(r, "batch_size", batch, NULL), ACE_OK);
  return r;
}

/* Made names never take the place of another song, and the same song again does not multiply. */
static void test_made_names(void **state) {
  ace_error err = {0};
  output o;
  ace_request *r = request("Rain", "1");
  assert_int_equal(output_plan(&o, folder, false, r, &err), ACE_OK);
  assert_string_equal(req_format_name(r), "flac");
  char *first = output_path(&o, 0, 7);
  assert_string_equal(first + strlen(folder), "/rain-7.flac");
  put("rain-7.flac", "one song");
  put("rain-7.json", "{}");
  char *second = output_path(&o, 0, 7);
  assert_string_equal(second + strlen(folder), "/rain-7-2.flac");
  put("rain-7-2.flac", "another");
  put("rain-7-2.json", "{}");
  assert_false(output_merge(&o, 7, &second));
  put("rain-7-2.flac", "one song");
  assert_true(output_merge(&o, 7, &second));
  assert_string_equal(second, first);
  assert_false(file_exists("rain-7-2.flac"));
  drop("rain-7.flac");
  drop("rain-7.json");
  free(first), free(second);
  output_free(&o);
  ace_request_free(r);
}

static void test_batch_names(void **state) {
  output o;
  ace_request *r = request("Rain", "2");
  char *path = file_join(folder, "a.b.mp3");
  assert_int_equal(output_plan(&o, path, false, r, NULL), ACE_OK);
  assert_string_equal(req_format_name(r), "mp3");
  char *second = output_path(&o, 1, 7);
  assert_string_equal(second + strlen(folder), "/a.b-2.mp3");
  free(second), free(path);
  output_free(&o);
  ace_request_free(r);
}

static void expect_format(const char *name, const char *asked, const char *wanted) {
  output o;
  ace_error err = {0};
  ace_request *r = request("Rain", "1");
  char *path = file_join(folder, name);
  if (*asked) assert_int_equal(ace_request_set(r, "audio_format", asked, NULL), ACE_OK);
  assert_int_equal(output_plan(&o, path, *asked != 0, r, &err), ACE_OK);
  assert_string_equal(req_format_name(r), wanted);
  free(path);
  output_free(&o);
  ace_request_free(r);
}

static void test_format(void **state) {
  expect_format("x.WAV", "", "wav");
  expect_format("x.ogg", "", "opus");
  expect_format("x.wav", "wav32", "wav32");
  expect_format("x.anything", "mp3", "mp3");
}

/* A place that cannot be written to is known before minutes of work. */
static void test_refused_places(void **state) {
  static const struct {
    const char *path, *says;
  } cases[] = {{"nowhere/x.flac", "there is no folder"}, {"x.xyz", ".flac"}, {"x", ".flac"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    output o;
    ace_error err = {0};
    ace_request *r = request("Rain", "1");
    char *path = file_join(folder, cases[i].path);
    assert_int_not_equal(output_plan(&o, path, false, r, &err), ACE_OK);
    assert_non_null(strstr(err.message, cases[i].says));
    free(path);
    output_free(&o);
    ace_request_free(r);
  }
  output o;
  ace_error err = {0};
  ace_request *r = request("Rain", "1");
  assert_int_equal(output_plan(&o, "-", false, r, &err), ACE_EINVAL);
  output_free(&o);
  ace_request_free(r);
}

/* ---- the progress line ------------------------------------------------------------------------------------------- */

static void test_time(void **state) {
  char out[TERM_TIME_SIZE];
  assert_string_equal(term_time(0, out), "0:00");
  assert_string_equal(term_time(41.6, out), "0:42");
  assert_string_equal(term_time(725, out), "12:05");
  assert_string_equal(term_time(3753, out), "1:02:33");
  assert_string_equal(term_time(-1, out), "0:00");
  assert_string_equal(term_time(1e300, out), "99:00:00");
}

static void test_line(void **state) {
  char out[256];
  ace_progress p = {.stage = "diffuse", .fraction = 0.5, .seconds_left = 65, .step = 3, .steps = 8};
  term_format(out, sizeof out, &p, 79);
  assert_string_equal(out, "diffuse 3/8  [###############---------------]   50%  1:05 left");
  term_format(out, sizeof out, &p, 45);
  assert_string_equal(out, "diffuse 3/8  [######-------]   50%  1:05 left");
  term_format(out, sizeof out, &p, 30);
  assert_string_equal(out, "diffuse 3/8   50%  1:05 left");
  p.seconds_left = -1;
  p.steps = 0;
  term_format(out, sizeof out, &p, 30);
  assert_string_equal(out, "diffuse 3  [#####------]   50%");
  p.rate = 21.26;
  term_format(out, sizeof out, &p, 30);
  assert_string_equal(out, "diffuse 3  21.3/s   50%");
  p.rate = 0;
  p.step = 0;
  term_format(out, sizeof out, &p, 30);
  assert_string_equal(out, "diffuse  [######-------]   50%");
}

/* A line that wraps cannot be redrawn in place: it never passes the width, whatever the numbers are. */
static void test_line_fits(void **state) {
  static const double fractions[] = {-1, 0, 0.999, 1, 7}, left[] = {-1, 0, 1e9};
  for (int columns = 0; columns < 130; columns++) {
    for (int i = 0; i < 15; i++) {
      char out[256];
      ace_progress p = {.stage = "a stage with a very long name",
                        .fraction = fractions[i % 5],
                        .seconds_left = left[i / 5],
                        .rate = i % 2 ? 1e300 : 0,
                        .step = 199,
                        .steps = 200};
      term_format(out, sizeof out, &p, columns);
      assert_true(strlen(out) <= (size_t)columns);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_slug),
      cmocka_unit_test(test_json_path),
      cmocka_unit_test_setup_teardown(test_made_names, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(test_batch_names, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(test_format, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(test_refused_places, make_folder, remove_folder),
      cmocka_unit_test(test_time),
      cmocka_unit_test(test_line),
      cmocka_unit_test(test_line_fits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
