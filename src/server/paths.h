/* paths.h - folders and files that clients name. Inside of src/server only.
 *
 * They lie in the data folder, in the system's folder for temporary files, or below a folder of --allowed-path; relative
 * ones begin in the data folder. A server that only this machine reaches also reads everywhere else.
 */
#ifndef ACE_SERVER_PATHS_H
#define ACE_SERVER_PATHS_H

#include "server/route.h"

/* May a file be read whose path, with links resolved, is `real`? Without the last rule above. */
bool path_is_allowed(const call *c, const char *real);
/* The same with it, for any path that is there. */
bool path_may_read(const call *c, const char *path);
/* May a folder's names be told? As above, but for the folder for temporary files, which is everyone's, and for what the
 * service itself writes, which belongs to other sessions too. */
bool path_may_list(const call *c, const char *path);
/* The whole path of something that is to be read. free() it; NULL: answered, as field `what`. */
char *path_to_read(call *c, const char *path, const char *what);
/* The whole path of something that is to be written; what of its folders is missing is made later. */
char *path_to_write(call *c, const char *path, const char *what);
/* Is there nothing under that whole path yet? False: answered, as 409 of the kind "exists". */
bool path_is_free(call *c, const char *path);

#endif
