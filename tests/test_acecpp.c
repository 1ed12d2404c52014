/* The routes of acestep.cpp's server, as its clients use them: plans, songs with their latents, sound to latents and back,
 * words out of sound; and what is refused. */
#include "site.h"

enum { FRAME = 64 * sizeof(float) };

static site open_compatible(void **state) {
  return open_site_with(state, (service_options){.init_lm = 1}, (server_options){.acecpp = true, .acecpp_batch = 2});
}

/* The result of a job once it is done. */
static reply finish(const site *w, reply submitted) {
  char path[64];
  json_t *all = json_of(submitted, 200);
  assert_int_equal(strspn(text_of(all, "id"), "0123456789abcdef"), 16);
  snprintf(path, sizeof path, "/job?id=%.16s", text_of(all, "id"));
  json_decref(all);
  for (int i = 0; i < 6000; i++) {
    all = json_of(get(w, path), 200);
    bool done = strcmp(text_of(all, "status"), "done") == 0;
    if (!done && strcmp(text_of(all, "status"), "running") != 0) fail_msg("the job %s", text_of(all, "status"));
    json_decref(all);
    if (done) break;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  }
  strcat(path, "&result=1");
  return get(w, path);
}

/* ---- multipart --------------------------------------------------------------------------------------------------- */

static void add(char **to, size_t *n, const void *data, size_t size) {
  *to = realloc(*to, *n + size + 1);
  assert_non_null(*to);
  memcpy(*to + *n, data, size);
  *n += size;
  (*to)[*n] = 0;
}

static void add_part(char **to, size_t *n, const char *name, const char *file, const void *data, size_t size) {
  char head[200];
  snprintf(head, sizeof head, "--cut\r\nContent-Disposition: form-data; name=\"%s\"%s%s%s\r\n\r\n", name,
           file ? "; filename=\"" : "", file ? file : "", file ? "\"" : "");
  add(to, n, head, strlen(head)), add(to, n, data, size), add(to, n, "\r\n", 2);
}

/* One part, and `request` (may be NULL) beside it. */
static reply send_form(const site *w, const char *path, const char *request, const char *name, const void *data,
                       size_t size) {
  char head[200], *body = NULL;
  size_t n = 0;
  if (request) add_part(&body, &n, "request", NULL, request, strlen(request));
  if (name) add_part(&body, &n, name, "x.bin", data, size);
  add(&body, &n, "--cut--\r\n", 9);
  snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=cut", path);
  reply r = http_post(w->port, head, body, n);
  free(body);
  return r;
}

typedef struct part {
  const char *head, *data;
  size_t size;
} part;

/* The parts of an answer, which owns them. */
static int parts_of(const reply *r, part *out, int most) {
  static const char mark[] = "--ace-batch-boundary";
  int n = 0;
  assert_non_null(strstr(reply_header(r, "Content-Type"), "multipart/mixed; boundary=ace-batch-boundary"));
  const char *at = r->body, *end = r->body + r->length;
  while (at + strlen(mark) + 2 <= end && memcmp(at, mark, strlen(mark)) == 0 && at[strlen(mark)] == '\r') {
    const char *head = at + strlen(mark) + 2, *data = strstr(head, "\r\n\r\n") + 4, *next = data;
    while (next + strlen(mark) <= end && memcmp(next, mark, strlen(mark)) != 0) next++;
    if (n < most) out[n] = (part){head, data, (size_t)(next - 2 - data)};
    n++;
    at = next;
  }
  assert_memory_equal(at, "--ace-batch-boundary--", 22);
  return n;
}

/* ---- the way of a song ------------------------------------------------------------------------------------------- */

