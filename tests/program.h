/* program.h - the real program as a child of the test: a server that is started, asked, signalled and killed.
 *
 *   program p = program_serve(folder, models, PAIRS("--log-format", "json"));
 *   reply r = http_ask(p.port, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
 *   assert_int_equal(program_end(&p, SIGTERM), 0);
 */
#ifndef ACE_TESTS_PROGRAM_H
#define ACE_TESTS_PROGRAM_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "http_testing.h"
#include "songs.h"

enum { PROGRAM_ARGS = 32 };

typedef struct program {
  pid_t pid;
  int out; /* its standard output */
  int port;
} program;

static inline void nap(double seconds) {
  struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) continue;
}

/* In the child, just before the program takes over; may be NULL. */
typedef void (*program_prepare)(void *user);

static inline program program_start(const char *const *args, program_prepare prepare, void *user) {
  const char *list[PROGRAM_ARGS] = {ACE_PROGRAM};
  int pipes[2], n = 1;
  while (*args && n < PROGRAM_ARGS - 1) list[n++] = *args++;
  assert_int_equal(pipe(pipes), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing running */
    dup2(pipes[1], STDOUT_FILENO);
    close(pipes[0]), close(pipes[1]);
    if (prepare) prepare(user);
    execv(ACE_PROGRAM, (char *const *)list);
    _exit(127);
  }
  close(pipes[1]);
  return (program){.pid = pid, .out = pipes[0]};
}

/* Waits for the line that says where it is: "http://127.0.0.1:1234". */
static inline void program_greeting(program *p) {
  char line[200];
  size_t used = 0;
  while (used < sizeof line - 1 && read(p->out, line + used, 1) == 1 && line[used] != '\n') used++;
  line[used] = 0;
  const char *colon = strrchr(line, ':');
  if (!colon) fail_msg("the server does not start: \"%s\"", line);
  p->port = atoi(colon + 1);
  assert_true(p->port > 0);
}

/* A server with its data in `data`; `more` ends with NULL and may be NULL. Log lines go to `log` if it is not NULL. */
static inline program program_serve_with(const char *data, const char *models, const char *const *more,
                                         program_prepare prepare, void *user) {
  const char *args[PROGRAM_ARGS] = {"serve", "--data", data, "--models", models, "--init-llm=no"};
  int n = 6;
  bool port = false;
  while (more && *more && n < PROGRAM_ARGS - 3) port = strcmp(*more, "--port") == 0 || port, args[n++] = *more++;
  if (!port) args[n++] = "--port", args[n++] = "0";
  program p = program_start(args, prepare, user);
  program_greeting(&p);
  return p;
}

static inline program program_serve(const char *data, const char *models, const char *const *more) {
  return program_serve_with(data, models, more, NULL, NULL);
}

/* Sends the signal and waits; its exit status, or minus the signal that killed it. */
static inline int program_end(program *p, int number) {
  int status = 0;
  kill(p->pid, number);
  while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) continue;
  close(p->out);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#endif
