#include "cli/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "request/text.h"

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* The library did not come back in time after a signal: on the watcher's thread, which ends the process. */
static int on_stop(void *user) {
  const asking *k = user;
  ace_error err = {.status = ACE_ECANCELED};
  trail_remove(&k->trail);
  return report_failure(k->report, &err);
}

int ask_run(const args *a, report *r, ace_status (*work)(asking *k, ace_error *err)) {
  ace_error err = {0};
  asking k = {.args = a, .report = r};
  /* Programs read the object; who looks on sees how far it is. */
  if (args_on(a, "json") && !r->term.live) r->term.quiet = true;
  signals_watch(on_stop, &k);
  ace_status status = work(&k, &err);
  signals_watch(NULL, NULL);
  ace_engine_close(k.engine);
  ace_request_free(k.request);
  opening_free(&k.open);
  trail_free(&k.trail);
  return status == ACE_OK ? CLI_OK : report_failure(r, &err);
}

ace_status ask_check(const asking *k, ace_error *err) {
  const char *path = args_value(k->args, "output");
  if (!path) return ACE_OK;
  if (!*path) return ace_fail(err, ACE_EINVAL, "-o: the name is empty");
  if (strcmp(path, "-") == 0) return ace_fail(err, ACE_EINVAL, "-o: --json prints the JSON; -o takes a file name");
  if (file_is_directory(path)) return ace_fail(err, ACE_EINVAL, "-o: %s is a folder; name a file in it", path);
  return output_try(path, err);
}

ace_status ask_open(asking *k, ace_error *err) {
  ace_status status = ask_check(k, err);
  if (status == ACE_OK)
    status = opening_plan(&k->open, k->args, k->request, k->args->command != &cmd_lrc, k->report, err);
  if (status != ACE_OK) return status;
  k->engine = ace_engine_open(k->open.models, &k->open.options, err);
  report_phase(k->report);
  return k->engine ? ACE_OK : err->status;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

json_t *ask_parse(char *text) {
  json_t *answer = text ? json_loads(text, 0, NULL) : NULL;
  free(text);
  return answer;
}

static ace_status write_file(asking *k, const char *text, ace_error *err) {
  const char *path = args_value(k->args, "output");
  if (!path) return ACE_OK;
  trail_begin(&k->trail, path);
  ace_status status = file_write(path, text, strlen(text), err);
  trail_end(&k->trail, status == ACE_OK ? path : NULL);
  return status;
}

static void say_summary(const asking *k, const json_t *answer) {
  char took[TERM_TIME_SIZE];
  const json_t *seed = json_object_get(json_object_get(answer, "result"), "seed");
  term_time(clock_seconds() - k->report->started, took);
  if (args_on(k->args, "json")) return;
  if (seed) report_note(k->report, "seed %lld, in %s", (long long)json_integer_value(seed), took);
}

ace_status ask_deliver_as(asking *k, json_t *answer, const char *words, ace_error *err) {
  enum { DIGITS = 17 };
  req_text text = {0};
  char *json = answer ? json_dumps(answer, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) : NULL;
  if (json) req_text_addf(&text, "%s\n", json);
  char *lines = json ? req_text_take(&text) : NULL;
  free(json);
  ace_status status = lines ? ACE_OK : ace_fail(err, ACE_ENOMEM, "%s: out of memory", k->args->command->name);
  if (status == ACE_OK && signals_caught()) status = ace_fail(err, ACE_ECANCELED, "cancelled");
  if (status == ACE_OK) status = write_file(k, lines, err);
  if (status == ACE_OK) {
    term_clear(&k->report->term);
    if (args_on(k->args, "json")) fputs(lines, stdout);
    else if (words) puts(words);
    else answer_print(stdout, answer);
    fflush(stdout);
    say_summary(k, answer);
  }
  free(lines);
  json_decref(answer);
  return status;
}

ace_status ask_deliver(asking *k, json_t *answer, ace_error *err) {
  return ask_deliver_as(k, answer, NULL, err);
}
