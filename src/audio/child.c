#include "audio/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

extern char **environ;

enum { NONE = -1, TICK = 100 /* milliseconds between questions whether to go on */ };

static const double PATIENCE = 60; /* seconds without a byte in any direction */

/* ---- finding it -------------------------------------------------------------------------------------------------- */

static bool is_program(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *child_find(const char *name) {
  const char *path = getenv("PATH");
  char *list = strdup(path ? path : "/usr/bin:/bin"), *rest = list, *found = NULL;
  while (rest && !found) {
    char *folder = rest;
    rest = strchr(rest, ':');
    if (rest) *rest++ = 0;
    if (*folder != '/') continue; /* a program beside a song is not one that was installed */
    char *candidate = file_join(folder, name);
    if (candidate && is_program(candidate)) found = candidate;
    else free(candidate);
  }
  free(list);
  return found;
}

/* ---- its streams ------------------------------------------------------------------------------------------------- */

/* One stream: our end and the child's. */
typedef struct stream {
  int ours, theirs;
} stream;

static void close_fd(int *fd) {
  if (*fd != NONE) close(*fd);
  *fd = NONE;
}

/* Away from the standard streams, which a program may have closed, and not for other children. */
static int settle(int fd) {
  int high = fd < 0 ? NONE : fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (fd >= 0) close(fd);
  return high;
}

/* A socket pair, since sending to one whose other end is gone can do without a signal. `given`: the child's end is that
 * and ours is none. */
static bool open_stream(stream *s, int given) {
  int pair[2];
  *s = (stream){NONE, NONE};
  if (given != NONE) return (s->theirs = fcntl(given, F_DUPFD_CLOEXEC, 3)) >= 0;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return false;
  s->ours = settle(pair[0]);
  s->theirs = settle(pair[1]);
  return s->ours >= 0 && s->theirs >= 0 && fcntl(s->ours, F_SETFL, O_NONBLOCK) == 0;
}

/* One run. */
typedef struct child {
  const child_streams *streams;
  stream in, out, words;
  pid_t pid;
  const uint8_t *left; /* of what `give` gave */
  size_t n_left;
  char *text; /* of standard error, CHILD_WORDS bytes */
  size_t n_text;
  double moved; /* when the last byte went */
  bool enough;
} child;

static void send_some(child *c) {
  if (c->n_left == 0) {
    const void *data = NULL;
    c->streams->give(c->streams->user, &data, &c->n_left);
    c->left = data;
  }
  if (c->n_left == 0) {
    close_fd(&c->in.ours); /* that was all */
    return;
  }
  ssize_t n = send(c->in.ours, c->left, c->n_left, MSG_NOSIGNAL);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n < 0) { /* it reads no more: its end says why */
    close_fd(&c->in.ours);
    return;
  }
  c->left += n;
  c->n_left -= (size_t)n;
  c->moved = clock_seconds();
}

/* Bytes read into `buffer`; 0 when there are none now; closes our end behind the last. */
static size_t receive(child *c, stream *s, uint8_t *buffer, size_t size) {
  ssize_t n = recv(s->ours, buffer, size, 0);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return 0;
  if (n <= 0) {
    close_fd(&s->ours);
    return 0;
  }
  c->moved = clock_seconds();
  return (size_t)n;
}

static void receive_words(child *c, const uint8_t *buffer, size_t n) {
  for (size_t i = 0; i < n && c->n_text < CHILD_WORDS - 1; i++) c->text[c->n_text++] = (char)buffer[i];
  c->text[c->n_text] = 0;
}

