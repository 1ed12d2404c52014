/* cli.h - what the subcommands share: how each describes itself, and exit codes. */
#ifndef ACE_CLI_H
#define ACE_CLI_H

#include "cli/args.h"
#include "cli/report.h"

/* Also in the text of `acestep help`. A signal's exit code is 128 and its number: 130 for Ctrl-C, 143 for SIGTERM. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_SIGNAL = 128 };

struct cli_command {
  const char *name;
  const char *operands; /* "[CAPTION]" */
  const char *summary;  /* one line */
  const cli_flag *flags;
  bool parameters;         /* every parameter of a request is a flag too */
  const char *const *only; /* ... of these, NULL-terminated; NULL: of all */
  int most_operands;
  const char *notes; /* closing paragraphs of its help; NULL: none */
  /* The exit code. `a` has passed args_parse. */
  int (*run)(const args *a, report *r);
};

extern const cli_command cmd_generate, cmd_plan, cmd_format, cmd_understand, cmd_lrc, cmd_score, cmd_info, cmd_tokenize,
    cmd_schema, cmd_make_tiny, cmd_convert, cmd_bench, cmd_version, cmd_help;
extern const cli_command cmd_dataset;
extern const cli_command cmd_download, cmd_models, cmd_doctor, cmd_completions, cmd_serve, cmd_train, cmd_export,
    cmd_cli;

/* NULL-terminated, in the order of the help. */
extern const cli_command *const cli_commands[];
const cli_command *cli_find(const char *name);
/* The command that looks most like a misspelt one; NULL when none is near. */
const cli_command *cli_nearest(const char *name);

/* Help of one command or, for NULL, of the program. */
ace_status cli_print_help(FILE *out, const cli_command *command);

/* Edits that make `a` of `b`: letters inserted, removed, replaced; "-" and "_" are the same. */
size_t cli_distance(const char *a, const char *b);

#endif
