/* request_testing.h - what the tests of requests share. */
#ifndef ACE_TESTS_REQUEST_TESTING_H
#define ACE_TESTS_REQUEST_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "request/value.h"

#define GOLDEN_CODES ACE_SOURCE_DIR "/../shared/golden/text/codes.json"

/* Sets a parameter by name and reads it back as text. */
static inline void sets(ace_request *r, const char *name, const char *value, const char *reads) {
  ace_error err = {0};
  if (ace_request_set(r, name, value, &err) != ACE_OK) fail_msg("%s=%s: %s", name, value, err.message);
  char *got = ace_request_get(r, name);
  if (!got || strcmp(got, reads) != 0) fail_msg("%s=%s reads \"%s\", not \"%s\"", name, value, got ? got : "-", reads);
  free(got);
}

static inline ace_request *fresh(void) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  assert_non_null(r);
  return r;
}

#endif
