/* acestep serve - the studio as a server: the REST API, jobs that survive, until a signal comes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/env_file.h"
#include "cli/serve_settings.h"
#include "cli/signals.h"
#include "cli/supervisor.h"
#include "service/recordings.h"

/* ---- serving ----------------------------------------------------------------------------------------------------- */

/* What nobody will miss goes. */
static void sweep(const serving *s, service *studio, report *r) {
  const double undo = 60; /* seconds that a removed song can be brought back */
  ace_error err;
  int removed;
  jobs *q = service_jobs(studio);
  ace_status status = jobs_purge(q, undo, &err);
  recordings_sweep(studio, 3600.0 * s->uploads_hours);
  if (status == ACE_OK && (s->retention_hours || s->retention_gb))
    status = jobs_prune(q, 3600.0 * s->retention_hours, (uint64_t)s->retention_gb << 30, &removed, &err);
  if (status != ACE_OK) report_warning(r, "%s", err.message);
}

/* Until a signal comes. */
static void wait_for_signal(const serving *s, service *studio, report *r) {
  const int between = 300; /* seconds from sweep to sweep */
  for (int i = 0; !signals_caught(); i++) {
    if (i % (4 * between) == 0) sweep(s, studio, r);
    nanosleep(&(struct timespec){0, 250000000}, NULL);
  }
}

/* A state of the server, for people or for programs that read the log. */
static void say(const serving *s, report *r, const char *what, const char *words) {
  if (!s->log_json) {
    report_note(r, "%s", words);
    return;
  }
  char when[32], line[1024];
  time_t now = time(NULL);
  struct tm utc;
  gmtime_r(&now, &utc);
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  json_t *o = json_pack("{s:s, s:s, s:s}", "time", when, "event", what, "message", words);
  size_t n = o ? json_dumpb(o, line, sizeof line - 1, JSON_COMPACT) : 0;
  json_decref(o);
  if (n == 0 || n >= sizeof line) return;
  line[n] = 0;
  serve_log_line(NULL, line);
}

/* New jobs are refused, what runs may end; callers may still ask how far it is and fetch what is there. */
static void drain(const serving *s, service *studio, report *r) {
  char words[128];
  snprintf(words, sizeof words, "Ending; a job that is not done in %d s goes on next time.", s->drain_seconds);
  supervisor_tell("STOPPING=1");
  say(s, r, "drain", words);
  jobs_drain(service_jobs(studio));
  for (int i = 0; i < 20 * s->drain_seconds && !jobs_idle(service_jobs(studio)); i++)
    nanosleep(&(struct timespec){0, 50000000}, NULL);
}

static void greet(const serving *s, const server *web) {
  const char *address = s->server.http.address;
  bool all = strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
  printf("http%s://%s:%d\n", s->certificate ? "s" : "", all ? "127.0.0.1" : address, server_port(web));
  fflush(stdout);
}

static ace_status serve(serving *s, report *r, ace_error *err) {
  service *studio = service_open(&s->service, err);
  if (!studio) return err->status;
  s->server.service = studio;
  server *web = server_open(&s->server, err);
  if (web) {
    bool open_house =
        strcmp(s->server.http.address, "127.0.0.1") != 0 && strcmp(s->server.http.address, "localhost") != 0;
    if (open_house && !s->key && !s->password)
      report_warning(r, "serve: everyone who reaches %s may use this server; --api-key-file asks for a key",
                     s->server.http.address);
    greet(s, web);
    char words[600];
    snprintf(words, sizeof words, "models: %.200s; data: %.200s. Ctrl-C ends.", service_models(studio), s->data);
    say(s, r, "start", words);
    supervisor_tell("READY=1");
    wait_for_signal(s, studio, r);
    drain(s, studio, r);
    server_drain(web);
  }
  server_close(web);
  service_close(studio, 0);
  if (web) say(s, r, "end", "Ended.");
  return web ? ACE_OK : err->status;
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  serving s = {.retention_hours = 0};
  ace_status status = a->n_operands ? ace_fail(&err, ACE_EINVAL, "serve: takes flags only")
                                    : env_file_load(args_value(a, "env-file"), &err);
  if (status == ACE_OK) status = serve_settings_read(&s, a, r, &err);
  if (status == ACE_OK) status = serve(&s, r, &err);
  serve_settings_free(&s);
  return status == ACE_OK ? CLI_OK : report_failure(r, &err);
}

const cli_command cmd_serve = {
    .name = "serve",
    .operands = "",
    .summary = "the REST API as a server: songs as jobs that survive",
    .flags = serve_flags,
    .notes =
        "The address that it prints is all that a client of the ACE-Step API needs; docs/API.md lists the routes.\n"
        "Jobs and songs live in the data folder: a server that ends, or dies, goes on with them at its next start.\n"
        "\n"
        "  acestep serve --models checkpoints\n"
        "  acestep serve --config acestep-v15-turbo --init-llm --port 8001\n"
        "  curl -X POST http://127.0.0.1:7860/release_task -H 'Content-Type: application/json' \\\n"
        "       -d '{\"prompt\": \"lofi\", \"audio_duration\": 30}'",
    .run = run,
};
