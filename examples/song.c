/* song.c - the smallest program that makes music: models, words, a file.
 *
 *   cc song.c -o song $(pkg-config --cflags --libs acestep)
 *   ./song checkpoints "jazz trio in a smoky bar" song.flac
 */
#include <acestep.h>
#include <stdio.h>

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: song MODELS CAPTION FILE\n");
    return 2;
  }
  ace_error err = {0};
  ace_result *result = NULL;
  ace_status status = ACE_EINTERNAL;

  ace_engine *engine = ace_engine_open(argv[1], NULL, &err);
  ace_request *song = ace_request_new(ACE_PROFILE_CLI);
  if (engine && song && ace_request_set(song, "caption", argv[2], &err) == ACE_OK &&
      ace_request_set(song, "duration", "10", &err) == ACE_OK) {
    result = ace_generate(engine, song, NULL, &err);
  }
  if (result) status = ace_result_save(result, 0, argv[3], &err);

  if (status == ACE_OK) {
    ace_audio audio = ace_result_audio(result, 0);
    printf("%s: %.1f s, seed %u\n", argv[3], (double)audio.frames / audio.sample_rate, (unsigned)audio.seed);
  } else {
    fprintf(stderr, "song: %s\n", err.message);
  }
  ace_result_free(result);
  ace_request_free(song);
  ace_engine_close(engine);
  return status == ACE_OK ? 0 : 1;
}
