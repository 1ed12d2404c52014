/* acestep generate - from words to finished songs. Everything that can be known to fail is checked before models are
 * opened; what was written is taken away again when the user stops the run. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/again.h"
#include "cli/cli.h"
#include "cli/lora.h"
#include "cli/opening.h"
#include "cli/output.h"
#include "cli/saved.h"
#include "cli/signals.h"
#include "cli/song_request.h"
#include "cli/trail.h"
#include "engine/engine.h"
#include "tensor/cpu/isa.h"

static const cli_flag flags[] = {
    {"output", 'o', "FILE",
     "Where the song goes; the extension decides the format (wav, flac, mp3, opus, m4a). A folder, or "
     "no -o: a name made of caption and seed"},
    OPENING_MODELS,
    {"lm", 0, "NAME",
     "Folder of the language model that plans; switches --think on (default with --think: acestep-5Hz-lm-1.7B, else "
     "the "
     "first)"},
    OPENING_SERVER,
    {"lyrics", 0, "FILE", "Words to sing, from a text file; -: standard input"},
    {"lyrics-text", 0, "TEXT", "Words to sing, given right here"},
    {"caption-file", 0, "FILE", "The caption, from a text file; -: standard input"},
    {"from", 0, "FILE",
     "Make a song again from the JSON beside it, or a new one from a plan; flags change what it says; -: standard "
     "input"},
    LORA_FLAG,
    {"strict", 0, NULL, "With --from: refuse to run when models or machine differ from those of the saved song"},
    {"lrc", 0, NULL, "Also write NAME.lrc beside each song: when each line of the lyrics is sung"},
    {"score", 0, NULL, "Also say how well each song is what was asked for; the scores go into NAME.json"},
    OPENING_BACKEND,
    OPENING_MACHINE,
    {"json", 0, NULL, "Events as JSON on standard output, one object a line"},
    {"quiet", 'q', NULL, "No progress and no warnings"},
    {0}};

/* One run; everything in it is owned. */
typedef struct job {
  ace_request *request;
  saved from;
  output out;
  opening open;
  ace_engine *engine;
  ace_result *result;
  char *lrc[REQ_BATCH_MAX]; /* with --lrc */
  trail trail;
} job;

static void job_free(job *j) {
  for (int i = 0; i < REQ_BATCH_MAX; i++) free(j->lrc[i]);
  ace_result_free(j->result);
  ace_engine_close(j->engine);
  ace_request_free(j->request);
  saved_free(&j->from);
  output_free(&j->out);
  opening_free(&j->open);
  trail_free(&j->trail);
}

/* ---- a saved song's models --------------------------------------------------------------------------------------- */

typedef struct differences {
  report *report;
  ace_error *err; /* receives the first when it is an error */
  int n;
} differences;

static void on_difference(void *user, const char *line) {
  differences *d = user;
  if (d->n++ == 0 && d->err) ace_fail(d->err, ACE_EINVAL, "--strict: %s", line);
  if (!d->err) report_warning(d->report, "%s", line);
}

