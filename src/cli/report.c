#include "cli/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/signals.h"

enum { NOTE_SIZE = 1024, DIGITS = 6 };

void report_open(report *r, bool json, bool quiet) {
  *r = (report){.json = json, .quiet = quiet, .started = clock_seconds(), .last_event = -1e9};
  term_open(&r->term, quiet || json);
}

void report_phase(report *r) {
  r->shown = 0;
  r->last_stage[0] = 0;
}

/* Takes the object. Bytes that are not UTF-8 cannot stand in JSON: such an event says so instead of vanishing. */
static void emit(json_t *event) {
  char *line = event ? json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) : NULL;
  puts(line ? line : "{\"event\":\"log\",\"message\":\"an event could not be written\"}");
  fflush(stdout);
  free(line);
  json_decref(event);
}

/* Text for JSON; what is not UTF-8 (file names may be anything) becomes '?'. */
static json_t *text(const char *s) {
  json_t *value = json_string(s);
  if (value) return value;
  char *copy = strdup(s);
  for (char *p = copy; p && *p; p++)
    if ((unsigned char)*p >= 0x80) *p = '?';
  value = copy ? json_string(copy) : NULL;
  free(copy);
  return value ? value : json_null();
}

/* ---- progress --------------------------------------------------------------------------------------------------- */

static void progress_event(report *r, const ace_progress *p) {
  const double least = 0.1; /* seconds between two events that say nothing new */
  double now = clock_seconds();
  bool news = strncmp(r->last_stage, p->stage, sizeof r->last_stage - 1) != 0;
  if (p->steps > 0) news = news || r->last_step != p->step; /* else tokens: too many to tell each */
  if (!news && now - r->last_event < least) return;
  snprintf(r->last_stage, sizeof r->last_stage, "%s", p->stage);
  r->last_step = p->step;
  r->last_event = now;
  json_t *event = json_pack("{s:s, s:s, s:f, s:o}", "event", "progress", "stage", p->stage, "fraction", p->fraction,
                            "seconds_left", p->seconds_left >= 0 ? json_real(p->seconds_left) : json_null());
  if (event && p->step + p->steps > 0) json_object_set_new(event, "step", json_integer(p->step));
  if (event && p->steps > 0) json_object_set_new(event, "steps", json_integer(p->steps));
  if (event && p->rate > 0) json_object_set_new(event, "rate", json_real(p->rate));
  emit(event);
}

static void on_progress(void *user, const ace_progress *p) {
  report *r = user;
  ace_progress shown = *p;
  if (!(shown.fraction > r->shown)) shown.fraction = r->shown;
  if (shown.fraction > 1) shown.fraction = 1;
  r->shown = shown.fraction;
  if (r->json) progress_event(r, &shown);
  else term_progress(&r->term, &shown);
}

static void on_log(void *user, const char *line) {
  report *r = user;
  if (r->json) emit(json_pack("{s:s, s:o}", "event", "log", "message", text(line)));
  else report_note(r, "%s", line);
}

static bool on_cancelled(void *user) {
  report *r = user;
  term_tick(&r->term);
  return signals_caught() != 0;
}

ace_callbacks report_callbacks(report *r) {
  return (ace_callbacks){.progress = on_progress, .log = on_log, .cancelled = on_cancelled, .user = r};
}

/* ---- words ------------------------------------------------------------------------------------------------------ */

void report_warning(report *r, const char *format, ...) {
  char line[NOTE_SIZE];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  term_clear(&r->term);
  if (r->json) emit(json_pack("{s:s, s:o}", "event", "warning", "message", text(line)));
  if (!r->quiet) fprintf(stderr, "acestep: warning: %s\n", line);
}

void report_note(report *r, const char *format, ...) {
  if (r->quiet || r->json) return;
  va_list list;
  term_clear(&r->term);
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fputc('\n', stderr);
}

void report_plan(report *r, const char *result_json) {
  if (!r->json || !result_json) return;
  json_t *song = json_loads(result_json, 0, NULL);
  json_t *sources = json_object_get(json_object_get(song, "result"), "sources"), *fields = json_object();
  const char *key;
  json_t *source;
  json_object_foreach(sources, key, source) {
    json_t *value = json_object_get(song, key);
    json_object_set_new(fields, key, json_pack("{s:O?, s:O}", "value", value, "source", source));
  }
  emit(json_pack("{s:s, s:o}", "event", "plan", "fields", fields));
  json_decref(song);
}

void report_file(report *r, const char *path, const char *json_path, uint32_t seed, double seconds) {
  r->files++;
  term_clear(&r->term);
  if (r->json) {
    emit(json_pack("{s:s, s:o, s:o, s:I, s:f}", "event", "file", "path", text(path), "json", text(json_path), "seed",
                   (json_int_t)seed, "seconds", seconds));
  } else {
    puts(path);
    fflush(stdout);
  }
}

void report_path(report *r, const char *path) {
  r->files++;
  term_clear(&r->term);
  if (r->json) emit(json_pack("{s:s, s:o}", "event", "file", "path", text(path)));
  else puts(path);
}

void report_event(report *r, json_t *event) {
  if (r->json) emit(event);
  else json_decref(event);
}

void report_done(report *r) {
  term_clear(&r->term);
  if (r->json)
    emit(json_pack("{s:s, s:i, s:f}", "event", "done", "files", r->files, "seconds", clock_seconds() - r->started));
}

int report_failure(report *r, const ace_error *err) {
  int caught = signals_caught();
  bool cancelled = err->status == ACE_ECANCELED && caught;
  const char *message = cancelled ? "cancelled, nothing was written" : err->message;
  term_clear(&r->term);
  if (r->json)
    emit(json_pack("{s:s, s:s, s:o}", "event", "error", "status", ace_status_name(err->status), "message",
                   text(message)));
  /* People read errors even when they asked for quiet. */
  fprintf(stderr, "acestep: %s\n", message);
  if (cancelled) return CLI_SIGNAL + caught;
  return err->status == ACE_EINVAL || err->status == ACE_EUNSUPPORTED ? CLI_USAGE : CLI_FAILED;
}
