#include "server/acecpp_body.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/read.h"
#include "base/file.h"
#include "request/text.h"
#include "service/tasks.h"

enum { REQUEST_BYTES = 4 << 20, SECONDS_MOST = 600, DEPTH = 16 };
static const size_t FRAME_BYTES = 64 * sizeof(float);

void acecpp_refuse(call *c, int status, const char *text) {
  json_t *message = json_string(text);
  http_json(c->http, status, json_pack("{s:o}", "error", message ? message : json_string("invalid")));
}

static bool refused(call *c, int status, const char *text) {
  acecpp_refuse(c, status, text);
  return false;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static bool too_deep(const char *text, size_t n) {
  int depth = 0;
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '{' || text[i] == '[') depth++;
    if (depth > DEPTH) return true;
    if (text[i] == '}' || text[i] == ']') depth--;
  }
  return false;
}

/* One object, or several in an array. */
static bool take_requests(call *c, const char *text, size_t n, const char *broken, json_t *into) {
  json_t *v = text && !too_deep(text, n) ? json_loadb(text, n, JSON_ALLOW_NUL, NULL) : NULL, *one;
  size_t i;
  bool ok = json_is_object(v) || json_is_array(v);
  if (json_is_object(v)) json_array_append(into, v);
  json_array_foreach(v, i, one) {
    ok = ok && json_is_object(one);
    if (ok) json_array_append(into, one);
  }
  bool empty = ok && json_array_size(into) == 0;
  json_decref(v);
  if (empty) return refused(c, 400, "Empty request");
  return ok || refused(c, 400, broken);
}

/* ---- forms ------------------------------------------------------------------------------------------------------- */

static const http_field *field_of(call *c, const char *name) {
  int n;
  const http_field *fields = http_fields(c->http, &n);
  for (int i = 0; i < n; i++)
    if (strcmp(fields[i].name, name) == 0) return &fields[i];
  return NULL;
}

static bool take_form_requests(call *c, acecpp_body *b, bool needed) {
  static const char broken[] = "Multipart: invalid JSON in 'request' part";
  const http_field *f = field_of(c, "request");
  if (!f) return !needed || refused(c, 400, "Multipart: missing 'request' part");
  if (!f->path) return take_requests(c, f->value, f->length, broken, b->requests);
  size_t n;
  char *text = file_read(f->path, REQUEST_BYTES, &n, NULL);
  bool ok = take_requests(c, text, text ? n : 0, broken, b->requests);
  free(text);
  return ok;
}

/* A part becomes a file of its own, whether it came as one or not. */
static bool take_file(call *c, const char *name, char **out) {
  const http_field *f = field_of(c, name);
  if (!f) return true;
  ace_error err;
  *out = service_upload_path(c->service, "");
  bool ok = *out && (f->path ? rename(f->path, *out) == 0 : file_write(*out, f->value, f->length, &err) == ACE_OK);
  return ok || refused(c, 507, "The upload cannot be stored");
}

static bool check_latents(call *c, const char *path) {
  struct stat st;
  if (!path) return true;
  if (stat(path, &st) != 0 || st.st_size == 0 || (size_t)st.st_size % FRAME_BYTES)
    return refused(c, 400, "src_latents size not a multiple of 64*4 bytes");
  if ((size_t)st.st_size > TASK_MOST_FRAMES * FRAME_BYTES) return refused(c, 413, "src_latents exceeds max frames");
  return true;
}

static bool check_audio(call *c, const char *path) {
  struct stat st;
  audio_buffer b = {0};
  if (!path) return true;
  if (stat(path, &st) != 0 || st.st_size == 0) return refused(c, 400, "Multipart: empty 'audio' part");
  bool readable = audio_read(path, &b, NULL) == ACE_OK;
  double seconds = readable ? (double)b.frames / b.sample_rate : 0;
  audio_buffer_free(&b);
  if (!readable) return refused(c, 400, "Failed to decode audio");
  return seconds <= SECONDS_MOST || refused(c, 413, "audio exceeds max duration (10 min)");
}

