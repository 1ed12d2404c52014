/* The service: jobs of every kind on the tiny models, what is loaded, what a machine is offered. */
#include "gguf_files.h"
#include "songs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "audio/write.h"
#include "base/file.h"
#include "service/recordings.h"
#include "service/service_inner.h"
#include "service/tasks.h"

typedef struct place {
  songs *models;
  temp data;
  service *s;
} place;

static place open_place(void **state, int init_lm) {
  place p = {.models = *state, .data = temp_open()};
  ace_error err;
  p.s = service_open(&(service_options){.models = p.models->models, .data = p.data.folder, .init_lm = init_lm}, &err);
  if (!p.s) fail_msg("%s", err.message);
  return p;
}

static void close_place(place *p) {
  service_close(p->s, 10);
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", p->data.folder);
  assert_int_equal(system(command), 0);
}

/* Runs a job to its end; `task` is taken. */
static json_t *run_job(place *p, const char *kind, json_t *task) {
  char id[JOBS_ID];
  ace_error err;
  assert_non_null(task);
  job_new j = {.session = "anna", .kind = kind, .request = task};
  if (jobs_submit(service_jobs(p->s), &j, id, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  json_decref(task);
  json_t *job = jobs_wait(service_jobs(p->s), id, 120, NULL);
  assert_non_null(job);
  return job;
}

static const char *state_of(const json_t *job) {
  return json_string_value(json_object_get(job, "state"));
}

static const char *message_of(const json_t *job) {
  return json_string_value(json_object_get(json_object_get(job, "error"), "message"));
}

static json_t *done(json_t *job) {
  if (strcmp(state_of(job), "succeeded") != 0) fail_msg("%s: %s", state_of(job), message_of(job));
  return json_object_get(job, "result");
}

static json_t *song_task(const char *lm, const char *only, const char *const *pairs) {
  static const char *const usual[] = {"caption", "a test", "duration", "10", "inference_steps", "1", "audio_format",
                                      "wav",     "seed",   "5",        NULL};
  ace_error err;
  ace_request *r = songs_request(usual, pairs);
  json_t *task = task_generate(&(task_song){.request = r, .slot = 1, .lm = lm, .only = only}, &err);
  if (!task) fail_msg("%s", err.message);
  ace_request_free(r);
  return task;
}

static void test_a_song_and_its_files(void **state) {
  place p = open_place(state, 0);
  service_state now;
  service_look(p.s, &now);
  assert_string_equal(now.slot[0].name, "acestep-v15-turbo");
  assert_false(now.slot[0].loaded);
  json_t *job = run_job(&p, "generate", song_task("want", NULL, PAIRS("batch_size", "2")));
  json_t *result = done(job), *samples = json_object_get(job, "samples");
  assert_int_equal(json_array_size(samples), 2);
  assert_int_equal(json_integer_value(json_array_get(json_object_get(result, "seeds"), 0)), 5);
  assert_true(json_is_null(json_object_get(result, "lm")));
  char *folder = jobs_folder(service_jobs(p.s), json_string_value(json_object_get(job, "id")));
  static const char *const files[] = {"1.wav", "1.json", "2.wav", "2.json"};
  for (int i = 0; i < 4; i++) {
    char *path = file_join(folder, files[i]);
    if (!file_exists(path)) fail_msg("%s is not there", files[i]);
    free(path);
  }
  free(folder);
  json_decref(job);
  service_look(p.s, &now);
  assert_true(now.slot[0].loaded);
  assert_int_equal(now.slot[0].family, REQ_MODEL_TURBO);
  assert_false(now.lm_loaded);
  close_place(&p);
}

/* A task holds all that decides the song: run again, after a crash for instance, it gives the same bytes. */
static void test_a_task_leaves_nothing_to_chance(void **state) {
  place p = open_place(state, 0);
  json_t *task = song_task("no", NULL, PAIRS("seed", "-1", "use_random_seed", "true"));
  char *content[2];
  size_t size[2];
  for (int i = 0; i < 2; i++) {
    json_t *job = run_job(&p, "generate", json_incref(task));
    done(job);
    char *folder = jobs_folder(service_jobs(p.s), json_string_value(json_object_get(job, "id")));
    char *path = file_join(folder, "1.wav");
    content[i] = file_read(path, 1 << 26, &size[i], NULL);
    assert_non_null(content[i]);
    free(path), free(folder);
    json_decref(job);
  }
  assert_int_equal(size[0], size[1]);
  assert_memory_equal(content[0], content[1], size[0]);
  free(content[0]), free(content[1]);
  json_decref(task);
  close_place(&p);
}

static void test_a_language_model_that_may_not_be_loaded(void **state) {
  place p = open_place(state, 0);
  json_t *job = run_job(&p, "generate", song_task("need", NULL, NULL));
  assert_string_equal(state_of(job), "failed");
  assert_non_null(strstr(message_of(job), "5Hz LM init failed"));
  assert_non_null(strstr(message_of(job), "ACESTEP_INIT_LLM"));
  json_decref(job);
  /* asked for by name it is loaded all the same */
  job = run_job(&p, "init", json_pack("{s:i, s:b}", "slot", 1, "init_lm", 1));
  json_t *result = done(job);
  assert_non_null(json_string_value(json_object_get(result, "lm")));
  json_decref(job);
  service_state now;
  service_look(p.s, &now);
  assert_true(now.lm_loaded);
  job = run_job(&p, "unload", json_object());
  done(job);
  json_decref(job);
  service_look(p.s, &now);
  assert_false(now.lm_loaded);
  assert_false(now.slot[0].loaded);
  close_place(&p);
}

static void test_another_model(void **state) {
  place p = open_place(state, 0);
  json_t *job = run_job(&p, "init", json_pack("{s:i, s:s}", "slot", 1, "model", "acestep-v15-base"));
  done(job);
  json_decref(job);
  service_state now;
  service_look(p.s, &now);
  assert_string_equal(now.slot[0].name, "acestep-v15-base");
  assert_int_equal(now.slot[0].family, REQ_MODEL_BASE);
  /* a misspelt name costs nothing that works */
  job = run_job(&p, "init", json_pack("{s:i, s:s}", "slot", 1, "model", "acestep-v15-bass"));
  assert_string_equal(state_of(job), "failed");
  assert_non_null(strstr(message_of(job), "acestep-v15-bass"));
  json_decref(job);
  service_look(p.s, &now);
  assert_true(now.slot[0].loaded);
  close_place(&p);
}

static void test_words_codes_and_scores(void **state) {
  place p = open_place(state, 1);
  json_t *job = run_job(&p, "create", json_pack("{s:s, s:{s:i}}", "query", "a waltz", "request", "seed", 3));
  assert_non_null(json_object_get(done(job), "caption"));
  json_decref(job);
  json_t *song = run_job(&p, "generate", song_task("want", NULL, PAIRS("lyrics", "[Verse]\nla la la")));
  done(song);
  const char *id = json_string_value(json_object_get(song, "id"));
  job = run_job(&p, "lrc", json_pack("{s:s, s:i}", "job", id, "item", 0));
  assert_non_null(json_string_value(json_object_get(done(job), "lrc_text")));
  json_decref(job);
  json_t *now = jobs_get(service_jobs(p.s), id, NULL);
  json_t *about = json_object_get(json_array_get(json_object_get(now, "samples"), 0), "about");
  assert_non_null(json_string_value(json_object_get(about, "lrc")));
  json_decref(now);
  job = run_job(&p, "score", json_pack("{s:s, s:i}", "job", "../../etc", "item", 0));
  assert_string_equal(state_of(job), "failed");
  json_decref(job);
  json_decref(song);
  job = run_job(&p, "understand",
                json_pack("{s:s, s:{s:i}}", "audio_codes", "<|audio_code_1|><|audio_code_2|>", "request", "seed", 3));
  assert_non_null(json_object_get(done(job), "lyrics"));
  json_decref(job);
  job = run_job(&p, "dance", json_object());
  assert_non_null(strstr(message_of(job), "dance"));
  json_decref(job);
  close_place(&p);
}

/* Who starts the server for half the memory gets models of half the size. */
static void test_int8(void **state) {
  place p = {.models = *state, .data = temp_open()};
  ace_error err;
  p.s = service_open(
      &(service_options){.models = p.models->models, .data = p.data.folder, .int8 = true, .lm_int8 = true}, &err);
  assert_non_null(p.s);
  json_t *job = run_job(&p, "init", json_pack("{s:i, s:b}", "slot", 1, "init_lm", 1));
  done(job);
  json_decref(job);
  assert_int_equal(p.s->engines[0]->text->embed.dtype, TENS_I8);
  assert_int_equal(p.s->engines[0]->lm->model->embed.dtype, TENS_I8);
  close_place(&p);
}

static void test_what_lies_in_the_folder(void **state) {
  const songs *s = *state;
  inventory all;
  assert_int_equal(inventory_read(s->models, &all, NULL), ACE_OK);
  const inventory_model *turbo = inventory_find(&all, INVENTORY_DIFFUSION, "acestep-v15-turbo");
  assert_non_null(turbo);
  assert_int_equal(turbo->family, REQ_MODEL_TURBO);
  assert_ptr_equal(inventory_usual(&all), turbo);
  assert_non_null(inventory_find(&all, INVENTORY_AUTOENCODER, "vae"));
  assert_non_null(inventory_language(&all, LM_4B)); /* none of that size: another one */
  assert_null(inventory_find(&all, INVENTORY_LANGUAGE, "acestep-v15-turbo"));
  inventory_free(&all);
  assert_int_equal(inventory_read("/nowhere", &all, NULL), ACE_OK);
  assert_int_equal(all.n, 0);
  assert_int_equal(lm_size_of("acestep-5Hz-lm-0.6B-v4-fix"), LM_0_6B);
  assert_int_equal(lm_size_of("acestep-5Hz-lm-1.7B"), LM_1_7B);
}

/* GGUF files are models as folders are; what is neither whole nor a model is left out. */
static void test_files_lie_in_the_folder(void **state) {
  const songs *s = *state;
  inventory all;
  temp t = temp_open();
  char folder[600];
  snprintf(folder, sizeof folder, "%s/acestep-v15-turbo", s->models);
  json_t *config = ckpt_read_config(folder, NULL);
  char *text = json_dumps(config, 0);
  put_named_gguf(&t, "acestep-v15-turbo-Q8_0.gguf", "acestep-dit", text);
  put_named_gguf(&t, "acestep-5Hz-lm-1.7B-Q8_0.gguf", "acestep-lm", "{}");
  put_named_gguf(&t, "lm.gguf", "acestep-lm", "{}");
  put_named_gguf(&t, "vae-BF16.gguf", "acestep-vae", "{}");
  put_named_gguf(&t, "Qwen3-Embedding-0.6B-Q8_0.gguf", "acestep-text-enc", "{}");
  put_named_gguf(&t, "acestep-v15-base.gguf", "acestep-dit", "{}"); /* no diffusion model that can be opened */
  put_named_gguf(&t, "other.gguf", "llama", "{}");
  put_named_gguf(&t, ".hidden.gguf", "acestep-lm", "{}");
  assert_int_equal(inventory_read(t.folder, &all, NULL), ACE_OK);
  assert_int_equal(all.n, 4);
  const inventory_model *m = inventory_find(&all, INVENTORY_DIFFUSION, "acestep-v15-turbo-Q8_0.gguf");
  assert_non_null(m);
  assert_int_equal(m->family, REQ_MODEL_TURBO);
  assert_true(m->bytes > (int64_t)strlen(text));
  assert_ptr_equal(inventory_usual(&all), m);
  assert_non_null(inventory_find(&all, INVENTORY_AUTOENCODER, "vae-BF16.gguf"));
  assert_string_equal(inventory_language(&all, LM_1_7B)->name, "acestep-5Hz-lm-1.7B-Q8_0.gguf");
  assert_string_equal(inventory_language(&all, LM_0_6B)->name, "lm.gguf");
  inventory_free(&all);
  free(text);
  json_decref(config);
  temp_close(&t);
}

/* ---- uploads ----------------------------------------------------------------------------------------------------- */

static char *add_recording(place *p, const char *session) {
  ace_error err;
  audio_buffer b;
  recording_fault why;
  char path[600];
  snprintf(path, sizeof path, "%s/new.wav", p->data.folder);
  assert_int_equal(audio_buffer_new(&b, 8000, 1, 8000, &err), ACE_OK);
  for (int i = 0; i < 8000; i++) b.samples[i] = i % 40 < 20 ? 0.3f : -0.3f;
  if (audio_write(path, &b, AUDIO_WAV32, NULL, NULL, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  audio_buffer_free(&b);
  json_t *about = recording_add(p->s, session, path, "song.wav", &why, &err);
  if (!about) fail_msg("%s", err.message);
  char *id = strdup(json_string_value(json_object_get(about, "id")));
  json_decref(about);
  return id;
}

/* Its file and the curve of its loudness. */
static int files_of(const place *p, const char *id) {
  static const char *const ends[] = {"sound", "peaks"};
  int n = 0;
  for (int i = 0; i < 2; i++) {
    char path[700];
    snprintf(path, sizeof path, "%s/recordings/%s.%s", p->data.folder, id, ends[i]);
    n += file_exists(path);
  }
  return n;
}

static bool knows(place *p, const char *session, const char *id) {
  ace_error err;
  json_t *list = recordings_of(p->s, session, &err), *one;
  bool found = false;
  size_t i;
  json_array_foreach(list, i, one) found |= strcmp(json_string_value(json_object_get(one, "id")), id) == 0;
  json_decref(list);
  return found;
}

static void nap(double seconds) {
  nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
}

/* A file in the folder of uploads, last changed and read so many seconds ago. */
static void leave_file(const place *p, const char *name, int age) {
  char path[700];
  snprintf(path, sizeof path, "%s/recordings/%s", p->data.folder, name);
  assert_int_equal(file_write(path, "x", 1, NULL), ACE_OK);
  struct timespec then = {time(NULL) - age, 0};
  assert_int_equal(utimensat(AT_FDCWD, path, (const struct timespec[]){then, then}, 0), 0);
}

static bool is_left(const place *p, const char *name) {
  char path[700];
  snprintf(path, sizeof path, "%s/recordings/%s", p->data.folder, name);
  return file_exists(path);
}

/* What was not used for long goes, of every session; what a job is still to sing from stays, as what is fresh. */
static void test_uploads_that_nobody_uses_go(void **state) {
  enum { OLD = 1 };
  place p = open_place(state, 0);
  char busy[JOBS_ID], waiting[JOBS_ID];
  ace_error err;
  char *of_anna = add_recording(&p, "anna"), *of_bert = add_recording(&p, "bert"), *wanted = add_recording(&p, "bert");
  recordings_sweep(p.s, 3600);
  assert_int_equal(files_of(&p, of_anna) + files_of(&p, of_bert) + files_of(&p, wanted), 6);
  nap(OLD + 0.2);
  char *fresh = add_recording(&p, "anna");
  /* A song that takes its time, and behind it one that is made from an upload. */
  json_t *task = song_task("no", NULL, PAIRS("duration", "120", "inference_steps", "20"));
  job_new j = {.session = "bert", .kind = "generate", .request = task};
  assert_int_equal(jobs_submit(service_jobs(p.s), &j, busy, NULL, &err), ACE_OK);
  json_decref(task);
  task = json_pack("{s:s}", "src_audio", wanted);
  j = (job_new){.session = "bert", .kind = "codes", .request = task};
  assert_int_equal(jobs_submit(service_jobs(p.s), &j, waiting, NULL, &err), ACE_OK);
  json_decref(task);
  recordings_sweep(p.s, OLD);
  assert_int_equal(files_of(&p, of_anna) + files_of(&p, of_bert), 0);
  assert_false(knows(&p, "anna", of_anna) || knows(&p, "bert", of_bert));
  assert_true(files_of(&p, wanted) == 2 && knows(&p, "bert", wanted));
  assert_true(files_of(&p, fresh) == 2 && knows(&p, "anna", fresh));
  jobs_cancel(service_jobs(p.s), waiting, NULL), jobs_cancel(service_jobs(p.s), busy, NULL);
  json_decref(jobs_wait(service_jobs(p.s), busy, 120, NULL)),
      json_decref(jobs_wait(service_jobs(p.s), waiting, 120, NULL));
  nap(OLD + 0.2);
  recordings_sweep(p.s, OLD); /* nobody needs it any more */
  assert_int_equal(files_of(&p, wanted) + files_of(&p, fresh), 0);
  free(of_anna), free(of_bert), free(wanted), free(fresh);
  close_place(&p);
}

/* Files of which the database heard nothing, because the program died in between; but only those, and only once nobody can be
 * at work on them. */
static void test_files_that_nobody_knows_go(void **state) {
  static const char lost[] = "00112233445566778899aabbccddeeff.sound",
                    young[] = "ffeeddccbbaa99887766554433221100.peaks";
  place p = open_place(state, 0);
  char *known = add_recording(&p, "anna"), name[60];
  snprintf(name, sizeof name, "%s.sound", known);
  leave_file(&p, lost, 7200), leave_file(&p, young, 60), leave_file(&p, "README", 7200), leave_file(&p, name, 7200);
  recordings_sweep(p.s, 3600);
  assert_false(is_left(&p, lost));
  assert_true(is_left(&p, young) && is_left(&p, "README") && is_left(&p, name));
  free(known);
  close_place(&p);
}

static void test_tiers(void **state) {
  static const struct {
    double gib;
    const char *key;
  } cases[] = {{0, "tier1"},     {-1, "tier1"},       {4, "tier1"},      {4.1, "tier2"},
               {6, "tier2"},     {8, "tier3"},        {12, "tier4"},     {12.1, "tier5"},
               {15.4, "tier5"},  {15.5, "tier6a"},    {19.9, "tier6a"},  {20, "tier6b"},
               {23.4, "tier6b"}, {23.5, "unlimited"}, {24, "unlimited"}, {80, "unlimited"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_string_equal(tier_get(tier_of(cases[i].gib))->key, cases[i].key);
  assert_int_equal(setenv("MAX_CUDA_VRAM", "8", 1), 0);
  tier_machine m = tier_detect((uint64_t)64 << 30);
  assert_true(m.card && m.simulated && m.id == TIER_3);
  json_t *usual = tier_defaults(&m);
  assert_true(json_is_true(json_object_get(usual, "init_lm")));
  assert_string_equal(json_string_value(json_object_get(usual, "backend")), "pt");
  json_decref(usual);
  assert_int_equal(setenv("MAX_CUDA_VRAM", "many", 1), 0);
  assert_false(tier_detect((uint64_t)64 << 30).card);
  unsetenv("MAX_CUDA_VRAM");
  m = tier_detect((uint64_t)5 << 30); /* no card: limits by memory, no offload, no language model where it is tight */
  usual = tier_defaults(&m);
  assert_int_equal(m.id, TIER_2);
  assert_false(json_is_true(json_object_get(usual, "init_lm")));
  assert_false(json_is_true(json_object_get(usual, "offload")));
  json_decref(usual);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_song_and_its_files),
      cmocka_unit_test(test_a_task_leaves_nothing_to_chance),
      cmocka_unit_test(test_a_language_model_that_may_not_be_loaded),
      cmocka_unit_test(test_another_model),
      cmocka_unit_test(test_words_codes_and_scores),
      cmocka_unit_test(test_int8),
      cmocka_unit_test(test_what_lies_in_the_folder),
      cmocka_unit_test(test_files_lie_in_the_folder),
      cmocka_unit_test(test_uploads_that_nobody_uses_go),
      cmocka_unit_test(test_files_that_nobody_knows_go),
      cmocka_unit_test(test_tiers),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
