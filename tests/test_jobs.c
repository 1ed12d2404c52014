/* The queue: what somebody would lose, wait for too long, or see done twice. */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/file.h"
#include "jobs/db.h"
#include "jobs/jobs.h"
#include "temp.h"

/* ---- a worker that does as the request says ---------------------------------------------------------------------- */

typedef struct bench {
  temp t;
  jobs *q;
  pthread_mutex_t lock;
  pthread_cond_t open;
  bool gate;        /* jobs with "wait" go on once this is true */
  char order[1024]; /* names of the jobs in the order of their starts */
} bench;

static void nap(double seconds) {
  nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
}

/* {"name", "wait": until the gate opens, "yields": to others meanwhile, "samples": n, "fail": text} */
static json_t *run(void *user, job_running *j, ace_error *err) {
  bench *b = user;
  const json_t *r = job_request(j);
  pthread_mutex_lock(&b->lock);
  size_t used = strlen(b->order);
  snprintf(b->order + used, sizeof b->order - used, "%s ", json_string_value(json_object_get(r, "name")));
  pthread_mutex_unlock(&b->lock);
  job_progress(j, &(ace_progress){.stage = "diffuse", .fraction = 0.25, .seconds_left = 3, .step = 2, .steps = 8});
  bool yields = json_is_true(json_object_get(r, "yields"));
  if (yields) job_gives_way(j);
  while (json_is_true(json_object_get(r, "wait"))) {
    if (yields && job_in_the_way(j)) {
      ace_fail(err, ACE_EBUSY, "later");
      return NULL;
    }
    pthread_mutex_lock(&b->lock);
    bool open = b->gate;
    pthread_mutex_unlock(&b->lock);
    if (open) break;
    if (job_cancelled(j)) {
      ace_fail(err, ACE_ECANCELED, "stopped");
      return NULL;
    }
    nap(0.002);
  }
  for (int i = 0; i < json_integer_value(json_object_get(r, "samples")); i++) {
    char name[16];
    snprintf(name, sizeof name, "%d.wav", i + 1);
    char *path = file_join(job_folder(j), name);
    assert_int_equal(file_write(path, "sound", 5, err), ACE_OK);
    free(path);
    json_t *about = json_pack("{s:i}", "seed", 40 + i);
    assert_int_equal(job_sample(j, i, name, about, err), ACE_OK);
    json_decref(about);
  }
  const char *why = json_string_value(json_object_get(r, "fail"));
  if (!why) return json_pack("{s:b}", "fine", 1);
  ace_fail(err, ACE_EINVAL, "%s", why);
  return NULL;
}

static void open_queue(bench *b) {
  ace_error err;
  b->q = jobs_open(&(jobs_options){.folder = b->t.folder, .run = run, .user = b, .most_waiting = 8}, &err);
  if (!b->q) fail_msg("%s", err.message);
}

static bench *bench_open(void) {
  bench *b = calloc(1, sizeof *b);
  b->t = temp_open();
  pthread_mutex_init(&b->lock, NULL);
  open_queue(b);
  return b;
}

static void remove_tree(const char *path) {
  char command[512];
  snprintf(command, sizeof command, "rm -rf '%s'", path);
  assert_int_equal(system(command), 0);
}

static void bench_close(bench *b) {
  jobs_close(b->q, 5);
  remove_tree(b->t.folder);
  free(b);
}

static void open_gate(bench *b, bool open) {
  pthread_mutex_lock(&b->lock);
  b->gate = open;
  pthread_mutex_unlock(&b->lock);
}

static ace_status try_submit(bench *b, const char *session, job_class class, const char *request, char id[JOBS_ID],
                             ace_error *err) {
  json_t *r = json_loads(request, 0, NULL);
  assert_non_null(r);
  json_t *note = json_pack("{s:s}", "from", "test");
  job_new j = {.session = session, .kind = "song", .class = class, .request = r, .note = note, .history = true};
  ace_status status = jobs_submit(b->q, &j, id, NULL, err);
  json_decref(r), json_decref(note);
  return status;
}

