/* trail.h - the files that a run has put on disk so far, so that a run that is stopped leaves none of them. Files that
 * were there before and have been replaced stay. Changes happen under signals_lock: the watcher reads them. */
#ifndef ACE_CLI_TRAIL_H
#define ACE_CLI_TRAIL_H

#include "request/request.h"

typedef struct trail {
  char *written[REQ_BATCH_MAX]; /* new songs; each has its JSON beside it */
  int n;
  char *current; /* the song that is being written; NULL: none */
  bool current_is_new;
} trail;

void trail_begin(trail *t, const char *path);
/* `path`: where the song has ended up, to be taken away too when the run is stopped; NULL: nothing to take away. */
void trail_end(trail *t, const char *path);
/* Takes everything away, half-written files included. */
void trail_remove(const trail *t);
void trail_free(trail *t);

#endif
