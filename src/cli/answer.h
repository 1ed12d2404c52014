/* answer.h - what the language model found, for people. */
#ifndef ACE_CLI_ANSWER_H
#define ACE_CLI_ANSWER_H

#include <stdio.h>

#include "base/json.h"

/* The caption, tempo, key, meter, length, language and genres, a line each, then the lyrics. What could command a
 * terminal is shown as '?'. */
void answer_print(FILE *out, const json_t *answer);

#endif
