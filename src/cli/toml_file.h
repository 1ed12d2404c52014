/* toml_file.h - settings of songs as the reference's command line keeps them: a flat TOML file, no tables.
 *
 *   # one song
 *   caption = "slow blues"
 *   lyrics = """
 *   [Verse] ..."""
 *   seeds = [7, 8]
 *
 * Strings in all four forms, numbers, booleans, and arrays of these on one line or several. Tables, dates and dotted keys
 * are refused.
 */
#ifndef ACE_CLI_TOML_FILE_H
#define ACE_CLI_TOML_FILE_H

#include "base/json.h"

/* An object, a new reference. NULL on failure, whose message names `name` and the line. */
json_t *toml_parse(const char *text, size_t length, const char *name, ace_error *err);
/* The file's text; null values are left out. free() it; NULL when out of memory. */
char *toml_write(const json_t *object);

#endif
