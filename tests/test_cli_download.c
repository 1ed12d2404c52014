/* acestep download and acestep models, as their flags and the environment steer them. */
#include "stand_in_hub.h"

#include <sys/stat.h>

#include "cli/cli.h"
#include "net/download.h"

typedef struct scene {
  hub_site site;
  temp folder;
} scene;

static int set_up(void **state) {
  scene *s = calloc(1, sizeof *s);
  hub_site_open(&s->site);
  s->folder = temp_open();
  setenv("ACESTEP_CHECKPOINTS_DIR", s->folder.folder, 1);
  setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
  setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1", 1);
  unsetenv("HF_TOKEN");
  *state = s;
  return 0;
}

static int tear_down(void **state) {
  scene *s = *state;
  char command[400];
  hub_site_close(&s->site);
  snprintf(command, sizeof command, "rm -rf '%s'", s->folder.folder);
  int code = system(command);
  free(s);
  return code;
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

static download_kind look(scene *s, const char *name) {
  return download_look(s->folder.folder, name).kind;
}

/* The first hub cannot be reached from everywhere. */
static void test_the_other_hub(void **state) {
  scene *s = *state;
  setenv("MODELSCOPE_ENDPOINT", s->site.endpoint, 1);
  assert_int_equal(RUN(&cmd_download, "vae", "--source", "huggingface", "--yes"), CLI_FAILED);
  assert_int_equal(look(s, "vae"), DOWNLOAD_NONE);
  assert_int_equal(RUN(&cmd_download, "vae", "--yes"), CLI_OK);
  assert_int_equal(look(s, "vae"), DOWNLOAD_COMPLETE);
}

static void test_nothing_is_fetched_without_consent(void **state) {
  scene *s = *state;
  setenv("HF_ENDPOINT", s->site.endpoint, 1);
  assert_non_null(freopen("/dev/null", "r", stdin));
  assert_int_equal(RUN(&cmd_download, "vae"), CLI_USAGE);
  assert_int_equal(s->site.data_requests, 0);
  assert_int_equal(look(s, "vae"), DOWNLOAD_NONE);
}

static void test_part_of_a_model_and_then_all(void **state) {
  scene *s = *state;
  setenv("HF_ENDPOINT", s->site.endpoint, 1);
  assert_int_equal(RUN(&cmd_download, "vae", "--yes", "--include", "*.json"), CLI_OK);
  assert_int_equal(s->site.data_requests, 0);
  assert_string_equal(download_look(s->folder.folder, "vae").include, "*.json");
  assert_int_equal(RUN(&cmd_download, "vae", "--yes"), CLI_OK);
  assert_int_equal(s->site.data_requests, 1);
  assert_string_equal(download_look(s->folder.folder, "vae").include, "");
  assert_int_equal(RUN(&cmd_download, "vae", "--yes"), CLI_OK); /* there already */
  assert_int_equal(s->site.data_requests, 1);
  assert_int_equal(RUN(&cmd_models, "--delete", "vae"), CLI_USAGE);
  assert_int_equal(RUN(&cmd_models, "--delete", "vae", "--yes"), CLI_OK);
  assert_int_equal(look(s, "vae"), DOWNLOAD_NONE);
}

/* generate --download fetches what it needs and is missing; what the hub does not have is named. */
static void test_fetched_on_the_way(void **state) {
  scene *s = *state;
  setenv("HF_ENDPOINT", s->site.endpoint, 1);
  setenv("ACESTEP_DOWNLOAD_SOURCE", "huggingface", 1);
  assert_int_equal(mkdir(temp_path(&s->folder, "Qwen3-Embedding-0.6B"), 0700), 0);
  fclose(fopen(temp_path(&s->folder, "Qwen3-Embedding-0.6B/model.safetensors"), "w"));
  assert_int_equal(mkdir(temp_path(&s->folder, "acestep-v15-mine"), 0700), 0);
  assert_int_equal(RUN(&cmd_generate, "x", "-o", temp_path(&s->folder, "x.wav")), CLI_FAILED);
  assert_int_equal(s->site.data_requests, 0); /* not without the switch */
  assert_int_equal(RUN(&cmd_generate, "x", "--download", "-o", temp_path(&s->folder, "x.wav")), CLI_FAILED);
  assert_int_equal(look(s, "vae"),
                   DOWNLOAD_COMPLETE); /* the rest was there; that it is no model is the engine's to say */
  assert_int_equal(s->site.data_requests, 1);
  unsetenv("ACESTEP_DOWNLOAD_SOURCE");
}

static void test_key_from_a_file(void **state) {
  scene *s = *state;
  s->site.fault = HUB_LOCKED;
  FILE *f = fopen(temp_path(&s->folder, "key"), "w");
  fputs("right\n", f);
  fclose(f);
  assert_int_equal(RUN(&cmd_download, "vae", "--yes", "--source", "huggingface", "--endpoint", s->site.endpoint),
                   CLI_USAGE);
  assert_int_equal(RUN(&cmd_download, "vae", "--yes", "--source", "huggingface", "--endpoint", s->site.endpoint,
                       "--token-file", temp_path(&s->folder, "key")),
                   CLI_OK);
}

static void test_refusals(void **state) {
  assert_int_equal(RUN(&cmd_download, "vea"), CLI_USAGE);
  assert_int_equal(RUN(&cmd_download, "gguf"), CLI_USAGE);
  assert_int_equal(RUN(&cmd_download, "--source", "npm"), CLI_USAGE);
  assert_int_equal(RUN(&cmd_download, "--endpoint", "http://x"), CLI_USAGE);
  assert_int_equal(RUN(&cmd_download, "--source", "modelscope", "--endpoint", "ftp://x"), CLI_USAGE);
  assert_int_equal(RUN(&cmd_download, "--parallel", "0"), CLI_USAGE);
  assert_int_equal(RUN(&cmd_models, "--delete", "..", "--yes"), CLI_USAGE);
  assert_int_equal(RUN(&cmd_models, "--delete", "vae", "--yes"), CLI_FAILED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_the_other_hub, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_nothing_is_fetched_without_consent, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_part_of_a_model_and_then_all, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_fetched_on_the_way, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_key_from_a_file, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
