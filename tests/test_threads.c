/* One planned song with more threads than the machine has processors: short, for the thread sanitizer. */
#include "temp.h"

#include <acestep.h>

#include "engine/tiny.h"

static void a_planned_song_with_many_threads(void **state) {
  static const char *const settings[][2] = {{"caption", "threads"},  {"duration", "10"},      {"inference_steps", "1"},
                                            {"thinking", "true"},    {"lm_cfg_scale", "1.5"}, {"bpm", "90"},
                                            {"keyscale", "C major"}, {"timesignature", "4"}};
  ace_error err;
  temp t = temp_open();
  char models[512], command[600];
  snprintf(models, sizeof models, "%s/models", t.folder);
  if (tiny_make(models, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  ace_engine *e = ace_engine_open(models, &(ace_engine_options){.threads = 4}, &err);
  if (!e) fail_msg("%s", err.message);
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    if (ace_request_set(r, settings[i][0], settings[i][1], &err) != ACE_OK) fail_msg("%s", err.message);
  ace_result *song = ace_generate(e, r, NULL, &err);
  if (!song) fail_msg("%s", err.message);
  assert_int_equal(ace_result_audio(song, 0).frames, 480000);
  ace_result_free(song);
  ace_request_free(r);
  ace_engine_close(e);
  snprintf(command, sizeof command, "rm -rf '%s'", models);
  assert_int_equal(system(command), 0);
  temp_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_planned_song_with_many_threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
