/* The page's routes over real sockets, with the tiny models: what a user of the page would lose, wait for or see of
 * others. */
#include <sys/stat.h>

#include "browser.h"

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static void test_a_page_learns_all_that_it_needs(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w);
  json_t *all = good(fetch(&b, "/v1/studio"));
  static const char *const fields[] = {"service",  "limits",    "machine",  "tiers",   "defaults",
                                       "settings", "inventory", "families", "formats", "version"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (!json_object_get(all, fields[i])) fail_msg("%s is missing", fields[i]);
  assert_int_equal(json_array_size(json_object_get(all, "tiers")), 8);
  assert_true(json_array_size(json_object_get(json_object_get(all, "inventory"), "diffusion")) >= 2);
  assert_true(json_integer_value(json_object_get(json_object_get(all, "machine"), "threads")) >= 1);
  const json_t *base = json_object_get(json_object_get(all, "families"), "base");
  assert_int_equal(json_array_size(json_object_get(base, "modes")), 7);
  assert_int_equal(json_integer_value(json_object_get(base, "steps")), 32);
  json_decref(all);
  all = good(fetch(&b, "/v1/examples?kind=custom"));
  assert_true(json_array_size(all) >= 60);
  json_decref(all);
  expect_refusal(fetch(&b, "/v1/examples?kind=jokes"), 400, NULL, "kind");
  close_site(&w);
}

static void test_settings_are_corrected_and_loaded(void **state) {
  setenv("MAX_CUDA_VRAM", "4", 1);
  site w = open_site(state, NULL, 0, 0);
  unsetenv("MAX_CUDA_VRAM");
  browser b = open_browser(&w);
  json_t *data =
      good(send_json(&b, "POST", "/v1/studio/init",
                     "{\"model\":\"acestep-v15-base\",\"init_lm\":true,\"backend\":\"vllm\",\"compile\":true}"));
  char kinds[200] = "";
  size_t i;
  json_t *one;
  json_array_foreach(json_object_get(data, "corrections"), i, one) {
    strcat(strcat(kinds, text_of(one, "kind")), " ");
  }
  assert_string_equal(kinds, "backend_tier lm_tier idle ");
  json_decref(ended(&b, text_of(data, "id")));
  json_decref(data);
  data = good(fetch(&b, "/v1/studio"));
  const json_t *now = json_object_get(data, "service"), *slot = json_array_get(json_object_get(now, "slots"), 0);
  assert_string_equal(text_of(slot, "name"), "acestep-v15-base");
  assert_string_equal(text_of(slot, "family"), "base");
  assert_string_equal(text_of(now, "backend"), "pt");
  assert_int_equal(json_integer_value(json_object_get(json_object_get(data, "limits"), "seconds")), 360);
  json_decref(data);
  expect_refusal(send_json(&b, "POST", "/v1/studio/init", "{\"model\":\"no-such\"}"), 404, NULL, "model");
  expect_refusal(send_json(&b, "POST", "/v1/studio/tier", "{\"tier\":\"tier9\"}"), 400, NULL, "tier");
  data = good(send_json(&b, "POST", "/v1/studio/tier", "{\"tier\":\"tier4\"}"));
  assert_int_equal(json_integer_value(json_object_get(json_object_get(data, "limits"), "batch")), 4);
  json_decref(data);
  data = good(send_json(&b, "POST", "/v1/studio/unload", "{}"));
  json_decref(ended(&b, text_of(data, "id")));
  json_decref(data);
  close_site(&w);
}

/* ---- songs ------------------------------------------------------------------------------------------------------- */

static void expect_file(browser *b, const char *id, const char *name, int status, const char *begins) {
  char path[200];
  snprintf(path, sizeof path, "/v1/jobs/%s/files/%s", id, name);
  reply r = fetch(b, path);
  if (r.status != status) fail_msg("%s: %d", name, r.status);
  if (begins) assert_memory_equal(r.body, begins, strlen(begins));
  reply_free(&r);
}

