/* http_body.c - bodies while they arrive: text in memory, files of multipart forms on disk, both within limits; and the
 * taking apart of urlencoded text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "server/http_inner.h"

enum { MOST_PARTS = 256, FORM_BUFFER = 64 * 1024, NAME_BYTES = 255 };

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static char *copy_bytes(const char *from, size_t length) {
  char *to = malloc(length + 1);
  if (!to) return NULL;
  memcpy(to, from, length);
  to[length] = 0;
  return to;
}

http_field *http_list_add(http_list *l, const char *name, const char *value, size_t length) {
  if (l->n == l->room) {
    int room = l->room ? 2 * l->room : 8;
    http_field *grown = realloc(l->fields, (size_t)room * sizeof *grown);
    if (!grown) return NULL;
    l->fields = grown, l->room = room;
  }
  http_field f = {.name = strdup(name), .value = value ? copy_bytes(value, length) : NULL, .length = length};
  if (!f.name || (value && !f.value)) {
    free((char *)f.name), free((char *)f.value);
    return NULL;
  }
  l->fields[l->n] = f;
  return &l->fields[l->n++];
}

void http_list_free(http_list *l) {
  for (int i = 0; i < l->n; i++) {
    const http_field *f = &l->fields[i];
    if (f->path) unlink(f->path);
    free((char *)f->name), free((char *)f->value), free((char *)f->file_name), free((char *)f->path);
  }
  free(l->fields);
  *l = (http_list){0};
}

/* ---- urlencoded text --------------------------------------------------------------------------------------------- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decoded into new memory; a '%' that begins no pair of digits stands for itself. */
static char *decode(const char *text, size_t n, size_t *length) {
  char *out = malloc(n + 1);
  if (!out) return NULL;
  size_t used = 0;
  for (size_t i = 0; i < n; i++) {
    int hi = text[i] == '%' && i + 2 < n ? hex_digit(text[i + 1]) : -1;
    int lo = hi >= 0 ? hex_digit(text[i + 2]) : -1;
    if (lo >= 0) out[used++] = (char)(hi * 16 + lo), i += 2;
    else out[used++] = text[i] == '+' ? ' ' : text[i];
  }
  out[used] = 0;
  *length = used;
  return out;
}

static bool add_pair(http_list *out, const char *pair, size_t n) {
  const char *equals = memchr(pair, '=', n);
  size_t name_length = equals ? (size_t)(equals - pair) : n, length = 0;
  char *name = decode(pair, name_length, &name_length);
  char *value = equals ? decode(equals + 1, n - (size_t)(equals + 1 - pair), &length) : strdup("");
  bool ok = name && value && http_list_add(out, name, value, length);
  free(name), free(value);
  return ok;
}

bool http_parse_form(const char *text, size_t length, int most, http_list *out) {
  for (size_t at = 0; at < length;) {
    const char *end = memchr(text + at, '&', length - at);
    size_t n = end ? (size_t)(end - (text + at)) : length - at;
    if (n > 0 && (out->n >= most || !add_pair(out, text + at, n))) return false;
    at += n + 1;
  }
  return true;
}

const http_field *http_parse_text(http_call *c, const char *text, size_t length, int *n) {
  static const http_field none;
  bool ok = http_parse_form(text, length, MOST_PARTS, &c->form);
  *n = c->form.n;
  return !ok ? NULL : c->form.fields ? c->form.fields : &none;
}

/* ---- intake ------------------------------------------------------------------------------------------------------ */

static bool refuse(http_intake *in, int status, const char *why) {
  if (!in->refused) in->refused = status, in->why = why;
  return false;
}

static int most_parts(const http_intake *in) {
  return in->wish.parts > 0 ? in->wish.parts : MOST_PARTS;
}

static bool begin_file(http_call *c, http_field *f) {
  http_intake *in = &c->intake;
  char *path = file_join(c->server->uploads, ".upload-XXXXXX");
  in->file = path ? mkstemp(path) : -1;
  if (in->file < 0) {
    free(path);
    return refuse(in, 507, "the upload cannot be stored");
  }
  f->path = path;
  return true;
}

