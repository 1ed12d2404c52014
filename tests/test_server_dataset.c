/* The studio's dataset over HTTP, as the page and other clients drive it: scan, edit, save, label, prepare. What somebody
 * typed must reach the file, and no request may read or write where it has no business. */
#include "learning_site.h"

/* What was asked not to be replaced. */
static void kept(reply r) {
  json_t *all = json_of(r, 409);
  assert_string_equal(text_of(all, "kind"), "exists");
  json_decref(all);
}

/* Before anything was scanned every route says so. */
static void test_nothing_yet(void **state) {
  site w = open_site(state, NULL, 0, 0);
  expect_detail(get(&w, "/v1/dataset/samples"), 400, "No dataset loaded");
  expect_detail(get(&w, "/v1/dataset/sample/0"), 400, "No dataset loaded");
  expect_detail(post(&w, "/v1/dataset/save", "{\"save_path\": \"a\"}"), 400, "No dataset to save");
  expect_detail(post(&w, "/v1/dataset/auto_label", "{\"skip_metas\": true}"), 400, "No dataset loaded");
  expect_detail(post(&w, "/v1/dataset/auto_label_async", "{}"), 500, "LLM not initialized");
  expect_detail(post(&w, "/v1/dataset/preprocess_async", "{\"output_dir\": \"t\"}"), 400, "No dataset loaded");
  expect_detail(get(&w, "/v1/dataset/preprocess_status/none"), 404, "Task not found");
  json_t *idle = good(get(&w, "/v1/dataset/auto_label_status"));
  assert_string_equal(text_of(idle, "status"), "idle");
  assert_true(json_is_null(json_object_get(idle, "task_id")));
  json_decref(idle);
  refused(post(&w, "/v1/dataset/scan", "{\"audio_dir\": \"/no/such\"}"), 400, "Directory not found");
  refused(post(&w, "/v1/dataset/load", "{\"dataset_path\": \"none.json\"}"), 400, "Dataset not found");
  json_decref(json_of(post(&w, "/v1/dataset/scan", "{}"), 422));
  json_t *status = good(get(&w, "/v1/training/status"));
  assert_true(json_is_false(json_object_get(status, "is_training")));
  assert_string_equal(text_of(status, "status"), "Idle");
  json_decref(status);
  refused(post(&w, "/v1/training/start", "{\"tensor_dir\": \"tensors\"}"), 500, "Failed to start training");
  expect_detail(post(&w, "/v1/training/load_tensor_info", "{\"tensor_dir\": \" \"}"), 400, "tensor directory path");
  expect_detail(post(&w, "/v1/training/load_tensor_info", "{\"tensor_dir\": \"none\"}"), 400, "no such folder");
  expect_detail(post(&w, "/v1/training/export", "{\"export_path\": \"out\", \"lora_output_dir\": \"none\"}"), 404,
                "No trained model found");
  refused(post(&w, "/v1/training/export", "{\"export_path\": \"/etc/out\", \"lora_output_dir\": \"none\"}"), 400,
          "Rejected unsafe export path");
  close_site(&w);
}

