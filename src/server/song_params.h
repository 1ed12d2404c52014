/* song_params.h - a request of the API becomes a job: names and their aliases, nested objects, uploads, paths. */
#ifndef ACE_SERVER_SONG_PARAMS_H
#define ACE_SERVER_SONG_PARAMS_H

#include "server/route.h"
#include "service/tasks.h"

/* Where values are looked up, in this order: the body, its param_obj, its metas. */
typedef struct song_sources {
  json_t *object[3]; /* owned; NULL: not there */
} song_sources;

song_sources song_sources_of(const json_t *body);
void song_sources_free(song_sources *s);
/* The first value that is not null under the first of the names that has one, source by source. NULL: none. */
const json_t *song_value(const song_sources *s, const char *const *names);

/* A path that a caller names becomes one that may be opened: below the data folder, the system's temporary folder, or an
 * allowed root, links resolved. "" stays "". free() it; NULL: answered. */
char *song_path(call *c, const char *path);

/* The whole job of a body, uploads included, which are moved to where the job finds them. NULL: answered. */
json_t *song_task(call *c);

#endif
