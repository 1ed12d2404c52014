/* places.h - where a model grows and where it lies in the end: "MODELS/.partial/NAME" and "MODELS/NAME". */
#ifndef ACE_NET_PLACES_H
#define ACE_NET_PLACES_H

#include "net/download.h"

#define PLACES_PARTIAL ".partial"

typedef struct places {
  char *place, *partial, *old, *root, *lock_path; /* owned */
  int lock;                                       /* held while it is open: one download of a model at a time */
} places;

/* Makes the folders and takes the lock. ACE_EINVAL when another process has it. places_close also after a failure. */
ace_status places_open(places *p, const char *models, const char *name, ace_error *err);
void places_close(places *p);
/* Removes from the partial folder what is not in the listing. */
ace_status places_sweep(const places *p, const hub_listing *listing, ace_error *err);
/* Puts the complete folder into its place; what stood there before is removed. */
ace_status places_move(places *p, ace_error *err);

#endif
