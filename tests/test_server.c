/* The REST API over real sockets: the public conformance checks, with the tiny models. */
#include <math.h>
#include "site.h"

/* ---- checks 1-10: what is there ---------------------------------------------------------------------------------- */

static void test_health_models_and_loading(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_t *all = json_of(get(&w, "/health"), 200), *data = data_of(all);
  assert_string_equal(text_of(data, "status"), "ok");
  assert_string_equal(text_of(data, "service"), "ACE-Step API");
  assert_string_equal(text_of(data, "version"), "1.0");
  assert_string_equal(text_of(data, "loaded_model"), "acestep-v15-turbo");
  assert_true(json_is_false(json_object_get(data, "models_initialized")));
  assert_true(json_is_false(json_object_get(data, "llm_initialized")));
  assert_true(json_is_null(json_object_get(data, "loaded_lm_model")));
  double now = (double)time(NULL) * 1000;
  assert_true(fabs((double)json_integer_value(json_object_get(all, "timestamp")) - now) < 5000);
  json_decref(all);
  expect_detail(get(&w, "/nope"), 404, "Not Found");
  expect_detail(get(&w, "/release_task"), 405, "Method Not Allowed");
  json_decref(json_of(get(&w, "/api/health"), 200));
  all = json_of(get(&w, "/v1/model_inventory"), 200);
  data = data_of(all);
  assert_string_equal(text_of(data, "default_model"), "acestep-v15-turbo");
  size_t i;
  json_t *model;
  int defaults = 0;
  json_array_foreach(json_object_get(data, "models"), i, model) {
    defaults += json_is_true(json_object_get(model, "is_default"));
    bool base = strstr(text_of(model, "name"), "base");
    assert_int_equal(json_array_size(json_object_get(model, "supported_task_types")), base ? 7 : 4);
  }
  assert_int_equal(defaults, 1);
  json_decref(all);
  all = json_of(get(&w, "/v1/stats"), 200);
  data = data_of(all);
  assert_int_equal(json_integer_value(json_object_get(data, "queue_maxsize")), 200);
  assert_true(json_number_value(json_object_get(data, "avg_job_seconds")) == 5.0);
  assert_int_equal(json_integer_value(json_object_get(json_object_get(data, "jobs"), "total")), 0);
  json_decref(all);
  all = json_of(post(&w, "/v1/init", "{\"slot\":2}"), 200);
  assert_int_equal(json_integer_value(json_object_get(all, "code")), 400);
  assert_true(json_is_null(json_object_get(all, "data")));
  assert_non_null(strstr(text_of(all, "error"), "ACESTEP_CONFIG_PATH2"));
  json_decref(all);
  all = json_of(post(&w, "/v1/init", "{\"slot\":4}"), 422);
  assert_true(json_is_array(json_object_get(all, "detail")));
  json_decref(all);
  json_decref(json_of(post(&w, "/v1/init", "{\"slot\":"), 422));
  all = json_of(post(&w, "/v1/init", "{}"), 200);
  data = data_of(all);
  assert_string_equal(text_of(data, "loaded_model"), "acestep-v15-turbo");
  assert_int_equal(json_integer_value(json_object_get(data, "slot")), 1);
  assert_true(json_array_size(json_object_get(data, "models")) > 0);
  json_decref(all);
  all = json_of(get(&w, "/health"), 200);
  assert_true(json_is_true(json_object_get(data_of(all), "models_initialized")));
  json_decref(all);
  all = json_of(get(&w, "/v1/models"), 200);
  assert_string_equal(text_of(all, "object"), "list");
  model = json_array_get(json_object_get(all, "data"), 0);
  assert_string_equal(text_of(model, "id"), "acestep/acestep-v15-turbo");
  assert_string_equal(text_of(json_object_get(model, "pricing"), "image"), "0");
  json_decref(all);
  all = json_of(post(&w, "/v1/init", "{\"model\":\"acestep-v15-bass\"}"), 200);
  assert_int_equal(json_integer_value(json_object_get(all, "code")), 500);
  assert_non_null(strstr(text_of(all, "error"), "Model initialization failed: "));
  json_decref(all);
  close_site(&w);
}

/* ---- checks 11-19: songs ----------------------------------------------------------------------------------------- */

