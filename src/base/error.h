/* error.h - how every room reports failure: return a status, fill the caller's ace_error.
 *
 *   if (rank < 1 || rank > 512) return ace_fail(err, ACE_EINVAL, "lora: rank %d is outside 1..512", rank);
 */
#ifndef ACE_BASE_ERROR_H
#define ACE_BASE_ERROR_H

#include <acestep.h>

#if defined(__GNUC__)
#define ACE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define ACE_PRINTF(fmt, args)
#endif

/* Fills `err` (may be NULL) and returns `status`, so that it can stand in a return statement. */
ace_status ace_fail(ace_error *err, ace_status status, const char *format, ...) ACE_PRINTF(3, 4);

/* Same, with ": <reason of errno>" appended; the status is ACE_ENOTFOUND for a missing file, else ACE_EIO. */
ace_status ace_fail_errno(ace_error *err, const char *format, ...) ACE_PRINTF(2, 3);

#endif
