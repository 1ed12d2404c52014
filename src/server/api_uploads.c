/* api_uploads.c - recordings that users upload, and named settings that they keep. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/media.h"
#include "server/route.h"
#include "service/recordings.h"

enum { PRESETS_MOST = 200, PRESET_BYTES = 64 * 1024 };

/* ---- uploads ----------------------------------------------------------------------------------------------------- */

/* The only file of the form; NULL: answered. */
static const http_field *file_of(call *c) {
  int n;
  const http_field *fields = http_fields(c->http, &n), *found = NULL;
  for (int i = 0; i < n; i++) {
    if (fields[i].path && found) {
      refuse(c, 400, NULL, "file", "one file at a time");
      return NULL;
    }
    if (fields[i].path) found = &fields[i];
  }
  if (!found) refuse(c, 400, NULL, "file", "a form with a file is needed");
  return found;
}

static void refuse_recording(call *c, recording_fault why, const ace_error *err) {
  static const char *const kinds[] = {[RECORDING_BAD] = "bad_audio",
                                      [RECORDING_SILENT] = "silent_audio",
                                      [RECORDING_LONG] = "too_long",
                                      [RECORDING_QUOTA] = "quota",
                                      [RECORDING_ERROR] = NULL};
  if (why == RECORDING_QUOTA) refuse(c, 507, kinds[why], NULL, "%s", err->message);
  else refuse_error(c, kinds[why], NULL, err);
}

static void post_upload(call *c) {
  const http_field *file = file_of(c);
  recording_fault why;
  ace_error err;
  if (!file) return;
  json_t *about = recording_add(c->service, c->session, file->path, file->file_name ? file->file_name : "", &why, &err);
  if (about) reply_data(c, about);
  else refuse_recording(c, why, &err);
}

static void get_uploads(call *c) {
  ace_error err;
  json_t *list = recordings_of(c->service, c->session, &err);
  if (list) reply_data(c, list);
  else refuse_error(c, NULL, NULL, &err);
}

/* Browsers find out themselves what kind of sound it is. */
static void get_upload(call *c) {
  ace_error err;
  char *path = recording_path(c->service, c->session, c->part[0], &err);
  if (path) media_send(c, path, "upload", http_query(c->http, "download"));
  else refuse_error(c, NULL, NULL, &err);
  free(path);
}

static void get_upload_peaks(call *c) {
  ace_error err;
  char *path = recording_peaks(c->service, c->session, c->part[0], &err);
  if (path) media_send(c, path, "upload.peaks", NULL);
  else refuse_error(c, NULL, NULL, &err);
  free(path);
}

static void delete_upload(call *c) {
  ace_error err;
  if (recording_remove(c->service, c->session, c->part[0], &err) == ACE_OK)
    reply_data(c, json_pack("{s:s}", "id", c->part[0]));
  else refuse_error(c, NULL, NULL, &err);
}

/* ---- presets ----------------------------------------------------------------------------------------------------- */

static void get_presets(call *c) {
  ace_error err;
  json_t *all = jobs_recall_all(service_jobs(c->service), c->session, "preset", &err);
  if (all) reply_data(c, all);
  else refuse_error(c, NULL, NULL, &err);
}

static void get_preset(call *c) {
  ace_error err;
  json_t *preset = jobs_recall(service_jobs(c->service), c->session, "preset", c->part[0], true, &err);
  if (preset) reply_data(c, preset);
  else refuse_error(c, NULL, NULL, &err);
}

static void put_preset(call *c) {
  ace_error err;
  char *text = json_dumps(c->body, JSON_COMPACT);
  bool small = text && strlen(text) <= PRESET_BYTES;
  free(text);
  if (!small) refuse(c, 413, NULL, NULL, "a preset has at most %d bytes", PRESET_BYTES);
  else if (jobs_keep(service_jobs(c->service), c->session, "preset", c->part[0], c->body, PRESETS_MOST, &err) == ACE_OK)
    reply_data(c, json_incref(c->body));
  else refuse_error(c, NULL, NULL, &err);
}

static void delete_preset(call *c) {
  ace_error err;
  if (jobs_forget(service_jobs(c->service), c->session, "preset", c->part[0], &err) == ACE_OK)
    reply_data(c, json_pack("{s:s}", "name", c->part[0]));
  else refuse_error(c, NULL, NULL, &err);
}

const route routes_uploads[] = {
    {"POST", "/v1/uploads", AUTH_SESSION, BODY_LOOSE, true, post_upload, "A recording, checked", "file:file",
     ":Upload"},
    {"GET", "/v1/uploads", AUTH_SESSION, BODY_NONE, false, get_uploads, "What was uploaded", NULL, ":[Upload]"},
    {"GET", "/v1/uploads/*", AUTH_SESSION, BODY_NONE, false, get_upload, "The sound of an upload", "download?",
     "audio/*"},
    {"GET", "/v1/uploads/*/peaks", AUTH_SESSION, BODY_NONE, false, get_upload_peaks, "Its outline, to be drawn", NULL,
     "=columns:int seconds:number peaks:list"},
    {"DELETE", "/v1/uploads/*", AUTH_SESSION, BODY_NONE, false, delete_upload, "Remove an upload", NULL, "id"},
    {"GET", "/v1/presets", AUTH_SESSION, BODY_NONE, false, get_presets, "Named settings of the session", NULL,
     ":object"},
    {"GET", "/v1/presets/*", AUTH_SESSION, BODY_NONE, false, get_preset, "One preset", NULL, ":object"},
    {"PUT", "/v1/presets/*", AUTH_SESSION, BODY_TYPED, false, put_preset, "Keep a preset", ":object", ":object"},
    {"DELETE", "/v1/presets/*", AUTH_SESSION, BODY_NONE, false, delete_preset, "Forget a preset", NULL, "name"},
    {0},
};
