/* dataset.h - the dataset that the studio works on: one for all, as the page and the REST API know it.
 *
 *   service_dataset *set = service_dataset_lock(s);
 *   if (set->there) ... set->d ...
 *   service_dataset_unlock(s);
 *
 * Jobs of the kinds "label" and "prepare" carry a copy of it, and what they find of a song goes into the one that is
 * here. Any thread may call; nothing slow belongs between lock and unlock.
 */
#ifndef ACE_SERVICE_DATASET_H
#define ACE_SERVICE_DATASET_H

#include "service/service.h"
#include "train/dataset.h"

typedef struct service_dataset {
  bool there;
  dataset d;
  char label[JOBS_ID], prepare[JOBS_ID]; /* the latest jobs; "": none yet */
  int last;                              /* sample that was labeled last; -1: none */
} service_dataset;

service_dataset *service_dataset_lock(service *s);
void service_dataset_unlock(service *s);
/* Takes `d` over in the place of what was there. */
void service_dataset_replace(service *s, dataset *d);

#endif