static bool holds(const reply *r, const char *text) {
  for (size_t i = 0, n = strlen(text); i + n <= r->length; i++)
    if (memcmp(r->body + i, text, n) == 0) return true;
  return false;
}

static void test_a_song_its_files_and_its_history(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w), other = open_browser(&w);
  char id[64], path[200];
  json_t *data = sing(&b, "\"title\":\"Me & you\",\"seeds\":[7],\"use_random_seed\":false", "", id);
  assert_int_equal(json_integer_value(json_array_get(json_object_get(json_object_get(data, "request"), "seeds"), 0)),
                   7);
  json_decref(data);
  json_t *job = ended(&b, id);
  assert_string_equal(text_of(job, "state"), "succeeded");
  assert_int_equal(json_integer_value(json_object_get(job, "batch")), 1);
  assert_string_equal(text_of(json_object_get(job, "note"), "mode"), "custom");
  assert_null(json_object_get(job, "session"));
  const json_t *sample = json_array_get(json_object_get(job, "samples"), 0);
  assert_string_equal(text_of(json_object_get(sample, "about"), "title"), "Me & you");
  json_decref(job);
  expect_file(&b, id, "1.wav", 200, "RIFF");
  expect_file(&b, id, "1.json", 200, "{");
  expect_file(&b, id, "1.peaks", 200, "{\"columns\":2000,\"seconds\":10.000,\"peaks\":[");
  expect_file(&b, id, "2.wav", 404, NULL);
  expect_file(&b, id, "..%2f..%2facestep.db", 404, NULL);
  expect_file(&other, id, "1.wav", 404, NULL);
  snprintf(path, sizeof path, "/v1/jobs/%s/files/1.wav?download=Me%%20%%26%%20%%22you%%22%%2F", id);
  reply r = fetch(&b, path);
  assert_string_equal(reply_header(&r, "Content-Disposition"),
                      "attachment; filename=\"Me _ _you__.wav\"; filename*=UTF-8''Me%20%26%20_you__.wav");
  reply_free(&r);
  snprintf(path, sizeof path, "/v1/jobs/%s/samples/0", id);
  data = good(send_json(&b, "POST", path, "{\"favourite\":true,\"title\":\"Ours\",\"lrc\":\"[00:01.00]la\"}"));
  assert_true(json_is_true(json_object_get(data, "favourite")));
  json_decref(data);
  expect_file(&b, id, "1.lrc", 200, "[00:01.00]la");
  expect_file(&b, id, "1.vtt", 200, "WEBVTT");
  expect_refusal(send_json(&other, "POST", path, "{\"favourite\":false}"), 404, NULL, NULL);
  expect_refusal(send_json(&b, "POST", path, "{\"title\":3}"), 400, NULL, "title");
  data = good(send_json(&b, "POST", path, "{\"tags\":[\"late night\",\"piano\"]}"));
  assert_string_equal(json_string_value(json_array_get(json_object_get(json_object_get(data, "about"), "tags"), 1)),
                      "piano");
  assert_string_equal(text_of(json_object_get(data, "about"), "title"), "Ours");
  json_decref(data);
  expect_refusal(send_json(&b, "POST", path, "{\"tags\":[\"piano\",\"\"]}"), 400, NULL, "tags");
  expect_refusal(send_json(&b, "POST", path, "{\"tags\":\"piano\"}"), 400, NULL, "tags");
  data = good(fetch(&b, "/v1/batches"));
  assert_int_equal(json_integer_value(json_object_get(data, "total")), 1);
  job = json_array_get(json_object_get(data, "batches"), 0);
  assert_string_equal(text_of(json_object_get(json_object_get(job, "request"), "request"), "caption"), "a test");
  json_decref(data);
  data = good(fetch(&other, "/v1/batches"));
  assert_int_equal(json_array_size(json_object_get(data, "batches")), 0);
  json_decref(data);
  /* a zip holds it all */
  r = fetch(&b, "/v1/zip");
  assert_int_equal(r.status, 200);
  assert_memory_equal(r.body, "PK", 2);
  assert_true(r.length > 48000 * 4 * 10);
  assert_true(holds(&r, "batch 1/1 Ours.wav"));
  assert_true(holds(&r, "batch 1/1 Ours.lrc"));
  reply_free(&r);
  /* delete, undo, delete a sample */
  snprintf(path, sizeof path, "/v1/jobs/%s", id);
  json_decref(good(send_json(&b, "DELETE", path, "")));
  expect_refusal(fetch(&b, path), 404, NULL, NULL);
  strcat(path, "/restore");
  expect_refusal(send_json(&other, "POST", path, "{}"), 404, NULL, NULL);
  json_decref(good(send_json(&b, "POST", path, "{}")));
  expect_file(&b, id, "1.wav", 200, "RIFF");
  snprintf(path, sizeof path, "/v1/jobs/%s/samples/0", id);
  json_decref(good(send_json(&b, "DELETE", path, "")));
  expect_file(&b, id, "1.wav", 404, NULL);
  close_site(&w);
}

