/* missing.h - published models that a command is going to open and that are not there: fetched first, where --download
 * says so. */
#ifndef ACE_CLI_MISSING_H
#define ACE_CLI_MISSING_H

#include "cli/opening.h"

/* The folder of models with everything in it that the options of `o` need, as far as it is published; free() it, NULL on
 * failure. `asks`: the language model is needed. */
char *missing_fetch(const args *a, const opening *o, bool asks, report *r, ace_error *err);

#endif
