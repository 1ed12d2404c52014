/* acestep models, doctor and generate --download with models that are not laid out as the hubs do: a folder that holds a
 * GGUF file, such a file beside the folders, an adapter. They are there, they work, and nobody fetches them again. */
#include "adapter_files.h"
#include "gguf_files.h"
#include "songs.h"

#include <sys/stat.h>

#include "base/file.h"
#include "cli/cli.h"

typedef struct scene {
  songs songs;
  bytes vae; /* the autoencoder as a GGUF file */
} scene;

static void in_models(scene *s, const char *command) {
  char line[1200];
  snprintf(line, sizeof line, "cd '%s' && %s", s->songs.models, command);
  assert_int_equal(system(line), 0);
}

static void put_model(scene *s, const char *name) {
  char *path = file_join(s->songs.models, name);
  assert_int_equal(file_write(path, s->vae.at, s->vae.n, NULL), ACE_OK);
  free(path);
}

/* A LoRA as trainers leave it: adapter_config.json and weights. */
static void put_adapter(scene *s, const char *name) {
  enum { ROWS = 8, COLUMNS = 6 };
  const recipe lora = {.what = "LoRA", .alpha = 6};
  static tensor_file f;
  double d[ROWS * COLUMNS];
  temp folder = {{0}, {0}};
  snprintf(folder.folder, sizeof folder.folder, "%.200s/%.40s", s->songs.models, name);
  assert_int_equal(mkdir(folder.folder, 0700), 0);
  f.n = 0;
  make_adapter(&lora, &f, "layers.0.self_attn.q_proj", 1, ROWS, COLUMNS, NULL, 0, d);
  publish_adapter(&folder, &lora, &f);
  file_free(&f);
}

static int set_up(void **state) {
  static scene s;
  songs_make(&s.songs);
  char *folder = file_join(s.songs.models, "vae");
  ckpt *k = ckpt_open(folder, NULL);
  assert_non_null(k);
  s.vae = gguf_of(k, "acestep-vae");
  ckpt_close(k);
  free(folder);
  setenv("ACESTEP_HOME", s.songs.folder.folder, 1);
  setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1); /* a hub that is asked fails the command */
  setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1", 1);
  *state = &s;
  return 0;
}

static int tear_down(void **state) {
  scene *s = *state;
  free(s->vae.at);
  return songs_remove(&s->songs);
}

#define RUN(command, ...) run(command, (const char *const[]){__VA_ARGS__, NULL})

static int run(const cli_command *command, const char *const *words) {
  ace_error err = {0};
  args a;
  report r;
  int n = 0;
  while (words[n]) n++;
  report_open(&r, false, true);
  if (args_parse(&a, command, n, words, &err) != ACE_OK) fail_msg("%s", err.message);
  int code = command->run(&a, &r);
  args_free(&a);
  return code;
}

/* What the command prints with --json. */
static json_t *printed(scene *s, const cli_command *command) {
  char *path = file_join(s->songs.folder.folder, "printed");
  fflush(stdout);
  int before = dup(STDOUT_FILENO);
  assert_non_null(freopen(path, "w", stdout));
  RUN(command, "--models", s->songs.models, "--json");
  fflush(stdout);
  dup2(before, STDOUT_FILENO);
  close(before);
  json_t *json = json_load_file(path, 0, NULL);
  assert_non_null(json);
  free(path);
  return json;
}

static void expect_entry(const json_t *list, const char *key, const char *name, const char *state) {
  size_t i;
  json_t *one;
  json_array_foreach((json_t *)list, i, one) {
    if (strcmp(json_text(one, key), name) != 0) continue;
    if (strcmp(json_text(one, "state"), state) != 0) fail_msg("%s: %s", name, json_text(one, "state"));
    return;
  }
  fail_msg("%s is not told", name);
}

static void test_folders_of_other_layouts(void **state) {
  scene *s = *state;
  in_models(s, "rm -r vae && mkdir vae");
  put_model(s, "vae/vae-F32.gguf");
  put_adapter(s, "voice");
  json_t *listed = printed(s, &cmd_models), *found = printed(s, &cmd_doctor);
  expect_entry(json_object_get(listed, "models"), "name", "vae", "installed");
  expect_entry(json_object_get(listed, "models"), "name", "voice", "installed");
  expect_entry(json_object_get(found, "checks"), "check", "vae", "ok");
  expect_entry(json_object_get(found, "checks"), "check", "voice", "ok");
  assert_true(json_is_true(json_object_get(found, "healthy")));
  json_decref(listed), json_decref(found);
}

/* What is wrong with them, the engine's opening tells. */
static void test_a_damaged_file(void **state) {
  scene *s = *state;
  in_models(s, "rm -r vae && mkdir vae && echo GGUF >vae/vae-F32.gguf");
  json_t *found = printed(s, &cmd_doctor);
  expect_entry(json_object_get(found, "checks"), "check", "vae", "problem");
  assert_true(json_is_false(json_object_get(found, "healthy")));
  json_decref(found);
}

static void test_a_file_beside_the_folders(void **state) {
  scene *s = *state;
  char *song = file_join(s->songs.folder.folder, "song.wav");
  in_models(s, "rm -r vae");
  json_t *found = printed(s, &cmd_doctor);
  expect_entry(json_object_get(found, "checks"), "check", "vae", "problem");
  json_decref(found);
  put_model(s, "vae-F32.gguf");
  found = printed(s, &cmd_doctor);
  expect_entry(json_object_get(found, "checks"), "check", "vae-F32.gguf", "ok");
  assert_true(json_is_true(json_object_get(found, "healthy")));
  json_decref(found);
  assert_int_equal(RUN(&cmd_generate, "x", "--download", "--models", s->songs.models, "--duration", "10", "--steps",
                       "1", "-o", song),
                   CLI_OK);
  free(song);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_folders_of_other_layouts),
      cmocka_unit_test(test_a_damaged_file),
      cmocka_unit_test(test_a_file_beside_the_folders),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