static void submit(bench *b, const char *session, job_class class, const char *request, char id[JOBS_ID]) {
  ace_error err;
  if (try_submit(b, session, class, request, id, &err) != ACE_OK) fail_msg("%s", err.message);
}

static json_t *get(bench *b, const char *id) {
  ace_error err;
  json_t *job = jobs_get(b->q, id, &err);
  if (!job) fail_msg("%s", err.message);
  return job;
}

static const char *text_of(const json_t *job, const char *field) {
  return json_string_value(json_object_get(job, field));
}

static void expect_state(bench *b, const char *id, const char *state) {
  json_t *job = get(b, id);
  assert_string_equal(text_of(job, "state"), state);
  json_decref(job);
}

static void await_state(bench *b, const char *id, const char *state) {
  for (int i = 0; i < 2000; i++) {
    json_t *job = get(b, id);
    bool there = strcmp(text_of(job, "state"), state) == 0;
    json_decref(job);
    if (there) return;
    nap(0.005);
  }
  fail_msg("the job never was %s", state);
}

static json_t *await_end(bench *b, const char *id) {
  json_t *job = jobs_wait(b->q, id, 20, NULL);
  assert_non_null(job);
  return job;
}

/* ---- one job ----------------------------------------------------------------------------------------------------- */

static void test_a_job_from_start_to_end(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID];
  uint64_t cursor = events_newest(jobs_events(b->q));
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a\", \"samples\": 2}", id);
  json_t *job = await_end(b, id);
  assert_string_equal(text_of(job, "state"), "succeeded");
  assert_string_equal(text_of(job, "session"), "anna");
  assert_string_equal(text_of(json_object_get(job, "note"), "from"), "test");
  assert_int_equal(json_integer_value(json_object_get(job, "batch")), 1);
  assert_true(json_is_true(json_object_get(json_object_get(job, "result"), "fine")));
  json_t *samples = json_object_get(job, "samples");
  assert_int_equal(json_array_size(samples), 2);
  assert_string_equal(text_of(json_array_get(samples, 1), "file"), "2.wav");
  assert_int_equal(json_integer_value(json_object_get(json_object_get(json_array_get(samples, 1), "about"), "seed")),
                   41);
  assert_true(json_integer_value(json_object_get(job, "finished")) >=
              json_integer_value(json_object_get(job, "started")));
  json_decref(job);
  char heard[256] = "";
  for (event *x; (x = events_next(jobs_events(b->q), &cursor, "anna", id, NULL)); event_free(x))
    if (!strstr(heard, x->name)) strcat(strcat(heard, x->name), " ");
  assert_string_equal(heard, "progress sample done ");
  bench_close(b);
}

static void test_a_failure_says_why(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID];
  submit(b, "", JOB_FOREGROUND, "{\"name\": \"a\", \"samples\": 1, \"fail\": \"the disk is full\"}", id);
  json_t *job = await_end(b, id);
  assert_string_equal(text_of(job, "state"), "failed");
  assert_string_equal(text_of(json_object_get(job, "error"), "message"), "the disk is full");
  assert_string_equal(text_of(json_object_get(job, "error"), "status"), "invalid");
  assert_int_equal(json_array_size(json_object_get(job, "samples")), 1); /* what was finished stays */
  json_decref(job);
  bench_close(b);
}

