/* clock.h - a clock that never goes back, and waits that are measured by it. */
#ifndef ACE_BASE_CLOCK_H
#define ACE_BASE_CLOCK_H

#include <pthread.h>
#include <time.h>

/* Seconds since some moment in the past. */
double clock_seconds(void);

/* Waits with a time-out: a condition made by clock_condition, and the time `seconds` from now for
 * pthread_cond_timedwait. */
void clock_condition(pthread_cond_t *c);
struct timespec clock_after(double seconds);

/* Below 0, 0, above 0 as `a` is before, with, after `b`: of times of files, for instance. */
int clock_compare(struct timespec a, struct timespec b);

#endif
