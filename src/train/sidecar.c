#include "train/sidecar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "request/text.h"
#include "train/dataset_inner.h"

enum { TEXT_LIMIT = 1 << 20, LINE_SIZE = 700 };

static const char BYTE_ORDER_MARK[] = "\xef\xbb\xbf";

static void say(const ace_callbacks *notify, const char *message) {
  if (notify && notify->log) notify->log(notify->user, message);
}

/* "<path without its last extension><suffix>"; free() it. */
static char *beside(const char *path, const char *suffix) {
  const char *name = dataset_basename(path), *dot = strrchr(name, '.');
  size_t stem = dot ? (size_t)(dot - path) : strlen(path), size = stem + strlen(suffix) + 1;
  char *out = malloc(size);
  if (out) snprintf(out, size, "%.*s%s", (int)stem, path, suffix);
  return out;
}

/* Without a mark in front and blanks at the ends. */
static const char *trimmed(char *text, size_t length) {
  if (strncmp(text, BYTE_ORDER_MARK, 3) == 0) text += 3, length -= 3;
  while (length > 0 && req_is_space(text[length - 1])) text[--length] = 0;
  while (req_is_space(*text)) text++;
  return text;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* The words of a text file beside the sound; free() it. NULL: there is none, or it is empty or no text. */
static char *read_words(const char *path, const char *suffix, const ace_callbacks *notify) {
  size_t length;
  ace_error err = {0};
  char *file = beside(path, suffix), *text = NULL, *words = NULL;
  if (file && file_exists(file)) text = file_read(file, TEXT_LIMIT, &length, &err);
  if (text && !req_utf8_valid(text, length)) ace_fail(&err, ACE_EFORMAT, "%s: not text in UTF-8", file);
  else if (text && *trimmed(text, length)) words = strdup(trimmed(text, strlen(text)));
  if (err.status != ACE_OK) say(notify, err.message);
  free(file), free(text);
  return words;
}

static ace_status put(json_t *fields, const char *name, json_t *value, ace_error *err) {
  return value && json_object_set_new(fields, name, value) == 0 ? ACE_OK
                                                                : ace_fail(err, ACE_ENOMEM, "scan: out of memory");
}

static ace_status take_caption(json_t *fields, const char *caption, ace_error *err) {
  ace_status status = put(fields, "caption", json_string(caption), err);
  return status == ACE_OK ? put(fields, "labeled", json_true(), err) : status;
}

static ace_status take_lyrics(json_t *fields, const char *lyrics, ace_error *err) {
  ace_status status = put(fields, "lyrics", json_string(lyrics), err);
  if (status == ACE_OK) status = put(fields, "raw_lyrics", json_string(lyrics), err);
  return status == ACE_OK ? put(fields, "is_instrumental", json_false(), err) : status;
}

static ace_status read_texts(const char *path, json_t *fields, sidecar_found *found, const ace_callbacks *notify,
                             ace_error *err) {
  ace_status status = ACE_OK;
  char *caption = read_words(path, ".caption.txt", notify), *lyrics = read_words(path, ".lyrics.txt", notify);
  if (!lyrics) lyrics = read_words(path, ".txt", notify);
  found->caption = caption;
  found->lyrics = lyrics;
  if (caption) status = take_caption(fields, caption, err);
  if (lyrics && status == ACE_OK) status = take_lyrics(fields, lyrics, err);
  free(caption), free(lyrics);
  return status;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* Null, "" and 0 say nothing. */
static bool says_something(const json_t *v) {
  if (json_is_string(v)) return !req_is_blank(json_string_value(v));
  if (json_is_number(v)) return json_number_value(v) != 0;
  return v && !json_is_null(v);
}

static ace_status take_values(const json_t *in, const char *where, json_t *fields, sidecar_found *found,
                              ace_error *err) {
  static const char *const names[] = {"caption",       "genre",    "bpm",        "keyscale",
                                      "timesignature", "language", "custom_tag", "prompt_override"};
  ace_status status = ACE_OK;
  for (size_t i = 0; i < sizeof names / sizeof *names && status == ACE_OK; i++) {
    const json_t *v = json_object_get(in, names[i]);
    if (says_something(v)) status = dataset_put(fields, dataset_field_find(names[i]), v, where, err);
  }
  if (status != ACE_OK) return status;
  if (says_something(json_object_get(in, "caption"))) status = put(fields, "labeled", json_true(), err);
  const char *language = json_text(in, "language"), *lyrics = json_text(in, "lyrics");
  bool sung = !req_is_blank(lyrics) && strcmp(lyrics, DATASET_INSTRUMENTAL) != 0;
  if (status == ACE_OK && sung) status = take_lyrics(fields, lyrics, err);
  const json_t *voice = json_object_get(in, "is_instrumental");
  found->decided = json_is_boolean(voice) || !req_is_blank(language);
  if (status == ACE_OK && json_is_boolean(voice))
    status = dataset_put(fields, dataset_field_find("is_instrumental"), voice, where, err);
  else if (status == ACE_OK && !req_is_blank(language))
    status = strcmp(language, "instrumental") == 0 ? ACE_OK : put(fields, "is_instrumental", json_false(), err);
  return status;
}

ace_status sidecar_take_json(const char *text, size_t length, const char *where, json_t *fields, sidecar_found *found,
                             ace_error *err) {
  if (length >= 3 && memcmp(text, BYTE_ORDER_MARK, 3) == 0) text += 3, length -= 3;
  json_t *in = json_parse(text, length, where, err);
  if (!in) return ACE_EFORMAT;
  json_t *taken = json_copy(fields); /* all of it or nothing */
  ace_status status = json_is_object(in) ? taken ? ACE_OK : ace_fail(err, ACE_ENOMEM, "%s: out of memory", where)
                                         : ace_fail(err, ACE_EFORMAT, "%s: not an object", where);
  if (status == ACE_OK) status = take_values(in, where, taken, found, err);
  if (status == ACE_OK && json_object_update(fields, taken) != 0)
    status = ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
  if (status != ACE_OK) found->decided = false;
  json_decref(in), json_decref(taken);
  return status;
}

static ace_status read_json(const char *path, json_t *fields, sidecar_found *found, const ace_callbacks *notify,
                            ace_error *err) {
  size_t length;
  ace_error cause = {0};
  char *file = beside(path, ".json"), *text = NULL;
  if (file && file_exists(file)) text = file_read(file, TEXT_LIMIT, &length, &cause);
  ace_status status = text ? sidecar_take_json(text, length, file, fields, found, &cause) : cause.status;
  found->json = text && status == ACE_OK;
  if (status != ACE_OK) say(notify, cause.message);
  free(file), free(text);
  return status == ACE_ENOMEM ? ace_fail(err, status, "scan: out of memory") : ACE_OK;
}

/* ---- the CSV's row ----------------------------------------------------------------------------------------------- */

static ace_status take_row(const json_t *row, json_t *fields, ace_error *err) {
  static const char *const names[] = {"bpm", "keyscale"};
  ace_status status = ACE_OK;
  for (size_t i = 0; i < sizeof names / sizeof *names && status == ACE_OK; i++) {
    const json_t *v = json_object_get(row, names[i]);
    if (says_something(v)) status = dataset_put(fields, dataset_field_find(names[i]), v, "csv", err);
  }
  const char *caption = json_text(row, "caption");
  return status == ACE_OK && *caption ? take_caption(fields, caption, err) : status;
}

ace_status sidecar_read(const char *path, const json_t *csv, json_t *fields, sidecar_found *found,
                        const ace_callbacks *notify, ace_error *err) {
  *found = (sidecar_found){0};
  const json_t *row = json_object_get(csv, dataset_basename(path));
  found->csv = row;
  ace_status status = read_texts(path, fields, found, notify, err);
  if (status == ACE_OK) status = read_json(path, fields, found, notify, err);
  return status == ACE_OK && row ? take_row(row, fields, err) : status;
}
