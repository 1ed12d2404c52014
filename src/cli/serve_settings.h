/* serve_settings.h - what acestep serve is told: flags, else the environment, else the file of settings.
 *
 *   serving s;
 *   if (serve_settings_read(&s, a, r, &err) == ACE_OK) ... s.service, s.server ...
 *   serve_settings_free(&s);
 */
#ifndef ACE_CLI_SERVE_SETTINGS_H
#define ACE_CLI_SERVE_SETTINGS_H

#include "cli/fetching.h"
#include "cli/opening.h"
#include "server/server.h"

enum { SERVE_MOST_GIVEN = 64 };

/* Everything is owned but what points into the command line or the environment. */
typedef struct serving {
  service_options service;
  server_options server;
  char *models, *spare, *data, *key, *certificate, *secret, *password, *user;
  opening lm;     /* its language model server */
  fetching fetch; /* where models come from */
  const char *roots[SERVE_MOST_GIVEN], *origins[SERVE_MOST_GIVEN], *hosts[SERVE_MOST_GIVEN], *proxies[SERVE_MOST_GIVEN];
  bool log_json;
  int drain_seconds;
  int retention_hours, retention_gb, uploads_hours;
} serving;

extern const cli_flag serve_flags[];

/* Points into `a`; to be freed in any case. Notes and warnings go to `r`. */
ace_status serve_settings_read(serving *s, const args *a, report *r, ace_error *err);
void serve_settings_free(serving *s);
/* One line on standard error. */
void serve_log_line(void *user, const char *line);

#endif
