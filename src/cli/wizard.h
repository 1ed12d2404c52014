/* wizard.h - questions on the terminal whose answers are the settings of a song. */
#ifndef ACE_CLI_WIZARD_H
#define ACE_CLI_WIZARD_H

#include "base/json.h"

/* Asks in the reference's order; what `settings` holds already is offered, Enter keeps it. Afterwards it holds the answers.
 * `models`: the folder whose models are listed, may be NULL. False: the user left, or did not confirm. */
bool wizard_ask(json_t *settings, const char *models);
/* Where to keep them; Enter keeps `usual`, and ".toml" is added. free() it; NULL: the user left. */
char *wizard_file(const char *usual);

#endif
