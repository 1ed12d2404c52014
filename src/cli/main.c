/* main.c - finds the subcommand, takes its command line apart, and makes sure that what it printed arrived. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/signals.h"
#include "request/text.h"

/* --json must be known before the command line is understood: its errors are events too. */
static bool wants_json(int argc, char **argv) {
  for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (strcmp(argv[i], "--json") == 0) return true;
  return false;
}

static int run_command(const cli_command *c, int argc, char **argv) {
  /* info and tokenize print one object of their own instead of events. */
  bool events = c == &cmd_generate || c == &cmd_make_tiny || c == &cmd_convert || c == &cmd_download ||
                c == &cmd_train || c == &cmd_export || c == &cmd_dataset;
  ace_error err = {0};
  args a;
  report r;
  int code;
  report_open(&r, events && wants_json(argc, argv), false);
  if (args_parse(&a, c, argc, (const char *const *)argv, &err) != ACE_OK) {
    code = report_failure(&r, &err);
  } else if (args_on(&a, "help")) {
    code = cli_print_help(stdout, c) == ACE_OK ? CLI_OK : CLI_FAILED;
  } else {
    report_open(&r, events && args_on(&a, "json"), args_on(&a, "quiet"));
    code = c->run(&a, &r);
  }
  args_free(&a);
  return code;
}

static int unknown_command(const char *name) {
  char excerpt[REQ_EXCERPT_SIZE];
  const cli_command *near = cli_nearest(name);
  fprintf(stderr, "acestep: there is no command \"%s\"%s%s%s (acestep help lists them)\n",
          req_excerpt(name, strlen(name), excerpt), near ? "; did you mean " : "", near ? near->name : "",
          near ? "?" : "");
  return CLI_USAGE;
}

static const char *as_command(const char *word) {
  if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) return "help";
  if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0) return "version";
  return word;
}

/* A reader that went away (a pipe into head) has seen what it wanted and needs no message. */
static bool reader_gone(void) {
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

int main(int argc, char **argv) {
  signals_install();
  int code = CLI_USAGE;
  if (argc < 2) {
    cli_print_help(stderr, NULL);
  } else {
    const cli_command *c = cli_find(as_command(argv[1]));
    code = c ? run_command(c, argc - 2, argv + 2) : unknown_command(argv[1]);
  }
  bool lost = fflush(stdout) != 0 || ferror(stdout);
  if (!lost) return code;
  if (!reader_gone()) fputs("acestep: standard output: cannot write to it; what was printed is incomplete\n", stderr);
  return code == CLI_OK ? CLI_FAILED : code;
}
