#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/signals.h"

/* One block more into a growing buffer: 1 for more, 0 at the end, -1 after a failure. */
static int read_more(int fd, const char *name, size_t limit, char **data, size_t *n, size_t *capacity, ace_error *err) {
  if (*capacity - *n < 2) {
    size_t grown = *capacity ? 2 * *capacity : 65536;
    char *more = realloc(*data, grown);
    if (!more) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", name), -1;
    *data = more;
    *capacity = grown;
  }
  ssize_t got = read(fd, *data + *n, *capacity - *n - 1);
  if (signals_caught()) return ace_fail(err, ACE_ECANCELED, "%s: cancelled", name), -1;
  if (got < 0 && errno == EINTR) return 1;
  if (got < 0) return ace_fail_errno(err, "%s: cannot read", name), -1;
  *n += (size_t)got;
  if (*n > limit) return ace_fail(err, ACE_EINVAL, "%s: more than the %zu bytes that are accepted", name, limit), -1;
  return got > 0;
}

char *input_read(const char *path, const char *flag, size_t limit, size_t *length, ace_error *err) {
  bool keyboard = strcmp(path, "-") == 0;
  const char *name = keyboard ? "standard input" : path;
  int fd = keyboard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    ace_fail_errno(err, "%s: %s: cannot open", flag, path);
    return NULL;
  }
  char *data = NULL;
  size_t n = 0, capacity = 0;
  int more = 1;
  while (more == 1) more = read_more(fd, name, limit, &data, &n, &capacity, err);
  if (!keyboard) close(fd);
  if (more == 0 && memchr(data, 0, n)) {
    ace_fail(err, ACE_EINVAL, "%s: %s: not text: there is a NUL byte inside", flag, name);
    more = -1;
  }
  if (more < 0) {
    free(data);
    return NULL;
  }
  data[n] = 0;
  if (length) *length = n;
  return data;
}

char *input_text(const char *path, const char *flag, size_t limit, ace_error *err) {
  static const char mark[] = "\xEF\xBB\xBF";
  size_t n;
  char *data = input_read(path, flag, limit, &n, err);
  if (!data) return NULL;
  size_t from = strncmp(data, mark, strlen(mark)) == 0 ? strlen(mark) : 0, to = 0;
  for (size_t i = from; i < n; i++)
    if (!(data[i] == '\r' && data[i + 1] == '\n')) data[to++] = data[i];
  while (to > 0 && data[to - 1] == '\n') to--;
  data[to] = 0;
  return data;
}

ace_status input_check(const char *path, const char *flag, ace_error *err) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ace_fail_errno(err, "%s: %s: cannot open", flag, path);
  bool folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
  close(fd);
  return folder ? ace_fail(err, ACE_EINVAL, "%s: %s is a folder, not a recording", flag, path) : ACE_OK;
}
