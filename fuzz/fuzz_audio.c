/* Sound files from anywhere: every container that is read here, decoded and brought into the models' form. The limits are
 * low because a few bytes of FLAC are minutes of silence. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "audio/read.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libsndfile 1.2.0 forgets 5784 bytes when it gives up on an Ogg stream with a broken Vorbis header. */
const char *__lsan_default_suppressions(void) {
  return "leak:vorbis_info_init";
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  setenv("PATH", "/nowhere", 1); /* no other program is started for each input */
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 65536) return 0;
  audio_limits limits = {.seconds = 20, .samples = 1 << 17};
  audio_buffer b;
  ace_error err;
  if (audio_read_memory(data, size, "fuzz", &limits, &b, &err) != ACE_OK) return 0;
  if (b.frames < 1 || (double)(b.frames * b.channels) > (double)limits.samples) __builtin_trap();
  /* Samples are read once more, so that an unset one shows; the rate is near the file's own to keep this quick. */
  if (audio_to_model(&b, b.sample_rate < 24000 ? 16000 : 48000, &err) == ACE_OK && audio_peak(&b) > 1) __builtin_trap();
  audio_buffer_free(&b);
  return 0;
}
