/* acecpp_request.h - the request of acestep.cpp's server, and what becomes of it here.
 *
 *   ace_request *r = acecpp_request_read(object, &extra, &err);
 *   json_t *back = acecpp_request_write(object, planned);
 */
#ifndef ACE_SERVER_ACECPP_REQUEST_H
#define ACE_SERVER_ACECPP_REQUEST_H

#include "base/json.h"
#include "request/request.h"

/* What has no place in a request of ours. Texts belong to the object that was read. */
typedef struct acecpp_extra {
  int lm_batch, synth_batch; /* 1..9 */
  int64_t lm_seed;           /* negative: random */
  const char *mode;          /* "generate", "inspire", "format" */
  const char *format;        /* "mp3", "wav16", "wav24", "wav32" */
  const char *model;         /* of songs; "": the first */
} acecpp_extra;

/* Unknown keys are passed over, a value of another type counts as missing, numbers are brought into range. The request
 * makes sound alone: nothing is asked of the language model. NULL on failure; messages are in that server's words. */
ace_request *acecpp_request_read(const json_t *object, acecpp_extra *extra, ace_error *err);
/* Seeds one after the other, from the request's own on; drawn when it has none. */
ace_status acecpp_request_seeds(ace_request *r, int64_t first, int n, ace_error *err);

/* The object with what was planned for it (a request as JSON, as in task "think"); defaults are left out. A new
 * reference. */
json_t *acecpp_request_write(const json_t *object, const json_t *planned);
/* Every field with its default, a new reference. */
json_t *acecpp_request_defaults(void);

#endif