static ace_status compare_models(const args *a, job *j, report *r, ace_error *err) {
  if (!j->from.result) return ACE_OK;
  report_phase(r);
  ace_callbacks notify = report_callbacks(r);
  json_t *models = engine_hashes(j->engine, NULL, &notify, err);
  if (!models) return err->status;
  bool strict = args_on(a, "strict");
  differences d = {r, strict ? err : NULL, 0};
  saved_compare(&j->from, models, tens_isa_name(), on_difference, &d);
  json_decref(models);
  return strict && d.n ? err->status : ACE_OK;
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

static ace_status save_item(job *j, int item, report *r, ace_error *err) {
  ace_audio audio = ace_result_audio(j->result, item);
  char *path = output_path(&j->out, item, audio.seed);
  if (!path) return ace_fail(err, ACE_ENOMEM, "output: no name left for the song");
  trail_begin(&j->trail, path);
  ace_status status = ace_result_save(j->result, item, path, err);
  bool merged = status == ACE_OK && output_merge(&j->out, audio.seed, &path);
  trail_end(&j->trail, status == ACE_OK && !merged ? path : NULL);
  char *json = output_json_path(path);
  if (status == ACE_OK && j->lrc[item]) status = again_write_beside(path, ".lrc", j->lrc[item], err);
  if (status == ACE_OK)
    report_file(r, path, json ? json : "", audio.seed, (double)audio.frames / (double)audio.sample_rate);
  free(path);
  free(json);
  return status;
}

static ace_status save_all(job *j, report *r, ace_error *err) {
  int n = ace_result_count(j->result);
  for (int i = 0; i < n; i++) {
    if (signals_caught()) {
      trail_remove(&j->trail);
      return ace_fail(err, ACE_ECANCELED, "cancelled");
    }
    ace_status status = save_item(j, i, r, err);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

/* ---- timestamps and scores --------------------------------------------------------------------------------------- */

/* A song is worth more than what can be said about it: only a stop ends the run. */
static ace_status missing(report *r, ace_error *why, ace_error *err) {
  if (why->status != ACE_ECANCELED) report_warning(r, "%s", why->message);
  else *err = *why;
  return why->status == ACE_ECANCELED ? ACE_ECANCELED : ACE_OK;
}

static ace_status score_item(job *j, int item, report *r, ace_error *err) {
  ace_error why;
  ace_callbacks notify = report_callbacks(r);
  report_phase(r);
  char *text = ace_result_score(j->engine, j->result, item, 0, &notify, &why);
  if (!text) return missing(r, &why, err);
  char *words = again_score_words(text);
  if (words && j->request->batch_size > 1) report_note(r, "song %d: %s", item + 1, words);
  else if (words) report_note(r, "%s", words);
  free(text), free(words);
  return ACE_OK;
}

static ace_status time_item(job *j, int item, report *r, ace_error *err) {
  ace_error why;
  ace_callbacks notify = report_callbacks(r);
  report_phase(r);
  j->lrc[item] = ace_result_lrc(j->engine, j->result, item, &notify, &why);
  return j->lrc[item] ? ACE_OK : missing(r, &why, err);
}

static ace_status look_at_all(const args *a, job *j, report *r, ace_error *err) {
  ace_status status = ACE_OK;
  for (int i = 0; i < ace_result_count(j->result) && status == ACE_OK; i++) {
    if (args_on(a, "lrc")) status = time_item(j, i, r, err);
    if (status == ACE_OK && args_on(a, "score")) status = score_item(j, i, r, err);
  }
  return status;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void on_advice(void *user, const char *line) {
  report_warning(user, "%s", line);
}

static void say_summary(job *j, report *r) {
  char sound[TERM_TIME_SIZE], took[TERM_TIME_SIZE];
  ace_audio audio = ace_result_audio(j->result, 0);
  int n = ace_result_count(j->result);
  double seconds = (double)audio.frames / (double)audio.sample_rate;
  term_time(seconds, sound);
  term_time(clock_seconds() - r->started, took);
  if (n == 1) report_note(r, "%s of sound, seed %u, in %s", sound, (unsigned)audio.seed, took);
  else report_note(r, "%d songs of %s in %s", n, sound, took);
}

static ace_status prepare(const args *a, job *j, report *r, ace_error *err) {
  ace_status status = song_request(a, &j->request, &j->from, err);
  if (status == ACE_OK)
    status = output_plan(&j->out, args_value(a, "output"), args_gives(a, "audio_format"), j->request, err);
  if (status != ACE_OK) return status;
  /* Who names a planner wants a plan. */
  bool planned = args_value(a, "lm") || args_value(a, "lm-url");
  if (planned && j->request->thinking == REQ_AUTO) j->request->thinking = REQ_ON;
  bool asks = j->request->thinking == REQ_ON || args_on(a, "score");
  return opening_plan(&j->open, a, j->request, asks, r, err);
}

static ace_status generate(const args *a, job *j, report *r, ace_error *err) {
  ace_status status = prepare(a, j, r, err);
  if (status != ACE_OK) return status;
  j->engine = ace_engine_open(j->open.models, &j->open.options, err);
  if (!j->engine) return err->status;
  req_advise(j->request, engine_family(j->engine), on_advice, r);
  status = compare_models(a, j, r, err);
  if (status == ACE_OK) status = lora_load(j->engine, a, &j->from, args_on(a, "strict"), r, err);
  if (status != ACE_OK) return status;
  report_phase(r);
  ace_callbacks notify = report_callbacks(r);
  j->result = ace_generate(j->engine, j->request, &notify, err);
  if (!j->result) return err->status;
  report_plan(r, ace_result_json(j->result, 0));
  status = look_at_all(a, j, r, err);
  if (status == ACE_OK) status = save_all(j, r, err);
  if (status != ACE_OK) return status;
  say_summary(j, r);
  report_done(r);
  return ACE_OK;
}

/* The library did not come back in time after a signal: on the watcher's thread, which ends the process. */
typedef struct stopped {
  job *job;
  report *report;
} stopped;

static int on_stop(void *user) {
  const stopped *s = user;
  ace_error err = {.status = ACE_ECANCELED};
  trail_remove(&s->job->trail);
  return report_failure(s->report, &err);
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  job j = {0};
  stopped s = {&j, r};
  signals_watch(on_stop, &s);
  ace_status status = generate(a, &j, r, &err);
  signals_watch(NULL, NULL);
  job_free(&j);
  return status == ACE_OK ? CLI_OK : report_failure(r, &err);
}

const cli_command cmd_generate = {
    .name = "generate",
    .operands = "[CAPTION | -]",
    .summary = "make songs from words",
    .flags = flags,
    .parameters = true,
    .most_operands = 1,
    .notes =
        "--batch is short for --batch-size, --steps for --inference-steps, --think for --thinking; --no-NAME turns a\n"
        "switch off.\n"
        "Every song gets a file NAME.json beside it with all that made it; --from NAME.json makes it again.\n"
        "\n"
        "  acestep generate \"jazz trio in a smoky bar\" --duration 60 -o jazz.flac\n"
        "  acestep generate \"slow blues, female voice\" --lyrics words.txt --seed 7 --batch 2 -o blues.mp3\n"
        "  acestep generate --from blues-1.json -o again.mp3\n"
        "  acestep generate \"night drive\" --lora voices/anna --lora synthwave.safetensors:0.6 -o drive.mp3\n"
        "  acestep plan \"a soft Bengali love song\" --json | acestep generate --from - -o song.mp3",
    .run = run,
};
