/* Adapters, published models and songs on their way, as the page and the public API see them. */
#include "browser.h"
#include "engine_adapters.h"
#include "stand_in_hub.h"

/* ---- adapters: check 38 of the public API, and what the page does with them --------------------------------------- */

static json_t *lora_status(browser *b) {
  json_t *s = good(fetch(b, "/v1/lora/status"));
  assert_int_equal(json_object_size(s), 8);
  return s;
}

static void expect_message(json_t *data, const char *part) {
  if (!strstr(text_of(data, "message"), part)) fail_msg("\"%s\", expected \"%s\"", text_of(data, "message"), part);
  json_decref(data);
}

static void test_adapters_before_any_is_loaded(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w);
  expect_detail(fetch(&b, "/v1/lora/status"), 500, "Model not initialized");
  json_decref(good(send_json(&b, "POST", "/v1/init", "{}")));
  json_t *all = json_of(send_json(&b, "POST", "/v1/lora/toggle", "{\"use_lora\":true}"), 200);
  assert_int_equal(json_integer_value(json_object_get(all, "code")), 400);
  assert_non_null(strstr(text_of(all, "error"), "No LoRA adapter loaded. Please load a LoRA first."));
  json_decref(all);
  expect_detail(send_json(&b, "POST", "/v1/lora/load", "{\"lora_path\":\"/no/such\"}"), 400, "LoRA path not found");
  expect_detail(send_json(&b, "POST", "/v1/lora/load", "{\"lora_path\":\"/etc\"}"), 400, "outside of the allowed");
  json_decref(json_of(send_json(&b, "POST", "/v1/lora/load", "{}"), 422));
  json_decref(json_of(send_json(&b, "POST", "/v1/lora/scale", "{\"scale\":1.5}"), 422));
  json_t *s = lora_status(&b);
  assert_true(json_is_false(json_object_get(s, "lora_loaded")));
  json_decref(s);
  expect_message(good(send_json(&b, "POST", "/v1/lora/unload", "")), "No LoRA adapter loaded.");
  expect_message(good(send_json(&b, "POST", "/v1/lora/toggle", "{\"enabled\":false}")), "LoRA disabled");
  close_site(&w);
}

/* The sound of a song with these words and one seed. */
static char *sound_of(browser *b, size_t *length) {
  char id[64], path[128];
  json_decref(sing(b, "\"seeds\":[3],\"use_random_seed\":false", "", id));
  json_decref(ended(b, id));
  snprintf(path, sizeof path, "/v1/jobs/%s/files/1.wav", id);
  reply r = fetch(b, path);
  assert_int_equal(r.status, 200);
  char *copy = malloc(r.length);
  memcpy(copy, r.body, r.length);
  *length = r.length;
  reply_free(&r);
  return copy;
}

static void expect_sound(browser *b, const char *want, size_t length, bool same) {
  size_t n;
  char *now = sound_of(b, &n);
  assert_int_equal(n, length);
  assert_true((memcmp(now, want, n) == 0) == same);
  free(now);
}

static void test_an_adapter_is_heard_until_it_is_gone(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w);
  temp t = temp_open();
  ace_engine *e = songs_engine(*state, NULL, 1, 0);
  char body[700];
  const char *path = write_adapter(e, &t, &(recipe){.what = "LoRA", .alpha = 6}, 1, 0, NULL);
  snprintf(body, sizeof body, "{\"lora_path\":\"%s\",\"adapter_name\":\"voice\"}", path);
  ace_engine_close(e);
  json_decref(good(send_json(&b, "POST", "/v1/init", "{}")));
  size_t n;
  char *plain = sound_of(&b, &n);
  expect_message(good(send_json(&b, "POST", "/v1/lora/load", body)), "LoRA 'voice' loaded from ");
  expect_detail(send_json(&b, "POST", "/v1/lora/load", body), 400, "already in use");
  expect_sound(&b, plain, n, false);
  expect_message(good(send_json(&b, "POST", "/v1/lora/scale", "{\"scale\":0.7}")), "LoRA scale (voice): 0.70");
  json_t *s = lora_status(&b);
  assert_true(json_is_true(json_object_get(s, "use_lora")));
  assert_string_equal(text_of(s, "active_adapter"), "voice");
  assert_string_equal(text_of(s, "adapter_type"), "lora");
  assert_true(json_number_value(json_object_get(json_object_get(s, "scales"), "voice")) == 0.7);
  json_decref(s);
  expect_message(good(send_json(&b, "POST", "/v1/lora/toggle", "{\"use_lora\":\"false\"}")), "LoRA disabled");
  expect_message(good(send_json(&b, "POST", "/v1/lora/toggle", "{\"use_lora\":true}")), "LoRA enabled");
  expect_message(good(send_json(&b, "POST", "/v1/lora/unload", "")), "using base model");
  expect_sound(&b, plain, n, true);
  free(plain);
  temp_close(&t);
  close_site(&w);
}

