#include "train/label.h"

#include <stdlib.h>
#include <string.h>

#include "request/text.h"
#include "train/dataset_inner.h"

static bool is_instrumental(const dataset *d, int i) {
  return dataset_flag(d, i, "is_instrumental");
}

static bool has_raw(const dataset *d, int i) {
  return !req_is_blank(dataset_text(d, i, "raw_lyrics"));
}

bool label_wanted(const dataset *d, int i, const label_options *o) {
  return !o->only_unlabeled || !dataset_flag(d, i, "labeled") || req_is_blank(dataset_text(d, i, "caption"));
}

label_way label_way_of(const dataset *d, int i, const label_options *o) {
  if (o->skip_metas && !o->captions_only) return LABEL_NAME;
  return o->format_lyrics && has_raw(d, i) && !is_instrumental(d, i) ? LABEL_FORMAT : LABEL_LISTEN;
}

bool label_needs_lyrics(const dataset *d, int i) {
  return !is_instrumental(d, i) && req_is_blank(dataset_text(d, i, "lyrics"));
}

const char *label_remark(const dataset *d, int i, label_way way, const label_options *o) {
  if (is_instrumental(d, i)) return "(instrumental)";
  if (way == LABEL_FORMAT) return "(lyrics formatted by LM)";
  if (way == LABEL_LISTEN && o->transcribe_lyrics) return "(lyrics transcribed by LM)";
  if (has_raw(d, i)) return "(using raw lyrics)";
  return label_needs_lyrics(d, i) ? "(needs lyrics)" : "(its lyrics stay)";
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static ace_status put(json_t *fields, const char *name, const json_t *value, ace_error *err) {
  return dataset_put(fields, dataset_field_find(name), value, "label", err);
}

static ace_status put_text(json_t *fields, const char *name, const char *text, ace_error *err) {
  json_t *value = json_string(text);
  ace_status status = value ? put(fields, name, value, err) : ace_fail(err, ACE_ENOMEM, "label: out of memory");
  json_decref(value);
  return status;
}

/* The name of the file in words. */
static char *name_of(const json_t *fields) {
  char *name = strdup(json_text(fields, "filename")), *dot = name ? strrchr(name, '.') : NULL;
  if (dot && dot != name) *dot = 0;
  for (char *p = name; p && *p; p++)
    if (*p == '_' || *p == '-') *p = ' ';
  return name;
}

static ace_status take_name(json_t *fields, ace_error *err) {
  if (!req_is_blank(json_text(fields, "caption"))) return ACE_OK;
  char *name = name_of(fields);
  ace_status status = name ? put_text(fields, "caption", name, err) : ace_fail(err, ACE_ENOMEM, "label: out of memory");
  free(name);
  return status;
}

/* A field that the user left open. */
static ace_status take_open(json_t *fields, const char *name, const json_t *value, ace_error *err) {
  const json_t *now = json_object_get(fields, name);
  const char *text = json_text(fields, name);
  bool open = json_is_null(now) || (json_is_string(now) && (req_is_blank(text) || strcmp(text, "unknown") == 0));
  return open && !json_is_null(value) ? put(fields, name, value, err) : ACE_OK;
}

static ace_status take_metas(json_t *fields, const json_t *answer, ace_error *err) {
  static const char *const names[] = {"bpm", "keyscale", "timesignature"};
  ace_status status = ACE_OK;
  for (size_t k = 0; k < sizeof names / sizeof *names && status == ACE_OK; k++)
    status = take_open(fields, names[k], json_object_get(answer, names[k]), err);
  return status;
}

static ace_status set_lyrics(json_t *fields, const char *lyrics, const char *formatted, ace_error *err) {
  ace_status status = put_text(fields, "lyrics", lyrics, err);
  return status == ACE_OK ? put_text(fields, "formatted_lyrics", formatted, err) : status;
}

static ace_status take_lyrics(json_t *fields, label_way way, bool transcribe, const char *heard, ace_error *err) {
  const char *raw = json_text(fields, "raw_lyrics"), *now = json_text(fields, "lyrics");
  bool none = strcmp(heard, DATASET_INSTRUMENTAL) == 0 || req_is_blank(heard);
  if (json_is_true(json_object_get(fields, "is_instrumental"))) {
    ace_status status = set_lyrics(fields, DATASET_INSTRUMENTAL, "", err);
    return status == ACE_OK ? put_text(fields, "language", "unknown", err) : status;
  }
  if (way == LABEL_FORMAT) return set_lyrics(fields, none ? raw : heard, none ? "" : heard, err);
  if (transcribe && !none) return set_lyrics(fields, heard, heard, err);
  if (!req_is_blank(raw)) return set_lyrics(fields, raw, "", err);
  return strcmp(now, DATASET_INSTRUMENTAL) == 0 ? put_text(fields, "lyrics", "", err) : ACE_OK;
}

static ace_status take_answer(json_t *fields, label_way way, const label_options *o, const json_t *answer,
                              ace_error *err) {
  const char *caption = json_text(answer, "caption"), *genres = json_text(json_object_get(answer, "result"), "genres");
  const json_t *language = json_object_get(answer, "language");
  if (!json_is_string(language)) language = json_object_get(answer, "vocal_language");
  if (req_is_blank(caption)) return ace_fail(err, ACE_EFORMAT, "the language model found no words for it");
  ace_status status = put_text(fields, "caption", caption, err);
  if (status == ACE_OK && *genres) status = put_text(fields, "genre", genres, err);
  if (status == ACE_OK && !o->skip_metas) status = take_metas(fields, answer, err);
  if (status == ACE_OK && language) status = take_open(fields, "language", language, err);
  return status == ACE_OK ? take_lyrics(fields, way, o->transcribe_lyrics, json_text(answer, "lyrics"), err) : status;
}

ace_status label_take(dataset *d, int i, label_way way, const label_options *o, const json_t *answer, ace_error *err) {
  json_t *fields = json_copy(d->sample[i].fields);
  if (!fields) return ace_fail(err, ACE_ENOMEM, "label: out of memory");
  ace_status status = way == LABEL_NAME ? take_name(fields, err) : take_answer(fields, way, o, answer, err);
  if (status == ACE_OK && json_object_set_new(fields, "labeled", json_true()) != 0)
    status = ace_fail(err, ACE_ENOMEM, "label: out of memory");
  if (status != ACE_OK) {
    json_decref(fields);
    return status;
  }
  json_decref(d->sample[i].fields);
  d->sample[i].fields = fields;
  return ACE_OK;
}