/* Planned, sung, encoded, decoded, heard. */
static void test_whole_way(void **state) {
  site w = open_compatible(state);
  reply r = finish(&w, post(&w, "/lm",
                            "{\"caption\":\"a\",\"duration\":10,\"lm_batch_size\":7,\"seed\":5,"
                            "\"output_format\":\"wav24\",\"inference_steps\":1,\"unknown\":{}}"));
  json_t *plans = json_loads(r.body, 0, NULL);
  assert_int_equal(json_array_size(plans), 2); /* as many as the server allows */
  for (size_t i = 0; i < 2; i++) {
    const json_t *one = json_array_get(plans, i);
    const char *codes = text_of(one, "audio_codes");
    assert_int_equal(strspn(codes, "0123456789,"), strlen(codes));
    assert_true(strchr(codes, ',') != NULL);
    assert_int_equal(json_integer_value(json_object_get(one, "seed")), 5);
    assert_string_equal(text_of(one, "output_format"), "wav24");
    assert_null(json_object_get(one, "lm_batch_size"));
    assert_null(json_object_get(one, "shift"));
  }
  reply_free(&r);

  char *asked = json_dumps(plans, JSON_COMPACT);
  r = finish(&w, post(&w, "/synth", asked));
  free(asked);
  json_decref(plans);
  part p[8];
  assert_int_equal(parts_of(&r, p, 8), 4);
  for (int i = 0; i < 4; i += 2) {
    assert_memory_equal(p[i].head, "Content-Type: audio/wav", 23);
    assert_memory_equal(p[i].data, "RIFF", 4);
    assert_int_equal(p[i].data[34], 24); /* bits */
    assert_int_equal(p[i].size, 44 + 10 * 48000 * 2 * 3);
    assert_memory_equal(p[i + 1].head, "Content-Type: application/octet-stream", 38);
    assert_int_equal(p[i + 1].size, 250 * FRAME);
  }
  assert_memory_not_equal(p[1].data, p[3].data, p[1].size); /* they follow other codes */

  /* The sound becomes latents, latents become sound, as long as before. */
  reply coded = finish(&w, send_form(&w, "/vae", NULL, "audio", p[0].data, p[0].size));
  assert_string_equal(reply_header(&coded, "Content-Type"), "application/octet-stream");
  assert_int_equal(coded.length, 250 * FRAME);
  reply sound =
      finish(&w, send_form(&w, "/vae", "{\"output_format\":\"wav16\"}", "src_latents", coded.body, coded.length));
  assert_string_equal(reply_header(&sound, "Content-Type"), "audio/wav");
  assert_int_equal(sound.length, 44 + 10 * 48000 * 2 * 2);
  reply_free(&sound);

  /* What there is to hear in it, and a cover of it. */
  reply heard = finish(&w, send_form(&w, "/understand", NULL, "src_latents", coded.body, coded.length));
  part q[2];
  assert_int_equal(parts_of(&heard, q, 2), 2);
  json_t *found = json_loadb(q[0].data, q[0].size, 0, NULL);
  assert_int_equal(json_array_size(found), 1);
  assert_true(strlen(text_of(json_array_get(found, 0), "audio_codes")) > 10);
  json_decref(found);
  assert_int_equal(q[1].size, 250 * FRAME);
  assert_memory_equal(q[1].data, coded.body, coded.length);
  reply_free(&heard);
  reply cover = finish(&w, send_form(&w, "/synth",
                                     "{\"caption\":\"b\",\"task_type\":\"cover\",\"inference_steps\":1,\"seed\":1,"
                                     "\"synth_batch_size\":2,\"output_format\":\"wav32\"}",
                                     "src_latents", coded.body, coded.length));
  assert_int_equal(parts_of(&cover, p, 8), 4);
  reply_free(&cover), reply_free(&coded), reply_free(&r);
  temp uploads = {0}; /* what was uploaded is gone with its jobs */
  snprintf(uploads.folder, sizeof uploads.folder, "%.200s/uploads", w.data.folder);
  assert_int_equal(temp_count(&uploads), 0);
  close_site(&w);
}

/* ---- what is there, what is refused ------------------------------------------------------------------------------ */

static void expect_refused(reply r, int status, const char *text) {
  json_t *all = json_of(r, status);
  assert_string_equal(text_of(all, "error"), text);
  json_decref(all);
}

static void test_props(void **state) {
  site w = open_compatible(state);
  json_t *all = json_of(get(&w, "/props"), 200);
  const json_t *models = json_object_get(all, "models"), *usual = json_object_get(all, "default");
  assert_int_equal(json_array_size(json_object_get(models, "dit")), 2);
  assert_int_equal(json_array_size(json_object_get(models, "lm")), 1);
  assert_int_equal(json_integer_value(json_object_get(json_object_get(all, "cli"), "max_batch")), 2);
  assert_int_equal(json_object_size(usual), 44);
  assert_true(json_number_value(json_object_get(usual, "lm_temperature")) == 0.85);
  assert_int_equal(
      json_integer_value(json_object_get(json_object_get(json_object_get(all, "presets"), "sft"), "inference_steps")),
      50);
  json_decref(all);
  all = json_of(get(&w, "/health"), 200);
  assert_string_equal(text_of(all, "status"), "ok"); /* its clients look here, ours in "data" */
  assert_string_equal(text_of(json_object_get(all, "data"), "status"), "ok");
  json_decref(all);
  char some[512] = "";
  int s = http_connect(w.port);
  const char request[] = "GET /logs HTTP/1.1\r\nHost: localhost\r\n\r\n";
  http_send(s, request, strlen(request));
  assert_true(recv(s, some, sizeof some - 1, 0) > 0);
  assert_non_null(strstr(some, "text/event-stream"));
  close(s);
  close_site(&w);
}