static void test_unknown_ids_are_named(void **state) {
  bench *b = bench_open();
  ace_error err;
  assert_null(jobs_get(b->q, "no-such", &err));
  expect_error(&err, ACE_ENOTFOUND, "no-such", "none");
  assert_int_equal(jobs_cancel(b->q, "no-such", &err), ACE_ENOTFOUND);
  assert_int_equal(jobs_delete(b->q, "'; DROP TABLE jobs; --", &err), ACE_ENOTFOUND);
  assert_null(jobs_wait(b->q, "no-such", 1, &err));
  bench_close(b);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static int64_t place_of(bench *b, const char *id) {
  json_t *job = get(b, id);
  int64_t place = json_integer_value(json_object_get(job, "position"));
  json_decref(job);
  return place;
}

static void test_fair_between_sessions_and_background_last(void **state) {
  bench *b = bench_open();
  char first[JOBS_ID], id[6][JOBS_ID];
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a1\", \"wait\": true}", first);
  await_state(b, first, "running");
  submit(b, "cleo", JOB_BACKGROUND, "{\"name\": \"auto\"}", id[0]);
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a2\"}", id[1]);
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a3\"}", id[2]);
  submit(b, "bert", JOB_FOREGROUND, "{\"name\": \"b1\"}", id[3]);
  submit(b, "", JOB_FOREGROUND, "{\"name\": \"x\"}", id[4]);
  submit(b, "", JOB_FOREGROUND, "{\"name\": \"y\"}", id[5]);
  assert_int_equal(place_of(b, id[3]), 1);
  assert_int_equal(place_of(b, id[1]), 3);
  assert_int_equal(place_of(b, id[0]), 6);
  open_gate(b, true);
  json_decref(await_end(b, id[0]));
  assert_string_equal(b->order, "a1 b1 x a2 y a3 auto ");
  bench_close(b);
}

/* A long job steps aside for somebody's, as often as it takes, and goes on; its time is nobody else's waiting. */
static void test_a_long_job_gives_way(void **state) {
  bench *b = bench_open();
  char training[JOBS_ID], id[JOBS_ID];
  submit(b, "anna", JOB_BACKGROUND, "{\"name\": \"train\", \"wait\": true, \"yields\": true}", training);
  for (int i = 0; i < 2 * JOBS_ATTEMPTS; i++) {
    for (double ahead = 1; ahead > 0; nap(0.002)) { /* it says a moment after its start that it gives way */
      await_state(b, training, "running");
      ahead = jobs_wait_ahead(b->q);
    }
    submit(b, "bert", JOB_FOREGROUND, "{\"name\": \"song\"}", id);
    json_t *job = await_end(b, id);
    assert_string_equal(text_of(job, "state"), "succeeded");
    json_decref(job);
  }
  open_gate(b, true);
  json_t *job = await_end(b, training);
  assert_string_equal(text_of(job, "state"), "succeeded");
  assert_int_equal(json_integer_value(json_object_get(job, "attempts")), 1);
  json_decref(job);
  assert_string_equal(b->order, "train song train song train song train song train ");
  bench_close(b);
}

static void test_a_full_queue_refuses(void **state) {
  bench *b = bench_open();
  char running[JOBS_ID], id[JOBS_ID];
  ace_error err;
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a\", \"wait\": true}", running);
  await_state(b, running, "running");
  for (int i = 0; i < 8; i++) submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"b\"}", id);
  assert_int_equal(try_submit(b, "bert", JOB_FOREGROUND, "{\"name\": \"c\"}", id, &err), ACE_EBUSY);
  expect_error(&err, ACE_EBUSY, "full", "8 wait");
  open_gate(b, true);
  bench_close(b);
}

static void test_cancel(void **state) {
  bench *b = bench_open();
  char running[JOBS_ID], waiting[JOBS_ID];
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a\", \"wait\": true}", running);
  await_state(b, running, "running");
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"b\"}", waiting);
  assert_int_equal(jobs_cancel(b->q, waiting, NULL), ACE_OK);
  expect_state(b, waiting, "cancelled");
  ace_error err;
  assert_int_equal(jobs_delete(b->q, running, &err), ACE_EINVAL);
  assert_int_equal(jobs_cancel(b->q, running, NULL), ACE_OK);
  json_t *job = await_end(b, running);
  assert_string_equal(text_of(job, "state"), "cancelled");
  json_decref(job);
  assert_int_equal(jobs_cancel(b->q, running, NULL), ACE_OK); /* again: nothing happens */
  expect_state(b, running, "cancelled");
  assert_string_equal(b->order, "a ");
  bench_close(b);
}

