/* load.h - how busy other processes keep the machine, so that a measurement can wait for a calm moment and say whether
 * it had one.
 *
 *   load_mark m = load_now();
 *   ... work ...
 *   double others = load_foreign(&m);      // share of all processors that somebody else used meanwhile, 0..1
 */
#ifndef ACE_BASE_LOAD_H
#define ACE_BASE_LOAD_H

#include "base/error.h"

typedef struct load_mark {
  double time, busy, own; /* seconds: of the clock, of all processors, of this process */
} load_mark;

load_mark load_now(void);
/* Below a few hundredths of a second the system's counters are too coarse to mean anything. 0 where it keeps none. */
double load_foreign(const load_mark *since);
/* Watches until others use less than `share`, for at most `cap` seconds; `stop` (may be NULL) ends it early. */
bool load_wait(double share, double cap, bool (*stop)(void *user), void *user);

/* Bytes of this process in main memory: the most that it ever had, and what of it is its own rather than a file's, now.
 * 0 where the system does not say. */
size_t load_peak_memory(void);
size_t load_own_memory(void);

#endif
