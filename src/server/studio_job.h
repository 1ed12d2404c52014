/* studio_job.h - jobs as the page sees them: its own only, with paths as they were named. */
#ifndef ACE_SERVER_STUDIO_JOB_H
#define ACE_SERVER_STUDIO_JOB_H

#include "server/route.h"

/* A job of this session, or one for everyone; a new reference. NULL: answered, another session's as one that is not
 * there. */
json_t *studio_job(call *c, const char *id);
/* Its sample with that number in text, borrowed. NULL: answered. */
json_t *studio_sample(call *c, const json_t *job, const char *number);
/* What may be told of a job; changes and returns it. */
json_t *studio_told(json_t *job);

/* The parameters of a task as they may be told, a new reference. */
json_t *studio_request(const json_t *task);

/* Queues a job of this session and answers with {"id", "position"} and what is in `extra` (taken, may be NULL). Takes
 * task. */
void studio_submit(call *c, const job_new *j, json_t *task, json_t *extra);

#endif