/* ---- over a restart ---------------------------------------------------------------------------------------------- */

/* An orderly end puts the running job back as if it had not begun; the queue keeps its order. */
static void test_an_orderly_end_loses_nothing(void **state) {
  bench *b = bench_open();
  char done[JOBS_ID], running[JOBS_ID], waiting[JOBS_ID];
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"done\", \"samples\": 1}", done);
  json_decref(await_end(b, done));
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"r\", \"wait\": true}", running);
  await_state(b, running, "running");
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"w\"}", waiting);
  jobs_close(b->q, 0.05);
  strcpy(b->order, "");
  open_gate(b, true);
  open_queue(b);
  json_decref(await_end(b, waiting));
  expect_state(b, done, "succeeded");
  json_t *job = get(b, running);
  assert_string_equal(text_of(job, "state"), "succeeded");
  assert_int_equal(json_integer_value(json_object_get(job, "attempts")), 1);
  json_decref(job);
  assert_string_equal(b->order, "r w ");
  bench_close(b);
}

/* Runs the queue in a process of its own, which dies by SIGKILL while the first job waits at the gate. */
static void die_while_running(bench *b) {
  pid_t child = fork();
  if (child == 0) {
    open_queue(b);
    for (;;) {
      jobs_filter all = {.unfinished = true};
      json_t *list = jobs_list(b->q, &all, NULL);
      for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(text_of(json_array_get(list, i), "state"), "running") == 0) raise(SIGKILL);
      json_decref(list);
      nap(0.002);
    }
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
}

static void test_a_killed_program_finishes_its_jobs_or_says_that_it_cannot(void **state) {
  bench *b = bench_open();
  char deadly[JOBS_ID], other[JOBS_ID];
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"d\", \"wait\": true}", deadly);
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"o\", \"samples\": 1}", other);
  jobs_close(b->q, 0);
  die_while_running(b);
  die_while_running(b);
  open_queue(b);
  json_t *job = await_end(b, deadly);
  assert_string_equal(text_of(job, "state"), "failed");
  assert_non_null(strstr(text_of(json_object_get(job, "error"), "message"), "ended 2 times"));
  json_decref(job);
  json_decref(await_end(b, other));
  expect_state(b, other, "succeeded");
  bench_close(b);
}

static void test_a_newer_database_is_left_alone_an_older_one_upgraded(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID];
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a\"}", id);
  json_decref(await_end(b, id));
  jobs_close(b->q, 5);
  sqlite3 *raw;
  assert_int_equal(sqlite3_open(temp_path(&b->t, "acestep.db"), &raw), SQLITE_OK);
  assert_int_equal(sqlite3_exec(raw, "PRAGMA user_version = 1000", NULL, NULL, NULL), SQLITE_OK);
  ace_error err;
  assert_null(jobs_open(&(jobs_options){.folder = b->t.folder, .run = run, .user = b}, &err));
  expect_error(&err, ACE_EUNSUPPORTED, "acestep.db", "newer program");
  /* a database as the first version wrote it */
  assert_int_equal(sqlite3_exec(raw,
                                "DROP INDEX jobs_by_share; ALTER TABLE jobs DROP COLUMN share;"
                                "DROP INDEX jobs_by_removal; DROP TABLE kept; ALTER TABLE jobs DROP COLUMN removed;"
                                "PRAGMA user_version = 1",
                                NULL, NULL, NULL),
                   SQLITE_OK);
  sqlite3_close(raw);
  open_queue(b);
  expect_state(b, id, "succeeded");
  char token[JOBS_SHARE];
  assert_int_equal(jobs_share(b->q, id, token, &err), ACE_OK);
  assert_int_equal(jobs_hide(b->q, id, &err), ACE_OK);
  bench_close(b);
}

