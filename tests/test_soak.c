/* A server that runs for long: thousands of small jobs, and requests of every kind between them, leave no descriptor open
 * and memory as it was.
 *
 *   test_soak [SECONDS]          4 without; the long form in ./test long takes 20 minutes. Within 2 % is asked of the long
 *                                form; in seconds the database's caches still fill, by a few MB
 *
 * Jobs are made that are refused early, that fail while they run, that are cancelled and that succeed. Memory is what the
 * kernel says of the process (/proc/PID/smaps_rollup, Pss), taken when nothing runs. */
#include "base/clock.h"
#include "base/json.h"
#include "program.h"
#include "sanitized.h"

/* Before the first look caches and pools fill. */
static double seconds_wanted = 4, seconds_warm = 2;

typedef struct look {
  double memory; /* bytes */
  int descriptors, threads;
} look;

static long field(pid_t pid, const char *file, const char *name) {
  char path[64], line[256];
  long value = -1;
  snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
  FILE *f = fopen(path, "r");
  while (f && value < 0 && fgets(line, sizeof line, f))
    if (strncmp(line, name, strlen(name)) == 0) value = strtol(line + strlen(name), NULL, 10);
  if (f) fclose(f);
  return value;
}

static look look_at(pid_t pid) {
  temp t = {0};
  snprintf(t.folder, sizeof t.folder, "/proc/%ld/fd", (long)pid);
  return (look){1024.0 * (double)field(pid, "smaps_rollup", "Pss:"), temp_count(&t),
                (int)field(pid, "status", "Threads:")};
}

static json_t *ask(int port, const char *path, const char *body) {
  char head[200];
  snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nContent-Type: application/json", path);
  reply r = http_post(port, head, body, strlen(body));
  json_t *json = r.body ? json_loads(r.body, 0, NULL) : NULL;
  reply_free(&r);
  return json;
}

static void visit(int port, const char *path) {
  char request[300];
  snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
  reply r = http_ask(port, request);
  assert_true(r.status > 0);
  reply_free(&r);
}

/* Everything has ended. */
static void settle(int port) {
  for (int i = 0; i < 3000; i++) {
    reply r = http_ask(port, "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
    bool idle = r.body && strstr(r.body, "\"queued\":0,\"running\":0");
    reply_free(&r);
    if (idle) return;
    nap(0.01);
  }
  fail_msg("jobs do not end");
}

/* A listener that hears a little and goes away in the middle. */
static void listen_a_moment(int port) {
  static const char request[] = "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
  char some[512];
  int s = http_connect(port);
  http_send(s, request, sizeof request - 1);
  ssize_t n = recv(s, some, sizeof some, 0);
  assert_true(n > 0);
  close(s);
}

/* Ten jobs and what belongs to them; every 50th round one of them is a song. */
static int one_round(int port, int round) {
  int made = 0;
  for (int i = 0; i < 10; i++) {
    /* a cover needs a source: the job runs and fails */
    json_t *answer = ask(port, "/release_task", "{\"prompt\":\"a\",\"task_type\":\"cover\",\"batch_size\":1}");
    const char *id = json_string_value(json_object_get(json_object_get(answer, "data"), "task_id"));
    char body[200];
    made += id != NULL;
    snprintf(body, sizeof body, "{\"task_id_list\":[\"%s\"]}", id ? id : "x");
    json_decref(ask(port, "/query_result", body));
    json_decref(answer);
  }
  if (round % 50 == 0) {
    json_decref(ask(port, "/release_task",
                    "{\"prompt\":\"a\",\"duration\":10,\"inference_steps\":1,\"batch_size\":1,\"seed\":1,"
                    "\"use_random_seed\":false,\"use_cot_caption\":false,\"use_cot_language\":false}"));
    made++;
  }
  json_decref(ask(port, "/release_task", "{\"task_type\":\"dance\"}"));
  json_decref(ask(port, "/create_random_sample", "{}"));
  visit(port, "/health"), visit(port, "/metrics"), visit(port, "/nope"), visit(port, "/openapi.json");
  listen_a_moment(port);
  settle(port);
  return made;
}

static void test_nothing_grows(void **state) {
  songs *models = *state;
  temp data = temp_open();
  program p = program_serve(data.folder, models->models, PAIRS("--quiet", "--max-queue", "1000"));
  double begun = clock_seconds();
  bool looked = false;
  int made = 0, round = 0;
  look first = {0}, last;
  for (;; round++) {
    made += one_round(p.port, round);
    double now = clock_seconds() - begun;
    if (!looked && round > 2 && now > seconds_warm) first = look_at(p.pid), looked = true;
    else if (looked && now > seconds_warm + seconds_wanted) break;
  }
  nap(1.5); /* connections that were closed are seen to be */
  last = look_at(p.pid);
  print_message(
      "%d jobs in %d rounds: memory %.2f MB, then %.2f MB (%+.2f %%); descriptors %d, then %d; threads %d, then %d\n",
      made, round, first.memory / 1e6, last.memory / 1e6, 100 * (last.memory / first.memory - 1), first.descriptors,
      last.descriptors, first.threads, last.threads);
  assert_true(last.descriptors <= first.descriptors + 2);
  assert_true(last.threads <= first.threads + 2);
  assert_true(SANITIZED || last.memory <= (seconds_wanted < 300 ? first.memory + 16e6 : 1.02 * first.memory));
  assert_int_equal(program_end(&p, SIGTERM), 0);
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", data.folder);
  assert_int_equal(system(command), 0);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_grows)};
  if (argc > 1) seconds_wanted = atof(argv[1]), seconds_warm = seconds_wanted / 10;
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
