/* settings.h - what a user asks of the service becomes what this machine can do, and each difference is named. */
#ifndef ACE_SERVICE_SETTINGS_H
#define ACE_SERVICE_SETTINGS_H

#include "service/service.h"

/* The request of a job "init" (tasks.h) out of a wish:
 *   {"model", "lm", "init_lm", "backend", "int8", "lm_int8", "vae", "offload", "offload_dit", "flash_attention", "compile",
 *    "device", "override"}             all optional; "override": a language model where the tier offers none
 * *corrections: a new reference to [{"kind", "from", "to"}]. Fails where a name is unknown; *field is then which. */
json_t *settings_task(service *s, const json_t *wish, json_t **corrections, const char **field, ace_error *err);

/* All tiers as the page's table: [{"key", "memory", "seconds_lm", ...}]. A new reference. */
json_t *settings_tiers(void);

#endif
