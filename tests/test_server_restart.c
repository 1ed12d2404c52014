/* A server that learns ends and starts again, and what was under way goes on: a training to the bits that it would have had, the
 * labeling of songs with the dataset that it belongs to. What was chosen meanwhile is not overwritten by what was asked for
 * earlier. */
#include "learning_site.h"

static void restart(site *w) {
  site_end(w);
  site_begin(w, (service_options){.init_lm = 0}, (server_options){0});
}

static void test_a_training_goes_on(void **state) {
  enum { EPOCHS = 150 };
  site w = open_site(state, NULL, 0, 0);
  prepare_songs(&w);
  start_training(&w, "once", EPOCHS);
  json_decref(await_training(&w));
  start_training(&w, "twice", EPOCHS);
  restart(&w);
  json_t *now = await_training(&w);
  assert_non_null(strstr(text_of(now, "status"), "Training completed"));
  expect_log(now, "Resumed from epoch");
  assert_int_equal(number(now, "current_step"), 2 * EPOCHS);
  assert_true(json_array_size(json_object_get(now, "loss_history")) > 0);
  json_decref(now);
  expect_same_adapter(&w, "once", "twice");
  close_site(&w);
}

/* Something that holds up the queue, and lets it go. */
static void hold(const site *w) {
  start_training(w, "endless", 4000);
}

static void let_go(const site *w) {
  json_decref(good(post(w, "/v1/training/stop", "{}")));
  json_decref(await_training(w));
}

static void expect_caption(const site *w, int i, const char *folder, const char *caption) {
  char path[100];
  snprintf(path, sizeof path, "/v1/dataset/sample/%d", i);
  json_t *sample = good(get(w, path));
  assert_string_equal(text_of(sample, "caption"), caption);
  if (!strstr(text_of(sample, "audio_path"), folder)) fail_msg("%s", text_of(sample, "audio_path"));
  json_decref(sample);
}

/* The dataset is as it was last on disk: with what was edited after the job was asked for. */
static void test_the_dataset_of_a_labeling_comes_back(void **state) {
  site w = open_site(state, NULL, 0, 0);
  char id[64];
  prepare_songs(&w);
  json_decref(good(post(&w, "/v1/dataset/scan", "{\"audio_dir\": \"songs\"}")));
  hold(&w);
  json_t *data = good(post(&w, "/v1/dataset/auto_label_async",
                           "{\"skip_metas\": true, \"only_unlabeled\": true, \"save_path\": \"sets/mine.json\"}"));
  strcpy(id, text_of(data, "task_id"));
  json_decref(data);
  json_decref(good(put(&w, "/v1/dataset/sample/1", "{\"sample_idx\": 1, \"caption\": \"slower\"}")));
  json_decref(good(post(&w, "/v1/dataset/save", "{\"save_path\": \"sets/mine.json\"}")));
  restart(&w);
  let_go(&w);
  data = await_task(&w, "auto_label", id);
  assert_string_equal(text_of(data, "status"), "completed");
  json_decref(data);
  expect_caption(&w, 0, "/songs/", "a b");
  expect_caption(&w, 1, "/songs/", "slower");
  close_site(&w);
}

/* Nothing was saved: what the job was given comes back. */
static void test_a_dataset_that_was_never_saved_comes_back(void **state) {
  site w = open_site(state, NULL, 0, 0);
  char id[64];
  prepare_songs(&w);
  json_decref(good(post(&w, "/v1/dataset/scan", "{\"audio_dir\": \"songs\"}")));
  hold(&w);
  json_t *data = good(post(&w, "/v1/dataset/auto_label_async", "{\"skip_metas\": true, \"only_unlabeled\": true}"));
  strcpy(id, text_of(data, "task_id"));
  json_decref(data);
  restart(&w);
  let_go(&w);
  data = await_task(&w, "auto_label", id);
  json_decref(data);
  expect_caption(&w, 0, "/songs/", "a b");
  expect_caption(&w, 1, "/songs/", "slow");
  close_site(&w);
}

/* Files of the same names in another folder have the same ids: what was found of the first ones is not theirs. The job's own
 * dataset is saved all the same. */
static void test_labels_stay_with_their_files(void **state) {
  site w = open_site(state, NULL, 0, 0);
  char id[64];
  prepare_songs(&w);
  put_songs(&w, "others", 300);
  json_decref(good(post(&w, "/v1/dataset/scan", "{\"audio_dir\": \"songs\"}")));
  hold(&w);
  json_t *data =
      good(post(&w, "/v1/dataset/auto_label_async", "{\"skip_metas\": true, \"save_path\": \"sets/first.json\"}"));
  strcpy(id, text_of(data, "task_id"));
  json_decref(data);
  json_decref(good(post(&w, "/v1/dataset/scan", "{\"audio_dir\": \"others\"}")));
  let_go(&w);
  data = await_task(&w, "auto_label", id);
  assert_string_equal(text_of(data, "status"), "completed");
  json_decref(data);
  expect_caption(&w, 0, "/others/", "");
  json_decref(good(post(&w, "/v1/dataset/load", "{\"dataset_path\": \"sets/first.json\"}")));
  expect_caption(&w, 0, "/songs/", "a b");
  close_site(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_training_goes_on),
      cmocka_unit_test(test_the_dataset_of_a_labeling_comes_back),
      cmocka_unit_test(test_a_dataset_that_was_never_saved_comes_back),
      cmocka_unit_test(test_labels_stay_with_their_files),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
