/* signals.h - Ctrl-C and its kin ask the running job to stop; a second one, a moment later, kills at once. */
#ifndef ACE_CLI_SIGNALS_H
#define ACE_CLI_SIGNALS_H

/* From here on SIGINT, SIGTERM and SIGHUP are noted instead of killing, and a closed pipe or a file-size limit makes
 * writing fail instead. */
void signals_install(void);
/* The number of the signal that has come; 0: none. */
int signals_caught(void);

#endif
