/* reference_file.h - the settings file of the reference's command line (TOML, see toml_file.h) as words for acestep plan,
 * format and generate.
 *
 *   reference_run run;
 *   if (reference_plan(&run, settings, "songs/config.toml", backend, &err) == ACE_OK) ... run.first, run.song ...
 *   reference_free(&run);
 */
#ifndef ACE_CLI_REFERENCE_FILE_H
#define ACE_CLI_REFERENCE_FILE_H

#include "base/json.h"

enum { REFERENCE_WORDS = 160 };

/* A command line without the program's name; the words are owned. */
typedef struct reference_line {
  char *word[REFERENCE_WORDS];
  int n;
} reference_line;

typedef struct reference_run {
  const char *before;         /* "plan" or "format": run first, with -o FILE; NULL: nothing comes first */
  reference_line first, song; /* of the latter "--from FILE" is missing where something comes first */
  char *folder;               /* that the songs go into; owned */
} reference_run;

/* Keys and defaults are those of the file; what goes together is checked. `path`: where it lies, which relative lyrics
 * files begin at. backend (may be NULL) takes the place of its own. */
ace_status reference_plan(reference_run *out, const json_t *settings, const char *path, const char *backend,
                          ace_error *err);
void reference_free(reference_run *r);

#endif