static void test_a_song_from_submit_to_sound(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_t *result = song(&w, ",\"audio_duration\":10,\"keyScale\":\"C Major\",\"metas\":{\"bpm\":95}");
  assert_int_equal(json_array_size(result), 1);
  const json_t *o = json_array_get(result, 0);
  static const char *const fields[] = {"file",     "wave",      "status",   "create_time", "env",
                                       "prompt",   "lyrics",    "metas",    "seed_value",  "generation_info",
                                       "lm_model", "dit_model", "progress", "stage"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (!json_object_get(o, fields[i])) fail_msg("%s is missing", fields[i]);
  assert_string_equal(text_of(o, "stage"), "succeeded");
  assert_string_equal(text_of(o, "dit_model"), "acestep-v15-turbo");
  const json_t *metas = json_object_get(o, "metas");
  assert_string_equal(text_of(metas, "keyscale"), "C Major");
  assert_int_equal(json_integer_value(json_object_get(metas, "bpm")), 95);
  assert_string_equal(text_of(metas, "timesignature"), "N/A");
  const char *file = text_of(o, "file");
  assert_memory_equal(file, "/v1/audio?path=%2F", 18);
  reply r = get(&w, file);
  assert_int_equal(r.status, 200);
  assert_string_equal(reply_header(&r, "Content-Type"), "audio/wav");
  assert_memory_equal(r.body, "RIFF", 4);
  double seconds = (double)(r.length - 44) / (48000 * 4);
  assert_true(fabs(seconds - 10) < 0.5);
  reply_free(&r);
  char request[4096];
  snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-3\r\n\r\n", file);
  r = http_ask(w.port, request);
  assert_int_equal(r.status, 206);
  assert_int_equal(r.length, 4);
  reply_free(&r);
  expect_detail(get(&w, "/v1/audio?path=%2Fetc%2Fpasswd"), 403, "Access denied: path outside allowed directory");
  json_decref(json_of(get(&w, "/v1/audio"), 422));
  snprintf(request, sizeof request, "/v1/audio?path=%s%%2Foutputs%%2Fno.wav", w.data.folder);
  expect_detail(get(&w, request), 404, "Audio file not found");
  snprintf(request, sizeof request, "/v1/audio?path=%s%%2Foutputs%%2F..%%2F..%%2Fx", w.data.folder);
  expect_detail(get(&w, request), 403, "Access denied");
  json_decref(result);
  close_site(&w);
}

static void test_seeds_and_batches(void **state) {
  site w = open_site(state, NULL, 0, 0);
  char id[64];
  submit_as(&w, "application/json",
            "{\"prompt\":\"a\",\"inference_steps\":1,\"duration\":10,\"seed\":\"7,8\",\"use_random_seed\":false}", id);
  json_t *result = await(&w, id, 1); /* batch_size omitted: two */
  assert_int_equal(json_array_size(result), 2);
  assert_string_equal(text_of(json_array_get(result, 0), "seed_value"), "7,8");
  assert_string_not_equal(text_of(json_array_get(result, 0), "file"), text_of(json_array_get(result, 1), "file"));
  json_decref(result);
  char *sound[2];
  size_t length[2];
  for (int i = 0; i < 2; i++) {
    result = song(&w, ",\"audio_duration\":10,\"seed\":42,\"use_random_seed\":false");
    assert_string_equal(text_of(json_array_get(result, 0), "seed_value"), "42");
    reply r = get(&w, text_of(json_array_get(result, 0), "file"));
    sound[i] = malloc(r.length);
    length[i] = r.length;
    memcpy(sound[i], r.body, r.length);
    reply_free(&r);
    json_decref(result);
  }
  assert_int_equal(length[0], length[1]);
  assert_memory_equal(sound[0], sound[1], length[0]);
  free(sound[0]), free(sound[1]);
  close_site(&w);
}

/* ---- checks 20-29: bodies, aliases, paths ------------------------------------------------------------------------ */

static void expect_seconds(json_t *result, int seconds) {
  const json_t *metas = json_object_get(json_array_get(result, 0), "metas");
  assert_true(json_number_value(json_object_get(metas, "duration")) == seconds);
  json_decref(result);
}

static void test_bodies_of_every_kind(void **state) {
  site w = open_site(state, NULL, 0, 0);
  char id[64];
  submit_as(&w, "application/x-www-form-urlencoded",
            "prompt=a&duration=10&batch_size=1&thinking=false&inferenceSteps=1", id);
  expect_seconds(await(&w, id, 1), 10);
  expect_seconds(song(&w, ",\"param_obj\":\"{\\\"duration\\\":12}\""), 12);
  expect_seconds(song(&w, ",\"duration\":10,\"param_obj\":{\"duration\":30}"), 10);
  submit_as(&w, NULL, "{" SHORT ",\"audioDuration\":11}", id);
  expect_seconds(await(&w, id, 1), 11);
  expect_detail(post_as(&w, "/release_task", NULL, "hello"), 415, "Unsupported Content-Type: (missing)");
  expect_detail(post(&w, "/release_task", "{\"a\""), 400, "Malformed JSON payload");
  expect_detail(post(&w, "/release_task", "[]"), 400, "JSON payload must be an object");
  expect_detail(post_as(&w, "/release_task", NULL, "{\"a\""), 400, "Invalid JSON body (hint");
  expect_detail(post(&w, "/release_task", "{\"src_audio_path\":\"/etc/hosts\"}"), 400,
                "absolute audio file paths are not allowed");
  expect_detail(post(&w, "/release_task", "{\"srcAudioPath\":\"../nowhere/x.wav\"}"), 400,
                "path traversal in audio file paths is not allowed");
  expect_detail(post(&w, "/release_task", "{\"task_type\":\"dance\"}"), 400, "task_type");
  expect_detail(post(&w, "/release_task", "{\"audio_format\":\"midi\"}"), 400, "audio_format");
  expect_detail(post(&w, "/release_task", "{\"repaint_strength\":2}"), 400, "repaint_strength");
  expect_detail(post(&w, "/release_task", "{\"seed\":1.5}"), 400, "seed");
  json_t *deep = json_array();
  for (int i = 0; i < 100; i++) deep = json_pack("[o]", deep);
  char *text = json_dumps(deep, 0);
  expect_detail(post(&w, "/release_task", text), 400, "Malformed JSON payload");
  free(text);
  json_decref(deep);
  close_site(&w);
}

/* Check 21 and 28: a source comes with the form, or is a song of this server; check 29: it must be there. */
static void test_sources(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_t *first = song(&w, ",\"duration\":10");
  const char *link = text_of(json_array_get(first, 0), "file");
  reply sound = get(&w, link);
  char *form = malloc(sound.length + 2000), body[2048], id[64];
  size_t n = (size_t)sprintf(form,
                             "--cut\r\nContent-Disposition: form-data; name=\"taskType\"\r\n\r\ncover\r\n"
                             "--cut\r\nContent-Disposition: form-data; name=\"inference_steps\"\r\n\r\n1\r\n"
                             "--cut\r\nContent-Disposition: form-data; name=\"batch_size\"\r\n\r\n1\r\n"
                             "--cut\r\nContent-Disposition: form-data; name=\"src_audio\"; filename=\"s.wav\"\r\n\r\n");
  /* two seconds of it: the tiny autoencoder is slow to encode */
  size_t part = 44 + 2 * 48000 * 4;
  memcpy(form + n, sound.body, part);
  n += part;
  n += (size_t)sprintf(form + n, "\r\n--cut--\r\n");
  json_t *all = json_of(
      http_post(w.port, "POST /release_task HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=cut", form, n),
      200);
  strcpy(id, text_of(data_of(all), "task_id"));
  json_decref(all);
  json_t *covered = await(&w, id, 1);
  link = text_of(json_array_get(covered, 0), "file"); /* two seconds: the source of what follows */
  for (int i = 0; i < 100; i++) {                     /* the job has ended a moment before its upload goes */
    char *uploads = file_join(w.data.folder, "uploads");
    temp t = {0};
    snprintf(t.folder, sizeof t.folder, "%.250s", uploads);
    free(uploads);
    if (temp_count(&t) == 0) break;
    assert_true(i < 99);
    nanosleep(&(struct timespec){0, 20000000}, NULL);
  }
  char path[1024];
  size_t used = 0;
  for (const char *p = strchr(link, '=') + 1; *p; p++)
    if (*p == '%') path[used++] = '/', p += 2;
    else path[used++] = *p;
  path[used] = 0;
  snprintf(body, sizeof body,
           "{" SHORT
           ",\"task_type\":\"repaint\",\"repainting_start\":0.5,\"repainting_end\":1.5,\"src_audio_path\":\"%s\"}",
           path);
  submit_as(&w, "application/json", body, id);
  free(form);
  json_decref(await(&w, id, 1));
  reply_free(&sound);
  json_decref(first), json_decref(covered);
  submit_as(&w, "application/json", "{\"prompt\":\"a\",\"task_type\":\"cover\"}", id);
  json_t *failed = await(&w, id, 2);
  assert_string_equal(text_of(json_array_get(failed, 0), "stage"), "failed");
  assert_non_null(strstr(text_of(json_array_get(failed, 0), "error"), "requires source audio"));
  json_decref(failed);
  close_site(&w);
}

/* ---- checks 30-35 ------------------------------------------------------------------------------------------------ */

static void test_models_that_are_not_there(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_t *result = song(&w, ",\"duration\":10,\"model\":\"no-such\"");
  assert_string_equal(text_of(json_array_get(result, 0), "dit_model"), "acestep-v15-turbo");
  json_decref(result);
  char id[64];
  submit_as(&w, "application/json", "{\"prompt\":\"a\",\"thinking\":true}", id);
  result = await(&w, id, 2);
  assert_non_null(strstr(text_of(json_array_get(result, 0), "error"), "5Hz LM init failed"));
  json_decref(result);
  /* the language model is only wanted: the song is made without it */
  submit_as(&w, "application/json", "{\"prompt\":\"a\",\"duration\":10,\"inference_steps\":1,\"batch_size\":1}", id);
  json_decref(await(&w, id, 1));
  reply r = post(&w, "/format_input", "{\"prompt\":\"a\"}");
  assert_true(r.status == 503 || r.status == 500);
  assert_non_null(strstr(r.body, "ACESTEP_INIT_LLM"));
  reply_free(&r);
  close_site(&w);
}

static void test_queries(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_t *all = json_of(post(&w, "/query_result", "{\"task_id_list\":[\"x\",\"y\",\"x\"]}"), 200), *data = data_of(all);
  assert_int_equal(json_array_size(data), 3);
  assert_string_equal(text_of(json_array_get(data, 2), "task_id"), "x");
  assert_string_equal(text_of(json_array_get(data, 0), "result"), "[]");
  assert_int_equal(json_integer_value(json_object_get(json_array_get(data, 0), "status")), 0);
  assert_null(json_object_get(json_array_get(data, 0), "progress_text"));
  json_decref(all);
  static const struct {
    const char *type, *body;
    size_t n;
  } cases[] = {{"application/json", "{\"task_id_list\":\"[\\\"x\\\"]\"}", 1},
               {"application/x-www-form-urlencoded", "task_id_list=%5B%22x%22%5D", 1},
               {"application/json", "{\"task_id_list\":\"garbage\"}", 0},
               {"application/json", "{\"task_id_list\":5}", 0},
               {"application/json", "{}", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    all = json_of(post_as(&w, "/query_result", cases[i].type, cases[i].body), 200);
    assert_int_equal(json_array_size(data_of(all)), cases[i].n);
    json_decref(all);
  }
  expect_detail(post(&w, "/query_result", "[1]"), 400, "JSON payload must be an object");
  close_site(&w);
}

static void test_a_full_queue(void **state) {
  site w = open_site(state, NULL, 0, 1);
  char id[64];
  /* a long song keeps the worker busy */
  submit_as(&w, "application/json", "{\"prompt\":\"a\",\"duration\":300,\"inference_steps\":20}", id);
  for (int i = 0;; i++) {
    json_t *item = query(&w, id);
    bool running = strstr(text_of(item, "result"), "\"queued\"") == NULL;
    json_decref(item);
    if (running) break;
    assert_true(i < 500);
    nanosleep(&(struct timespec){0, 10000000}, NULL);
  }
  char next[64];
  submit_as(&w, "application/json", "{\"prompt\":\"b\"}", next);
  expect_detail(post(&w, "/release_task", "{\"prompt\":\"c\"}"), 429, "Server busy: queue is full");
  expect_detail(post(&w, "/v1/chat/completions",
                     "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"<prompt>c</prompt>\"}]}"),
                429, "Server busy: queue is full");
  assert_int_equal(jobs_cancel(service_jobs(w.s), id, NULL), ACE_OK);
  assert_int_equal(jobs_cancel(service_jobs(w.s), next, NULL), ACE_OK);
  json_t *result = await(&w, next, 2);
  assert_string_equal(text_of(json_array_get(result, 0), "error"), "cancelled");
  json_decref(result);
  close_site(&w);
}

/* ---- checks 36, 40: keys and origins ----------------------------------------------------------------------------- */

static int status_with(const site *w, const char *request, const char *header) {
  char text[1024];
  snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n%s\r\n\r\n", request, header);
  reply r = http_ask(w->port, text);
  int status = r.status;
  reply_free(&r);
  return status;
}

static void test_keys(void **state) {
  site w = open_site(state, "open sesame", 0, 0);
  expect_detail(post(&w, "/release_task", "{\"prompt\":\"a\"}"), 401, "Missing ai_token or Authorization header");
  reply r = http_post(
      w.port, "POST /query_result HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer open sesame",
      "{\"ai_token\":\"wrong\"}", 20);
  expect_detail(r, 401, "Invalid ai_token");
  json_decref(json_of(post(&w, "/query_result", "{\"ai_token\":\"open sesame\"}"), 200));
  assert_int_equal(status_with(&w, "GET /v1/stats", "Authorization: Bearer open sesame"), 200);
  assert_int_equal(status_with(&w, "GET /v1/stats", "Authorization: open sesame"), 200);
  assert_int_equal(status_with(&w, "GET /v1/stats", "Authorization: Bearer open sesam"), 401);
  assert_int_equal(status_with(&w, "GET /v1/stats", "Authorization: Bearer open sesame!"), 401);
  expect_detail(get(&w, "/v1/stats"), 401, "Missing Authorization header");
  json_decref(json_of(get(&w, "/health"), 200));
  close_site(&w);
}

static void test_origins_and_hosts(void **state) {
  site w = open_site(state, NULL, 0, 0);
  reply r = http_ask(w.port, "GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:5173\r\n\r\n");
  assert_string_equal(reply_header(&r, "Access-Control-Allow-Origin"), "http://localhost:5173");
  reply_free(&r);
  r = http_ask(w.port, "GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n");
  assert_int_equal(r.status, 200);
  assert_null(reply_header(&r, "Access-Control-Allow-Origin"));
  reply_free(&r);
#define PREFLIGHT "OPTIONS /release_task HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Method: "
  r = http_ask(
      w.port, PREFLIGHT
      "POST\r\nOrigin: http://127.0.0.1:3000\r\nAccess-Control-Request-Headers: content-type, authorization\r\n\r\n");
  assert_int_equal(r.status, 200);
  assert_string_equal(r.body, "OK");
  assert_non_null(strstr(reply_header(&r, "Access-Control-Allow-Methods"), "GET, POST, OPTIONS"));
  reply_free(&r);
  static const char *const refused[] = {
      PREFLIGHT "POST\r\nOrigin: http://evil.example\r\n\r\n", PREFLIGHT "PATCH\r\nOrigin: http://localhost\r\n\r\n",
      PREFLIGHT "POST\r\nOrigin: http://localhost.evil.example\r\n\r\n",
      PREFLIGHT "POST\r\nOrigin: http://localhost:80x\r\n\r\n",
      PREFLIGHT "POST\r\nOrigin: null\r\nAccess-Control-Request-Headers: x-evil\r\n\r\n"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    r = http_ask(w.port, refused[i]);
    assert_int_equal(r.status, 400);
    reply_free(&r);
  }
  /* any site's page in a frame without rights has the origin null */
  assert_int_equal(status_with(&w, "POST /release_task", "Origin: null"), 403);
  r = http_ask(w.port, "GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n");
  assert_null(reply_header(&r, "Access-Control-Allow-Origin"));
  reply_free(&r);
  /* a page elsewhere may not make songs, nor reach this server under a name of its own */
  assert_int_equal(status_with(&w, "POST /release_task", "Origin: http://evil.example"), 403);
  r = http_ask(w.port, "GET /health HTTP/1.1\r\nHost: evil.example:7860\r\n\r\n");
  assert_int_equal(r.status, 421);
  reply_free(&r);
  r = http_ask(w.port, "GET /health HTTP/1.1\r\nHost: 192.168.1.7:7860\r\n\r\n");
  assert_int_equal(r.status, 200);
  reply_free(&r);
  close_site(&w);
}

/* Where a key is asked for, a page in a file may use it. */
static void test_null_origin_with_a_key(void **state) {
  site w = open_site(state, "secret", 0, 0);
  reply r = http_ask(w.port, "GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n");
  assert_string_equal(reply_header(&r, "Access-Control-Allow-Origin"), "null");
  reply_free(&r);
  r = http_ask(w.port, PREFLIGHT "POST\r\nOrigin: null\r\n\r\n");
  assert_int_equal(r.status, 200);
  reply_free(&r);
  assert_int_equal(status_with(&w, "GET /v1/stats", "Origin: null"), 401);
  assert_int_equal(status_with(&w, "GET /v1/stats", "Origin: null\r\nAuthorization: Bearer secret"), 200);
  close_site(&w);
}

/* ---- the language model's routes --------------------------------------------------------------------------------- */

static void test_words(void **state) {
  site w = open_site(state, NULL, 1, 0);
  json_t *all =
      json_of(post(&w, "/format_input",
                   "{\"prompt\":\"soft piano\",\"param_obj\":\"{\\\"bpm\\\":80,\\\"key\\\":\\\"C Major\\\"}\"}"),
              200);
  const json_t *data = data_of(all);
  assert_int_equal(json_integer_value(json_object_get(data, "bpm")), 80);
  assert_int_equal(strcasecmp(text_of(data, "key_scale"), "C Major"), 0);
  assert_non_null(json_object_get(data, "vocal_language"));
  json_decref(all);
  all = json_of(
      post_as(&w, "/v1/create_sample", "application/x-www-form-urlencoded", "query=a+waltz&instrumental=true"), 200);
  data = data_of(all);
  assert_non_null(json_object_get(data, "timesignature"));
  assert_non_null(json_object_get(data, "caption"));
  json_decref(all);
  close_site(&w);
}

/* ---- check 37: bundled examples, without any language model -------------------------------------------------------- */

/* The answer's data has exactly these fields. */
static void expect_fields(reply r, const char *const *fields) {
  json_t *all = json_of(r, 200);
  const json_t *data = data_of(all);
  size_t n = 0;
  for (; fields[n]; n++)
    if (!json_object_get(data, fields[n])) fail_msg("%s is missing", fields[n]);
  assert_int_equal(json_object_size(data), n);
  json_decref(all);
}

static void test_random_samples(void **state) {
  static const char *const simple[] = {"description", "instrumental", "vocal_language", NULL};
  static const char *const custom[] = {"caption",  "lyrics",        "bpm",   "duration", "keyscale",
                                       "language", "timesignature", "think", NULL};
  site w = open_site(state, "key", -1, 0);
#define SAMPLE "/create_random_sample"
  expect_detail(post(&w, SAMPLE, "{}"), 401, "Missing ai_token or Authorization header");
  expect_fields(post(&w, SAMPLE, "{\"ai_token\":\"key\"}"), simple);
  expect_fields(post(&w, SAMPLE, "{\"ai_token\":\"key\",\"sample_type\":null}"), simple);
  expect_fields(post(&w, SAMPLE, "{\"ai_token\":\"key\",\"sample_type\":\"\"}"), simple);
  expect_fields(post(&w, SAMPLE, "{\"ai_token\":\"key\",\"sample_type\":\"simple_mode\"}"), simple);
  expect_fields(post(&w, SAMPLE, "{\"ai_token\":\"key\",\"sample_type\":\"custom_mode\"}"), custom);
  expect_fields(post_as(&w, SAMPLE, "application/x-www-form-urlencoded", "ai_token=key&sample_type=custom_mode"),
                custom);
  /* the dice fall differently: twenty equal throws are one chance in 60 to the 19th */
  bool differ = false;
  json_t *first = NULL;
  for (int i = 0; i < 20 && !differ; i++) {
    json_t *all = json_of(post(&w, SAMPLE, "{\"ai_token\":\"key\"}"), 200), *data = data_of(all);
    if (!first) first = json_incref(data);
    differ = !json_equal(first, data);
    json_decref(all);
  }
  assert_true(differ);
  json_decref(first);
  close_site(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_health_models_and_loading),
      cmocka_unit_test(test_a_song_from_submit_to_sound),
      cmocka_unit_test(test_seeds_and_batches),
      cmocka_unit_test(test_bodies_of_every_kind),
      cmocka_unit_test(test_sources),
      cmocka_unit_test(test_models_that_are_not_there),
      cmocka_unit_test(test_queries),
      cmocka_unit_test(test_a_full_queue),
      cmocka_unit_test(test_keys),
      cmocka_unit_test(test_origins_and_hosts),
      cmocka_unit_test(test_null_origin_with_a_key),
      cmocka_unit_test(test_words),
      cmocka_unit_test(test_random_samples),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
