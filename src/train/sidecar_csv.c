/* sidecar_csv.c - tables of songs, as programs that find tempo and key export them. RFC 4180, and what others make of it:
 * other separators, a byte-order mark, blanks around names.
 */
#include <stdlib.h>
#include <string.h>

#include "request/text.h"
#include "train/sidecar.h"

enum { SNIFFED = 4096 };

typedef enum column { FILE_NAME, BPM, KEY, CAPTION, COLUMNS } column;

typedef struct table {
  const char *p, *end;
  char separator;
  int at[COLUMNS]; /* place of each column; -1: there is none */
} table;

/* The separator that stands most often in the beginning of the first line, outside of quotes. */
static char find_separator(const char *text, size_t length) {
  static const char known[] = {',', ';', '\t'};
  int count[sizeof known] = {0}, best = 0;
  bool quoted = false;
  for (size_t i = 0; i < length && i < SNIFFED && (quoted || (text[i] != '\n' && text[i] != '\r')); i++) {
    quoted ^= text[i] == '"';
    for (size_t k = 0; k < sizeof known; k++) count[k] += !quoted && text[i] == known[k];
  }
  for (size_t k = 1; k < sizeof known; k++)
    if (count[k] > count[best]) best = (int)k;
  return known[best];
}

/* Takes one field off the front; *last: it ended its row. */
static void next_field(table *t, req_text *out, bool *last) {
  bool quoted = t->p < t->end && *t->p == '"';
  if (quoted) t->p++;
  for (; t->p < t->end; t->p++) {
    bool quote = quoted && *t->p == '"';
    if (quote && t->p + 1 < t->end && t->p[1] == '"') t->p++; /* two stand for one */
    else if (quote) {
      quoted = false;
      continue;
    } else if (!quoted && (*t->p == t->separator || *t->p == '\n' || *t->p == '\r')) break;
    req_text_add_bytes(out, t->p, 1);
  }
  *last = t->p == t->end || *t->p != t->separator;
  if (t->p < t->end && *t->p == '\r' && t->p + 1 < t->end && t->p[1] == '\n') t->p++;
  if (t->p < t->end) t->p++;
}

/* A field without blanks at its ends. free() it; NULL when out of memory. */
static char *take_field(table *t, bool *last) {
  req_text out = {0};
  next_field(t, &out, last);
  char *text = req_text_take(&out);
  size_t n = text ? strlen(text) : 0, skip = 0;
  while (n > 0 && req_is_space(text[n - 1])) n--;
  while (skip < n && req_is_space(text[skip])) skip++;
  if (!text) return NULL;
  memmove(text, text + skip, n - skip);
  text[n - skip] = 0;
  return text;
}

static ace_status no_memory(const char *where, ace_error *err) {
  return ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
}

static ace_status read_heading(table *t, const char *where, ace_error *err) {
  static const char *const names[COLUMNS] = {"file", "bpm", "key", "caption"};
  for (int c = 0; c < COLUMNS; c++) t->at[c] = -1;
  bool last = false;
  for (int i = 0; !last; i++) {
    char *name = take_field(t, &last);
    if (!name) return no_memory(where, err);
    for (int c = 0; c < COLUMNS; c++)
      if (t->at[c] < 0 && req_same(name, strlen(name), names[c])) t->at[c] = i;
    free(name);
  }
  return t->at[FILE_NAME] >= 0 ? ACE_OK
                               : ace_fail(err, ACE_EFORMAT, "%s: its first line names no column \"File\"", where);
}

static ace_status read_row(table *t, const char *where, json_t *rows, ace_error *err) {
  static const char *const names[COLUMNS] = {"file", "bpm", "keyscale", "caption"};
  json_t *row = json_object();
  char *file = NULL;
  bool last = false, failed = !row;
  for (int i = 0; !last; i++) {
    char *text = take_field(t, &last);
    failed |= !text;
    for (int c = 0; c < COLUMNS && text; c++) {
      if (t->at[c] != i) continue;
      if (c == FILE_NAME && !file) file = strdup(text);
      else if (c != FILE_NAME) json_object_set_new(row, names[c], json_string(text));
    }
    free(text);
  }
  if (file && *file && !failed) failed = json_object_set(rows, file, row) != 0 && req_utf8_valid(file, strlen(file));
  free(file);
  json_decref(row);
  return failed ? no_memory(where, err) : ACE_OK;
}

ace_status sidecar_read_csv(const char *text, size_t length, const char *where, json_t *rows, ace_error *err) {
  if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3, length -= 3;
  if (!req_utf8_valid(text, length)) return ace_fail(err, ACE_EFORMAT, "%s: not text in UTF-8", where);
  table t = {.p = text, .end = text + length, .separator = find_separator(text, length)};
  ace_status status = read_heading(&t, where, err);
  while (status == ACE_OK && t.p < t.end) status = read_row(&t, where, rows, err);
  return status;
}
