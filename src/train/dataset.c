#include "train/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "train/dataset_inner.h"

static const char POSITIONS[] = "prepend, append or replace";

static ace_status no_memory(ace_error *err) {
  return ace_fail(err, ACE_ENOMEM, "dataset: out of memory");
}

static ace_status set(json_t *object, const char *name, json_t *value, ace_error *err) {
  return value && json_object_set_new(object, name, value) == 0 ? ACE_OK : no_memory(err);
}

ace_status dataset_new(dataset *d, const char *name, ace_error *err) {
  *d = (dataset){.metadata =
                     json_pack("{s:s, s:s, s:s, s:s, s:i, s:b, s:i}", "name", name, "custom_tag", "", "tag_position",
                               "prepend", "created_at", "", "num_samples", 0, "all_instrumental", 1, "genre_ratio", 0)};
  return d->metadata ? ACE_OK : ace_fail(err, ACE_EINVAL, "dataset: the name is not text in UTF-8");
}

void dataset_free(dataset *d) {
  for (int i = 0; i < d->n; i++) json_decref(d->sample[i].fields);
  free(d->sample);
  json_decref(d->metadata);
  *d = (dataset){0};
}

const char *dataset_name(const dataset *d) {
  return json_text(d->metadata, "name");
}

const char *dataset_text(const dataset *d, int i, const char *field) {
  return json_text(d->sample[i].fields, field);
}

bool dataset_flag(const dataset *d, int i, const char *field) {
  return json_is_true(json_object_get(d->sample[i].fields, field));
}

