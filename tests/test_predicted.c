/* What a song will take of memory is told before it runs: within 5 % of the most that the kernel saw of the process. (How
 * long it takes depends on what else the machine does, and is asked of nobody here.) */
#include "base/json.h"
#include "program.h"
#include "sanitized.h"

static json_t *data_of(reply r) {
  if (r.status != 200) fail_msg("status %d: %.300s", r.status, r.body ? r.body : "");
  json_t *all = json_loads(r.body, 0, NULL), *data = json_incref(json_object_get(all, "data"));
  json_decref(all);
  reply_free(&r);
  return data;
}

static json_t *post(const program *p, const char *path, const char *body) {
  char head[200];
  snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nContent-Type: application/json", path);
  return data_of(http_post(p->port, head, body, strlen(body)));
}

/* Bytes of a line of /proc/PID/status. */
static double kernel_says(const program *p, const char *name) {
  char path[64], line[256];
  double bytes = 0;
  snprintf(path, sizeof path, "/proc/%ld/status", (long)p->pid);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  while (fgets(line, sizeof line, f))
    if (strncmp(line, name, strlen(name)) == 0) bytes = 1024 * strtod(line + strlen(name), NULL);
  fclose(f);
  assert_true(bytes > 0);
  return bytes;
}

/* The most that was in memory is counted anew. */
static bool forget_peak(const program *p) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/clear_refs", (long)p->pid);
  int f = open(path, O_WRONLY);
  bool done = f >= 0 && write(f, "5", 1) == 1;
  if (f >= 0) close(f);
  return done;
}

static void sing(const program *p, const char *body) {
  char path[100];
  json_t *data = post(p, "/v1/songs", body);
  snprintf(path, sizeof path, "GET /v1/jobs/%.36s HTTP/1.1\r\nHost: localhost\r\n\r\n", json_text(data, "id"));
  json_decref(data);
  for (int i = 0; i < 6000; i++, nap(0.02)) {
    json_t *job = data_of(http_ask(p->port, path));
    const char *state = json_text(job, "state");
    bool done = strcmp(state, "succeeded") == 0, wrong = strcmp(state, "failed") == 0;
    json_decref(job);
    if (wrong) fail_msg("the song failed");
    if (done) return;
  }
  fail_msg("the song does not end");
}

static double predicted(const program *p, const char *body) {
  json_t *data = post(p, "/v1/predict", body), *memory = json_object_get(data, "memory");
  double total = json_number_value(json_object_get(memory, "total"));
  assert_true(json_is_true(json_object_get(memory, "fits")) && total > 0);
  json_decref(data);
  return total;
}

#define SONG(duration, items)                                                                                          \
  "{\"request\":{\"caption\":\"a\",\"lyrics\":\"b\",\"inference_steps\":1,\"thinking\":false,\"use_cot_metas\":false," \
  "\"use_cot_caption\":false,\"use_cot_language\":false,\"duration\":" duration ",\"batch_size\":" items "}}"

static void test_memory(void **state) {
  if (SANITIZED) skip();
  static const char *const songs_asked[] = {SONG("10", "1"), SONG("30", "1"), SONG("15", "3")};
  temp data = temp_open();
  program p = program_serve(data.folder, ((songs *)*state)->models, PAIRS("--quiet", "--threads", "2"));
  sing(&p, songs_asked[0]); /* loads the model */
  bool can = forget_peak(&p);
  for (int i = 0; can && i < 3; i++) {
    assert_true(forget_peak(&p));
    double before = predicted(&p, songs_asked[i]);
    sing(&p, songs_asked[i]);
    double most = kernel_says(&p, "VmHWM:");
    print_message("song %d: predicted %.1f MB, %.1f MB at the most: %.3f times\n", i, before / 1e6, most / 1e6,
                  before / most);
    assert_true(before > 0.95 * most && before < 1.05 * most);
  }
  assert_int_equal(program_end(&p, SIGTERM), 0);
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", data.folder);
  assert_int_equal(system(command), 0);
  if (!can) skip(); /* the kernel does not let us begin anew */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory)};
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
