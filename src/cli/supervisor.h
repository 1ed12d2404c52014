/* supervisor.h - what a supervisor such as systemd hands to a server and wants to hear from it: listening sockets
 * (LISTEN_PID, LISTEN_FDS: descriptors from 3 on) and states (datagrams to NOTIFY_SOCKET). */
#ifndef ACE_CLI_SUPERVISOR_H
#define ACE_CLI_SUPERVISOR_H

#include "base/error.h"

/* The socket that already listens; -1: none was given. ACE_EINVAL when what was given is of no use. Takes the variables
 * out of the environment. */
ace_status supervisor_listener(int *out, ace_error *err);
/* "READY=1", "STOPPING=1"; nothing happens when nobody wants to hear it. */
void supervisor_tell(const char *state);

#endif