static void test_a_link_finds_one_ended_batch_until_it_ends(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID], helper[JOBS_ID], token[JOBS_SHARE], other[JOBS_SHARE];
  ace_error err;
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a\", \"wait\": true}", id);
  assert_int_equal(jobs_share(b->q, id, token, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "job ", "not ended");
  open_gate(b, true);
  json_decref(await_end(b, id));
  json_t *request = json_pack("{s:s}", "name", "b");
  job_new j = {.session = "anna", .kind = "score", .request = request};
  assert_int_equal(jobs_submit(b->q, &j, helper, NULL, &err), ACE_OK);
  json_decref(request);
  json_decref(await_end(b, helper));
  assert_int_equal(jobs_share(b->q, helper, token, &err), ACE_EINVAL);
  assert_int_equal(jobs_share(b->q, "no-such-job", token, &err), ACE_ENOTFOUND);
  assert_int_equal(jobs_unshare(b->q, id, &err), ACE_OK);
  assert_int_equal(jobs_share(b->q, id, token, &err), ACE_OK);
  assert_int_equal(jobs_share(b->q, id, other, &err), ACE_OK);
  assert_string_equal(token, other);
  /* it outlives the program */
  jobs_close(b->q, 5);
  open_queue(b);
  json_t *job = jobs_shared(b->q, token, &err);
  assert_string_equal(text_of(job, "id"), id);
  assert_string_equal(text_of(job, "share"), token);
  json_decref(job);
  static const char *const none[] = {"", "x", "%", "00000000000000000000000000000000"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    assert_null(jobs_shared(b->q, none[i], &err));
    assert_int_equal(err.status, ACE_ENOTFOUND);
  }
  assert_int_equal(jobs_unshare(b->q, id, &err), ACE_OK);
  assert_null(jobs_shared(b->q, token, &err));
  assert_int_equal(jobs_share(b->q, id, other, &err), ACE_OK);
  assert_string_not_equal(token, other);
  assert_int_equal(jobs_hide(b->q, id, &err), ACE_OK);
  assert_null(jobs_shared(b->q, other, &err));
  assert_int_equal(jobs_unhide(b->q, "anna", id, &err), ACE_OK);
  assert_null(jobs_shared(b->q, other, &err));
  assert_int_equal(jobs_share(b->q, id, token, &err), ACE_OK);
  assert_int_equal(jobs_delete(b->q, id, &err), ACE_OK);
  assert_null(jobs_shared(b->q, token, &err));
  assert_int_equal(err.status, ACE_ENOTFOUND);
  bench_close(b);
}

static void test_a_file_that_is_no_database_is_left_alone(void **state) {
  temp t = temp_open();
  temp_put(&t, "acestep.db", "this is not a database, but somebody's notes about songs", 56);
  ace_error err;
  assert_null(jobs_open(&(jobs_options){.folder = t.folder, .run = run}, &err));
  expect_error(&err, ACE_EIO, "acestep.db", "move the file away");
  size_t n;
  char *text = file_read(temp_path(&t, "acestep.db"), 100, &n, NULL);
  assert_int_equal(n, 56);
  free(text);
  remove_tree(t.folder);
}

/* A step that fails leaves the database as it was before it. */
static void test_an_upgrade_is_whole_or_nothing(void **state) {
  temp t = temp_open();
  const char *path = temp_path(&t, "x.db");
  static const char *const good[] = {"CREATE TABLE a(x); INSERT INTO a VALUES(1)",
                                     "ALTER TABLE a ADD y DEFAULT 2; CREATE TABLE b(z)"};
  static const char *const bad[] = {"CREATE TABLE a(x); INSERT INTO a VALUES(1)",
                                    "ALTER TABLE a ADD y DEFAULT 2; CREATE nonsense"};
  ace_error err;
  db_close(db_open(path, good, 1, &err));
  assert_null(db_open(path, bad, 2, &err));
  db *d = db_open(path, good, 2, &err);
  assert_non_null(d);
  db_rows r = db_query(d, &err, "SELECT x, y FROM a", "");
  assert_true(db_next(&r, &err));
  assert_int_equal(db_int(&r, 0), 1);
  assert_int_equal(db_int(&r, 1), 2);
  assert_int_equal(db_done(&r), ACE_OK);
  db_close(d);
  remove_tree(t.folder);
}

