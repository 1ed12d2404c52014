/* clock.h - seconds of a clock that never goes back. */
#ifndef ACE_BASE_CLOCK_H
#define ACE_BASE_CLOCK_H

/* Seconds since some moment in the past. */
double clock_seconds(void);

#endif
