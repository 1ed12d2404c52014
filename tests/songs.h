/* songs.h - songs of the tiny model set, for tests that go through the public library.
 *
 *   cmocka_run_group_tests(tests, songs_open, songs_close);          // *state is a songs
 *   static const char *const usual[] = {"caption", "a test", NULL};  // each test file has its own
 *   ace_result *r = songs_generate(e, usual, PAIRS("bpm", "90"));
 */
#ifndef ACE_TESTS_SONGS_H
#define ACE_TESTS_SONGS_H

#include "temp.h"

#include <acestep.h>

#include "engine/engine.h"
#include "engine/tiny.h"

typedef struct songs {
  temp folder;
  char models[512];
} songs;

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Makes the models; they live through the group. */
static inline void songs_make(songs *s) {
  ace_error err;
  s->folder = temp_open();
  snprintf(s->models, sizeof s->models, "%s/models", s->folder.folder);
  if (tiny_make(s->models, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
}

static inline int songs_remove(songs *s) {
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", s->folder.folder);
  return system(command);
}

static inline int songs_open(void **state) {
  static songs s;
  songs_make(&s);
  *state = &s;
  return 0;
}

static inline int songs_close(void **state) {
  return songs_remove(*state);
}

/* model NULL: the turbo one; threads and memory as in ace_engine_options. */
static inline ace_engine *songs_engine(const songs *s, const char *model, int threads, uint64_t memory) {
  ace_error err;
  ace_engine_options options = {.model = model, .threads = threads, .memory = memory};
  ace_engine *e = ace_engine_open(s->models, &options, &err);
  if (!e) fail_msg("%s", err.message);
  return e;
}

/* About the least memory that the request fits into: items one at a time, the smallest tiles. */
static inline uint64_t songs_least_memory(const songs *s, const ace_request *r) {
  ace_error err;
  engine_memory plan;
  uint64_t low = 0, high = (uint64_t)1 << 32;
  ace_engine *e = songs_engine(s, NULL, 2, high);
  while (high - low > 1 << 20) {
    e->memory = (low + high) / 2;
    if (engine_memory_of(e, r, &plan, &err) == ACE_OK) high = e->memory;
    else low = e->memory;
  }
  ace_engine_close(e);
  return high + (4 << 20); /* what the process takes until then */
}

/* A request from two lists "name", "value", ..., NULL; the second may be NULL. */
static inline ace_request *songs_request(const char *const *usual, const char *const *pairs) {
  ace_error err;
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  assert_non_null(r);
  for (int pass = 0; pass < 2; pass++)
    for (const char *const *p = pass ? pairs : usual; p && *p; p += 2)
      if (ace_request_set(r, p[0], p[1], &err) != ACE_OK) fail_msg("%s", err.message);
  return r;
}

static inline ace_result *songs_generate(ace_engine *e, const char *const *usual, const char *const *pairs) {
  ace_error err;
  ace_request *r = songs_request(usual, pairs);
  ace_result *result = ace_generate(e, r, NULL, &err);
  if (!result) fail_msg("%s", err.message);
  ace_request_free(r);
  return result;
}

static inline bool same_sound(ace_audio a, ace_audio b) {
  return a.frames == b.frames && a.channels == b.channels &&
         memcmp(a.samples, b.samples, (size_t)(a.frames * a.channels) * sizeof(float)) == 0;
}

#endif