/* ---- history, removal -------------------------------------------------------------------------------------------- */

static void test_history_of_a_session(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID];
  for (int i = 0; i < 3; i++) {
    submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a\"}", id);
    json_decref(await_end(b, id));
    submit(b, "bert", JOB_FOREGROUND, "{\"name\": \"b\"}", id);
    json_decref(await_end(b, id));
  }
  json_t *list = jobs_list(b->q, &(jobs_filter){.session = "anna", .history = true, .before = 3}, NULL);
  assert_int_equal(json_array_size(list), 2);
  assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "batch")), 2);
  assert_null(json_object_get(json_array_get(list, 0), "request"));
  json_decref(list);
  json_t *counts = jobs_counts(b->q, NULL);
  assert_int_equal(json_integer_value(json_object_get(counts, "succeeded")), 6);
  assert_int_equal(json_integer_value(json_object_get(counts, "total")), 6);
  json_decref(counts);
  bench_close(b);
}

static void test_old_jobs_go_favourites_stay(void **state) {
  bench *b = bench_open();
  char id[4][JOBS_ID];
  for (int i = 0; i < 4; i++) {
    submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a\", \"samples\": 2}", id[i]); /* ten bytes each */
    json_decref(await_end(b, id[i]));
  }
  int removed;
  ace_error err;
  assert_int_equal(jobs_favourite(b->q, id[0], 1, true, NULL), ACE_OK);
  assert_int_equal(jobs_favourite(b->q, id[0], 7, true, &err), ACE_ENOTFOUND);
  assert_int_equal(jobs_prune(b->q, 3600, 0, &removed, NULL), ACE_OK);
  assert_int_equal(removed, 0);
  assert_int_equal(jobs_prune(b->q, 0, 25, &removed, NULL), ACE_OK);
  assert_int_equal(removed, 2);
  expect_state(b, id[0], "succeeded");
  expect_state(b, id[3], "succeeded");
  char *folder = jobs_folder(b->q, id[1]);
  assert_false(file_exists(folder));
  free(folder);
  assert_null(jobs_get(b->q, id[1], NULL));
  assert_int_equal(jobs_delete(b->q, id[0], NULL), ACE_OK); /* asked for by name even a favourite goes */
  assert_null(jobs_get(b->q, id[0], NULL));
  bench_close(b);
}

static void test_notes_on_a_sample(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID];
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a\", \"samples\": 1}", id);
  json_decref(await_end(b, id));
  json_t *about = json_pack("{s:f}", "score", 0.5);
  assert_int_equal(jobs_annotate(b->q, id, 0, about, NULL), ACE_OK);
  assert_int_equal(jobs_annotate(b->q, id, 1, about, NULL), ACE_ENOTFOUND);
  json_decref(about);
  json_t *job = get(b, id);
  about = json_object_get(json_array_get(json_object_get(job, "samples"), 0), "about");
  assert_true(json_real_value(json_object_get(about, "score")) == 0.5);
  assert_int_equal(json_integer_value(json_object_get(about, "seed")), 40);
  json_decref(job);
  bench_close(b);
}

/* ---- many at once ------------------------------------------------------------------------------------------------ */

static void *ask_much(void *arg) {
  bench *b = arg;
  for (int i = 0; i < 20; i++) {
    char id[JOBS_ID];
    if (try_submit(b, i % 2 ? "anna" : "", JOB_FOREGROUND, "{\"name\": \"m\", \"samples\": 1}", id, NULL) != ACE_OK) {
      nap(0.005);
      continue;
    }
    if (i % 3 == 0) jobs_cancel(b->q, id, NULL);
    json_decref(jobs_wait(b->q, id, 20, NULL));
    json_decref(jobs_list(b->q, &(jobs_filter){.limit = 5}, NULL));
    if (i % 4 == 0) jobs_delete(b->q, id, NULL);
  }
  return NULL;
}

