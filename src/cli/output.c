#include "cli/output.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audio/format.h"
#include "base/file.h"
#include "request/text.h"

enum { SLUG_MOST = 48, NAMES_MOST = 10000 };

/* ---- names ------------------------------------------------------------------------------------------------------ */

char *output_slug(const char *text) {
  char *slug = malloc(SLUG_MOST + 1);
  size_t n = 0;
  if (!slug) return NULL;
  bool gap = false;
  for (const char *p = text; *p && n < SLUG_MOST; p++) {
    unsigned char c = (unsigned char)*p;
    bool upper = c >= 'A' && c <= 'Z', word = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
    if (!word) {
      gap = n > 0;
      continue;
    }
    if (gap && n < SLUG_MOST) slug[n++] = '-';
    gap = false;
    if (n < SLUG_MOST) slug[n++] = (char)(upper ? c + 0x20 : c);
  }
  /* No half character at the end: back to its first byte unless it is whole. */
  size_t start = n;
  while (start > 0 && ((unsigned char)slug[start - 1] & 0xC0) == 0x80) start--;
  if (start > 0 && (unsigned char)slug[start - 1] >= 0xC0) {
    unsigned char lead = (unsigned char)slug[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (n - (start - 1) < need) n = start - 1;
  }
  while (n > 0 && slug[n - 1] == '-') n--;
  slug[n] = 0;
  if (n == 0) strcpy(slug, "song");
  return slug;
}

/* Where the extension of a path begins: at its last dot, or at its end. */
static size_t stem_length(const char *path) {
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
  return dot && dot != base ? (size_t)(dot - path) : strlen(path);
}

static char *format_path(const char *format, ...) ACE_PRINTF(1, 2);
static char *format_path(const char *format, ...) {
  req_text t = {0};
  va_list list;
  char buffer[4096 + 256];
  va_start(list, format);
  int n = vsnprintf(buffer, sizeof buffer, format, list);
  va_end(list);
  if (n < 0 || (size_t)n >= sizeof buffer) return NULL;
  req_text_add(&t, buffer);
  return req_text_take(&t);
}

char *output_json_path(const char *path) {
  return format_path("%.*s.json", (int)stem_length(path), path);
}

/* The made name with its number; 1 has none. */
static char *made_name(const output *o, uint32_t seed, int number) {
  char name[SLUG_MOST + 64], suffix[16] = "";
  if (number > 1) snprintf(suffix, sizeof suffix, "-%d", number);
  snprintf(name, sizeof name, "%s-%" PRIu32 "%s.%s", o->slug, seed, suffix, o->extension);
  return file_join(o->folder, name);
}

static bool taken(const char *path) {
  char *json = output_json_path(path);
  bool yes = file_exists(path) || (json && file_exists(json));
  free(json);
  return yes;
}

char *output_path(const output *o, int item, uint32_t seed) {
  if (!o->file) {
    for (int number = 1; number < NAMES_MOST; number++) {
      char *path = made_name(o, seed, number);
      if (!path || !taken(path)) return path;
      free(path);
    }
    return NULL;
  }
  if (o->items == 1) return strdup(o->file);
  size_t stem = stem_length(o->file);
  return format_path("%.*s-%d%s", (int)stem, o->file, item + 1, o->file + stem);
}

/* ---- the same song again ---------------------------------------------------------------------------------------- */

static bool same_content(const char *a, const char *b) {
  file_map x, y;
  if (file_map_open(&x, a, NULL) != ACE_OK) return false;
  bool same = file_map_open(&y, b, NULL) == ACE_OK;
  if (same) {
    same = x.size == y.size && (x.size == 0 || memcmp(x.data, y.data, x.size) == 0);
    file_map_close(&y);
  }
  file_map_close(&x);
  return same;
}

bool output_merge(const output *o, uint32_t seed, char **path) {
  if (o->file) return false;
  for (int number = 1; number < NAMES_MOST; number++) {
    char *older = made_name(o, seed, number);
    if (!older || strcmp(older, *path) == 0) {
      free(older);
      return false;
    }
    if (!same_content(older, *path)) {
      free(older);
      continue;
    }
    char *from = output_json_path(*path), *to = output_json_path(older);
    bool moved = from && to && rename(*path, older) == 0;
    if (moved) {
      rename(from, to);
      free(*path);
      *path = older;
      older = NULL;
    }
    free(from), free(to), free(older);
    return moved;
  }
  return false;
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

static ace_status plan_format(const char *file, bool format_given, ace_request *r, const char **extension,
                              ace_error *err) {
  audio_format format;
  ace_status status = ACE_OK;
  const char *named = req_format_name(r);
  if (file && !format_given) {
    status = audio_format_from_path(file, &format, err);
    /* A saved wav32 stays one in a file that ends in .wav. */
    if (status == ACE_OK && format == AUDIO_WAV && strcmp(named, "wav32") == 0) format = AUDIO_WAV32;
  } else {
    status = audio_format_from_name(*named ? named : "flac", &format, err);
  }
  if (status == ACE_OK) status = audio_format_check(format, err);
  if (status != ACE_OK) return status;
  *extension = audio_format_extension(format);
  return ace_request_set(r, "audio_format", audio_format_name(format), err);
}

ace_status output_try(const char *path, ace_error *err) {
  size_t n = strlen(path);
  while (n > 0 && path[n - 1] != '/') n--;
  char *folder = n ? strndup(path, n) : strdup(".");
  ace_status status = folder ? ACE_OK : ace_fail(err, ACE_ENOMEM, "output: out of memory");
  if (folder && !file_is_directory(folder))
    status = ace_fail(err, ACE_ENOTFOUND, "%s: there is no folder %s; make it first", path, folder);
  file_writer w;
  if (status == ACE_OK) status = file_writer_open(&w, path, err);
  if (status == ACE_OK) file_writer_abort(&w);
  free(folder);
  return status;
}

static ace_status try_first(const output *o, ace_error *err) {
  char *path = output_path(o, 0, 0);
  if (!path) return ace_fail(err, ACE_EINVAL, "-o: the path is too long");
  ace_status status = output_try(path, err);
  free(path);
  return status;
}

ace_status output_plan(output *o, const char *path, bool format_given, ace_request *request, ace_error *err) {
  *o = (output){.items = request->batch_size};
  if (path && !*path) return ace_fail(err, ACE_EINVAL, "-o: the name is empty");
  if (path && strcmp(path, "-") == 0)
    return ace_fail(err, ACE_EINVAL, "-o: songs cannot go to standard output; give a file name");
  bool into = !path || file_is_directory(path);
  ace_status status = plan_format(into ? NULL : path, format_given, request, &o->extension, err);
  if (status != ACE_OK) return status;
  if (into) {
    o->folder = strdup(path ? path : "");
    o->slug = output_slug(*request->title ? request->title : request->caption);
  } else {
    o->file = strdup(path);
  }
  if (into ? !o->folder || !o->slug : !o->file) return ace_fail(err, ACE_ENOMEM, "output: out of memory");
  return try_first(o, err);
}

void output_free(output *o) {
  free(o->file), free(o->folder), free(o->slug);
  *o = (output){0};
}