int dataset_labeled(const dataset *d) {
  int labeled = 0;
  for (int i = 0; i < d->n; i++) labeled += dataset_flag(d, i, "labeled");
  return labeled;
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static bool has_id(const dataset *d, const char *id, size_t length) {
  for (int i = 0; i < d->n; i++) {
    const char *other = dataset_text(d, i, "id");
    if (strncmp(other, id, length) == 0 && other[length] == 0) return true;
  }
  return false;
}

void dataset_make_id(const dataset *d, const char *path, char out[DATASET_ID]) {
  enum { SHORTEST = 8, MORE = 2 };
  size_t n = SHORTEST;
  hash_memory(path, strlen(path), out);
  while (n < DATASET_ID - 1 && has_id(d, out, n)) n += MORE;
  out[n] = 0;
}

ace_status dataset_add(dataset *d, const json_t *fields, bool decided, const char *where, ace_error *err) {
  if (d->n >= DATASET_MOST)
    return ace_fail(err, ACE_EINVAL, "dataset: more than %d songs; make several datasets of them", DATASET_MOST);
  ace_error own;
  if (!err) err = &own;
  json_t *complete = dataset_complete(fields, where, err);
  if (!complete) return err->status;
  ace_status status = ACE_OK;
  const char *id = json_text(complete, "id"), *path = json_text(complete, "audio_path");
  if (!*json_text(complete, "filename")) status = set(complete, "filename", json_string(dataset_basename(path)), err);
  if (status == ACE_OK && (!*id || has_id(d, id, strlen(id)))) {
    char made[DATASET_ID];
    dataset_make_id(d, *path ? path : json_text(complete, "filename"), made);
    status = set(complete, "id", json_string(made), err);
  } else if (status == ACE_OK && !dataset_is_id(id)) {
    status = ace_fail(err, ACE_EFORMAT, "%s: id: only letters, digits, _ and - can be the name of a file", where);
  }
  dataset_sample *more = status == ACE_OK ? realloc(d->sample, ((size_t)d->n + 1) * sizeof *more) : NULL;
  if (!more) {
    json_decref(complete);
    return status == ACE_OK ? no_memory(err) : status;
  }
  d->sample = more;
  d->sample[d->n++] = (dataset_sample){.fields = complete, .decided = decided};
  return set(d->metadata, "num_samples", json_integer(d->n), err);
}

/* ---- of the whole ------------------------------------------------------------------------------------------------ */

ace_status dataset_set_name(dataset *d, const char *name, ace_error *err) {
  json_t *text = json_string(name);
  if (!text) return ace_fail(err, ACE_EINVAL, "dataset: the name is not text in UTF-8");
  return set(d->metadata, "name", text, err);
}

ace_status dataset_set_tag(dataset *d, const char *tag, const char *position, ace_error *err) {
  bool known = !position || strcmp(position, "prepend") == 0 || strcmp(position, "append") == 0 ||
               strcmp(position, "replace") == 0;
  if (!known) return ace_fail(err, ACE_EINVAL, "tag position: \"%.40s\" is not %s", position, POSITIONS);
  json_t *text = tag ? json_string(tag) : NULL;
  if (tag && !text) return ace_fail(err, ACE_EINVAL, "tag: it is not text in UTF-8");
  ace_status status = tag ? set(d->metadata, "custom_tag", text, err) : ACE_OK;
  for (int i = 0; i < d->n && tag && status == ACE_OK; i++)
    status = json_object_set(d->sample[i].fields, "custom_tag", text) == 0 ? ACE_OK : no_memory(err);
  if (status == ACE_OK && position) status = set(d->metadata, "tag_position", json_string(position), err);
  return status;
}

ace_status dataset_set_genre_ratio(dataset *d, int64_t percent, ace_error *err) {
  if (percent < 0 || percent > 100)
    return ace_fail(err, ACE_EINVAL, "genre ratio: %lld is outside 0..100", (long long)percent);
  return set(d->metadata, "genre_ratio", json_integer(percent), err);
}

static ace_status set_voice(json_t *fields, bool all, ace_error *err) {
  const char *raw = json_text(fields, "raw_lyrics"), *lyrics = json_text(fields, "lyrics");
  bool unsung = !*lyrics || strcmp(lyrics, DATASET_INSTRUMENTAL) == 0, instrumental = all && !*raw;
  ace_status status = set(fields, "is_instrumental", json_boolean(instrumental), err);
  if (status != ACE_OK) return status;
  if (*raw) return unsung ? set(fields, "lyrics", json_string(raw), err) : ACE_OK;
  if (!instrumental)
    return unsung ? set(fields, "lyrics", json_string(json_text(fields, "formatted_lyrics")), err) : ACE_OK;
  status = set(fields, "lyrics", json_string(DATASET_INSTRUMENTAL), err);
  return status == ACE_OK ? set(fields, "language", json_string("unknown"), err) : status;
}

ace_status dataset_set_instrumental(dataset *d, bool all, ace_error *err) {
  ace_status status = set(d->metadata, "all_instrumental", json_boolean(all), err);
  for (int i = 0; i < d->n && status == ACE_OK; i++)
    if (!d->sample[i].decided) status = set_voice(d->sample[i].fields, all, err);
  return status;
}

/* ---- of one ------------------------------------------------------------------------------------------------------ */

/* What follows from what was changed. */
static ace_status settle(json_t *fields, ace_error *err) {
  bool instrumental = json_is_true(json_object_get(fields, "is_instrumental"));
  ace_status status = ACE_OK;
  if (instrumental) {
    status = set(fields, "lyrics", json_string(DATASET_INSTRUMENTAL), err);
    if (status == ACE_OK) status = set(fields, "language", json_string("unknown"), err);
  }
  const char *lyrics = json_text(fields, "lyrics");
  bool sung = *lyrics && strcmp(lyrics, DATASET_INSTRUMENTAL) != 0;
  if (status == ACE_OK) status = set(fields, "formatted_lyrics", json_string(sung ? lyrics : ""), err);
  return status == ACE_OK ? set(fields, "labeled", json_true(), err) : status;
}

ace_status dataset_edit(dataset *d, int i, const json_t *changes, ace_error *err) {
  if (i < 0 || i >= d->n)
    return ace_fail(err, ACE_EINVAL, "dataset: there is no sample %d; they are 0..%d", i, d->n - 1);
  char where[64];
  snprintf(where, sizeof where, "sample %d", i);
  json_t *edited = json_copy(d->sample[i].fields);
  ace_status status = edited ? ACE_OK : no_memory(err);
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)changes, name, value) {
    const dataset_field *f = dataset_field_find(name);
    if (status == ACE_OK && (!f || !f->edited))
      status = ace_fail(err, ACE_EINVAL, "%s: %.40s: no field that can be edited", where, name);
    if (status == ACE_OK) status = dataset_put(edited, f, value, where, err);
  }
  if (status == ACE_OK) status = settle(edited, err);
  if (status != ACE_OK) {
    json_decref(edited);
    return status;
  }
  json_decref(d->sample[i].fields);
  d->sample[i].fields = edited;
  if (json_object_get(changes, "is_instrumental")) d->sample[i].decided = true;
  return ACE_OK;
}