/* A click on "delete" that was a mistake; and one that was not. */
static void test_a_removed_job_comes_back_or_goes_for_good(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID];
  ace_error err;
  int n;
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"a\", \"samples\": 2}", id);
  json_decref(await_end(b, id));
  assert_int_equal(jobs_delete_sample(b->q, id, 5, &err), ACE_ENOTFOUND);
  assert_int_equal(jobs_delete_sample(b->q, id, 0, &err), ACE_OK);
  char *folder = jobs_folder(b->q, id), *first = file_join(folder, "1.wav"), *second = file_join(folder, "2.wav");
  assert_false(file_exists(first));
  assert_true(file_exists(second));
  assert_int_equal(jobs_hide(b->q, id, &err), ACE_OK);
  assert_null(jobs_get(b->q, id, &err));
  assert_int_equal(err.status, ACE_ENOTFOUND);
  assert_int_equal(jobs_history(b->q, "anna", &n, &err), ACE_OK);
  assert_int_equal(n, 0);
  assert_int_equal(jobs_purge(b->q, 60, &err), ACE_OK);
  assert_int_equal(jobs_unhide(b->q, "bert", id, &err), ACE_ENOTFOUND);
  assert_int_equal(jobs_unhide(b->q, "anna", id, &err), ACE_OK);
  assert_int_equal(jobs_unhide(b->q, "anna", id, &err), ACE_ENOTFOUND);
  expect_state(b, id, "succeeded");
  assert_true(file_exists(second));
  assert_int_equal(jobs_hide(b->q, id, &err), ACE_OK);
  assert_int_equal(jobs_purge(b->q, 0, &err), ACE_OK);
  assert_false(file_exists(folder));
  assert_int_equal(jobs_unhide(b->q, "anna", id, &err), ACE_ENOTFOUND);
  free(folder), free(first), free(second);
  bench_close(b);
}

/* A training's checkpoints are folders inside its own. */
static void test_a_removed_job_takes_its_folders_along(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID];
  ace_error err;
  submit(b, "anna", JOB_BACKGROUND, "{\"name\": \"a\", \"samples\": 1}", id);
  json_decref(await_end(b, id));
  char *folder = jobs_folder(b->q, id), *inside = file_join(folder, "out"), *deep = file_join(inside, "last");
  assert_int_equal(file_make_directory(deep, &err), ACE_OK);
  assert_int_equal(jobs_hide(b->q, id, &err), ACE_OK);
  assert_int_equal(jobs_purge(b->q, 0, &err), ACE_OK);
  assert_false(file_exists(folder));
  free(folder), free(inside), free(deep);
  bench_close(b);
}

/* What is told of waiting is made of songs: hours of training in the background say nothing of them. */
static void test_background_jobs_make_no_average(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID];
  double average[2];
  for (int i = 0; i < 2; i++) {
    submit(b, "anna", i ? JOB_FOREGROUND : JOB_BACKGROUND, "{\"name\": \"a\"}", id);
    json_decref(await_end(b, id));
    json_t *counts = jobs_counts(b->q, NULL);
    average[i] = json_number_value(json_object_get(counts, "average_seconds"));
    json_decref(counts);
  }
  assert_true(average[0] == 5); /* as long as none has finished */
  assert_true(average[1] != 5);
  bench_close(b);
}

/* An upload that a waiting job names is not swept away. */
static void test_what_open_jobs_mention(void **state) {
  bench *b = bench_open();
  char id[JOBS_ID], second[JOBS_ID];
  open_gate(b, false);
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"first-7f\", \"wait\": true}", id);
  submit(b, "anna", JOB_FOREGROUND, "{\"name\": \"second-8e\", \"wait\": true}", second);
  await_state(b, id, "running");
  assert_true(jobs_mention(b->q, "first-7f"));
  assert_true(jobs_mention(b->q, "second-8e"));
  assert_false(jobs_mention(b->q, "third-9d"));
  open_gate(b, true);
  json_decref(await_end(b, id)), json_decref(await_end(b, second));
  assert_false(jobs_mention(b->q, "first-7f"));
  assert_false(jobs_mention(b->q, "second-8e"));
  bench_close(b);
}

