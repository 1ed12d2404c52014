/* temp.h - a folder of a test's own, gone afterwards; and the check that an error names what it must name.
 *
 *   temp t = temp_open();
 *   temp_put(&t, "config.json", "{}", 2);
 *   ... temp_path(&t, "config.json") ...       // valid until the next call
 *   temp_close(&t);
 */
#ifndef ACE_TESTS_TEMP_H
#define ACE_TESTS_TEMP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

typedef struct temp {
  char folder[256], path[768];
} temp;

static inline temp temp_open(void) {
  temp t;
  const char *base = getenv("TMPDIR");
  snprintf(t.folder, sizeof t.folder, "%.200s/acestep-test-XXXXXX", base && *base ? base : "/tmp");
  assert_non_null(mkdtemp(t.folder));
  return t;
}

static inline const char *temp_path(temp *t, const char *name) {
  snprintf(t->path, sizeof t->path, "%s/%s", t->folder, name);
  return t->path;
}

static inline void temp_put(temp *t, const char *name, const void *data, size_t size) {
  FILE *f = fopen(temp_path(t, name), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, size, f), size);
  assert_int_equal(fclose(f), 0);
}

/* Files that are still there, "." and ".." not counted. */
static inline int temp_count(const temp *t) {
  DIR *d = opendir(t->folder);
  assert_non_null(d);
  int n = -2;
  while (readdir(d)) n++;
  closedir(d);
  return n;
}

static inline void temp_close(temp *t) {
  DIR *d = opendir(t->folder);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) unlink(temp_path(t, e->d_name));
  closedir(d);
  assert_int_equal(rmdir(t->folder), 0);
}

/* The error has this status and its one line contains `file` and `detail`. */
static inline void expect_error(const ace_error *err, ace_status status, const char *file, const char *detail) {
  if (err->status != status || !strstr(err->message, file) || !strstr(err->message, detail) ||
      strchr(err->message, '\n'))
    fail_msg("status %d \"%s\", expected status %d naming \"%s\" and \"%s\"", err->status, err->message, status, file,
             detail);
}

#endif
