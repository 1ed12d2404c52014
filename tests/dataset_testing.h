/* dataset_testing.h - a folder of small songs with what lies beside them. */
#ifndef ACE_TESTS_DATASET_TESTING_H
#define ACE_TESTS_DATASET_TESTING_H

#include "temp.h"

#include <math.h>
#include <sys/stat.h>

#include "audio/write.h"

typedef struct heard {
  char text[8192];
} heard;

static inline void hear(void *user, const char *line) {
  heard *h = user;
  size_t room = sizeof h->text - strlen(h->text) - 2;
  strncat(h->text, line, room);
  strcat(h->text, "\n");
}

static inline void folder_put(const char *folder, const char *name, const char *text) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

/* A tone of that many seconds at 8 kHz, mono; gain above 1 clips. */
static inline void folder_song(const char *folder, const char *name, double seconds, double hertz, double gain) {
  char path[1024];
  ace_error err = {0};
  audio_buffer b;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(audio_buffer_new(&b, (int64_t)(seconds * 8000), 1, 8000, &err), ACE_OK);
  for (int64_t i = 0; i < b.frames; i++) {
    double x = gain * sin(6.283185307179586 * hertz * (double)i / 8000);
    b.samples[i] = (float)(x > 1 ? 1 : x < -1 ? -1 : x);
  }
  if (audio_write(path, &b, AUDIO_WAV32, NULL, NULL, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  audio_buffer_free(&b);
}

static inline void folder_remove(const temp *t) {
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", t->folder);
  assert_int_equal(system(command), 0);
}

#endif