/* Presets and uploads outlive the program, and are nobody else's. */
static void test_what_a_session_keeps(void **state) {
  bench *b = bench_open();
  ace_error err;
  jobs_kept old;
  json_t *value = json_pack("{s:i}", "steps", 8);
  assert_int_equal(jobs_keep(b->q, "anna", "preset", "fast", value, 2, &err), ACE_OK);
  assert_int_equal(jobs_keep(b->q, "anna", "preset", "slow", value, 2, &err), ACE_OK);
  assert_int_equal(jobs_keep(b->q, "anna", "preset", "slow", value, 2, &err), ACE_OK);
  assert_int_equal(jobs_keep(b->q, "anna", "preset", "more", value, 2, &err), ACE_EBUSY);
  json_decref(value);
  jobs_close(b->q, 5);
  open_queue(b);
  assert_null(jobs_recall(b->q, "bert", "preset", "fast", true, &err));
  value = jobs_recall(b->q, "anna", "preset", "fast", true, &err);
  assert_int_equal(json_integer_value(json_object_get(value, "steps")), 8);
  json_decref(value);
  value = jobs_recall_all(b->q, "anna", "preset", &err);
  assert_int_equal(json_object_size(value), 2);
  json_decref(value);
  assert_false(jobs_oldest_kept(b->q, "preset", 60, &old));
  assert_true(jobs_oldest_kept(b->q, "preset", 0, &old));
  assert_string_equal(old.session, "anna");
  free(old.session), free(old.name);
  json_decref(old.value);
  assert_int_equal(jobs_forget(b->q, "anna", "preset", "fast", &err), ACE_OK);
  assert_int_equal(jobs_forget(b->q, "anna", "preset", "fast", &err), ACE_ENOTFOUND);
  bench_close(b);
}

static void test_many_threads(void **state) {
  bench *b = bench_open();
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, ask_much, b), 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  json_t *counts = jobs_counts(b->q, NULL);
  assert_int_equal(json_integer_value(json_object_get(counts, "failed")), 0);
  assert_int_equal(json_integer_value(json_object_get(counts, "queued")), 0);
  json_decref(counts);
  bench_close(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_job_from_start_to_end),
      cmocka_unit_test(test_a_failure_says_why),
      cmocka_unit_test(test_unknown_ids_are_named),
      cmocka_unit_test(test_fair_between_sessions_and_background_last),
      cmocka_unit_test(test_a_long_job_gives_way),
      cmocka_unit_test(test_a_full_queue_refuses),
      cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_an_orderly_end_loses_nothing),
      cmocka_unit_test(test_a_killed_program_finishes_its_jobs_or_says_that_it_cannot),
      cmocka_unit_test(test_a_newer_database_is_left_alone_an_older_one_upgraded),
      cmocka_unit_test(test_a_file_that_is_no_database_is_left_alone),
      cmocka_unit_test(test_an_upgrade_is_whole_or_nothing),
      cmocka_unit_test(test_a_link_finds_one_ended_batch_until_it_ends),
      cmocka_unit_test(test_history_of_a_session),
      cmocka_unit_test(test_old_jobs_go_favourites_stay),
      cmocka_unit_test(test_notes_on_a_sample),
      cmocka_unit_test(test_a_removed_job_comes_back_or_goes_for_good),
      cmocka_unit_test(test_a_removed_job_takes_its_folders_along),
      cmocka_unit_test(test_background_jobs_make_no_average),
      cmocka_unit_test(test_what_open_jobs_mention),
      cmocka_unit_test(test_what_a_session_keeps),
      cmocka_unit_test(test_many_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
