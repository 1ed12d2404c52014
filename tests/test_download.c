/* Downloading models: what is complete appears, nothing else does, whatever the hub or the line does in between. */
#include "stand_in_hub.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "net/download.h"

typedef struct scene {
  hub_site site;
  temp folder;
  hub hub;
  download download;
  ace_callbacks notify;
  double last_fraction, cancel_at; /* cancels when more than that has arrived; 0: never */
} scene;

static bool cancelled(void *user) {
  scene *s = user;
  return s->cancel_at > 0 && s->last_fraction > s->cancel_at;
}

static void on_progress(void *user, const ace_progress *p) {
  scene *s = user;
  assert_string_equal(p->stage, "download");
  assert_true(p->fraction >= 0 && p->fraction <= 1);
  s->last_fraction = p->fraction;
}

static int set_up(void **state) {
  scene *s = calloc(1, sizeof *s);
  hub_site_open(&s->site);
  s->folder = temp_open();
  s->hub = (hub){.kind = HUB_HUGGINGFACE, .endpoint = s->site.endpoint};
  s->notify = (ace_callbacks){.progress = on_progress, .cancelled = cancelled, .user = s};
  s->download = (download){
      .models = s->folder.folder, .hub = &s->hub, .model = catalog_find("vae"), .at_once = 3, .notify = &s->notify};
  *state = s;
  return 0;
}

static int tear_down(void **state) {
  scene *s = *state;
  char command[400];
  hub_site_close(&s->site);
  snprintf(command, sizeof command, "rm -rf '%s'", s->folder.folder);
  int code = system(command);
  free(s);
  return code;
}

static ace_status fetch(scene *s, ace_error *err) {
  hub_listing l;
  ace_status status = hub_list(&s->hub, s->download.model, NULL, &s->notify, &l, err);
  if (status != ACE_OK) return status;
  status = download_fetch(&s->download, &l, err);
  hub_listing_free(&l);
  return status;
}

static bool holds(scene *s, const char *name, const char *data, size_t n) {
  char *got = malloc(n + 1);
  FILE *f = fopen(temp_path(&s->folder, name), "rb");
  bool same = f && fread(got, 1, n + 1, f) == n && memcmp(got, data, n) == 0;
  if (f) fclose(f);
  free(got);
  return same;
}

static bool is_there(scene *s, const char *name) {
  return access(temp_path(&s->folder, name), F_OK) == 0;
}

static void expect_complete(scene *s) {
  assert_true(holds(s, "vae/config.json", hub_config, sizeof hub_config - 1));
  assert_true(holds(s, "vae/diffusion_pytorch_model.safetensors", s->site.weights, HUB_WEIGHTS));
  assert_true(holds(s, "vae/extra.txt", "extra", 5));
  assert_false(is_there(s, "vae/model.py"));
  assert_false(is_there(s, ".partial"));
  assert_int_equal(download_look(s->folder.folder, "vae").kind, DOWNLOAD_COMPLETE);
  assert_true(s->last_fraction == 1);
}

static void expect_success(scene *s) {
  ace_error err = {0};
  if (fetch(s, &err) != ACE_OK) fail_msg("%s", err.message);
  expect_complete(s);
}

static void expect_failure(scene *s, ace_status status, const char *says) {
  ace_error err = {0};
  assert_int_equal(fetch(s, &err), status);
  if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
  assert_false(is_there(s, "vae"));
}

/* ---- well-behaved hubs ------------------------------------------------------------------------------------------- */

static void test_hugging_face(void **state) {
  scene *s = *state;
  s->hub.token = "right";
  hub_listing l;
  assert_int_equal(hub_list(&s->hub, s->download.model, NULL, NULL, &l, NULL), ACE_OK);
  assert_string_equal(l.licence, "mit");
  assert_string_equal(l.revision, "0123abcd");
  assert_int_equal(l.n, 3);
  assert_int_equal(l.bytes, HUB_WEIGHTS + sizeof hub_config - 1 + 5);
  hub_listing_free(&l);
  strcpy(s->site.key_at_far, "unset");
  expect_success(s);
  assert_string_equal(s->site.key_at_far, ""); /* the key stays with the hub */
}

