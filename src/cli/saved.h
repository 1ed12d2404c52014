/* saved.h - songs that are made again from the JSON beside them: what it says, and whether the same models are here. */
#ifndef ACE_CLI_SAVED_H
#define ACE_CLI_SAVED_H

#include "base/json.h"
#include "request/request.h"

typedef struct saved {
  json_t *result; /* what the JSON tells of the models and the machine; NULL: nothing */
} saved;

/* Reads the parameters of a saved song (or any request in JSON; "-": standard input) into `request`. `what` begins the
 * message of a failure: "--from". */
ace_status saved_read(saved *s, const char *path, const char *what, ace_request *request, ace_error *err);
void saved_free(saved *s);

/* Compares with `models`, as engine_hashes gives them, and with the instruction set. Calls `say` for each difference.
 */
int saved_compare(const saved *s, const json_t *models, const char *isa, void (*say)(void *user, const char *line),
                  void *user);

#endif
