/* One planned song with more threads than the machine has processors: short, for the thread sanitizer. */
#include "songs.h"

static void a_planned_song_with_many_threads(void **state) {
  static const char *const usual[] = {
      "caption", "threads", "duration", "10",      "inference_steps", "1", "thinking", "true", "lm_cfg_scale", "1.5",
      "bpm",     "90",      "keyscale", "C major", "timesignature",   "4", NULL};
  ace_engine *e = songs_engine(*state, NULL, 4, 0);
  ace_result *song = songs_generate(e, usual, NULL);
  assert_int_equal(ace_result_audio(song, 0).frames, 480000);
  ace_result_free(song);
  ace_engine_close(e);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_planned_song_with_many_threads)};
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