static void test_modelscope(void **state) {
  scene *s = *state;
  s->hub.kind = HUB_MODELSCOPE;
  hub_listing l;
  assert_int_equal(hub_list(&s->hub, s->download.model, "*.safetensors", NULL, &l, NULL), ACE_OK);
  assert_string_equal(l.licence, "MIT License");
  assert_int_equal(l.n, 1); /* the pattern chooses */
  hub_listing_free(&l);
  expect_success(s);
}

static void test_keys(void **state) {
  scene *s = *state;
  s->site.fault = HUB_LOCKED;
  expect_failure(s, ACE_EINVAL, "wants a key");
  s->hub.token = "wrong";
  expect_failure(s, ACE_EINVAL, "is the key right");
}

/* ---- lines that break -------------------------------------------------------------------------------------------- */

static void test_a_broken_line_is_resumed(void **state) {
  scene *s = *state;
  s->site.fault = HUB_CUT;
  expect_success(s);
  assert_int_equal(s->site.data_requests, 3);
  assert_int_equal(s->site.resumed, 2);
}

static void test_the_next_run_continues(void **state) {
  scene *s = *state;
  s->site.fault = HUB_CUT_ALWAYS;
  expect_failure(s, ACE_EIO, "broke off");
  download_state there = download_look(s->folder.folder, "vae");
  assert_int_equal(there.kind, DOWNLOAD_PARTIAL);
  assert_true(there.bytes > HUB_WEIGHTS / 2 && there.bytes < there.total);
  s->site.fault = HUB_WELL;
  s->site.resumed = 0;
  expect_success(s);
  assert_int_equal(s->site.resumed, 1);
}

static void test_a_hub_without_ranges(void **state) {
  scene *s = *state;
  s->site.fault = HUB_NO_RANGES;
  expect_success(s);
}

/* A part that somebody damaged would give a wrong file if it were merely continued. */
static void test_a_damaged_part_is_found(void **state) {
  scene *s = *state;
  s->site.fault = HUB_CUT_ALWAYS;
  expect_failure(s, ACE_EIO, "broke off");
  s->site.fault = HUB_WELL;
  FILE *f = fopen(temp_path(&s->folder, ".partial/vae/diffusion_pytorch_model.safetensors"), "r+b");
  assert_non_null(f);
  fputs("damage", f);
  fclose(f);
  expect_success(s);
}

static void test_cancelling_keeps_the_part(void **state) {
  scene *s = *state;
  s->site.fault = HUB_TRICKLE;
  s->cancel_at = 0.002;
  expect_failure(s, ACE_ECANCELED, "cancelled");
  assert_int_equal(download_look(s->folder.folder, "vae").kind, DOWNLOAD_PARTIAL);
  s->site.fault = HUB_WELL;
  s->cancel_at = 0;
  s->site.resumed = 0;
  expect_success(s);
  assert_int_equal(s->site.resumed, 1);
}

/* ---- hubs that lie ----------------------------------------------------------------------------------------------- */

static void test_wrong_content(void **state) {
  scene *s = *state;
  s->site.fault = HUB_WRONG_BYTES;
  expect_failure(s, ACE_EFORMAT, "SHA-256");
  assert_int_equal(s->site.data_requests, 2);
  s->site.data_requests = 0;
  s->site.fault = HUB_WRONG_ONCE;
  expect_success(s);
}

