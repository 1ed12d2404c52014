#include "engine/tiny.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/notify.h"
#include "engine/tiny_parts.h"

static const char TEXT[] = "Qwen3-Embedding-0.6B", LM[] = "acestep-5Hz-lm-0.6B", VAE[] = "vae";
static const char TURBO[] = "acestep-v15-turbo", BASE[] = "acestep-v15-base";

ace_status tiny_progress(const tiny_job *job, double done, ace_error *err) {
  const ace_callbacks *n = job->notify;
  if (notify_stopped(n)) return ace_fail(err, ACE_ECANCELED, "make: cancelled");
  if (n && n->progress) {
    ace_progress p = {.stage = "make",
                      .fraction = job->from + done * (job->to - job->from),
                      .seconds_left = -1,
                      .step = job->step,
                      .steps = job->steps};
    n->progress(n->user, &p);
  }
  return ACE_OK;
}

char *tiny_path(const tiny_job *job, const char *part, const char *file, ace_error *err) {
  char *folder = file_join(job->folder, part), *path = folder ? file_join(folder, file) : NULL;
  free(folder);
  if (!path) ace_fail(err, ACE_ENOMEM, "%s: out of memory", job->folder);
  return path;
}

ace_status tiny_write_text(const tiny_job *job, const char *part, const char *file, const char *text, ace_error *err) {
  char *path = tiny_path(job, part, file, err);
  if (!path) return ACE_ENOMEM;
  ace_status status = file_write(path, text, strlen(text), err);
  free(path);
  return status;
}

/* ---- the parts -------------------------------------------------------------------------------------------------- */

/* Two tokenizers from one learned vocabulary, and the two models that read their ids. */
static ace_status make_qwen3(const tiny_job *job, const tiny_merges *m, bool language_model, ace_error *err) {
  const char *part = language_model ? LM : TEXT;
  char text[TINY_CONFIG_SIZE];
  qwen3_config cfg;
  tiny_ids ids;
  ace_status status = tiny_write_tokenizer(job, part, m, language_model ? TINY_CODES : 0, &ids, err);
  if (status != ACE_OK) return status;
  if (language_model) tiny_lm_text(text, ids.vocabulary, ids.end_of_text, ids.end_of_turn);
  else tiny_text_encoder_text(text, ids.vocabulary, ids.end_of_text);
  json_t *json = json_parse(text, strlen(text), part, err);
  status = json ? cfg_read_qwen3(json, part, &cfg, err) : ACE_EINTERNAL;
  json_decref(json);
  if (status == ACE_OK) status = tiny_write_text(job, part, "config.json", text, err);
  if (status == ACE_OK) status = tiny_write_qwen3(job, part, &cfg, language_model, err);
  return status;
}

static ace_status make_vae(const tiny_job *job, ace_error *err) {
  vae_config cfg;
  json_t *json = json_parse(tiny_vae_text, strlen(tiny_vae_text), VAE, err);
  ace_status status = json ? cfg_read_vae(json, VAE, &cfg, err) : ACE_EINTERNAL;
  json_decref(json);
  if (status == ACE_OK) status = tiny_write_text(job, VAE, "config.json", tiny_vae_text, err);
  if (status == ACE_OK) status = tiny_write_vae(job, VAE, &cfg, err);
  return status;
}

static ace_status make_dit(const tiny_job *job, bool turbo, const float *silence, ace_error *err) {
  const char *part = turbo ? TURBO : BASE;
  char text[TINY_CONFIG_SIZE];
  dit_config cfg;
  tiny_dit_text(text, turbo);
  json_t *json = json_parse(text, strlen(text), part, err);
  ace_status status = json ? cfg_read_dit(json, part, &cfg, err) : ACE_EINTERNAL;
  json_decref(json);
  if (status == ACE_OK) status = tiny_write_text(job, part, "config.json", text, err);
  if (status == ACE_OK) status = tiny_write_dit(job, part, &cfg, err);
  if (status == ACE_OK) status = tiny_write_silence(job, part, silence, err);
  return status;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static ace_status make_folders(const char *folder, ace_error *err) {
  static const char *const parts[] = {TEXT, LM, VAE, TURBO, BASE};
  ace_status status = ACE_OK;
  for (size_t i = 0; i < sizeof parts / sizeof *parts && status == ACE_OK; i++) {
    char *path = file_join(folder, parts[i]);
    status = path ? file_make_directory(path, err) : ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
    free(path);
  }
  return status;
}

/* Starts the next part, which ends when `to` of the whole job is done. */
static ace_status next_part(tiny_job *job, double to, ace_error *err) {
  job->from = job->to;
  job->to = to;
  job->step++;
  return tiny_progress(job, 0, err);
}

static ace_status make_parts(tiny_job *job, tiny_merges *m, ace_error *err) {
  float *silence = NULL;
  ace_status status = next_part(job, 0.05, err);
  if (status == ACE_OK) status = tiny_learn(m, tiny_corpus, TINY_VOCABULARY, err);
  if (status == ACE_OK) status = make_qwen3(job, m, false, err);
  if (status == ACE_OK) status = next_part(job, 0.1, err);
  if (status == ACE_OK) status = make_qwen3(job, m, true, err);
  if (status == ACE_OK) status = next_part(job, 0.3, err);
  if (status == ACE_OK) status = make_vae(job, err);
  if (status == ACE_OK) status = next_part(job, 0.8, err);
  if (status == ACE_OK && !(silence = tiny_silence(job, VAE, err))) status = err->status;
  if (status == ACE_OK) status = next_part(job, 0.9, err);
  if (status == ACE_OK) status = make_dit(job, true, silence, err);
  if (status == ACE_OK) status = next_part(job, 1, err);
  if (status == ACE_OK) status = make_dit(job, false, silence, err);
  if (status == ACE_OK) status = tiny_progress(job, 1, err);
  free(silence);
  return status;
}

ace_status tiny_make(const char *folder, const ace_callbacks *notify, ace_error *err) {
  ace_error local;
  if (!err) err = &local;
  tiny_job job = {.folder = folder, .notify = notify, .steps = 6};
  tiny_merges *m = calloc(1, sizeof *m);
  if (!m) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  ace_status status = make_folders(folder, err);
  if (status == ACE_OK) status = make_parts(&job, m, err);
  free(m);
  return status;
}