/* ---- published models -------------------------------------------------------------------------------------------- */

/* The entry "vae" of the catalogue. */
static json_t *vae_entry(browser *b) {
  json_t *list = good(fetch(b, "/v1/catalog")), *found = NULL, *m;
  size_t i;
  json_array_foreach(list, i, m) {
    if (strcmp(text_of(m, "name"), "vae") == 0) found = json_incref(m);
  }
  json_decref(list);
  assert_non_null(found);
  return found;
}

static void await_download(browser *b, const char *state) {
  for (int i = 0; i < 500; i++) {
    json_t *m = vae_entry(b);
    const char *now = text_of(json_object_get(m, "download"), "state");
    bool there = strcmp(now, state) == 0, over = strcmp(now, "waiting") != 0 && strcmp(now, "running") != 0;
    if (over && !there) fail_msg("%s: %s", now, text_of(json_object_get(m, "download"), "message"));
    json_decref(m);
    if (there) return;
    nanosleep(&(struct timespec){0, 20000000}, NULL);
  }
  fail_msg("the download did not end");
}

static void test_models_come_and_go(void **state) {
  hub_site site_of_hub;
  hub_site_open(&site_of_hub);
  hub hubs[] = {{.kind = HUB_HUGGINGFACE, .endpoint = "http://127.0.0.1:1"},
                {.kind = HUB_MODELSCOPE, .endpoint = site_of_hub.endpoint}};
  temp empty = temp_open();
  songs none = {.folder = empty};
  snprintf(none.models, sizeof none.models, "%s/models", empty.folder);
  void *no_models = &none;
  site w = open_site_with(&no_models, (service_options){.init_lm = 0, .hubs = hubs, .n_hubs = 2}, (server_options){0});
  browser b = open_browser(&w);
  json_t *about = good(fetch(&b, "/v1/catalog/vae"));
  assert_string_equal(text_of(about, "licence"), "MIT License");
  assert_true(json_integer_value(json_object_get(about, "left")) >= HUB_WEIGHTS);
  json_decref(about);
  expect_refusal(fetch(&b, "/v1/catalog/..%2f..%2fetc"), 404, NULL, NULL);
  expect_refusal(send_json(&b, "POST", "/v1/catalog/no-such/download", ""), 404, NULL, NULL);
  site_of_hub.fault = HUB_TRICKLE;
  json_decref(good(send_json(&b, "POST", "/v1/catalog/vae/download", "")));
  await_download(&b, "running");
  json_decref(good(send_json(&b, "POST", "/v1/catalog/vae/cancel", "")));
  await_download(&b, "cancelled");
  site_of_hub.fault = HUB_WELL;
  json_decref(good(send_json(&b, "POST", "/v1/catalog/vae/download", "")));
  await_download(&b, "done");
  json_t *m = vae_entry(&b);
  assert_string_equal(text_of(m, "state"), "complete");
  json_decref(m);
  expect_refusal(send_json(&b, "POST", "/v1/catalog/vae/download", ""), 400, NULL, NULL);
  json_decref(good(send_json(&b, "DELETE", "/v1/catalog/vae", "")));
  m = vae_entry(&b);
  assert_string_equal(text_of(m, "state"), "none");
  json_decref(m);
  close_site(&w);
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", empty.folder);
  assert_int_equal(system(command), 0);
  hub_site_close(&site_of_hub);
}

/* Songs are made with the spare models until there is a diffusion model in the folder of downloads; nobody takes them for a
 * download, and they cannot be removed. */
static void test_spare_models_are_no_downloads(void **state) {
  songs *spare = *state;
  temp empty = temp_open();
  songs none = {.folder = empty};
  snprintf(none.models, sizeof none.models, "%s/models", empty.folder);
  void *no_models = &none;
  site w = open_site_with(&no_models, (service_options){.spare = spare->models}, (server_options){0});
  browser b = open_browser(&w);
  char id[64], command[600];
  assert_string_equal(service_models(w.s), spare->models);
  json_t *m = vae_entry(&b);
  assert_string_equal(text_of(m, "state"), "none");
  json_decref(m);
  reply r = send_json(&b, "DELETE", "/v1/catalog/vae", "");
  reply_free(&r);
  json_decref(sing(&b, "\"seeds\":[3]", "", id));
  json_decref(ended(&b, id));
  snprintf(command, sizeof command, "cp -R '%.250s' '%.250s'", spare->models, none.models);
  assert_int_equal(system(command), 0);
  assert_string_equal(service_models(w.s), none.models);
  m = vae_entry(&b);
  assert_string_equal(text_of(m, "state"), "complete");
  json_decref(m);
  close_site(&w);
  snprintf(command, sizeof command, "rm -rf '%s'", empty.folder);
  assert_int_equal(system(command), 0);
}