static void test_songs_that_are_refused_say_why(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w);
  static const struct {
    const char *body, *kind, *field;
  } cases[] = {
      {"{\"request\":{\"bpm\":29}}", NULL, "bpm"},
      {"{\"request\":{\"tempo\":90}}", NULL, "tempo"},
      {"{\"request\":{\"task_type\":\"cover\"}}", "need_source", NULL},
      {"{\"request\":{\"task_type\":\"extract\",\"track_name\":\"drums\"}}", NULL, NULL},
      {"{\"request\":{\"src_audio\":\"/etc/passwd\"}}", NULL, NULL},
      {"{\"request\":{\"src_audio\":\"upload:../../x\"}}", "no_upload", "src_audio"},
      {"{\"request\":{\"src_audio\":\"upload:00000000000000000000000000000000\"}}", "no_upload", "src_audio"},
      {"{\"request\":{\"src_audio\":\"sample:x/0\"}}", NULL, "src_audio"},
      {"{\"request\":[]}", NULL, "request"},
      {"{\"note\":3}", NULL, "note"},
      {"{\"slot\":2}", NULL, "slot"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    reply r = send_json(&b, "POST", "/v1/songs", cases[i].body);
    if (r.status < 400 || r.status > 499) fail_msg("%s: %d", cases[i].body, r.status);
    expect_refusal(r, r.status, cases[i].kind, cases[i].field);
  }
  expect_refusal(send_json(&b, "POST", "/v1/format", "{\"request\":{}}"), 409, "lm_missing", NULL);
  json_t *list = good(fetch(&b, "/v1/jobs"));
  assert_int_equal(json_array_size(list), 0);
  json_decref(list);
  close_site(&w);
}

