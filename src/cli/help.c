/* acestep help - the commands, and the flags of each from its own list and from the table of parameters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "request/text.h"

enum { INDENT = 30 /* as req_print_help */, COLUMNS_LEAST = 60, COLUMNS_MOST = 110 };

/* clang-format off */
const cli_command *const cli_commands[] = {
    &cmd_generate,
    &cmd_plan,
    &cmd_format,
    &cmd_understand,
    &cmd_lrc,
    &cmd_score,
    &cmd_train,
    &cmd_export,
    &cmd_dataset,
    &cmd_serve,
    &cmd_cli,
    &cmd_download,
    &cmd_models,
    &cmd_doctor,
    &cmd_info,
    &cmd_tokenize,
    &cmd_schema,
    &cmd_make_tiny,
    &cmd_convert,
    &cmd_bench,
    &cmd_completions,
    &cmd_version,
    &cmd_help,
    NULL,
};
/* clang-format on */

const cli_command *cli_find(const char *name) {
  for (const cli_command *const *c = cli_commands; *c; c++)
    if (strcmp((*c)->name, name) == 0) return *c;
  return NULL;
}

const cli_command *cli_nearest(const char *name) {
  size_t least = 4;
  const cli_command *nearest = NULL;
  for (const cli_command *const *c = cli_commands; *c; c++) /* the beginning of a name stands for it */
    if (*name && strncmp((*c)->name, name, strlen(name)) == 0) return *c;
  for (const cli_command *const *c = cli_commands; *c; c++) {
    size_t d = cli_distance(name, (*c)->name);
    if (d >= least || d >= strlen((*c)->name)) continue;
    least = d;
    nearest = *c;
  }
  return nearest;
}

/* ---- one command ------------------------------------------------------------------------------------------------- */

static void print_wrapped(FILE *out, const char *text, int columns) {
  int at = INDENT;
  for (bool first = true; *text; first = false) {
    int n = (int)strcspn(text, " ");
    if (!first && at + 1 + n > columns) {
      fprintf(out, "\n%*s", INDENT, "");
      at = INDENT;
    } else if (!first) {
      fputc(' ', out);
      at++;
    }
    fprintf(out, "%.*s", n, text);
    at += n;
    text += n + (text[n] == ' ');
  }
  fputc('\n', out);
}

static void print_flag(FILE *out, const cli_flag *f, int columns) {
  char head[128], letter[8] = "";
  if (f->letter) snprintf(letter, sizeof letter, "-%c, ", f->letter);
  int n =
      snprintf(head, sizeof head, "  %s--%s%s%s", letter, f->name, f->operand ? " " : "", f->operand ? f->operand : "");
  fputs(head, out);
  if (n + 2 > INDENT) fprintf(out, "\n%*s", INDENT, "");
  else fprintf(out, "%*s", INDENT - n, "");
  print_wrapped(out, f->help, columns);
}

/* Is this line the head of an entry that the command does not have, or has as its own with a meaning of its own? */
static bool is_foreign(const cli_command *c, const char *line) {
  char flag[REQ_FLAG_SIZE];
  if (strncmp(line, "  --", 4) != 0) return false;
  snprintf(flag, sizeof flag, "%.*s", (int)strcspn(line + 4, " \n"), line + 4);
  for (const cli_flag *f = c->flags; f && f->name; f++)
    if (strcmp(f->name, flag) == 0) return true;
  const req_param *p = req_param_find(flag);
  return p && !args_takes(c, p);
}

/* The lines of the table's listing that belong to the command: an entry with its continuation, and the title of a group
 * (with the blank line before it) once the group has an entry. */
