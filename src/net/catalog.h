/* catalog.h - the published models: how each is called here, where it lies on the hubs, how large it is. */
#ifndef ACE_NET_CATALOG_H
#define ACE_NET_CATALOG_H

#include "base/error.h"

typedef struct catalog_model {
  const char *name;       /* of its folder in the folder of models */
  const char *repository; /* "owner/name", the same on every hub */
  const char *folder;     /* inside the repository; NULL: all of it */
  const char *words;      /* what it is */
  double gigabytes;       /* about, for people; 0: it depends on what is chosen */
  bool basic;             /* part of "main", the set that makes music */
  bool choose;            /* a collection of which nobody wants all: --include must say which files */
} catalog_model;

/* NULL-name terminated. */
const catalog_model *catalog_models(void);
/* NULL when there is none of that name. */
const catalog_model *catalog_find(const char *name);

#endif