/* Moves bytes until the child has closed what we read from. */
static ace_status pump(child *c, ace_error *err) {
  enum { BLOCK = 1 << 16 };
  uint8_t *buffer = malloc(BLOCK);
  if (!buffer) return ace_fail(err, ACE_ENOMEM, "helper: out of memory");
  ace_status status = ACE_OK;
  c->moved = clock_seconds();
  while (status == ACE_OK && !c->enough && (c->out.ours != NONE || c->words.ours != NONE)) {
    struct pollfd fds[] = {{c->in.ours, POLLOUT, 0}, {c->out.ours, POLLIN, 0}, {c->words.ours, POLLIN, 0}};
    int n = poll(fds, sizeof fds / sizeof *fds, TICK);
    if (c->streams->cancelled && c->streams->cancelled(c->streams->user))
      status = ace_fail(err, ACE_ECANCELED, "cancelled");
    else if (clock_seconds() - c->moved > PATIENCE) status = ace_fail(err, ACE_EIO, "it does not answer");
    if (n <= 0 || status != ACE_OK) continue;
    if (fds[0].revents) send_some(c);
    size_t got = fds[1].revents ? receive(c, &c->out, buffer, BLOCK) : 0;
    if (got) c->enough = !c->streams->take(c->streams->user, buffer, got);
    got = fds[2].revents ? receive(c, &c->words, buffer, BLOCK) : 0;
    if (got) receive_words(c, buffer, got);
  }
  free(buffer);
  return status;
}

/* ---- its life ---------------------------------------------------------------------------------------------------- */

/* In a group of its own, so that Ctrl-C reaches us alone, who then end it; with no signals ignored or blocked. */
static int start(child *c, const char *const *argv) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t how;
  sigset_t none, usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  sigaddset(&usual, SIGINT);
  if (posix_spawn_file_actions_init(&files) != 0) return ENOMEM;
  if (posix_spawnattr_init(&how) != 0) {
    posix_spawn_file_actions_destroy(&files);
    return ENOMEM;
  }
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setsigmask(&how, &none);
  posix_spawnattr_setsigdefault(&how, &usual);
  int failed = posix_spawn_file_actions_adddup2(&files, c->in.theirs, 0);
  if (!failed) failed = posix_spawn_file_actions_adddup2(&files, c->out.theirs, 1);
  if (!failed) failed = posix_spawn_file_actions_adddup2(&files, c->words.theirs, 2);
  if (!failed) failed = posix_spawn(&c->pid, argv[0], &files, &how, (char *const *)argv, environ);
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&files);
  return failed;
}

/* Whether it ended well. A host that lets the system reap children learns nothing: then what came out decides. */
static bool wait_for(child *c) {
  int status;
  pid_t pid;
  do pid = waitpid(c->pid, &status, 0);
  while (pid < 0 && errno == EINTR);
  return pid < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void keep_first_line(char *words) {
  for (char *p = words; *p; p++) {
    if (*p == '\n' || *p == '\r') *p = 0;
    else if ((unsigned char)*p < ' ') *p = ' ';
    if (!*p) break;
  }
}

static ace_status run(child *c, const char *const *argv, ace_error *err) {
  int failed = start(c, argv);
  close_fd(&c->in.theirs), close_fd(&c->out.theirs), close_fd(&c->words.theirs);
  if (failed) {
    errno = failed;
    return ace_fail_errno(err, "%s: cannot start", argv[0]);
  }
  ace_status status = pump(c, err);
  if (status != ACE_OK || c->enough) kill(c->pid, SIGKILL);
  close_fd(&c->in.ours), close_fd(&c->out.ours), close_fd(&c->words.ours);
  bool well = wait_for(c);
  if (status == ACE_OK && !well && !c->enough) status = ace_fail(err, ACE_EIO, "it failed");
  return status;
}

ace_status child_run(const char *const *argv, const child_streams *streams, char words[CHILD_WORDS], ace_error *err) {
  child c = {.streams = streams, .text = words};
  words[0] = 0;
  bool open = open_stream(&c.in, streams->in);
  open = open_stream(&c.out, streams->out) && open;
  open = open_stream(&c.words, NONE) && open;
  ace_status status = open ? run(&c, argv, err) : ace_fail_errno(err, "%s: cannot open a way to it", argv[0]);
  stream *all[] = {&c.in, &c.out, &c.words};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) close_fd(&all[i]->ours), close_fd(&all[i]->theirs);
  keep_first_line(words);
  return status;
}
