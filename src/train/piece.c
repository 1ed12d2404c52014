#include "train/piece.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"

static const char FORMAT[] = "acestep-piece-v1", STEM[] = "stem/", REST[] = "rest/";

enum { FRAMES_MOST = 1 << 16, CHANNELS_MOST = 1 << 12, STEP = 4096 };

static ace_status check_tensor(const piece *p, const st_tensor *t, ace_error *err) {
  float values[STEP];
  if (t->rank != 2 || t->dim[0] < 1 || t->dim[0] > FRAMES_MOST || t->dim[1] < 1 || t->dim[1] > CHANNELS_MOST ||
      (t->dtype != ST_F16 && t->dtype != ST_BF16 && t->dtype != ST_F32))
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: not F16, BF16 or F32 of shape [frames, channels]",
                    st_path(p->file), t->name);
  if (p->mix && (t->dim[0] != p->frames || t->dim[1] != p->channels))
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: another shape than mix", st_path(p->file), t->name);
  for (int64_t i = 0, n; i < t->count; i += n) {
    n = t->count - i < STEP ? t->count - i : STEP;
    st_widen(t, i, n, values);
    for (int64_t j = 0; j < n; j++)
      if (!isfinite(values[j]))
        return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: value %lld is not finite", st_path(p->file), t->name,
                        (long long)(i + j));
  }
  return ACE_OK;
}

static ace_status add_track(piece *p, const st_tensor *stem, ace_error *err) {
  char name[sizeof REST + PIECE_NAME_SIZE];
  const char *track = stem->name + strlen(STEM);
  if (!*track || strlen(track) >= PIECE_NAME_SIZE)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %.60s: no name of a track", st_path(p->file), stem->name);
  if (p->tracks == PIECE_TRACKS)
    return ace_fail(err, ACE_EFORMAT, "%s: more than %d tracks", st_path(p->file), PIECE_TRACKS);
  snprintf(name, sizeof name, "%s%s", REST, track);
  piece_track *to = &p->track[p->tracks++];
  snprintf(to->name, sizeof to->name, "%s", track);
  to->stem = stem;
  to->rest = st_find(p->file, name);
  if (!to->rest) return ace_fail(err, ACE_EFORMAT, "%s: tensor %s is missing", st_path(p->file), name);
  ace_status status = check_tensor(p, to->stem, err);
  return status == ACE_OK ? check_tensor(p, to->rest, err) : status;
}

static ace_status read_about(piece *p, ace_error *err) {
  const char *format = st_metadata(p->file, "format"), *about = st_metadata(p->file, "about");
  if (!format || strcmp(format, FORMAT) != 0 || !about)
    return ace_fail(err, ACE_EFORMAT, "%s: not a prepared piece (%s)", st_path(p->file), FORMAT);
  p->about = json_parse(about, strlen(about), st_path(p->file), err);
  if (!p->about) return ACE_EFORMAT;
  return json_is_object(p->about) ? ACE_OK : ace_fail(err, ACE_EFORMAT, "%s: about: not an object", st_path(p->file));
}

static ace_status read_piece(piece *p, ace_error *err) {
  ace_status status = read_about(p, err);
  const st_tensor *mix = st_find(p->file, "mix");
  if (status == ACE_OK && !mix) status = ace_fail(err, ACE_EFORMAT, "%s: tensor mix is missing", st_path(p->file));
  if (status == ACE_OK) status = check_tensor(p, mix, err);
  if (status != ACE_OK) return status;
  p->mix = mix;
  p->frames = mix->dim[0];
  p->channels = mix->dim[1];
  for (int i = 0; i < st_count(p->file) && status == ACE_OK; i++)
    if (string_begins(st_at(p->file, i)->name, STEM)) status = add_track(p, st_at(p->file, i), err);
  return status;
}

ace_status piece_open(const char *path, piece *out, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  *out = (piece){.file = st_open(path, err)};
  if (!out->file) return err->status;
  ace_status status = read_piece(out, err);
  if (status != ACE_OK) piece_close(out);
  return status;
}

void piece_close(piece *p) {
  st_close(p->file);
  json_decref(p->about);
  *p = (piece){0};
}

ace_status piece_write(const char *path, const json_t *about, const st_tensor *tensors, int n, ace_error *err) {
  char *text = json_dumps(about, JSON_COMPACT);
  if (!text) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  ace_status status = st_write(path, tensors, n, (const char *const[]){"format", FORMAT, "about", text}, 2, err);
  free(text);
  return status;
}
