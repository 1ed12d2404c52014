/* signals.h - Ctrl-C and its kin ask the running job to stop; a second one, a moment later, kills at once.
 *
 * The library polls and stops within a fraction of a second, but one large matrix product or one long file can keep it
 * busy for longer than a user likes to wait. A watched job is therefore ended from outside when it has not ended by
 * itself: on a thread of its own, so that cleaning up may do what a signal handler must not.
 */
#ifndef ACE_CLI_SIGNALS_H
#define ACE_CLI_SIGNALS_H

/* From here on SIGINT, SIGTERM and SIGHUP are noted instead of killing, and a closed pipe or a file-size limit makes
 * writing fail instead. */
void signals_install(void);
/* The number of the signal that has come; 0: none. */
int signals_caught(void);

/* From here on, `stop` runs on another thread when a signal came and the job is still there a moment later; the process
 * ends with the exit code that it returns. It runs between signals_lock and _exit. NULL: the job has ended (does not
 * return if `stop` is at work). */
void signals_watch(int (*stop)(void *user), void *user);
/* Guards what `stop` reads. */
void signals_lock(void);
void signals_unlock(void);

#endif