/* What is too much for the machine is brought down, and said; a batch in the background waits, and only one. */
static void test_limits_and_background(void **state) {
  setenv("MAX_CUDA_VRAM", "4", 1);
  site w = open_site(state, NULL, 0, 0);
  unsetenv("MAX_CUDA_VRAM");
  browser b = open_browser(&w);
  char id[64], path[128];
  json_t *data = sing(&b, "\"thinking\":true,\"batch_size\":3", "", id), *warning;
  char kinds[200] = "";
  size_t i;
  json_array_foreach(json_object_get(data, "warnings"), i, warning) {
    strcat(strcat(kinds, text_of(warning, "kind")), " ");
  }
  assert_non_null(strstr(kinds, "clamp_batch think_off"));
  assert_int_equal(json_integer_value(json_object_get(json_object_get(data, "request"), "batch_size")), 1);
  json_decref(data);
  json_decref(sing(&b, "\"seeds\":[5],\"use_random_seed\":false", ",\"background\":true", id));
  expect_refusal(send_json(&b, "POST", "/v1/songs", "{\"request\":{},\"background\":true}"), 409, "background", NULL);
  data = good(fetch(&b, "/v1/jobs"));
  json_t *waits = json_array_get(data, 0);
  assert_string_equal(text_of(waits, "class"), "background");
  json_decref(data);
  /* One of each visitor; songs that are asked for now are another matter. */
  browser other = open_browser(&w);
  char others[64], next[64];
  json_decref(sing(&other, "\"title\":\"\"", "", others));
  json_decref(sing(&other, "\"title\":\"\"", ",\"background\":true", others));
  json_decref(sing(&b, "\"title\":\"\"", "", next));
  snprintf(path, sizeof path, "/v1/jobs/%s/cancel", others);
  json_decref(good(send_json(&other, "POST", path, "{}")));
  snprintf(path, sizeof path, "/v1/jobs/%s/cancel", next);
  json_decref(good(send_json(&b, "POST", path, "{}")));
  snprintf(path, sizeof path, "/v1/jobs/%s/cancel", id);
  json_decref(good(send_json(&b, "POST", path, "{}")));
  data = ended(&b, id);
  assert_string_equal(text_of(data, "state"), "cancelled");
  const json_t *seeds = json_object_get(json_object_get(json_object_get(data, "request"), "request"), "seeds");
  assert_true(json_integer_value(json_array_get(seeds, 0)) != 5);
  json_decref(data);
  json_decref(sing(&b, "\"title\":\"\"", ",\"background\":true", id)); /* that one is gone */
  close_site(&w);
}

/* Time and memory are told before a song is made: memory at once, time once one was made. */
static void test_predictions(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w);
  char id[64];
  static const char body[] = "{\"request\":{" SONG "\"title\":\"\"}}";
  json_t *p = good(send_json(&b, "POST", "/v1/predict", body));
  assert_true(json_is_null(json_object_get(p, "seconds")));
  assert_true(json_is_null(json_object_get(p, "memory")));
  json_decref(p);
  for (int i = 0; i < 2; i++) {
    json_decref(sing(&b, "\"title\":\"\"", "", id));
    json_t *job = ended(&b, id);
    json_decref(job);
    for (int k = 0; k < 100; k++) { /* the worker lets go of the engine a moment after the job has ended */
      p = good(send_json(&b, "POST", "/v1/predict", body));
      if (!json_is_null(json_object_get(p, "memory"))) break;
      json_decref(p);
      nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    double seconds = json_number_value(json_object_get(p, "seconds"));
    assert_int_equal(json_integer_value(json_object_get(p, "runs")), i + 1);
    assert_true(seconds > 0);
    assert_true(json_number_value(json_object_get(p, "low")) <= seconds);
    const json_t *memory = json_object_get(p, "memory");
    assert_true(json_is_true(json_object_get(memory, "fits")));
    assert_true(json_integer_value(json_object_get(memory, "total")) > 1000000);
    json_decref(p);
  }
  json_t *data = sing(&b, "\"title\":\"\"", "", id);
  assert_true(json_number_value(json_object_get(json_object_get(data, "prediction"), "seconds")) > 0);
  json_decref(data);
  json_decref(ended(&b, id));
  expect_refusal(send_json(&b, "POST", "/v1/predict", "{\"request\":{\"bpm\":2}}"), 400, NULL, "bpm");
  close_site(&w);
}

/* ---- recordings -------------------------------------------------------------------------------------------------- */

/* A second of mono at 8 kHz. */
static size_t recording(char *out, int amplitude) {
  static const unsigned char head[44] = {
      'R', 'I', 'F',  'F',  0xa4, 0x3e, 0,    0,    'W', 'A', 'V', 'E', 'f', 'm', 't', ' ', 16,  0,   0,    0,    1, 0,
      1,   0,   0x40, 0x1f, 0,    0,    0x80, 0x3e, 0,   0,   2,   0,   16,  0,   'd', 'a', 't', 'a', 0x80, 0x3e, 0, 0};
  memcpy(out, head, sizeof head);
  for (int i = 0; i < 8000; i++) {
    int v = i % 40 < 20 ? amplitude : -amplitude;
    out[44 + 2 * i] = (char)(v & 0xff), out[45 + 2 * i] = (char)(v >> 8);
  }
  return 44 + 16000;
}

