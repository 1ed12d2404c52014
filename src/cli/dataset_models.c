/* acestep dataset label, preprocess: what needs models. */
#include "cli/dataset.h"
#include "cli/song_request.h"
#include "engine/label.h"
#include "engine/prepare.h"

#include <string.h>

static ace_status open_models(dataset_run *k, bool asks, ace_error *err) {
  ace_callbacks notify = report_callbacks(k->report);
  ace_status status = dataset_load(&k->d, k->file, &notify, err);
  if (status == ACE_OK) status = parameters_request(k->args, &k->request, err);
  if (status == ACE_OK) status = opening_plan(&k->open, k->args, k->request, asks, k->report, err);
  if (status != ACE_OK) return status;
  k->engine = ace_engine_open(k->open.models, &k->open.options, err);
  report_phase(k->report);
  return k->engine ? ACE_OK : err->status;
}

/* ---- label ------------------------------------------------------------------------------------------------------- */

ace_status dataset_action_label(dataset_run *k, ace_error *err) {
  const args *a = k->args;
  label_job job = {.save = k->file,
                   .options = {.only_unlabeled = args_on(a, "only-unlabeled"),
                               .captions_only = args_on(a, "captions-only"),
                               .skip_metas = args_on(a, "skip-metas") || args_on(a, "captions-only"),
                               .format_lyrics = args_on(a, "format-lyrics"),
                               .transcribe_lyrics = args_on(a, "transcribe-lyrics")}};
  label_report found;
  ace_status status = open_models(k, !job.options.skip_metas || job.options.captions_only, err);
  if (status != ACE_OK) return status;
  ace_callbacks notify = report_callbacks(k->report);
  status = engine_label(k->engine, &k->d, &job, &notify, &found, err);
  report_note(k->report, "labeled %d of %d songs%s", found.done, found.total, status == ACE_OK ? "" : " so far");
  if (status != ACE_OK) return status;
  if (found.failed) report_warning(k->report, "%d songs could not be labeled", found.failed);
  if (found.needs_lyrics)
    report_warning(k->report, "%d songs have a voice and no lyrics: put SONG.lyrics.txt beside them, or edit them",
                   found.needs_lyrics);
  dataset_report(k, k->file);
  report_path(k->report, k->file);
  return found.done || !found.failed ? ACE_OK : ace_fail(err, ACE_EFORMAT, "dataset label: no song could be labeled");
}

/* ---- preprocess -------------------------------------------------------------------------------------------------- */

static ace_status read_options(const args *a, prepare_options *o, ace_error *err) {
  const char *folder = args_value(a, "output"), *profile = args_value(a, "profile");
  const char *kind = args_value(a, "preprocess-for"), *most = args_value(a, "max-duration");
  int seconds = 0;
  if (!folder || !*folder)
    return ace_fail(err, ACE_EINVAL, "dataset preprocess: name a folder for the samples: -o DIR");
  *o = prepare_defaults(folder);
  if (profile && strcmp(profile, "matched") != 0 && strcmp(profile, "reference") != 0)
    return ace_fail(err, ACE_EINVAL, "--profile: \"%.20s\" is neither matched nor reference", profile);
  if (kind && strcmp(kind, "lora") != 0 && strcmp(kind, "lokr") != 0)
    return ace_fail(err, ACE_EINVAL, "--preprocess-for: \"%.20s\" is neither lora nor lokr", kind);
  if (most && args_int(most, "--max-duration", 1, 600, &seconds, err) != ACE_OK) return ACE_EINVAL;
  if (most) o->max_duration = seconds;
  if (profile && strcmp(profile, "reference") == 0) o->profile = SONG_TEXT_REFERENCE;
  o->cover = kind && strcmp(kind, "lokr") == 0;
  o->again = args_on(a, "again");
  return ACE_OK;
}

ace_status dataset_action_preprocess(dataset_run *k, ace_error *err) {
  prepare_options o;
  prepare_report found;
  ace_status status = read_options(k->args, &o, err);
  if (status == ACE_OK) status = open_models(k, false, err);
  if (status != ACE_OK) return status;
  ace_callbacks notify = report_callbacks(k->report);
  status = engine_prepare(k->engine, &k->d, &o, &notify, &found, err);
  if (status != ACE_OK) return status;
  report_note(k->report, "%d samples made, %d were there", found.done, found.skipped);
  if (found.failed) report_warning(k->report, "%d songs could not be prepared", found.failed);
  report_event(k->report, json_pack("{s:s, s:s, s:i, s:i, s:i}", "event", "prepared", "path", o.folder, "done",
                                    found.done, "skipped", found.skipped, "failed", found.failed));
  report_path(k->report, o.folder);
  return found.done + found.skipped ? ACE_OK
                                    : ace_fail(err, ACE_EFORMAT, "dataset preprocess: no song could be prepared");
}
