#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

bool random_bytes(void *out, size_t n) {
  unsigned char *at = out;
  while (n > 0) {
    ssize_t got = getrandom(at, n, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    n -= (size_t)got;
  }
  return true;
}
