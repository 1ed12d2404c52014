/* song_request.h - a request from the command line. */
#ifndef ACE_CLI_SONG_REQUEST_H
#define ACE_CLI_SONG_REQUEST_H

#include "cli/args.h"
#include "cli/saved.h"

/* Parameters of --from first, then those of the command line in their order, then texts from files; then everything is
 * validated. `from` receives what the saved song tells of its models; saved_free it. The caller frees *request. */
ace_status song_request(const args *a, ace_request **request, saved *from, ace_error *err);
/* Only the parameters. */
ace_status parameters_request(const args *a, ace_request **request, ace_error *err);
/* Parameters, caption and lyrics, with nothing required: for commands that make no sound. */
ace_status words_request(const args *a, ace_request **request, ace_error *err);

#endif
