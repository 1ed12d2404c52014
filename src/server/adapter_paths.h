/* adapter_paths.h - where adapters lie that a caller may load. */
#ifndef ACE_SERVER_ADAPTER_PATHS_H
#define ACE_SERVER_ADAPTER_PATHS_H

#include "server/route.h"

/* An adapter by its path, which may be relative to the data folder or to its "adapters". free() it; NULL: answered. */
char *path_of_adapter(call *c, const char *path);
/* Adapters that lie in the data folder's "adapters" and below the allowed roots: [{"path", "name"}], a new reference. */
json_t *paths_of_adapters(const call *c);

#endif