static void test_refusals(void **state) {
  site w = open_compatible(state);
  static const struct {
    const char *path, *body, *error;
  } bad[] = {
      {"/lm", "{", "Invalid JSON"},
      {"/lm", "{}", "Caption is required"},
      {"/lm", "{\"caption\":\"a\",\"lm_mode\":\"sing\"}", "Invalid lm_mode (use: generate, inspire, format)"},
      {"/synth", "{\"caption\":\"a\",\"output_format\":\"ogg\"}",
       "Invalid output_format (use: mp3, wav16, wav24, wav32)"},
      {"/synth", "[]", "Empty request"},
      {"/synth", "[1]", "Invalid JSON"},
      {"/synth", "{\"caption\":\"a\",\"solver\":\"stork4\"}", "Invalid solver (use: euler, sde)"},
      {"/synth", "{\"caption\":\"a\",\"audio_codes\":\"1,x\"}", "Invalid audio_codes"},
      {"/understand", "{}", "Understand requires multipart/form-data"},
      {"/vae", "{}", "VAE endpoint requires multipart/form-data"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    expect_refused(post(&w, bad[i].path, bad[i].body), 400, bad[i].error);
  expect_refused(send_form(&w, "/synth", NULL, "audio", "x", 1), 400, "Multipart: missing 'request' part");
  expect_refused(send_form(&w, "/synth", "{", NULL, NULL, 0), 400, "Multipart: invalid JSON in 'request' part");
  expect_refused(send_form(&w, "/vae", NULL, "audio", "", 0), 400, "Multipart: empty 'audio' part");
  expect_refused(send_form(&w, "/vae", NULL, "audio", "no sound", 8), 400, "Failed to decode audio");
  expect_refused(send_form(&w, "/vae", NULL, "src_latents", "1234", 4), 400,
                 "src_latents size not a multiple of 64*4 bytes");
  expect_refused(send_form(&w, "/vae", NULL, NULL, NULL, 0), 400,
                 "Multipart: provide exactly one of 'audio' (encode) or 'src_latents' (decode)");
  expect_refused(send_form(&w, "/understand", NULL, NULL, NULL, 0), 400,
                 "Multipart: missing 'audio' or 'src_latents' part");
  size_t many = (size_t)15001 * FRAME;
  char *long_one = calloc(1, many);
  expect_refused(send_form(&w, "/vae", NULL, "src_latents", long_one, many), 413, "src_latents exceeds max frames");
  free(long_one);

  expect_refused(get(&w, "/job"), 400, "Missing id parameter");
  expect_refused(get(&w, "/job?id=0123456789abcdef"), 404, "Job not found");
  json_t *all = json_of(post(&w, "/synth", "{\"caption\":\"a\",\"duration\":600,\"synth_batch_size\":8}"), 200);
  char path[64];
  snprintf(path, sizeof path, "/job?id=%.16s&result=1", text_of(all, "id"));
  expect_refused(get(&w, path), 404, "Result not ready");
  snprintf(path, sizeof path, "/job?id=%.16s", text_of(all, "id"));
  expect_refused(post(&w, path, ""), 400, "Unknown action");
  strcat(path, "&cancel=1");
  json_decref(all);
  all = json_of(post(&w, path, ""), 200);
  assert_string_equal(text_of(all, "status"), "cancelled");
  json_decref(all);
  close_site(&w);
}

/* Without being asked for nothing of it is there. */
static void test_only_when_asked_for(void **state) {
  site w = open_site(state, NULL, 0, 0);
  expect_detail(get(&w, "/props"), 404, "Not Found");
  expect_detail(post(&w, "/lm", "{}"), 404, "Not Found");
  close_site(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_whole_way),
      cmocka_unit_test(test_props),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_only_when_asked_for),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