/* From samples to an adapter that can be loaded; a training that is stopped keeps a checkpoint, and goes on from it. */
static void training(const site *w) {
  json_t *data = good(get(w, "/v1/training/settings"));
  assert_true(json_array_size(json_object_get(data, "lokr")) > 20);
  json_decref(data);
  refused(post(w, "/v1/training/start", "{\"tensor_dir\": \"tensors\", \"lora_rank\": 0}"), 500, "rank");
  refused(post(w, "/v1/training/start", "{\"tensor_dir\": \"tensors\", \"lora_output_dir\": \"/etc/out\"}"), 400,
          "Rejected unsafe output directory");
  data = good(post(w, "/v1/training/start",
                   "{\"tensor_dir\": \"tensors\", \"lora_output_dir\": \"out\", \"lora_rank\": \"2\", "
                   "\"train_epochs\": 2, \"gradient_accumulation\": 1, \"use_fp8\": false, \"unknown\": 1}"));
  assert_string_equal(text_of(data, "message"), "Training started");
  assert_int_equal(number(json_object_get(data, "config"), "lora_rank"), 2);
  json_decref(data);
  data = await_training(w);
  assert_true(json_is_null(json_object_get(data, "error")));
  assert_non_null(strstr(text_of(data, "status"), "Training completed"));
  assert_int_equal(number(data, "current_step"), 4);
  assert_int_equal(json_array_size(json_object_get(data, "loss_history")), 4);
  assert_true(json_real_value(json_object_get(data, "current_loss")) > 0);
  json_decref(data);
  data = good(post(w, "/v1/training/export", "{\"export_path\": \"adapter\", \"lora_output_dir\": \"out\"}"));
  json_decref(data);
  kept(post(w, "/v1/training/export",
            "{\"export_path\": \"adapter\", \"lora_output_dir\": \"out\", \"replace\": false}"));
  char path[700];
  snprintf(path, sizeof path, "%s/adapter/adapter_config.json", w->data.folder);
  assert_int_equal(access(path, R_OK), 0);

  const char *const lokr =
      "{\"tensor_dir\": \"tensors\", \"output_dir\": \"out2\", \"lokr_linear_dim\": 2, \"train_epochs\": 4000}";
  data = good(post(w, "/v1/training/start_lokr", lokr));
  json_decref(data);
  expect_detail(post(w, "/v1/training/start_lokr", lokr), 400, "Training already in progress");
  for (int step = 0, i = 0; !step && i < 6000; i++) {
    data = good(get(w, "/v1/training/status"));
    step = number(data, "current_step");
    json_decref(data);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  }
  data = good(post(w, "/v1/training/stop", "{}"));
  assert_string_equal(text_of(data, "message"), "Stopping training...");
  json_decref(data);
  data = await_training(w);
  assert_non_null(strstr(text_of(data, "status"), "checkpoint is kept"));
  assert_true(json_is_null(json_object_get(data, "error")));
  json_decref(data);
  data = good(post(w, "/v1/training/export", "{\"export_path\": \"adapter2\", \"lora_output_dir\": \"out2\"}"));
  json_decref(data);
}

/* A song that is asked for meanwhile interrupts a training, which ends with the bits that it would have had. An adapter
 * that was loaded sings in the song, and rests while the other one is trained. */
static void songs_come_first(const site *w) {
  enum { EPOCHS = 120 };
  char body[600];
  start_training(w, "alone", EPOCHS);
  json_decref(await_training(w));
  snprintf(body, sizeof body, "{\"lora_path\": \"%s/adapter\"}", w->data.folder);
  json_decref(good(post(w, "/v1/lora/load", body)));
  start_training(w, "among", EPOCHS);
  json_t *made = song(w, ",\"audio_duration\":10");
  assert_int_equal(json_array_size(made), 1);
  json_decref(made);
  json_t *now = good(get(w, "/v1/training/status"));
  assert_true(json_is_true(json_object_get(now, "is_training")));
  json_decref(now);
  json_t *refused_model = json_of(post(w, "/v1/init", "{\"model\": \"acestep-v15-base\"}"), 200);
  assert_non_null(strstr(text_of(refused_model, "error"), "is being trained"));
  json_decref(refused_model);
  now = await_training(w);
  assert_non_null(strstr(text_of(now, "status"), "Training completed"));
  expect_log(now, "Training pauses"), expect_log(now, "Resumed from epoch");
  expect_log(now, "The adapter \"adapter\" is switched off");
  assert_int_equal(number(now, "current_step"), 2 * EPOCHS);
  json_decref(now);
  now = good(get(w, "/v1/lora/list"));
  assert_true(json_is_true(json_object_get(json_array_get(json_object_get(now, "loaded"), 0), "enabled")));
  json_decref(now);
  expect_same_adapter(w, "alone", "among");
}