/* ---- samples while a batch is made -------------------------------------------------------------------------------- */

typedef struct watching {
  temp t;
  int seen;
} watching;

/* Item 0 is whole and can be saved while item 1 is still latents. */
static ace_status on_finished(void *user, const ace_result *result, int item, ace_error *err) {
  watching *k = user;
  char name[16];
  assert_int_equal(item, k->seen++);
  for (int i = 0; i < result->items; i++) assert_true((result->audio[i].samples != NULL) == (i <= item));
  snprintf(name, sizeof name, "%d.wav", item);
  return ace_result_save(result, item, temp_path(&k->t, name), err);
}

static void test_a_sample_is_finished_before_the_batch(void **state) {
  watching k = {.t = temp_open()};
  ace_error err;
  ace_engine *e = songs_engine(*state, NULL, 2, 0);
  static const char *const words[] = {"caption", "a test",     "duration", "10", "inference_steps",
                                      "1",       "batch_size", "2",        NULL};
  ace_request *r = songs_request(words, PAIRS("audio_format", "wav"));
  engine_listener listener = {.finished = on_finished, .user = &k};
  ace_result *result = engine_generate(e, r, true, &listener, NULL, &err);
  if (!result) fail_msg("%s", err.message);
  assert_int_equal(k.seen, 2);
  for (int i = 0; i < 2; i++) {
    char name[16];
    size_t n, m;
    snprintf(name, sizeof name, "%d.wav", i);
    char *early = file_read(temp_path(&k.t, name), 1 << 24, &n, &err);
    assert_int_equal(ace_result_save(result, i, temp_path(&k.t, "late.wav"), &err), ACE_OK);
    char *late = file_read(temp_path(&k.t, "late.wav"), 1 << 24, &m, &err);
    assert_true(n == m && memcmp(early, late, n) == 0);
    free(early), free(late);
  }
  ace_result_free(result), ace_request_free(r), ace_engine_close(e);
  temp_close(&k.t);
}

/* Everything that the session was told since that number, up to the end of a job. */
static char *told_since(browser *b, unsigned long long number) {
  char request[700], *text = calloc(1, 1 << 20);
  size_t used = 0;
  snprintf(request, sizeof request,
           "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %llu\r\nCookie: %s\r\n\r\n", number,
           b->cookies);
  int s = http_connect(b->w->port);
  http_send(s, request, strlen(request));
  while (!strstr(text, "event: done") && used + 1 < 1 << 20) {
    ssize_t n = recv(s, text + used, (1 << 20) - used - 1, 0);
    assert_true(n > 0);
    used += (size_t)n;
  }
  close(s);
  return text;
}

/* The page hears of each sample, in order, before the job is done. */
static void test_events_tell_of_each_sample(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w);
  char id[64];
  unsigned long long number;
  json_decref(sing(&b, "\"title\":\"first\"", "", id));
  json_decref(ended(&b, id));
  char *text = told_since(&b, 1), *at = strstr(text, "id: ");
  assert_non_null(at);
  assert_int_equal(sscanf(at, "id: %llu", &number), 1);
  free(text);
  json_decref(sing(&b, "\"title\":\"second\",\"batch_size\":2", "", id));
  json_decref(ended(&b, id));
  text = told_since(&b, number);
  const char *first = strstr(text, "event: sample"), *second = first ? strstr(first + 1, "event: sample") : NULL;
  assert_non_null(second);
  assert_ptr_equal(strstr(text, "\"item\":0"), strstr(first, "\"item\":0"));
  assert_non_null(strstr(second, "\"item\":1"));
  assert_true(strstr(text, "event: done") > second);
  assert_null(strstr(text, "first"));
  free(text);
  close_site(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_adapters_before_any_is_loaded),
      cmocka_unit_test(test_an_adapter_is_heard_until_it_is_gone),
      cmocka_unit_test(test_models_come_and_go),
      cmocka_unit_test(test_spare_models_are_no_downloads),
      cmocka_unit_test(test_a_sample_is_finished_before_the_batch),
      cmocka_unit_test(test_events_tell_of_each_sample),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
