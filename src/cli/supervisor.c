#include "cli/supervisor.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST = 3 }; /* descriptors are handed over from here on */

static bool listens(int socket) {
  int on = 0;
  struct sockaddr address;
  socklen_t n = sizeof on, m = sizeof address;
  return getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) == 0 && on && getsockname(socket, &address, &m) == 0 &&
         (address.sa_family == AF_INET || address.sa_family == AF_INET6);
}

ace_status supervisor_listener(int *out, ace_error *err) {
  const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
  long sockets = pid && n && strtol(pid, NULL, 10) == (long)getpid() ? strtol(n, NULL, 10) : 0;
  unsetenv("LISTEN_PID"), unsetenv("LISTEN_FDS"), unsetenv("LISTEN_FDNAMES");
  *out = -1;
  if (sockets <= 0) return ACE_OK;
  if (sockets > 1) return ace_fail(err, ACE_EINVAL, "serve: %ld sockets were handed over; one is wanted", sockets);
  if (!listens(FIRST))
    return ace_fail(err, ACE_EINVAL, "serve: the socket that was handed over does not listen for TCP");
  fcntl(FIRST, F_SETFD, FD_CLOEXEC);
  *out = FIRST;
  return ACE_OK;
}

void supervisor_tell(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  size_t n = path ? strlen(path) : 0;
  if (n < 2 || n >= sizeof to.sun_path || (*path != '/' && *path != '@')) return;
  memcpy(to.sun_path, path, n);
  if (*path == '@') to.sun_path[0] = 0; /* a name that is no file */
  int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s < 0) return;
  ssize_t sent = sendto(s, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
  (void)sent; /* a supervisor that does not listen is no reason to stop */
  close(s);
}