static bool is_form(const call *c) {
  const char *type = http_header(c->http, "Content-Type");
  return type && strncasecmp(type, "multipart/form-data", 19) == 0;
}

bool acecpp_body_read(call *c, const char *needs, acecpp_body *b) {
  size_t n;
  *b = (acecpp_body){.requests = json_array()};
  if (!is_form(c)) {
    const char *text = http_body(c->http, &n);
    return needs ? refused(c, 400, needs) : take_requests(c, text, text ? n : 0, "Invalid JSON", b->requests);
  }
  return take_form_requests(c, b, !needs) && take_file(c, "audio", &b->audio) &&
         take_file(c, "src_latents", &b->latents) && take_file(c, "ref_audio", &b->ref_audio) &&
         take_file(c, "ref_latents", &b->ref_latents) && check_audio(c, b->audio) && check_audio(c, b->ref_audio) &&
         check_latents(c, b->latents) && check_latents(c, b->ref_latents);
}

void acecpp_body_free(acecpp_body *b, bool taken) {
  char *const files[] = {b->audio, b->latents, b->ref_audio, b->ref_latents};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    if (files[i] && !taken) unlink(files[i]);
    free(files[i]);
  }
  json_decref(b->requests);
  *b = (acecpp_body){0};
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

void acecpp_send_parts(call *c, const acecpp_part *part, int n) {
  static const char mark[] = "--ace-batch-boundary", latent[] = "Content-Disposition: form-data; name=\"latent\"\r\n";
  req_text out = {0};
  for (int i = 0; i < n; i++) {
    req_text_addf(&out, "%s\r\nContent-Type: %s\r\n%s\r\n", mark, part[i].type, part[i].latent ? latent : "");
    req_text_add_bytes(&out, part[i].data, part[i].size);
    req_text_add(&out, "\r\n");
  }
  req_text_addf(&out, "%s--\r\n", mark);
  size_t size = out.size;
  char *text = req_text_take(&out);
  if (text) http_bytes(c->http, 200, "multipart/mixed; boundary=ace-batch-boundary", text, size);
  else acecpp_refuse(c, 500, "Out of memory");
  free(text);
}

static void put_number(unsigned char *at, uint32_t x, int bytes) {
  for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(x >> 8 * i);
}

/* The head of a PCM file (RIFF WAVE), 44 bytes. */
static void put_head(unsigned char *at, const audio_buffer *b, size_t data) {
  const int bytes = 3;
  memcpy(at, "RIFF", 4), put_number(at + 4, (uint32_t)(36 + data), 4);
  memcpy(at + 8, "WAVEfmt ", 8), put_number(at + 16, 16, 4);
  put_number(at + 20, 1, 2), put_number(at + 22, (uint32_t)b->channels, 2);
  put_number(at + 24, (uint32_t)b->sample_rate, 4);
  put_number(at + 28, (uint32_t)(b->sample_rate * b->channels * bytes), 4);
  put_number(at + 32, (uint32_t)(b->channels * bytes), 2), put_number(at + 34, 8 * bytes, 2);
  memcpy(at + 36, "data", 4), put_number(at + 40, (uint32_t)data, 4);
}

char *acecpp_wav24(const char *path, size_t *size, ace_error *err) {
  enum { HEAD = 44, BYTES = 3, MOST = 0x7fffff };
  audio_buffer b = {0};
  if (audio_read(path, &b, err) != ACE_OK) return NULL;
  size_t n = (size_t)(b.frames * b.channels);
  unsigned char *out = malloc(HEAD + BYTES * n);
  if (out) put_head(out, &b, BYTES * n);
  else ace_fail(err, ACE_ENOMEM, "out of memory");
  for (size_t i = 0; out && i < n; i++) {
    double x = fmin(fmax((double)b.samples[i], -1), 1);
    put_number(out + HEAD + BYTES * i, (uint32_t)(int32_t)lround(x * MOST), BYTES);
  }
  *size = HEAD + BYTES * n;
  audio_buffer_free(&b);
  return (char *)out;
}
