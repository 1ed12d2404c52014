/* The server is killed (SIGKILL) at random moments while songs are made, and started again: no song that was finished is
 * lost or changed, no file is half there under its name, the database is sound, every job that was accepted ends, or says
 * honestly why it cannot.
 *
 *   test_killed [KILLS [SEED [LIFE]]]    5 without, LIFE in seconds; the long form in ./test long kills 200 times
 *
 * Songs come from a few requests with fixed seeds, so a whole file is known: all songs of one request are equal to the
 * bit. */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "program.h"

enum { KINDS = 3, MOST_TASKS = 8192, MOST_FILES = 8192, PENDING = 5 };

static const char *const formats[KINDS] = {"wav", "flac", "mp3"};

typedef struct task {
  char id[40];
  int kind, status; /* as the server said: 0, 1, 2 */
} task;

/* A file that was found whole. */
typedef struct known {
  char path[300];
  off_t size;
  struct timespec changed;
} known;

typedef struct trial {
  songs *models;
  temp data;
  int port;
  task tasks[MOST_TASKS];
  int n;
  char whole[KINDS][HASH_HEX]; /* of a whole song of each kind; "": not yet known */
  known files[MOST_FILES];
  int n_files;
  unsigned random;
  int kills, lost, accepted_answers;
} trial;

static int kills_wanted = 5;
static double life = 1.5; /* seconds that a server lives at the most */
static unsigned seed_wanted = 1;

/* ---- a client that survives its server ----------------------------------------------------------------------------- */

/* The data of a good answer, a new reference; NULL: there was no answer, or no good one. */
static json_t *ask(const trial *t, const char *path, const char *body) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(s >= 0);
  json_t *all = NULL, *data = NULL;
  if (connect(s, (struct sockaddr *)&a, sizeof a) == 0) {
    char request[1024];
    int n = snprintf(
        request, sizeof request,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path,
        strlen(body), body);
    http_send(s, request, (size_t)n);
    reply r = http_read(s);
    if (r.status == 200) all = json_loads(r.body, 0, NULL);
    reply_free(&r);
  }
  close(s);
  data = json_incref(json_object_get(all, "data"));
  json_decref(all);
  return data;
}

static void submit(trial *t) {
  char body[300];
  int kind = t->n % KINDS;
  snprintf(body, sizeof body,
           "{\"prompt\":\"a\",\"duration\":10,\"inference_steps\":1,\"batch_size\":1,\"audio_format\":\"%s\","
           "\"use_cot_caption\":false,\"use_cot_language\":false,\"seed\":7,\"use_random_seed\":false}",
           formats[kind]);
  json_t *data = ask(t, "/release_task", body);
  const char *id = json_string_value(json_object_get(data, "task_id"));
  if (id && t->n < MOST_TASKS) {
    t->tasks[t->n].kind = kind;
    snprintf(t->tasks[t->n++].id, sizeof t->tasks[0].id, "%s", id);
  }
  json_decref(data);
}

/* Asks about all that have not ended; how many those are. */
static int poll_tasks(trial *t) {
  int pending = 0;
  for (int i = 0; i < t->n; i++) {
    task *k = &t->tasks[i];
    char body[100];
    if (k->status) continue;
    snprintf(body, sizeof body, "{\"task_id_list\":[\"%s\"]}", k->id);
    json_t *data = ask(t, "/query_result", body);
    const json_t *item = json_array_get(data, 0);
    k->status = (int)json_integer_value(json_object_get(item, "status"));
    pending += k->status == 0;
    json_decref(data);
  }
  return pending;
}

/* ---- the moment ---------------------------------------------------------------------------------------------------- */

typedef struct blow {
  pid_t pid;
  double after;
} blow;

static void *strike(void *arg) {
  const blow *b = arg;
  nap(b->after);
  kill(b->pid, SIGKILL);
  return NULL;
}

static void start(trial *t, program *p) {
  *p = program_serve(t->data.folder, t->models->models, PAIRS("--quiet"));
  t->port = p->port;
}

/* One life of the server: songs are asked for and watched until the blow falls. */
static void live_and_die(trial *t) {
  program p;
  pthread_t thread;
  start(t, &p);
  blow b = {p.pid, life * rand_r(&t->random) / RAND_MAX};
  assert_int_equal(pthread_create(&thread, NULL, strike, &b), 0);
  siginfo_t info;
  do {
    if (poll_tasks(t) < PENDING) submit(t);
    nap(0.002);
    info.si_pid = 0;
  } while (waitid(P_PID, (id_t)p.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0);
  pthread_join(thread, NULL);
  assert_int_equal(program_end(&p, 0), -SIGKILL);
  t->kills++;
}

/* ---- what is left -------------------------------------------------------------------------------------------------- */

static char *text_of_query(sqlite3 *db, const char *sql, const char *id) {
  sqlite3_stmt *q;
  char *text = NULL;
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
  if (id) sqlite3_bind_text(q, 1, id, -1, SQLITE_STATIC);
  if (sqlite3_step(q) == SQLITE_ROW) text = strdup((const char *)sqlite3_column_text(q, 0));
  sqlite3_finalize(q);
  return text;
}

static void check_database(trial *t) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(temp_path(&t->data, "acestep.db"), &db), SQLITE_OK);
  char *sound = text_of_query(db, "PRAGMA integrity_check", NULL),
       *keys = text_of_query(db, "PRAGMA foreign_key_check", NULL);
  assert_string_equal(sound, "ok");
  assert_null(keys);
  free(sound);
  for (int i = 0; i < t->n; i++) {
    char *state = text_of_query(db, "SELECT state FROM jobs WHERE id = ?1", t->tasks[i].id);
    if (!state) fail_msg("after kill %d the job %s is gone", t->kills, t->tasks[i].id);
    /* 2 is succeeded: what was told stays true */
    if (t->tasks[i].status == 1 && strcmp(state, "2") != 0) fail_msg("a finished job has the state %s", state);
    free(state);
  }
  sqlite3_close(db);
}

