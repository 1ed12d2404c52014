/* acestep completions - what a shell needs to complete command lines, and manual pages: all made from the tables that
 * the program itself goes by, so that they cannot drift from it.
 */
#include <stdio.h>
#include <string.h>

#include "cli/words.h"
#include "net/catalog.h"

/* What may stand where an operand does. */
static void each_operand(const cli_command *c, void (*visit)(const char *word)) {
  static const char *const kinds[] = {"bash", "zsh", "fish", "man", "list", NULL};
  static const char *const actions[] = {"scan", "label", "edit", "preprocess", "check", NULL};
  for (const char *const *k = actions; c == &cmd_dataset && *k; k++) visit(*k);
  if (c == &cmd_help)
    for (const cli_command *const *other = cli_commands; *other; other++) visit((*other)->name);
  if (c == &cmd_completions)
    for (const char *const *k = kinds; *k; k++) visit(*k);
  if (c == &cmd_download) visit("main");
  for (const catalog_model *m = catalog_models(); c == &cmd_download && m->name; m++) visit(m->name);
}

static bool takes_paths(const cli_command *c) {
  return strstr(c->operands, "FILE") || strstr(c->operands, "DIR");
}

static void print_spaced(const char *word) {
  printf(" %s", word);
}

/* Text between single quotes of a shell; `also`: characters that get a backslash. */
static void print_quoted(const char *text, const char *also) {
  for (; *text; text++) {
    if (*text == '\'') fputs("'\\''", stdout);
    else printf("%s%c", strchr(also, *text) ? "\\" : "", *text);
  }
}

/* ---- bash -------------------------------------------------------------------------------------------------------- */

static void bash_value(void *user, const cli_word *w) {
  if (!w->operand) return;
  printf("        --%s", w->flag);
  if (w->letter) printf("|-%c", w->letter);
  fputs(") ", stdout);
  if (w->values) {
    fputs("COMPREPLY=($(compgen -W \"", stdout);
    for (const char *const *v = w->values; *v; v++) print_spaced(*v);
    fputs("\" -- \"$cur\"));", stdout);
  } else if (w->is_file || w->is_folder) {
    printf("COMPREPLY=($(compgen -%c -- \"$cur\"));", w->is_folder ? 'd' : 'f');
  }
  puts(" return ;;");
}

static void bash_flag(void *user, const cli_word *w) {
  printf(" --%s", w->flag);
}

static void bash_command(const cli_command *c) {
  printf("    %s)\n      case $prev in\n", c->name);
  cli_each_word(c, bash_value, NULL);
  fputs("      esac\n      words=\"", stdout);
  each_operand(c, print_spaced);
  cli_each_word(c, bash_flag, NULL);
  printf("\"\n      COMPREPLY=($(compgen %s-W \"$words\" -- \"$cur\")) ;;\n", takes_paths(c) ? "-f " : "");
}

static void print_bash(void) {
  fputs(
      "# bash completion of acestep; acestep completions bash made it\n"
      "_acestep() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"",
      stdout);
  for (const cli_command *const *c = cli_commands; *c; c++) print_spaced((*c)->name);
  puts("\" -- \"$cur\"))\n    return\n  fi\n  case ${COMP_WORDS[1]} in");
  for (const cli_command *const *c = cli_commands; *c; c++) bash_command(*c);
  puts("  esac\n}\ncomplete -o filenames -F _acestep acestep");
}

/* ---- zsh --------------------------------------------------------------------------------------------------------- */

static void zsh_flag(void *user, const cli_word *w) {
  printf(" \\\n        '--%s[", w->flag);
  print_quoted(w->help, "[]:\\");
  putchar(']');
  if (w->operand) printf(":%s:", w->operand);
  if (w->operand && w->values) {
    putchar('(');
    for (const char *const *v = w->values; *v; v++) print_spaced(*v);
    putchar(')');
  } else if (w->is_file || w->is_folder) {
    fputs(w->is_folder ? "_files -/" : "_files", stdout);
  }
  putchar('\'');
}

static void zsh_command(const cli_command *c) {
  printf("    %s)\n      _arguments", c->name);
  cli_each_word(c, zsh_flag, NULL);
  if (takes_paths(c)) fputs(" \\\n        '*:file:_files'", stdout);
  else if (c == &cmd_help || c == &cmd_completions || c == &cmd_download) {
    fputs(" \\\n        '*:name:(", stdout);
    each_operand(c, print_spaced);
    fputs(")'", stdout);
  }
  puts(" ;;");
}