static void print_entries(FILE *out, const cli_command *c, const char *line) {
  const char *title = NULL;
  size_t title_length = 0;
  bool skipping = false, first = true;
  for (size_t n; *line; line += n) {
    n = strcspn(line, "\n");
    n += line[n] == '\n';
    if (*line != ' ') { /* a title, or a blank line, which goes with the title behind it */
      if (*line != '\n') title = line, title_length = n;
      continue;
    }
    bool continued = strncmp(line, "     ", 5) == 0;
    if (!continued) skipping = is_foreign(c, line);
    if (skipping) continue;
    if (title) fprintf(out, "%s%.*s", first ? "" : "\n", (int)title_length, title);
    title = NULL;
    first = false;
    fwrite(line, 1, n, out);
  }
}

/* The table's listing without the entries that the command replaces. */
static ace_status print_parameters(FILE *out, const cli_command *c, int columns) {
  char *text = NULL;
  size_t size = 0;
  FILE *memory = open_memstream(&text, &size);
  if (!memory) return ACE_ENOMEM;
  ace_status status = req_print_help(memory, ACE_PROFILE_CLI, columns);
  if (fclose(memory) != 0) status = ACE_ENOMEM;
  if (status == ACE_OK) print_entries(out, c, text);
  free(text);
  return status;
}

static ace_status print_command(FILE *out, const cli_command *c, int columns) {
  static const cli_flag help = {"help", 'h', NULL, "Show this help"};
  fprintf(out, "acestep %s%s%s%s - %s\n\n", c->name, *c->operands ? " " : "", c->operands, c->flags ? " [FLAGS]" : "",
          c->summary);
  for (const cli_flag *f = c->flags; f && f->name; f++) print_flag(out, f, columns);
  print_flag(out, &help, columns);
  ace_status status = ACE_OK;
  if (c->parameters) {
    fputc('\n', out);
    status = print_parameters(out, c, columns);
  }
  if (c->notes) fprintf(out, "\n%s\n", c->notes);
  return status;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static void print_overview(FILE *out) {
  fputs("acestep - music from words with the ACE-Step 1.5 models\n\n", out);
  for (const cli_command *const *c = cli_commands; *c; c++) {
    char head[64];
    snprintf(head, sizeof head, "%s %s", (*c)->name, (*c)->operands);
    fprintf(out, "  acestep %-28s %s\n", head, (*c)->summary);
  }
  fputs(
      "\n"
      "acestep help COMMAND tells all flags of one.\n"
      "\n"
      "Models are looked for in --models DIR, else $ACESTEP_CHECKPOINTS_DIR, else the folder models in the data\n"
      "folder ($ACESTEP_HOME, else $XDG_DATA_HOME/acestep, else ~/.local/share/acestep), else ./checkpoints.\n"
      "\n"
      "Exit codes: 0 done; 1 failed; 2 wrong flags or a request that cannot be; 130 stopped by Ctrl-C; 143 stopped\n"
      "by SIGTERM. A first Ctrl-C stops cleanly and leaves no files, a second one kills at once.\n",
      out);
}

ace_status cli_print_help(FILE *out, const cli_command *command) {
  int columns = term_columns(STDOUT_FILENO);
  if (columns > COLUMNS_MOST) columns = COLUMNS_MOST;
  if (columns < COLUMNS_LEAST) columns = COLUMNS_LEAST;
  if (command) return print_command(out, command, columns);
  print_overview(out);
  return ACE_OK;
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  const cli_command *c = NULL;
  if (a->n_operands && !(c = cli_find(a->operand[0]))) {
    char excerpt[REQ_EXCERPT_SIZE];
    ace_fail(&err, ACE_EINVAL, "help: there is no command \"%s\"; acestep help lists them",
             req_excerpt(a->operand[0], strlen(a->operand[0]), excerpt));
    return report_failure(r, &err);
  }
  if (cli_print_help(stdout, c) == ACE_OK) return CLI_OK;
  ace_fail(&err, ACE_ENOMEM, "help: out of memory");
  return report_failure(r, &err);
}

const cli_command cmd_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "explain a command and its flags",
    .most_operands = 1,
    .run = run,
};
