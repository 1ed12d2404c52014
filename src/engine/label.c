#include "engine/label.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/notify.h"
#include "engine/share.h"

enum { LINE_SIZE = 900, CODES_LIMIT = 256 << 20 };

/* Shares of a song's two passes. */
static const double LISTENING = 1, ASKING = 1;

typedef struct labeling {
  ace_engine *e;
  dataset *d;
  const label_job *job;
  const ace_callbacks *notify;
  ace_request *understand, *format;
  bool *wanted;  /* [n] */
  json_t *codes; /* {id: {"source", "codes"}} */
  char *codes_path, *log_path;
  progress p;
  label_report *report;
} labeling;

static void say(const labeling *l, const char *line) {
  if (l->notify && l->notify->log) l->notify->log(l->notify->user, line);
}

/* ---- what is kept ------------------------------------------------------------------------------------------------ */

/* One line for each song, for whoever follows a long run. That it cannot be written is no reason to stop. */
static void append_log(const labeling *l, int i, const char *status) {
  FILE *f = l->log_path ? fopen(l->log_path, "ae") : NULL;
  json_t *line = f ? json_pack("{s:I, s:i, s:s, s:O}", "ts", (json_int_t)time(NULL), "index", i, "status", status,
                               "sample", l->d->sample[i].fields)
                   : NULL;
  char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
  if (text) fprintf(f, "%s\n", text);
  free(text);
  json_decref(line);
  if (f) fclose(f);
}

static ace_status keep(labeling *l, int i, ace_error *err) {
  if (l->job->keep) return l->job->keep(l->job->user, i, err);
  return l->job->save ? dataset_save(l->d, l->job->save, err) : ACE_OK;
}