static int kind_of(const char *path) {
  const char *dot = strrchr(path, '.');
  for (int i = 0; dot && i < KINDS; i++)
    if (strcmp(dot + 1, formats[i]) == 0) return i;
  return -1;
}

/* nftw has no argument for its user. */
static trial *walked;

static int check_file(const char *path, const struct stat *st, int flag, struct FTW *where) {
  trial *t = walked;
  int kind = kind_of(path);
  const char *name = path + where->base;
  if (flag != FTW_F || *name == '.' || strstr(name, ".tmp")) return 0; /* what begins so is nobody's result */
  for (int i = 0; i < t->n_files; i++)
    if (strcmp(t->files[i].path, path) == 0 && t->files[i].size == st->st_size &&
        memcmp(&t->files[i].changed, &st->st_mtim, sizeof st->st_mtim) == 0)
      return 0;
  ace_error err;
  size_t n;
  char hex[HASH_HEX], *data = file_read(path, (size_t)st->st_size + 1, &n, &err);
  if (!data) fail_msg("%s", err.message);
  if (kind < 0 && strstr(name, ".json")) {
    json_t *json = json_loadb(data, n, 0, NULL);
    if (!json) fail_msg("after kill %d %s is half", t->kills, path);
    json_decref(json);
  }
  if (kind >= 0) {
    hash_memory(data, n, hex);
    if (!*t->whole[kind]) strcpy(t->whole[kind], hex);
    if (strcmp(t->whole[kind], hex) != 0) fail_msg("after kill %d %s (%zu bytes) is not whole", t->kills, path, n);
  }
  free(data);
  known *k = t->n_files < MOST_FILES ? &t->files[t->n_files++] : NULL;
  if (k) {
    snprintf(k->path, sizeof k->path, "%s", path);
    k->size = st->st_size, k->changed = st->st_mtim;
  }
  return 0;
}

static void check_files(trial *t) {
  char folder[600];
  snprintf(folder, sizeof folder, "%s/outputs", t->data.folder);
  walked = t;
  assert_int_equal(nftw(folder, check_file, 16, FTW_PHYS), 0);
}

/* The song of each finished job can be fetched and is whole. */
static void check_results(trial *t, int ended[3]) {
  ace_error err;
  for (int i = 0; i < t->n; i++) {
    const task *k = &t->tasks[i];
    char path[900];
    ended[k->status]++;
    if (k->status != 1) continue;
    snprintf(path, sizeof path, "%s/outputs/%s/1.%s", t->data.folder, k->id, formats[k->kind]);
    size_t n;
    char hex[HASH_HEX], *data = file_read(path, 64 << 20, &n, &err);
    if (!data) fail_msg("a finished song is lost: %s", err.message);
    hash_memory(data, n, hex);
    assert_string_equal(hex, t->whole[k->kind]);
    free(data);
  }
}

/* A job that has failed says that the program died under it; there is no other reason here. */
static void check_failures(trial *t) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(temp_path(&t->data, "acestep.db"), &db), SQLITE_OK);
  for (int i = 0; i < t->n; i++) {
    if (t->tasks[i].status != 2) continue;
    char *why = text_of_query(db, "SELECT error || ' ' || attempts FROM jobs WHERE id = ?1", t->tasks[i].id);
    if (!why || !strstr(why, " 2")) fail_msg("%s has failed: %s", t->tasks[i].id, why ? why : "nobody knows why");
    free(why);
  }
  sqlite3_close(db);
}

static void test_kills_lose_nothing(void **state) {
  trial *t = calloc(1, sizeof *t);
  assert_non_null(t);
  t->models = *state, t->data = temp_open(), t->random = seed_wanted;
  for (int i = 0; i < kills_wanted; i++) {
    live_and_die(t);
    check_database(t);
    check_files(t);
  }
  program p;
  start(t, &p);
  for (int i = 0; poll_tasks(t) > 0; i++) {
    assert_true(i < 6000);
    nap(0.05);
  }
  check_files(t);
  assert_int_equal(program_end(&p, SIGTERM), 0);
  check_database(t);
  check_failures(t);
  int ended[3] = {0};
  check_results(t, ended);
  assert_int_equal(ended[0], 0);
  print_message("%d kills: %d jobs were accepted, %d finished, %d failed for being killed twice while they ran\n",
                t->kills, t->n, ended[1], ended[2]);
  assert_true(t->n > 0 && ended[1] > 0);
  ace_error err;
  if (file_remove_tree(t->data.folder, &err) != ACE_OK) fail_msg("%s", err.message);
  free(t);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_kills_lose_nothing)};
  if (argc > 1) kills_wanted = atoi(argv[1]);
  if (argc > 2) seed_wanted = (unsigned)strtoul(argv[2], NULL, 10);
  if (argc > 3) life = atof(argv[3]);
  signal(SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
