/* words.h - every flag of a command as shells and manual pages see it: the command's own, then the parameters. */
#ifndef ACE_CLI_WORDS_H
#define ACE_CLI_WORDS_H

#include "cli/cli.h"

typedef struct cli_word {
  const char *flag;          /* "audio-format", without dashes */
  char letter;               /* 0: none */
  const char *operand;       /* NULL: a switch */
  const char *help;          /* one sentence */
  const char *const *values; /* all that may stand behind it, NULL-terminated; NULL: anything */
  bool is_file, is_folder;   /* a path stands behind it */
  const req_param *param;    /* NULL: the command's own */
} cli_word;

/* In the order of the help, --help last. */
void cli_each_word(const cli_command *c, void (*visit)(void *user, const cli_word *word), void *user);

#endif