/* "<bytes>|<changed>" of the sound file. */
static void source_of(const labeling *l, int i, char out[64]) {
  struct stat st = {0};
  stat(dataset_text(l->d, i, "audio_path"), &st);
  snprintf(out, 64, "%lld|%lld.%09ld", (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

/* Codes that were found before; NULL: none, or of another file. */
static const char *known_codes(const labeling *l, int i) {
  char source[64];
  source_of(l, i, source);
  const json_t *entry = json_object_get(l->codes, dataset_text(l->d, i, "id"));
  return strcmp(json_text(entry, "source"), source) == 0 ? json_string_value(json_object_get(entry, "codes")) : NULL;
}

static void keep_codes(labeling *l, int i, const char *codes) {
  char source[64];
  source_of(l, i, source);
  json_object_set_new(l->codes, dataset_text(l->d, i, "id"), json_pack("{s:s, s:s}", "source", source, "codes", codes));
  char *text = l->codes_path ? json_dumps(l->codes, JSON_COMPACT) : NULL;
  if (text) file_write(l->codes_path, text, strlen(text), NULL); /* else they are found again next time */
  free(text);
}

/* ---- one song ---------------------------------------------------------------------------------------------------- */

static ace_status fail(labeling *l, int i, const char *what, const ace_error *why, ace_error *err) {
  char line[LINE_SIZE];
  if (why->status == ACE_ECANCELED) return ace_fail(err, why->status, "%s", why->message);
  snprintf(line, sizeof line, "%s: %.200s: %s", what, dataset_text(l->d, i, "filename"), why->message);
  say(l, line);
  l->wanted[i] = false;
  l->report->failed++;
  append_log(l, i, "failed");
  if (l->job->labeled) l->job->labeled(l->job->user, i, line);
  return ACE_OK;
}

static ace_status listen(labeling *l, int i, int step, int steps, ace_error *err) {
  if (known_codes(l, i)) return ACE_OK;
  ace_error why = {0};
  share s = share_begin(&l->p, l->notify, LISTENING);
  ace_callbacks inner = share_callbacks(&s);
  char *codes = ace_audio_to_codes(l->e, dataset_text(l->d, i, "audio_path"), &inner, &why);
  if (codes) keep_codes(l, i, codes);
  free(codes);
  share_end(&s, step, steps);
  return codes ? ACE_OK : fail(l, i, "Failed to encode audio", &why, err);
}

/* The language model's answer, a new reference; NULL on failure, or where none is needed. */
static json_t *ask(labeling *l, int i, label_way way, const ace_callbacks *notify, ace_error *err) {
  char *text = NULL;
  if (way == LABEL_LISTEN) {
    const char *codes = known_codes(l, i);
    if (codes) text = ace_understand(l->e, codes, l->understand, notify, err);
    else ace_fail(err, ACE_ENOTFOUND, "the sound file has changed or gone since it was listened to");
  } else if (way == LABEL_FORMAT &&
             ace_request_set(l->format, "lyrics", dataset_text(l->d, i, "raw_lyrics"), err) == ACE_OK) {
    text = ace_format_sample(l->e, l->format, notify, err);
  }
  json_t *answer = text ? json_parse(text, strlen(text), "language model", err) : NULL;
  free(text);
  return answer;
}

static ace_status describe(labeling *l, int i, label_way way, int step, int steps, ace_error *err) {
  char line[LINE_SIZE];
  ace_error why = {0};
  share s = share_begin(&l->p, l->notify, ASKING);
  ace_callbacks inner = share_callbacks(&s);
  json_t *answer = ask(l, i, way, &inner, &why);
  if (why.status == ACE_OK) label_take(l->d, i, way, &l->job->options, answer, &why);
  json_decref(answer);
  share_end(&s, step, steps);
  if (why.status != ACE_OK)
    return fail(l, i, way == LABEL_FORMAT ? "LLM format failed" : "LLM labeling failed", &why, err);
  l->report->done++;
  l->report->needs_lyrics += label_needs_lyrics(l->d, i);
  snprintf(line, sizeof line, "Labeled: %.200s %s", dataset_text(l->d, i, "filename"),
           label_remark(l->d, i, way, &l->job->options));
  say(l, line);
  ace_status status = keep(l, i, err);
  append_log(l, i, "labeled");
  if (l->job->labeled) l->job->labeled(l->job->user, i, NULL);
  return status;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static int count(const labeling *l, label_way way, bool any) {
  int n = 0;
  for (int i = 0; i < l->d->n; i++) n += l->wanted[i] && (any || label_way_of(l->d, i, &l->job->options) == way);
  return n;
}

static ace_status stopped(const labeling *l, ace_error *err) {
  return notify_stopped(l->notify) ? ace_fail(err, ACE_ECANCELED, "label: cancelled; what is labeled stays") : ACE_OK;
}

static ace_status run(labeling *l, ace_error *err) {
  ace_status status = ACE_OK;
  int heard = count(l, LABEL_LISTEN, false), all = count(l, LABEL_NAME, true), step = 0;
  progress_start(&l->p, l->notify, heard * LISTENING + all * ASKING);
  if (heard) progress_stage(&l->p, "encode", heard);
  for (int i = 0; i < l->d->n && status == ACE_OK; i++) {
    if (!l->wanted[i] || label_way_of(l->d, i, &l->job->options) != LABEL_LISTEN) continue;
    status = stopped(l, err);
    if (status == ACE_OK) status = listen(l, i, ++step, heard, err);
  }
  if (heard && l->e->vae) ckpt_release(l->e->vae->checkpoint, ""), ckpt_release(l->e->dit->checkpoint, "tokenizer.");
  progress_stage(&l->p, "think", all);
  step = 0;
  for (int i = 0; i < l->d->n && status == ACE_OK; i++) {
    if (!l->wanted[i]) continue;
    status = stopped(l, err);
    if (status == ACE_OK) status = describe(l, i, label_way_of(l->d, i, &l->job->options), ++step, all, err);
  }
  return status;
}

/* A request with what the questions about recordings are asked with: the same answer each time. */
static ace_request *question(const char *temperature, ace_error *err) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  if (!r) ace_fail(err, ACE_ENOMEM, "label: out of memory");
  if (r && ace_request_set(r, "lm_temperature", temperature, err) == ACE_OK &&
      ace_request_set(r, "seed", "42", err) == ACE_OK)
    return r;
  ace_request_free(r);
  return NULL;
}

static char *with_suffix(const char *path, const char *suffix) {
  char *out = malloc(strlen(path) + strlen(suffix) + 1);
  if (out) strcpy(out, path), strcat(out, suffix);
  return out;
}

static ace_status begin(labeling *l, ace_error *err) {
  bool any = false;
  l->understand = question("0.7", err);
  l->format = l->understand ? question("0.85", err) : NULL;
  if (!l->format) return err->status;
  l->wanted = calloc((size_t)l->d->n + 1, sizeof *l->wanted);
  if (l->job->save) {
    l->codes_path = with_suffix(l->job->save, ".codes.json");
    l->log_path = with_suffix(l->job->save, ".autolabel.jsonl");
  }
  if (l->codes_path && file_exists(l->codes_path)) l->codes = json_parse_file(l->codes_path, CODES_LIMIT, NULL);
  if (!json_is_object(l->codes)) json_decref(l->codes), l->codes = json_object();
  if (!l->wanted || !l->codes) return ace_fail(err, ACE_ENOMEM, "label: out of memory");
  for (int i = 0; i < l->d->n; i++) {
    l->wanted[i] = label_wanted(l->d, i, &l->job->options);
    l->report->total += l->wanted[i];
    any |= l->wanted[i] && label_way_of(l->d, i, &l->job->options) != LABEL_NAME;
  }
  return any ? engine_need_lm(l->e, err) : ACE_OK; /* before the long work */
}

ace_status engine_label(ace_engine *e, dataset *d, const label_job *job, const ace_callbacks *notify,
                        label_report *report, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  *report = (label_report){0};
  if (d->n == 0) return ace_fail(err, ACE_EINVAL, "label: the dataset has no samples; scan a folder first");
  labeling l = {.e = e, .d = d, .job = job, .notify = notify, .report = report};
  ace_status status = begin(&l, err);
  if (status == ACE_OK) status = run(&l, err);
  if (status == ACE_OK && l.codes_path) unlink(l.codes_path);
  ace_request_free(l.understand), ace_request_free(l.format);
  json_decref(l.codes);
  free(l.wanted), free(l.codes_path), free(l.log_path);
  return status;
}
