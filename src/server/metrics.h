/* metrics.h - counts of what the server answers, and the text that Prometheus reads (format 0.0.4).
 *
 *   metrics_count(m, route_index, 200, 0.012);
 *   req_text out = {0};
 *   metrics_write(m, &out);              // requests by route and status, seconds as a histogram for each route
 */
#ifndef ACE_SERVER_METRICS_H
#define ACE_SERVER_METRICS_H

#include "request/text.h"
#include "server/route.h"

typedef struct metrics metrics;
metrics *metrics_new(ace_error *err);
void metrics_free(metrics *m);
/* From any thread. `route` as in route_at; NULL: there was none of that path. */
void metrics_count(metrics *m, const route *r, int status, double seconds);
void metrics_write(metrics *m, req_text *out);
metrics *server_metrics(const server *s);

/* Memory, descriptors, threads, processor time of this process. */
void metrics_write_process(req_text *out);

#endif
