/* A server that runs for long: thousands of small jobs, and requests of every kind between them, leave no descriptor open
 * and memory as it was.
 *
 *   test_soak [SECONDS]          4 without; the long form in ./test long takes 20 minutes. Within 2 % is asked of the long
 *                                form; in seconds the database's caches still fill, by a few MB
 *
 * Jobs are made that are refused early, that fail while they run, that are cancelled and that succeed. After each round,
 * when nothing runs, the kernel says what is resident of the process (/proc/PID/smaps_rollup, Rss) and what of that is
 * its own and in no file (Anonymous). A tenth of the time is warming up; the rest is cut into four, and the median of the
 * last quarter is compared with that of the first. A single look says little: after a song the allocator keeps more or
 * less for the next one, and pages of files come and go with the machine's load. The server runs
 * without transparent huge pages: the kernel makes one out of a few small ones whenever it likes, which counts as 2 MB more. */
#include "base/clock.h"
#include "base/json.h"
#include "program.h"
#include "sanitized.h"

/* Before the first look caches and pools fill. */
static double seconds_wanted = 4, seconds_warm = 2;

enum { MOST_LOOKS = 1 << 17 };

typedef struct look {
  double resident, own; /* bytes */
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
  return (look){1024.0 * (double)field(pid, "smaps_rollup", "Rss:"),
                1024.0 * (double)field(pid, "smaps_rollup", "Anonymous:"), temp_count(&t),
                (int)field(pid, "status", "Threads:")};
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The medians of n looks, each member by itself. */
static look median(const look *l, int n) {
  double *x = malloc(4 * (size_t)n * sizeof *x);
  assert_non_null(x);
  for (int i = 0; i < n; i++)
    x[i] = l[i].resident, x[n + i] = l[i].own, x[2 * n + i] = l[i].descriptors, x[3 * n + i] = l[i].threads;
  for (int k = 0; k < 4; k++) qsort(x + k * n, (size_t)n, sizeof *x, by_size);
  look m = {x[n / 2], x[n + n / 2], (int)x[2 * n + n / 2], (int)x[3 * n + n / 2]};
  free(x);
  return m;
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

static void no_huge_pages(void *user) {
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

static double change(double before, double after) {
  return 100 * (after / before - 1);
}

static void test_nothing_grows(void **state) {
  songs *models = *state;
  temp data = temp_open();
  look *looks = malloc(MOST_LOOKS * sizeof *looks);
  assert_non_null(looks);
  program p =
      program_serve_with(data.folder, models->models, PAIRS("--quiet", "--max-queue", "1000"), no_huge_pages, NULL);
  double end = clock_seconds() + seconds_warm + seconds_wanted, warm = clock_seconds() + seconds_warm;
  int made = 0, round = 0, n = 0;
  for (; clock_seconds() < end || n < 4; round++) {
    made += one_round(p.port, round);
    if (round > 2 && clock_seconds() > warm && n < MOST_LOOKS) looks[n++] = look_at(p.pid);
  }
  look first = median(looks, n / 4), last = median(looks + n - n / 4, n / 4);
  print_message(
      "%d jobs in %d rounds: resident %.2f MB, then %.2f MB (%+.2f %%); of that anonymous %.2f MB, then %.2f MB "
      "(%+.2f %%); descriptors %d, then %d; threads %d, then %d\n",
      made, round, first.resident / 1e6, last.resident / 1e6, change(first.resident, last.resident), first.own / 1e6,
      last.own / 1e6, change(first.own, last.own), first.descriptors, last.descriptors, first.threads, last.threads);
  /* In seconds the threads that serve connections may not have met yet: one or two more, against hundreds of jobs. */
  bool brief = seconds_wanted < 300;
  assert_true(last.descriptors <= first.descriptors + (brief ? 3 : 0));
  assert_true(last.threads <= first.threads + (brief ? 3 : 0));
  double room = brief ? 16e6 : 0.02 * first.resident;
  assert_true(SANITIZED || last.resident <= first.resident + room);
  assert_int_equal(program_end(&p, SIGTERM), 0);
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", data.folder);
  assert_int_equal(system(command), 0);
  free(looks);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_grows)};
  if (argc > 1) seconds_wanted = atof(argv[1]), seconds_warm = seconds_wanted / 10;
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