static reply upload(browser *b, const char *name, const char *data, size_t length) {
  char *form = malloc(length + 400);
  size_t n =
      (size_t)sprintf(form, "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n\r\n", name);
  memcpy(form + n, data, length);
  n += length;
  n += (size_t)sprintf(form + n, "\r\n--cut--\r\n");
  reply r = ask(b, "POST", "/v1/uploads", "multipart/form-data; boundary=cut", form, n);
  free(form);
  return r;
}

static void test_uploads(void **state) {
  site w = open_site_with(state, (service_options){.init_lm = 0, .most_recordings = 60000}, (server_options){0});
  browser b = open_browser(&w), other = open_browser(&w);
  char *sound = malloc(20000), path[200], request[300], id[64];
  size_t n = recording(sound, 9000);
  json_t *about = good(upload(&b, "C:\\\\music\\\\song.wav", sound, n));
  assert_string_equal(text_of(about, "name"), "song.wav");
  assert_true(json_number_value(json_object_get(about, "seconds")) == 1);
  assert_int_equal(json_integer_value(json_object_get(about, "channels")), 1);
  snprintf(path, sizeof path, "/v1/uploads/%s", text_of(about, "id"));
  reply r = fetch(&b, path);
  assert_int_equal(r.status, 200);
  assert_memory_equal(r.body, sound, n);
  reply_free(&r);
  expect_refusal(fetch(&other, path), 404, NULL, NULL);
  snprintf(request, sizeof request, "\"task_type\":\"cover-nofsq\",\"src_audio\":\"upload:%s\"", text_of(about, "id"));
  json_decref(sing(&b, request, "", id));
  json_t *job = ended(&b, id);
  assert_string_equal(text_of(job, "state"), "succeeded");
  const json_t *asked = json_object_get(json_object_get(job, "request"), "request");
  assert_memory_equal(text_of(asked, "src_audio"), "upload:", 7);
  assert_memory_equal(text_of(json_object_get(json_object_get(job, "result"), "request"), "src_audio"), "upload:", 7);
  json_decref(job);
  /* the song that was made is a source without coming back */
  snprintf(request, sizeof request, "\"task_type\":\"repaint\",\"repainting_end\":0.5,\"src_audio\":\"sample:%s/0\"",
           id);
  char second[64];
  json_decref(sing(&b, request, "", second));
  job = ended(&b, second);
  assert_string_equal(text_of(job, "state"), "succeeded");
  json_decref(job);
  expect_refusal(upload(&b, "noise.mp3", "this is no sound", 16), 400, "bad_audio", NULL);
  n = recording(sound, 0);
  expect_refusal(upload(&b, "nothing.wav", sound, n), 400, "silent_audio", NULL);
  n = recording(sound, 100);
  json_decref(good(upload(&b, "b.wav", sound, n)));
  expect_refusal(upload(&b, "c.wav", sound, n), 507, "quota", NULL);
  json_t *list = good(fetch(&b, "/v1/uploads"));
  assert_int_equal(json_array_size(list), 2);
  json_decref(list);
  json_decref(good(send_json(&b, "DELETE", path, "")));
  expect_refusal(fetch(&b, path), 404, NULL, NULL);
  json_decref(about);
  free(sound);
  close_site(&w);
}

