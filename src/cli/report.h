/* report.h - what a command says while it works: for people (paths on stdout, everything else on stderr) or, with
 * --json, one JSON object a line on stdout.
 *
 *   {"event": "progress", "stage": "diffuse", "fraction": 0.42, "seconds_left": 65.2, "step": 3, "steps": 8}
 *   {"event": "progress", "stage": "think", ..., "step": 57}        (so many tokens; nobody knows how many it will be)
 *   {"event": "file", "path": "song.flac", "json": "song.json", "seed": 7, "seconds": 30.0}
 *   {"event": "done", "files": 1, "seconds": 12.3}
 *   {"event": "error", "status": "invalid", "message": "duration: ..."}
 *   {"event": "warning" or "log", "message": "..."}
 */
#ifndef ACE_CLI_REPORT_H
#define ACE_CLI_REPORT_H

#include "base/json.h"
#include "cli/terminal.h"

typedef struct report {
  bool json, quiet;
  terminal term;
  double started;
  int files;
  double shown;      /* fraction of the present phase, never falling */
  double last_event; /* seconds, of the last progress event */
  char last_stage[24];
  int last_step;
} report;

void report_open(report *r, bool json, bool quiet);
/* Progress starts at nothing again: the next part of the work counts on its own. */
void report_phase(report *r);
/* Callbacks for the library; they end a call when a signal has come. Valid as long as `r`. */
ace_callbacks report_callbacks(report *r);

/* Something the user should know but that stops nothing. */
void report_warning(report *r, const char *format, ...) ACE_PRINTF(2, 3);
/* Progress in words, on stderr, unless quiet. */
void report_note(report *r, const char *format, ...) ACE_PRINTF(2, 3);
/* What the song is made from and who chose it, from its JSON: an event for programs. */
void report_plan(report *r, const char *result_json);
/* A finished song. */
void report_file(report *r, const char *path, const char *json_path, uint32_t seed, double seconds);
/* Something else that was made: a path on stdout, or an event "file". */
void report_path(report *r, const char *path);
/* An event of the command's own, for programs alone. Takes the object. */
void report_event(report *r, json_t *event);
void report_done(report *r);
/* Says what went wrong and returns the exit code that fits. */
int report_failure(report *r, const ace_error *err);

#endif
