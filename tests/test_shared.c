/* Share links over real sockets: a batch is heard by whoever has its link, as long as its owner wants, and by nobody else. */
#include "browser.h"

/* A batch of this session with one song; its id. */
static void sing_one(browser *b, char id[64]) {
  json_decref(sing(b, "\"title\":\"Ours\",\"lyrics\":\"la la\",\"seeds\":[7],\"use_random_seed\":false", "", id));
  json_t *job = ended(b, id);
  assert_string_equal(text_of(job, "state"), "succeeded");
  assert_true(json_is_null(json_object_get(job, "share")));
  json_decref(job);
}

static void share_path(const char *id, char out[100]) {
  snprintf(out, 100, "/v1/jobs/%s/share", id);
}

static void share(browser *b, const char *id, char token[64]) {
  char path[100];
  share_path(id, path);
  json_t *data = good(send_json(b, "POST", path, "{}"));
  snprintf(token, 64, "%s", text_of(data, "token"));
  assert_int_equal(strlen(token), 32);
  assert_int_equal(strspn(token, "0123456789abcdef"), 32);
  json_decref(data);
}

/* Asked for by somebody without a cookie. */
static reply open_link(const site *w, const char *token, const char *rest) {
  char path[400];
  snprintf(path, sizeof path, "/v1/shared/%s%s", token, rest);
  return get(w, path);
}

static void expect_nothing(const site *w, const char *token, const char *rest) {
  expect_refusal(open_link(w, token, rest), 404, "no_share", NULL);
}

static void expect_share(browser *b, const char *id, const char *token) {
  char path[100];
  snprintf(path, sizeof path, "/v1/jobs/%s", id);
  json_t *job = good(fetch(b, path));
  if (token) assert_string_equal(text_of(job, "share"), token);
  else assert_true(json_is_null(json_object_get(job, "share")));
  json_decref(job);
}

static void test_a_link_opens_one_batch_until_it_is_revoked(void **state) {
  site w =
      open_site_with(state, (service_options){.init_lm = 0}, (server_options){.user = "anna", .password = "geheim"});
  browser b = open_browser(&w), other = open_browser(&w);
  char id[64], second[64], token[64], again[64], path[100];
  for (int i = 0; i < 2; i++)
    json_decref(
        good(send_json(i ? &other : &b, "POST", "/v1/studio/login", "{\"user\":\"anna\",\"password\":\"geheim\"}")));
  sing_one(&b, id);
  sing_one(&b, second);
  share_path(id, path);
  expect_refusal(send_json(&other, "POST", path, "{}"), 404, NULL, NULL);
  expect_refusal(post(&w, path, "{}"), 401, "login", NULL);
  share(&b, id, token);
  share(&b, id, again);
  assert_string_equal(again, token);
  expect_share(&b, id, token);
  expect_share(&b, second, NULL);
  /* who has the link needs no password, and learns what is sung and no more */
  json_t *data = good(open_link(&w, token, ""));
  const json_t *sample = json_array_get(json_object_get(data, "samples"), 0);
  assert_string_equal(text_of(sample, "file"), "1.wav");
  assert_string_equal(text_of(json_object_get(sample, "about"), "title"), "Ours");
  assert_string_equal(text_of(json_object_get(data, "parameters"), "lyrics"), "la la");
  static const char *const hidden[] = {"id", "session", "request", "result", "note", "share"};
  for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) assert_null(json_object_get(data, hidden[i]));
  json_decref(data);
  reply r = open_link(&w, token, "/files/1.wav");
  assert_int_equal(r.status, 200);
  assert_memory_equal(r.body, "RIFF", 4);
  assert_true(r.length > 48000 * 4 * 9);
  reply_free(&r);
  char request[300];
  snprintf(request, sizeof request,
           "GET /v1/shared/%s/files/1.wav?download=Ours.wav HTTP/1.1\r\nHost: localhost\r\nRange: bytes=8-11\r\n\r\n",
           token);
  r = http_ask(w.port, request);
  assert_int_equal(r.status, 206);
  assert_memory_equal(r.body, "WAVE", 4);
  assert_string_equal(reply_header(&r, "Content-Disposition"),
                      "attachment; filename=\"Ours.wav\"; filename*=UTF-8''Ours.wav");
  reply_free(&r);
  r = open_link(&w, token, "/files/1.peaks");
  assert_int_equal(r.status, 200);
  reply_free(&r);
  /* the link opens nothing else: no parameters with their paths, no other batch, no way out of the folder */
  static const char *const shut[] = {
      "1.json",    "2.wav",        "..", "..%2f..%2facestep.db", "%2fetc%2fpasswd", "1.wav%2f..%2f1.json",
      ".%2f1.wav", "1.json%00.wav"};
  for (size_t i = 0; i < sizeof shut / sizeof *shut; i++) {
    char file[100];
    snprintf(file, sizeof file, "/files/%s", shut[i]);
    r = open_link(&w, token, file);
    if (r.status != 404 && r.status != 400) fail_msg("%s: %d", shut[i], r.status);
    reply_free(&r);
  }
  snprintf(request, sizeof request, "/v1/jobs/%s/files/1.wav", id);
  expect_refusal(get(&w, request), 401, "login", NULL);
  static const char *const unknown[] = {"0123456789abcdef0123456789abcdef", "x", "%25", "'%20OR%201=1--"};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) expect_nothing(&w, unknown[i], "");
  expect_nothing(&w, second, "");
  expect_nothing(&w, id, "/files/1.wav");
  /* only its owner ends it, and it does not come back */
  expect_refusal(send_json(&other, "DELETE", path, ""), 404, NULL, NULL);
  json_decref(good(open_link(&w, token, "")));
  json_decref(good(send_json(&b, "DELETE", path, "")));
  expect_nothing(&w, token, "");
  expect_nothing(&w, token, "/files/1.wav");
  expect_share(&b, id, NULL);
  share(&b, id, again);
  assert_string_not_equal(again, token);
  expect_nothing(&w, token, "");
  json_decref(good(open_link(&w, again, "")));
  close_site(&w);
}

static void test_a_link_ends_with_its_batch(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w);
  char id[64], token[64], path[100];
  sing_one(&b, id);
  share(&b, id, token);
  snprintf(path, sizeof path, "/v1/jobs/%s", id);
  json_decref(good(send_json(&b, "DELETE", path, "")));
  expect_nothing(&w, token, "");
  expect_nothing(&w, token, "/files/1.wav");
  snprintf(path, sizeof path, "/v1/jobs/%s/restore", id);
  json_decref(good(send_json(&b, "POST", path, "{}")));
  expect_nothing(&w, token, "");
  expect_share(&b, id, NULL);
  close_site(&w);
}

/* What loads or unloads models is everyone's job to see, and nobody's to share. */
static void test_jobs_of_everyone_are_not_shared(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w);
  char path[100];
  json_t *data = good(send_json(&b, "POST", "/v1/studio/unload", "{}"));
  share_path(text_of(data, "id"), path);
  json_decref(ended(&b, text_of(data, "id")));
  json_decref(data);
  expect_refusal(send_json(&b, "POST", path, "{}"), 404, NULL, NULL);
  expect_refusal(send_json(&b, "DELETE", path, ""), 404, NULL, NULL);
  close_site(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_link_opens_one_batch_until_it_is_revoked),
      cmocka_unit_test(test_a_link_ends_with_its_batch),
      cmocka_unit_test(test_jobs_of_everyone_are_not_shared),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