static void test_presets(void **state) {
  site w = open_site(state, NULL, 0, 0);
  browser b = open_browser(&w), other = open_browser(&w);
  json_decref(good(send_json(&b, "PUT", "/v1/presets/fast%20draft", "{\"inference_steps\":4}")));
  json_t *all = good(fetch(&b, "/v1/presets"));
  assert_int_equal(json_integer_value(json_object_get(json_object_get(all, "fast draft"), "inference_steps")), 4);
  json_decref(all);
  expect_refusal(fetch(&other, "/v1/presets/fast%20draft"), 404, NULL, NULL);
  json_decref(good(send_json(&b, "DELETE", "/v1/presets/fast%20draft", "")));
  expect_refusal(send_json(&b, "DELETE", "/v1/presets/fast%20draft", ""), 404, NULL, NULL);
  close_site(&w);
}

/* ---- who may ----------------------------------------------------------------------------------------------------- */

static void test_signing_in(void **state) {
  site w = open_site_with(state, (service_options){.init_lm = 0},
                          (server_options){.user = "anna", .password = "geheim", .api_key = "K", .language = "ja"});
  browser b = open_browser(&w);
  json_t *all = good(fetch(&b, "/v1/studio"));
  assert_true(json_is_false(json_object_get(all, "signed_in")));
  assert_string_equal(text_of(all, "language"), "ja");
  assert_string_equal(text_of(all, "login"), "password");
  assert_null(json_object_get(all, "service"));
  json_decref(all);
  static const char *const closed[] = {"/v1/jobs",    "/v1/batches", "/v1/zip",
                                       "/v1/uploads", "/v1/presets", "/v1/jobs/x/files/1.wav"};
  for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) expect_refusal(fetch(&b, closed[i]), 401, "login", NULL);
  expect_detail(fetch(&b, "/v1/stats"), 401, "Missing Authorization header");
  expect_refusal(send_json(&b, "POST", "/v1/studio/login", "{\"user\":\"anna\",\"password\":\"wrong\"}"), 401, "login",
                 NULL);
  browser thief = b;
  json_decref(good(send_json(&b, "POST", "/v1/studio/login", "{\"user\":\"anna\",\"password\":\"geheim\"}")));
  json_decref(good(fetch(&b, "/v1/jobs")));
  json_decref(good(fetch(&b, "/v1/stats")));
  expect_refusal(fetch(&thief, "/v1/jobs"), 401, "login", NULL);
  /* the code belongs to the session: with another one it is worth nothing */
  browser other = {.w = &w};
  snprintf(other.cookies, sizeof other.cookies, "acestep_session=0123456789abcdef0123456789abcdef%s",
           strstr(b.cookies, "; acestep_login"));
  expect_refusal(fetch(&other, "/v1/jobs"), 401, "login", NULL);
  /* a program shows its key */
  reply r = http_ask(w.port, "GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer K\r\n\r\n");
  assert_int_equal(r.status, 200);
  reply_free(&r);
  int status = 0;
  for (int i = 0; i < 9; i++) {
    r = send_json(&thief, "POST", "/v1/studio/login", "{\"user\":\"anna\",\"password\":\"guess\"}");
    status = r.status;
    reply_free(&r);
  }
  assert_int_equal(status, 429);
  close_site(&w);
}

static void test_a_fixed_server_stays_as_it_is(void **state) {
  site w = open_site_with(state, (service_options){.init_lm = 0}, (server_options){.service_mode = true});
  browser b = open_browser(&w);
  expect_refusal(send_json(&b, "POST", "/v1/studio/init", "{}"), 403, "service_mode", NULL);
  expect_refusal(send_json(&b, "POST", "/v1/studio/unload", "{}"), 403, "service_mode", NULL);
  expect_refusal(fetch(&b, "/v1/folders"), 403, "service_mode", NULL);
  close_site(&w);
}

/* ---- folders ------------------------------------------------------------------------------------------------------ */

static json_t *named(const json_t *list, const char *name) {
  size_t i;
  json_t *one;
  json_array_foreach(list, i, one) if (strcmp(text_of(one, "name"), name) == 0) return one;
  return NULL;
}

