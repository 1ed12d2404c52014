/* golden.h - tensors of the golden data, for tests that compare number by number. A subset is part of every clone
 * (tests/golden); tests that need more skip by name where the full set is absent.
 *
 *   st_file *f = golden_open("dwt");                          // skips the running test when there is no golden data
 *   const float *x = golden_f32(f, "in.x_even", NULL);
 *   st_close(f);
 */
#ifndef ACE_TESTS_GOLDEN_H
#define ACE_TESTS_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <math.h>
#include <unistd.h>

#include "formats/safetensors.h"

#define GOLDEN_DIR ACE_SOURCE_DIR "/../shared/golden"

static inline st_file *golden_open(const char *name) {
  char path[1024];
  ace_error err = {0};
  snprintf(path, sizeof path, ACE_SOURCE_DIR "/tests/golden/cases/%s.safetensors", name);
  if (access(path, R_OK) != 0) snprintf(path, sizeof path, GOLDEN_DIR "/cases/%s.safetensors", name);
  if (access(path, R_OK) != 0) {
    print_message("golden case %s: absent\n", name);
    skip();
  }
  st_file *f = st_open(path, &err);
  if (!f) fail_msg("%s", err.message);
  return f;
}

/* The data of a float32 tensor and its number of values; fails the test when it is missing. */
static inline const float *golden_f32(const st_file *f, const char *name, int64_t *count) {
  const st_tensor *t = st_find(f, name);
  if (!t || t->dtype != ST_F32 || (uintptr_t)t->data % sizeof(float) != 0) fail_msg("golden tensor %s", name);
  if (count) *count = t->count;
  return t->data;
}

/* Largest absolute difference. */
static inline double golden_difference(const float *a, const float *b, int64_t n) {
  double worst = 0;
  for (int64_t i = 0; i < n; i++) {
    double d = fabs((double)a[i] - (double)b[i]);
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

#endif
