/* studio_song.h - a request of the page becomes a job, by the names of docs/PARAMETERS.md. */
#ifndef ACE_SERVER_STUDIO_SONG_H
#define ACE_SERVER_STUDIO_SONG_H

#include "server/route.h"

/* The body's "request", every recording found and checked. */
typedef struct studio_song {
  ace_request *request; /* owned */
  json_t *named;        /* recordings as the caller named them: {"src_audio": "upload:ID"}; owned */
  json_t *warnings;     /* [{"kind", "field", "asked", "used"}]; owned */
  int slot;
} studio_song;

/* Reads parameters and slot. False: answered; there is nothing to free then. */
bool studio_song_read(call *c, studio_song *out);
void studio_song_free(studio_song *s);
/* Brings it within the limits of this machine, and refuses what cannot be made. False: answered. */
bool studio_song_fit(call *c, studio_song *s);
/* The request of the job "generate". NULL: answered. */
json_t *studio_song_task(call *c, const studio_song *s);

/* "upload:ID", "sample:JOB/ITEM" or a path as a path of its own; free() it. NULL: answered. `field` is whose. */
char *studio_recording(call *c, const char *field, const char *name);

#endif