static void test_lies(void **state) {
  scene *s = *state;
  s->site.fault = HUB_MISSING;
  expect_failure(s, ACE_ENOTFOUND, "HTTP 404");
  s->site.fault = HUB_TOO_MANY; /* what has come up to the limit is right and stays: the next try may find all of it */
  expect_failure(s, ACE_EFORMAT, "more than");
  s->site.fault = HUB_ESCAPE;
  expect_failure(s, ACE_EFORMAT, "does not belong");
  s->site.fault = HUB_GARBAGE;
  expect_failure(s, ACE_EFORMAT, "not valid JSON");
  s->hub.kind = HUB_MODELSCOPE;
  expect_failure(s, ACE_EFORMAT, "not valid JSON");
}

static void test_paths(void **state) {
  static const char *const good[] = {"a", "a/b.json", "model-00001-of-00002.safetensors", "a b"};
  static const char *const bad[] = {"",  "/a",      "a/",   "a//b", "..",   "../a",   "a/../b",
                                    ".", ".hidden", "a/.b", "a\\b", "a\nb", "a/\x7f", " a"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(hub_safe_path(good[i]));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(hub_safe_path(bad[i]));
}

/* ---- disks ------------------------------------------------------------------------------------------------------- */

static void test_too_large_for_the_disk(void **state) {
  scene *s = *state;
  s->site.fault = HUB_HUGE;
  expect_failure(s, ACE_EIO, "only");
  assert_int_equal(s->site.data_requests, 0);
}

/* A limit on the size of files fails the write as a full disk does. */
static void test_a_write_that_fails(void **state) {
  scene *s = *state;
  struct rlimit before, small;
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = 100000;
  setrlimit(RLIMIT_FSIZE, &small);
  expect_failure(s, ACE_EIO, "cannot write");
  setrlimit(RLIMIT_FSIZE, &before);
  assert_int_equal(download_look(s->folder.folder, "vae").kind, DOWNLOAD_PARTIAL);
  expect_success(s);
}

/* ---- what is there ----------------------------------------------------------------------------------------------- */

static void test_replacing_and_deleting(void **state) {
  scene *s = *state;
  ace_error err = {0};
  expect_success(s);
  assert_int_equal(fetch(s, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "--force"));
  s->download.replace = true;
  unlink(temp_path(&s->folder, "vae/config.json"));
  assert_int_equal(truncate(temp_path(&s->folder, "vae/extra.txt"), 3), 0);
  download_state there = download_look(s->folder.folder, "vae");
  assert_int_equal(there.kind, DOWNLOAD_DAMAGED);
  assert_string_equal(there.problem, "config.json is missing, extra.txt has 3 bytes instead of 5");
  expect_success(s);
  assert_int_equal(download_delete(s->folder.folder, "vae", &err), ACE_OK);
  assert_false(is_there(s, "vae"));
  assert_false(is_there(s, ".partial"));
  assert_int_equal(download_delete(s->folder.folder, "vae", &err), ACE_ENOTFOUND);
  assert_int_equal(download_delete(s->folder.folder, "../vae", &err), ACE_EINVAL);
}

/* Without a record nobody knows what belongs into a folder: whoever put it there does. */
static void test_folders_that_nobody_fetched(void **state) {
  scene *s = *state;
  const char *const files[] = {"vae/vae-BF16.gguf", "vae/adapter_config.json"};
  assert_int_equal(mkdir(temp_path(&s->folder, "vae"), 0700), 0);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    temp_put(&s->folder, files[i], "x", 1);
    download_state there = download_look(s->folder.folder, "vae");
    assert_int_equal(there.kind, DOWNLOAD_COMPLETE);
    assert_string_equal(there.problem, "");
    unlink(temp_path(&s->folder, files[i]));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_hugging_face, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_modelscope, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_broken_line_is_resumed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_the_next_run_continues, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_hub_without_ranges, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_damaged_part_is_found, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_cancelling_keeps_the_part, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_wrong_content, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_lies, set_up, tear_down),
      cmocka_unit_test(test_paths),
      cmocka_unit_test_setup_teardown(test_too_large_for_the_disk, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_write_that_fails, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_replacing_and_deleting, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_folders_that_nobody_fetched, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
