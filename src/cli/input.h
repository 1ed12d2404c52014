/* input.h - text from files, pipes and the keyboard. */
#ifndef ACE_CLI_INPUT_H
#define ACE_CLI_INPUT_H

#include "base/error.h"

/* All of a file, a pipe or, for "-", standard input: at most `limit` bytes, without a NUL inside. free() the result.
 * `flag` names where the path came from in messages. A signal ends it with ACE_ECANCELED. */
char *input_read(const char *path, const char *flag, size_t limit, size_t *length, ace_error *err);
/* The same as words: no byte-order mark, line ends as "\n", none at the end. */
char *input_text(const char *path, const char *flag, size_t limit, ace_error *err);
/* Can this file be opened for reading? */
ace_status input_check(const char *path, const char *flag, ace_error *err);

#endif
