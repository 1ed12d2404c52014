/* lm_server.h - a language model server in place of the model in the folder, and back again when it fails. */
#ifndef ACE_ENGINE_LM_SERVER_H
#define ACE_ENGINE_LM_SERVER_H

#include "planner/remote.h"

/* The server, as an engine's options name it. All owned. */
typedef struct engine_server {
  char *url, *model, *key; /* url NULL: there is none */
  bool fallback;
  plan_remote *remote; /* once it was reached */
} engine_server;

ace_status engine_server_set(ace_engine *e, const ace_engine_options *options, ace_error *err);
void engine_server_close(engine_server *s);
/* Reaches the server, if there is one, for the work that follows; e->lm is open. Where it cannot be reached and the
 * model here may take over, e->lm->remote stays NULL and the log says why. */
ace_status engine_server_begin(ace_engine *e, const ace_callbacks *notify, ace_error *err);
/* After work failed with `err`: true when the model here takes over, and the work is to be started again. */
bool engine_server_left(ace_engine *e, const ace_error *err, const ace_callbacks *notify);

#endif
