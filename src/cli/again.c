#include "cli/again.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "cli/cli.h"
#include "cli/lora.h"
#include "cli/output.h"
#include "cli/saved.h"
#include "cli/signals.h"
#include "engine/engine.h"
#include "request/text.h"
#include "tensor/cpu/isa.h"

/* ---- making it again --------------------------------------------------------------------------------------------- */

static ace_status read_song(asking *k, saved *from, ace_error *err) {
  const char *what = k->args->command->name, *path = k->args->n_operands ? k->args->operand[0] : NULL;
  if (!path)
    return ace_fail(err, ACE_EINVAL, "%s: no song; give the JSON beside one: acestep %s song.json", what, what);
  bool itself = strcmp(path, "-") == 0 || string_ends(path, ".json");
  char *json = itself ? strdup(path) : output_json_path(path);
  k->request = ace_request_new(ACE_PROFILE_CLI);
  if (!json || !k->request) {
    free(json);
    return ace_fail(err, ACE_ENOMEM, "%s: out of memory", what);
  }
  ace_status status = saved_read(from, json, what, k->request, err);
  if (status == ACE_OK && !from->result)
    status = ace_fail(err, ACE_EINVAL, "%s: %.300s is no finished song: it has no \"result\"; generate makes one of it",
                      what, json);
  if (status == ACE_OK) status = ace_request_validate(k->request, err);
  free(json);
  return status;
}

static void on_difference(void *user, const char *line) {
  report_warning(user, "%s", line);
}

static ace_status compare_models(asking *k, const saved *from, ace_error *err) {
  ace_callbacks notify = report_callbacks(k->report);
  report_phase(k->report);
  json_t *models = engine_hashes(k->engine, NULL, &notify, err);
  if (!models) return err->status;
  saved_compare(from, models, tens_isa_name(), on_difference, k->report);
  json_decref(models);
  return ACE_OK;
}

ace_result *again_make(asking *k, ace_error *err) {
  saved from = {0};
  ace_result *result = NULL;
  ace_status status = read_song(k, &from, err);
  if (status == ACE_OK) status = ask_open(k, err);
  if (status == ACE_OK) status = compare_models(k, &from, err);
  if (status == ACE_OK) status = lora_load(k->engine, k->args, &from, false, k->report, err);
  if (status == ACE_OK) {
    ace_callbacks notify = report_callbacks(k->report);
    report_phase(k->report);
    result = engine_generate(k->engine, k->request, false, NULL, &notify, err);
    report_phase(k->report);
  }
  saved_free(&from);
  return result;
}

/* ---- delivering -------------------------------------------------------------------------------------------------- */

static ace_status write_line(const char *path, const char *text, ace_error *err) {
  req_text line = {0};
  req_text_add(&line, text);
  if (!string_ends(text, "\n")) req_text_add(&line, "\n");
  size_t size = line.size;
  char *all = req_text_take(&line);
  ace_status status = all ? file_write(path, all, size, err) : ace_fail(err, ACE_ENOMEM, "%.300s: out of memory", path);
  free(all);
  return status;
}

ace_status again_deliver(asking *k, const char *text, ace_error *err) {
  const char *path = args_value(k->args, "output");
  if (signals_caught()) return ace_fail(err, ACE_ECANCELED, "cancelled");
  term_clear(&k->report->term);
  if (path) return write_line(path, text, err);
  fputs(text, stdout);
  if (!string_ends(text, "\n")) putchar('\n');
  fflush(stdout);
  return ACE_OK;
}

ace_status again_write_beside(const char *path, const char *extension, const char *text, ace_error *err) {
  req_text beside = {0};
  char *json = output_json_path(path);
  if (json) req_text_add_bytes(&beside, json, strlen(json) - strlen(".json"));
  req_text_add(&beside, extension);
  char *name = req_text_take(&beside);
  ace_status status = json && name ? write_line(name, text, err) : ace_fail(err, ACE_ENOMEM, "output: out of memory");
  free(json), free(name);
  return status;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void add_alignment(req_text *out, const json_t *alignment) {
  if (!json_is_object(alignment)) return;
  req_text_addf(out, "%slyrics alignment: %.4f from the words alone, %.4f in this song", out->size ? "\n" : "",
                json_number_value(json_object_get(alignment, "lm_score")),
                json_number_value(json_object_get(alignment, "dit_score")));
}

/* Conditions by name. */
static void add_conditions(req_text *out, json_t *conditions) {
  static const char *const names[] = {"bpm",      "caption",  "duration", "genres",
                                      "keyscale", "language", "lyrics",   "timesignature"};
  bool any = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const json_t *value = json_object_get(conditions, names[i]);
    if (!value) continue;
    req_text_addf(out, "\n  %-14s %.4f", names[i], json_number_value(value));
    any = true;
  }
  if (any) req_text_add(out, "\n  (metadata: top-k recall; caption and lyrics: PMI)");
}

char *again_score_words(const char *text) {
  json_t *scores = json_loads(text, 0, NULL), *score = json_object_get(scores, "score"), *note;
  req_text out = {0};
  size_t i;
  if (!scores) return NULL;
  if (json_is_number(score)) {
    req_text_addf(&out, "quality %.4f of 1", json_number_value(score));
    add_conditions(&out, json_object_get(scores, "conditions"));
  }
  add_alignment(&out, json_object_get(scores, "lyrics_alignment"));
  json_array_foreach(json_object_get(scores, "notes"), i, note) {
    req_text_addf(&out, "\nnot scored: %s", json_string_value(note));
  }
  json_decref(scores);
  return req_text_take(&out);
}