static void test_a_picker_sees_what_its_caller_may_read(void **state) {
  site w = open_site_with(state, (service_options){.init_lm = 0}, (server_options){.http.proxies = PAIRS("127.0.0.1")});
  browser b = open_browser(&w);
  temp_put(&w.data, "set.json", "{}", 2);
  temp_put(&w.data, "notes.txt", "x", 1);
  mkdir(temp_path(&w.data, "songs"), 0700);
  mkdir(temp_path(&w.data, "out"), 0700);
  mkdir(temp_path(&w.data, "out/epoch_3_loss_0.5"), 0700);
  temp_put(&w.data, "out/epoch_3_loss_0.5/training_state.safetensors", "x", 1);
  assert_int_equal(symlink("/etc", temp_path(&w.data, "away")), 0);
  json_t *here = good(fetch(&b, "/v1/folders?files=json,csv"));
  assert_non_null(named(json_object_get(here, "folders"), "songs"));
  assert_non_null(named(json_object_get(here, "files"), "set.json"));
  assert_null(named(json_object_get(here, "files"), "notes.txt"));
  assert_true(json_array_size(json_object_get(here, "roots")) >= 1);
  json_decref(here);
  here = good(fetch(&b, "/v1/folders?path=out"));
  const json_t *found = named(json_object_get(here, "folders"), "epoch_3_loss_0.5");
  assert_string_equal(text_of(found, "kind"), "checkpoint");
  json_decref(here);
  here = good(fetch(&b, "/v1/folders?path=out/not/there/yet"));
  assert_non_null(strstr(text_of(here, "path"), "/out"));
  json_decref(here);
  /* From elsewhere: the data folder and nothing above it, by no name and through no link. */
#define FAR "GET /v1/folders%s HTTP/1.1\r\nHost: 10.0.0.1\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
  static const char *const outside[] = {"?path=/etc",      "?path=..", "?path=away",
                                        "?path=out/../..", "?path=/",  "?path=uploads"};
  char request[300];
  for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
    snprintf(request, sizeof request, FAR, outside[i]);
    expect_refusal(http_ask(w.port, request), 400, "path_unsafe", "path");
  }
  snprintf(request, sizeof request, FAR, "");
  here = good(http_ask(w.port, request));
  assert_null(named(json_object_get(here, "folders"), "away"));
  assert_non_null(named(json_object_get(here, "folders"), "songs"));
  assert_true(json_is_null(json_object_get(here, "parent")));
  json_decref(here);
  close_site(&w);
}

/* Who sits at the machine may go anywhere on it, but not where others reach the server, too: through a tunnel or a proxy
 * that does not say for whom it asks they look as if they sat there. */
static void test_a_server_for_others_shows_nobody_the_machine(void **state) {
  static const char *const addresses[] = {"127.0.0.1", "localhost", "0.0.0.0"};
  for (int i = 0; i < 3; i++) {
    site w = open_site_with(state, (service_options){.init_lm = 0}, (server_options){.http.address = addresses[i]});
    browser b = open_browser(&w);
    if (i < 2) json_decref(good(fetch(&b, "/v1/folders?path=/etc")));
    else expect_refusal(fetch(&b, "/v1/folders?path=/etc"), 400, "path_unsafe", "path");
    json_decref(good(fetch(&b, "/v1/folders")));
    close_site(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_page_learns_all_that_it_needs),
      cmocka_unit_test(test_settings_are_corrected_and_loaded),
      cmocka_unit_test(test_a_song_its_files_and_its_history),
      cmocka_unit_test(test_songs_that_are_refused_say_why),
      cmocka_unit_test(test_limits_and_background),
      cmocka_unit_test(test_uploads),
      cmocka_unit_test(test_presets),
      cmocka_unit_test(test_predictions),
      cmocka_unit_test(test_signing_in),
      cmocka_unit_test(test_a_fixed_server_stays_as_it_is),
      cmocka_unit_test(test_a_picker_sees_what_its_caller_may_read),
      cmocka_unit_test(test_a_server_for_others_shows_nobody_the_machine),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