static void test_whole_way(void **state) {
  site w = open_site(state, NULL, 0, 0);
  char body[1200], saved[600];
  put_songs(&w, "songs", 200);
  json_t *data = good(post(&w, "/v1/dataset/scan", "{\"audio_dir\": \"songs\", \"custom_tag\": \"zx\"}"));
  assert_int_equal(number(data, "num_samples"), 2);
  assert_non_null(strstr(text_of(data, "message"), "Found 2 audio files"));
  assert_non_null(strstr(text_of(data, "message"), "Detected 1 captions"));
  json_t *first = json_array_get(json_object_get(data, "samples"), 0);
  assert_string_equal(text_of(first, "filename"), "a-b.wav");
  assert_null(json_object_get(first, "id"));
  json_decref(data);

  data = good(put(&w, "/v1/dataset/sample/1", "{\"sample_idx\": 1, \"caption\": \"slower\", \"bpm\": \"90\"}"));
  assert_string_equal(text_of(json_object_get(data, "sample"), "caption"), "slower");
  assert_int_equal(number(json_object_get(data, "sample"), "bpm"), 90);
  json_decref(data);
  expect_detail(get(&w, "/v1/dataset/sample/2"), 404, "Sample index 2 out of range");
  json_decref(json_of(get(&w, "/v1/dataset/sample/x"), 422));
  data = good(get(&w, "/v1/dataset/sample/1"));
  assert_int_equal(strlen(text_of(data, "id")), 8);
  assert_string_equal(text_of(data, "custom_tag"), "zx");
  json_decref(data);

  /* Labeling without a language model: the name of the file. Every step lands in the file. */
  data = good(post(&w, "/v1/dataset/auto_label_async",
                   "{\"skip_metas\": true, \"only_unlabeled\": true, \"save_path\": \"sets/mine.json\"}"));
  assert_int_equal(number(data, "total"), 1);
  json_t *done = await_task(&w, "auto_label", text_of(data, "task_id"));
  assert_string_equal(text_of(done, "status"), "completed");
  assert_int_equal(number(done, "last_updated_index"), 0);
  assert_string_equal(text_of(json_object_get(done, "last_updated_sample"), "caption"), "a b");
  assert_int_equal(number(json_object_get(done, "result"), "labeled_count"), 1);
  json_decref(done), json_decref(data);

  data = good(post(&w, "/v1/dataset/save",
                   "{\"save_path\": \"sets/mine\", \"genre_ratio\": 40, \"tag_position\": \"append\"}"));
  snprintf(saved, sizeof saved, "%s/sets/mine.json", w.data.folder);
  assert_non_null(strstr(text_of(data, "save_path"), "/sets/mine.json"));
  json_decref(data);
  kept(post(&w, "/v1/dataset/save", "{\"save_path\": \"sets/mine\", \"replace\": false}"));
  data = good(post(&w, "/v1/dataset/load", "{\"dataset_path\": \"sets/mine.json\"}"));
  assert_int_equal(number(data, "labeled_count"), 2);
  assert_string_equal(text_of(json_object_get(data, "metadata"), "tag_position"), "append");
  json_decref(data);

  data = good(post(&w, "/v1/dataset/preprocess_async", "{\"output_dir\": \"tensors\", \"skip_existing\": true}"));
  done = await_task(&w, "preprocess", text_of(data, "task_id"));
  assert_string_equal(text_of(done, "status"), "completed");
  assert_int_equal(number(done, "current"), 2);
  assert_int_equal(number(json_object_get(done, "result"), "num_tensors"), 2);
  json_decref(done), json_decref(data);
  snprintf(saved, sizeof saved, "%s/tensors/manifest.json", w.data.folder);
  assert_int_equal(access(saved, R_OK), 0);

  data = good(post(&w, "/v1/training/load_tensor_info", "{\"tensor_dir\": \"tensors\"}"));
  assert_int_equal(number(data, "num_samples"), 2);
  assert_string_equal(text_of(data, "custom_tag"), "zx");
  json_decref(data);

  training(&w);
  songs_come_first(&w);

  /* Nothing is written outside of what is allowed, whatever the path looks like. */
  static const char *const outside[] = {"acestep.db",
                                        "outputs/mine",
                                        ".",
                                        "a/../acestep.db-wal",
                                        "/etc/mine",
                                        "../../etc/mine",
                                        "songs/../../../etc/mine",
                                        "/proc/self/mine"};
  for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
    snprintf(body, sizeof body, "{\"save_path\": \"%s\"}", outside[i]);
    refused(post(&w, "/v1/dataset/save", body), 400, "Rejected unsafe save path");
    snprintf(body, sizeof body, "{\"output_dir\": \"%s\"}", outside[i]);
    refused(post(&w, "/v1/dataset/preprocess", body), 400, "Rejected unsafe output directory");
  }
  assert_int_equal(symlink("/etc", temp_path(&w.data, "link")), 0);
  refused(post(&w, "/v1/dataset/save", "{\"save_path\": \"link/mine\"}"), 400, "Rejected unsafe save path");
  close_site(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_yet),
      cmocka_unit_test(test_whole_way),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
