#include "cli/words.h"

#include <stdio.h>
#include <string.h>

static void visit_own(const cli_flag *f, void (*visit)(void *user, const cli_word *word), void *user) {
  visit(user, &(cli_word){.flag = f->name,
                          .letter = f->letter,
                          .operand = f->operand,
                          .help = f->help,
                          .is_file = f->operand && strcmp(f->operand, "FILE") == 0,
                          .is_folder = f->operand && strcmp(f->operand, "DIR") == 0});
}

/* Does the command have a flag of its own by that name, which hides the parameter? */
static bool is_own(const cli_command *c, const char *name) {
  for (const cli_flag *f = c->flags; f && f->name; f++)
    if (strcmp(f->name, name) == 0) return true;
  return false;
}

void cli_each_word(const cli_command *c, void (*visit)(void *user, const cli_word *word), void *user) {
  static const cli_flag help = {"help", 'h', NULL, "Show this help"};
  size_t n;
  const req_param *p = req_params(&n);
  for (const cli_flag *f = c->flags; f && f->name; f++) visit_own(f, visit, user);
  for (size_t i = 0; i < n; i++) {
    char flag[REQ_FLAG_SIZE];
    const char *name = req_param_flag(&p[i], flag) + 2;
    if (!args_takes(c, &p[i]) || is_own(c, name)) continue;
    visit(user, &(cli_word){.flag = name,
                            .operand = req_param_operand(&p[i]),
                            .help = p[i].help,
                            .values = p[i].values,
                            .is_file = p[i].type == REQ_PATH,
                            .param = &p[i]});
  }
  visit_own(&help, visit, user);
}
