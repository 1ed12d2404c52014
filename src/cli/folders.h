/* folders.h - where models and the program's own data lie on this machine. */
#ifndef ACE_CLI_FOLDERS_H
#define ACE_CLI_FOLDERS_H

#include <stdbool.h>

#include "base/error.h"

/* An environment variable; NULL when it is not set or empty. */
const char *cli_variable(const char *name);

/* `given` (--models), else $ACESTEP_CHECKPOINTS_DIR, else "models" in the data folder, else ./checkpoints, if there is a
 * diffusion model in it, else the models that come with the program, else whichever of the two exists. The message of a failure says where it looked and how to
 * come by models. free() the result. */
char *folder_models(const char *given, ace_error *err);
/* The models that come with the program: share/acestep/models beside its bin, or the checkout's models/ when it runs where
 * it was built. NULL: there are none. free() the result. */
char *folder_built_in(void);
bool folder_is_built_in(const char *path);
/* Where downloads go, whether or not it exists yet: as folder_models, but never to what comes with the program. free() the
 * result. */
char *folder_for_downloads(const char *given, ace_error *err);
/* The data folder: $ACESTEP_HOME, else $XDG_DATA_HOME/acestep, else ~/.local/share/acestep. NULL when there is no home.
 * free() it. */
char *folder_data(void);
/* "cache" in the data folder; NULL when there is no home. free() it. */
char *folder_cache(void);

#endif
