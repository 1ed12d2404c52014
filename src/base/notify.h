/* notify.h - asking the caller of the library. */
#ifndef ACE_BASE_NOTIFY_H
#define ACE_BASE_NOTIFY_H

#include <acestep.h>

/* Does the caller want the work to end? `notify` may be NULL: never. */
static inline bool notify_stopped(const ace_callbacks *notify) {
  return notify && notify->cancelled && notify->cancelled(notify->user);
}

/* The same for those who ask through a function of their own kind: `user` is the ace_callbacks. */
static inline bool notify_is_stopped(void *user) {
  return notify_stopped(user);
}

#endif