static bool add_to_file(http_intake *in, http_field *f, const char *data, size_t size) {
  in->uploaded += size;
  f->bytes += size;
  if (in->uploaded > in->wish.upload) return refuse(in, 413, "the files are larger than this server takes");
  while (size > 0) {
    ssize_t n = write(in->file, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return refuse(in, 507, "the upload cannot be stored");
    data += n, size -= (size_t)n;
  }
  return true;
}

static bool add_to_value(http_intake *in, http_field *f, const char *data, size_t size) {
  if (f->length + size > in->wish.body) return refuse(in, 400, "a field of the form is too long");
  char *grown = realloc((char *)f->value, f->length + size + 1);
  if (!grown) return refuse(in, 503, "out of memory");
  memcpy(grown + f->length, data, size);
  f->length += size;
  grown[f->length] = 0;
  f->value = grown;
  return true;
}

static void close_file(http_intake *in) {
  if (in->file >= 0) close(in->file);
  in->file = -1;
}

static http_field *begin_part(http_call *c, const char *name, const char *file_name) {
  http_intake *in = &c->intake;
  close_file(in);
  if (c->form.n >= most_parts(in)) return refuse(in, 400, "the form has too many fields"), NULL;
  http_field *f = http_list_add(&c->form, name, file_name ? NULL : "", 0);
  if (!f) return refuse(in, 503, "out of memory"), NULL;
  if (!file_name) return f;
  if (in->wish.upload == 0) return refuse(in, 413, "no files are taken here"), NULL;
  f->file_name = copy_bytes(file_name, strnlen(file_name, NAME_BYTES));
  if (!f->file_name) return refuse(in, 503, "out of memory"), NULL;
  return begin_file(c, f) ? f : NULL;
}

/* libmicrohttpd hands out the parts of a multipart form in pieces. */
static enum MHD_Result take_part(void *cls, enum MHD_ValueKind kind, const char *name, const char *file_name,
                                 const char *type, const char *encoding, const char *data, uint64_t offset,
                                 size_t size) {
  http_call *c = cls;
  http_intake *in = &c->intake;
  if (in->refused || !name) return MHD_NO;
  http_field *f = offset == 0 ? begin_part(c, name, file_name) : &c->form.fields[c->form.n - 1];
  if (!f) return MHD_NO;
  return (f->path ? add_to_file(in, f, data, size) : add_to_value(in, f, data, size)) ? MHD_YES : MHD_NO;
}

bool http_intake_open(http_call *c) {
  http_intake *in = &c->intake;
  in->file = -1;
  const char *type = http_header(c, "Content-Type"), *length = http_header(c, "Content-Length");
  bool form = type && strncasecmp(type, "multipart/form-data", 19) == 0;
  if (!form && length && strtoull(length, NULL, 10) > in->wish.body) return refuse(in, 413, "the body is too long");
  if (!form) return true;
  in->form = MHD_create_post_processor(c->connection, FORM_BUFFER, take_part, c);
  return in->form || refuse(in, 400, "the form has no usable boundary");
}

static bool add_text(http_intake *in, const char *data, size_t length) {
  if (length > in->wish.body || in->length > in->wish.body - length) return refuse(in, 413, "the body is too long");
  if (in->length + length + 1 > in->room) {
    size_t room = in->length + length + 1 > 2 * in->room ? in->length + length + 1 : 2 * in->room;
    char *grown = realloc(in->text, room);
    if (!grown) return refuse(in, 503, "out of memory");
    in->text = grown, in->room = room;
  }
  memcpy(in->text + in->length, data, length);
  in->length += length;
  in->text[in->length] = 0;
  return true;
}

bool http_intake_add(http_call *c, const char *data, size_t length) {
  http_intake *in = &c->intake;
  if (in->refused) return false;
  if (!in->form) return add_text(in, data, length);
  return MHD_post_process(in->form, data, length) == MHD_YES || refuse(in, 400, "the form cannot be read");
}

bool http_intake_end(http_call *c) {
  http_intake *in = &c->intake;
  if (in->form) {
    enum MHD_Result whole = MHD_destroy_post_processor(in->form);
    in->form = NULL;
    close_file(in);
    if (whole != MHD_YES) return refuse(in, 400, "the form cannot be read");
  }
  const char *type = http_header(c, "Content-Type");
  if (!in->refused && in->text && type && strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0 &&
      !http_parse_form(in->text, in->length, most_parts(in), &c->form))
    return refuse(in, 400, "the form has too many fields");
  return !in->refused;
}

void http_intake_close(http_call *c) {
  if (c->intake.form) MHD_destroy_post_processor(c->intake.form);
  close_file(&c->intake);
  free(c->intake.text);
}
