/* api_operations.c - for those who run the server: is it ready, its figures, the description of its routes. */
#include <stdlib.h>

#include "server/metrics.h"
#include "server/openapi.h"
#include "server/route.h"

/* ---- readiness --------------------------------------------------------------------------------------------------- */

/* Why no request should be sent here; NULL: all is well. Models that load with the first job are no reason. */
static const char *hindrance(call *c) {
  service_state now;
  service_look(c->service, &now);
  if (jobs_draining(service_jobs(c->service))) return "draining";
  if (now.slot[0].loaded) return NULL;
  if (now.loading) return "loading";
  return *now.failure ? "failed" : NULL;
}

static void get_ready(call *c) {
  const char *why = hindrance(c);
  if (why) http_set(c->http, "Retry-After", "5");
  http_json(c->http, why ? 503 : 200, json_pack("{s:b, s:s}", "ready", why == NULL, "state", why ? why : "ready"));
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

static void write_counts(const json_t *counts, req_text *out) {
  static const char *const states[] = {"queued", "running", "succeeded", "failed", "cancelled"};
  req_text_add(out, "# HELP acestep_jobs Jobs that are kept, by state\n# TYPE acestep_jobs gauge\n");
  for (size_t i = 0; i < sizeof states / sizeof *states; i++)
    req_text_addf(out, "acestep_jobs{state=\"%s\"} %lld\n", states[i],
                  (long long)json_integer_value(json_object_get(counts, states[i])));
  req_text_addf(out,
                "# HELP acestep_queue_limit Jobs that may wait\n# TYPE acestep_queue_limit gauge\n"
                "acestep_queue_limit %lld\n",
                (long long)json_integer_value(json_object_get(counts, "most_waiting")));
  req_text_addf(out,
                "# HELP acestep_job_average_seconds Of the last jobs\n"
                "# TYPE acestep_job_average_seconds gauge\nacestep_job_average_seconds %.3f\n",
                json_number_value(json_object_get(counts, "average_seconds")));
}

static void write_stages(const jobs_meter *m, req_text *out) {
  req_text_add(out,
               "# HELP acestep_stage_seconds_total Time that jobs have spent in each stage\n"
               "# TYPE acestep_stage_seconds_total counter\n");
  for (int i = 0; i < m->stages; i++)
    req_text_addf(out, "acestep_stage_seconds_total{stage=\"%s\"} %.3f\n", m->stage[i].name, m->stage[i].seconds);
  req_text_add(out,
               "# HELP acestep_stage_steps_total Steps of each stage; of \"think\" tokens, of \"diffuse\" steps of "
               "the sampler\n# TYPE acestep_stage_steps_total counter\n");
  for (int i = 0; i < m->stages; i++)
    req_text_addf(out, "acestep_stage_steps_total{stage=\"%s\"} %llu\n", m->stage[i].name,
                  (unsigned long long)m->stage[i].steps);
}

static void write_meter(jobs *q, req_text *out) {
  jobs_meter m;
  jobs_read_meter(q, &m);
  req_text_add(out,
               "# HELP acestep_jobs_ended_total Jobs that have ended since the start\n"
               "# TYPE acestep_jobs_ended_total counter\n");
  for (int s = JOB_SUCCEEDED; s <= JOB_CANCELLED; s++)
    req_text_addf(out, "acestep_jobs_ended_total{state=\"%s\"} %llu\n", job_state_name((job_state)s),
                  (unsigned long long)m.ended[s]);
  write_stages(&m, out);
}

static void get_metrics(call *c) {
  ace_error err;
  jobs *q = service_jobs(c->service);
  json_t *counts = jobs_counts(q, &err);
  if (!counts) {
    reply_failure(c, &err);
    return;
  }
  req_text out = {0};
  metrics_write(server_metrics(c->server), &out);
  write_counts(counts, &out);
  write_meter(q, &out);
  req_text_addf(&out,
                "# HELP acestep_connections Open connections\n# TYPE acestep_connections gauge\n"
                "acestep_connections %d\n",
                http_connections(http_of(c->http)));
  metrics_write_process(&out);
  json_decref(counts);
  size_t n = out.size;
  char *text = req_text_take(&out);
  if (text) http_bytes(c->http, 200, "text/plain; version=0.0.4; charset=utf-8", text, n);
  else reply_detail(c, 500, "out of memory");
  free(text);
}

static void get_openapi(call *c) {
  http_json(c->http, 200, openapi_document(server_settings(c->server)->base));
}

const route routes_operations[] = {
    {"GET", "/ready", AUTH_NONE, BODY_NONE, false, get_ready, "Whether requests should be sent here: 200 or 503", NULL,
     "=ready:bool state"},
    {"GET", "/metrics", AUTH_HEADER, BODY_NONE, false, get_metrics, "Figures for Prometheus", NULL, "text/plain"},
    {"GET", "/openapi.json", AUTH_NONE, BODY_NONE, false, get_openapi, "This description", NULL, "=:object"},
    {0},
};
