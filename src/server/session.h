/* session.h - whose a call is, and whether he has signed in.
 *
 * A session is a random text in the cookie "acestep_session"; jobs and files are kept under its hash, so that who reads
 * the database still has nobody's session. A caller without the cookie has the session of his address.
 *
 * Signing in puts an end date into a second cookie, with a code over it and over the session that only this server can
 * make: its key is derived from a secret in the database and from the password, so a new password ends all that were
 * signed in. Nothing is kept of who is.
 */
#ifndef ACE_SERVER_SESSION_H
#define ACE_SERVER_SESSION_H

#include "server/route.h"

typedef enum session_question { SESSION_ASKS_NOTHING, SESSION_ASKS_PASSWORD, SESSION_ASKS_KEY } session_question;

/* Fills c->session. */
void session_of(call *c);
/* Gives the caller a cookie if he has none; the call is of the new session then. */
void session_open(call *c);

/* What a caller must show before anything is done for him. */
session_question session_asks(const call *c);
bool session_signed_in(const call *c);
/* The body's user and password, or its key, against ours. On success the answer gets the cookie; false: answered. */
bool session_sign_in(call *c);
void session_sign_out(call *c);

/* Takes as long for every text of one length. */
bool session_same_secret(const char *given, const char *secret);

/* What the server needs for that: its secret, and who failed lately. */
typedef struct logins logins;
logins *logins_new(const server_options *options, ace_error *err);
void logins_free(logins *l);
logins *server_logins(const server *s);

#endif
