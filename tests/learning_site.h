/* learning_site.h - a site whose dataset is scanned, labeled and trained on, over HTTP. */
#ifndef ACE_TESTS_LEARNING_SITE_H
#define ACE_TESTS_LEARNING_SITE_H

#include "dataset_testing.h"
#include "site.h"

static inline reply put(const site *w, const char *path, const char *body) {
  char head[512];
  snprintf(head, sizeof head, "PUT %s HTTP/1.1\r\nContent-Type: application/json", path);
  return http_post(w->port, head, body, strlen(body));
}

static inline json_t *good(reply r) {
  json_t *all = json_of(r, 200), *data = json_incref(data_of(all));
  json_decref(all);
  return data;
}

static inline void refused(reply r, int code, const char *says) {
  json_t *all = json_of(r, 200);
  if (json_integer_value(json_object_get(all, "code")) != code || !strstr(text_of(all, "error"), says))
    fail_msg("%s, expected %d \"%s\"", text_of(all, "error"), code, says);
  json_decref(all);
}

static inline int number(const json_t *o, const char *field) {
  return (int)json_integer_value(json_object_get(o, field));
}

/* What became of a job, a new reference. */
static inline json_t *await_task(const site *w, const char *kind, const char *id) {
  char path[200];
  snprintf(path, sizeof path, "/v1/dataset/%s_status/%s", kind, id);
  for (int i = 0; i < 3000; i++) {
    json_t *now = good(get(w, path));
    if (strcmp(text_of(now, "status"), "running") != 0) return now;
    json_decref(now);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  }
  fail_msg("%s does not end", kind);
  return NULL;
}

/* The state of training once nothing runs, a new reference. */
static inline json_t *await_training(const site *w) {
  for (int i = 0; i < 6000; i++) {
    json_t *now = good(get(w, "/v1/training/status"));
    if (json_is_false(json_object_get(now, "is_training"))) return now;
    json_decref(now);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  }
  fail_msg("training does not end");
  return NULL;
}

/* A training of the same bits wherever it is written; waits for its first step. */
static inline void start_training(const site *w, const char *folder, int epochs) {
  char body[300];
  snprintf(body, sizeof body,
           "{\"tensor_dir\": \"tensors\", \"lora_output_dir\": \"%s\", \"lora_rank\": 2, \"train_epochs\": %d, "
           "\"gradient_accumulation\": 1, \"save_every_n_epochs\": 1000}",
           folder, epochs);
  json_decref(good(post(w, "/v1/training/start", body)));
  for (int step = 0; !step;) {
    json_t *now = good(get(w, "/v1/training/status"));
    step = number(now, "current_step");
    if (!step && json_is_false(json_object_get(now, "is_training"))) fail_msg("%s", text_of(now, "status"));
    json_decref(now);
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  }
}

static inline void expect_log(const json_t *training, const char *words) {
  const char *log = text_of(training, "training_log");
  if (!strstr(log, words)) fail_msg("no \"%s\" in:\n%s", words, log);
}

/* Two trainings have made the same adapter, to the bit. */
static inline void expect_same_adapter(const site *w, const char *folder, const char *other) {
  enum { ROOM = 1 << 22 };
  const char *const of[] = {folder, other};
  size_t n[2];
  char *bytes[2], path[700];
  ace_error err;
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s/final/adapter_model.safetensors", w->data.folder, of[i]);
    if (!(bytes[i] = file_read(path, ROOM, &n[i], &err))) fail_msg("%s", err.message);
  }
  assert_int_equal(n[0], n[1]);
  assert_memory_equal(bytes[0], bytes[1], n[0]);
  free(bytes[0]), free(bytes[1]);
}

/* A folder of that name with two songs, the second one with a caption. */
static inline void put_songs(const site *w, const char *name, double hertz) {
  char folder[600];
  snprintf(folder, sizeof folder, "%s/%s", w->data.folder, name);
  mkdir(folder, 0700);
  folder_song(folder, "a-b.wav", 1, hertz, 0.5);
  folder_song(folder, "c.wav", 1, hertz, 0.5); /* the same: encoded once */
  folder_put(folder, "c.caption.txt", "slow");
}

/* Labeled by their names and prepared, in the folder "tensors". */
static inline void prepare_songs(const site *w) {
  put_songs(w, "songs", 200);
  json_decref(good(post(w, "/v1/dataset/scan", "{\"audio_dir\": \"songs\"}")));
  json_decref(good(post(w, "/v1/dataset/auto_label", "{\"skip_metas\": true}")));
  json_decref(good(post(w, "/v1/dataset/preprocess", "{\"output_dir\": \"tensors\"}")));
}

#endif