static void print_zsh(void) {
  puts(
      "#compdef acestep\n"
      "# zsh completion of acestep; acestep completions zsh made it\n"
      "_acestep() {\n"
      "  local -a commands\n"
      "  commands=(");
  for (const cli_command *const *c = cli_commands; *c; c++) {
    printf("    '%s:", (*c)->name);
    print_quoted((*c)->summary, ":\\");
    puts("'");
  }
  puts(
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in");
  for (const cli_command *const *c = cli_commands; *c; c++) zsh_command(*c);
  puts("  esac\n}\n_acestep \"$@\"");
}

/* ---- fish -------------------------------------------------------------------------------------------------------- */

static void fish_flag(void *user, const cli_word *w) {
  const cli_command *c = user;
  printf("complete -c acestep -n '__fish_seen_subcommand_from %s' -l %s", c->name, w->flag);
  if (w->letter) printf(" -s %c", w->letter);
  if (w->operand) printf(" -r%s", w->is_file || w->is_folder ? " -F" : " -f");
  if (w->operand && w->values) {
    fputs(" -a '", stdout);
    for (const char *const *v = w->values; *v; v++) print_spaced(*v);
    putchar('\'');
  }
  fputs(" -d '", stdout);
  for (const char *p = w->help; *p; p++) printf("%s%c", *p == '\'' || *p == '\\' ? "\\" : "", *p);
  puts("'");
}

static void print_fish(void) {
  puts(
      "# fish completion of acestep; acestep completions fish made it\n"
      "complete -c acestep -n __fish_use_subcommand -f");
  for (const cli_command *const *c = cli_commands; *c; c++) {
    printf("complete -c acestep -n __fish_use_subcommand -a %s -d '", (*c)->name);
    for (const char *p = (*c)->summary; *p; p++) printf("%s%c", *p == '\'' || *p == '\\' ? "\\" : "", *p);
    puts("'");
    cli_each_word(*c, fish_flag, (void *)*c);
    if (*c != &cmd_help && *c != &cmd_completions && *c != &cmd_download) continue;
    printf("complete -c acestep -n '__fish_seen_subcommand_from %s' -f -a '", (*c)->name);
    each_operand(*c, print_spaced);
    puts("'");
  }
}

/* ---- manual pages ------------------------------------------------------------------------------------------------ */

static void print_roff(const char *text) {
  for (bool start = true; *text; text++) {
    if (start && (*text == '.' || *text == '\'')) fputs("\\&", stdout);
    if (*text == '\\') fputs("\\e", stdout);
    else if (*text == '-') fputs("\\-", stdout);
    else putchar(*text);
    start = *text == '\n';
  }
}

static void man_head(const char *title, const char *summary) {
  printf(".TH ACESTEP%s 1 \"\" \"acestep %s\" \"acestep\"\n.SH NAME\nacestep%s \\- ", title, ACE_VERSION, title);
  print_roff(summary);
  putchar('\n');
}

static void man_flag(void *user, const cli_word *w) {
  char range[REQ_RANGE_SIZE];
  fputs(".TP\n.B ", stdout);
  if (w->letter) printf("\\-%c, ", w->letter);
  fputs("\\-\\-", stdout);
  print_roff(w->flag);
  if (w->operand) printf(" \\fI%s\\fP", w->operand);
  putchar('\n');
  print_roff(w->help);
  if (w->param && w->operand && w->param->type != REQ_STRING && w->param->type != REQ_PATH) {
    fputs(" (", stdout);
    print_roff(req_param_range(w->param, range));
    putchar(')');
  }
  putchar('\n');
}

static void man_command(const cli_command *c) {
  char title[64];
  snprintf(title, sizeof title, "-%s", c->name);
  man_head(title, c->summary);
  printf(".SH SYNOPSIS\n.B acestep %s\n", c->name);
  print_roff(c->operands);
  fputs(" [FLAGS]\n.SH FLAGS\n", stdout);
  cli_each_word(c, man_flag, NULL);
  if (c->notes) {
    fputs(".SH NOTES\n.nf\n", stdout);
    print_roff(c->notes);
    puts("\n.fi");
  }
  puts(".SH SEE ALSO\n.BR acestep (1)");
}

static void man_overview(void) {
  man_head("", "music from words with the ACE-Step 1.5 models");
  puts(".SH SYNOPSIS\n.B acestep\nCOMMAND [OPERANDS] [FLAGS]\n.SH COMMANDS");
  for (const cli_command *const *c = cli_commands; *c; c++) {
    printf(".TP\n.B %s\n", (*c)->name);
    print_roff((*c)->summary);
    putchar('\n');
  }
  puts(".SH SEE ALSO");
  for (const cli_command *const *c = cli_commands; *c; c++)
    printf(".BR acestep\\-%s (1)%s\n", (*c)->name, c[1] ? "," : "");
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int run(const args *a, report *r) {
  ace_error err = {0};
  const char *kind = a->n_operands ? a->operand[0] : "", *name = a->n_operands > 1 ? a->operand[1] : NULL;
  const cli_command *c = name ? cli_find(name) : NULL;
  bool man = strcmp(kind, "man") == 0;
  if (name && (!man || !c))
    ace_fail(&err, ACE_EINVAL, "completions: \"%.40s\" is no command that has a manual page", name);
  else if (man && c) man_command(c);
  else if (man) man_overview();
  else if (strcmp(kind, "list") == 0)
    for (const cli_command *const *other = cli_commands; *other; other++) puts((*other)->name);
  else if (strcmp(kind, "bash") == 0) print_bash();
  else if (strcmp(kind, "zsh") == 0) print_zsh();
  else if (strcmp(kind, "fish") == 0) print_fish();
  else ace_fail(&err, ACE_EINVAL, "completions: say for what: bash, zsh, fish, man [COMMAND], or list");
  return err.status == ACE_OK ? CLI_OK : report_failure(r, &err);
}

const cli_command cmd_completions = {
    .name = "completions",
    .operands = "bash | zsh | fish | man [COMMAND] | list",
    .summary = "print completions for a shell, or manual pages",
    .most_operands = 2,
    .notes =
        "cmake --install puts all of them where shells and man look. For one shell:\n"
        "\n"
        "  acestep completions bash > ~/.local/share/bash-completion/completions/acestep\n"
        "  acestep completions fish > ~/.config/fish/completions/acestep.fish\n"
        "  acestep completions man generate | man -l -",
    .run = run,
};
