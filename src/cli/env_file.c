#include "cli/env_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"

enum { FILE_LIMIT = 1 << 20, KEY_SIZE = 128, VALUE_SIZE = 4096 };

typedef struct line {
  const char *at, *end;
  int number;
} line;

static bool is_blank(char ch) {
  return ch == ' ' || ch == '\t' || ch == '\r';
}

static void skip_blanks(line *l) {
  while (l->at < l->end && is_blank(*l->at)) l->at++;
}

static bool is_key(char ch) {
  return (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '_';
}

static ace_status read_key(line *l, char out[KEY_SIZE], ace_error *err) {
  static const char export[] = "export";
  size_t n = 0, room = (size_t)(l->end - l->at);
  if (room > sizeof export && memcmp(l->at, export, sizeof export - 1) == 0 && is_blank(l->at[sizeof export - 1])) {
    l->at += sizeof export - 1;
    skip_blanks(l);
  }
  while (l->at < l->end && is_key(*l->at) && n + 1 < KEY_SIZE) out[n++] = *l->at++;
  out[n] = 0;
  skip_blanks(l);
  if (n > 0 && l->at < l->end && *l->at == '=') {
    l->at++;
    skip_blanks(l);
    return ACE_OK;
  }
  return ace_fail(err, ACE_EFORMAT, "line %d: NAME=VALUE is meant", l->number);
}

static char escaped(char ch) {
  return ch == 'n' ? '\n' : ch == 't' ? '\t' : ch;
}

static ace_status read_quoted(line *l, char out[VALUE_SIZE], ace_error *err) {
  char quote = *l->at++;
  size_t n = 0;
  while (l->at < l->end && *l->at != quote && n + 1 < VALUE_SIZE) {
    bool escape = quote == '"' && *l->at == '\\' && l->at + 1 < l->end;
    out[n++] = escape ? escaped(l->at[1]) : *l->at;
    l->at += escape ? 2 : 1;
  }
  out[n] = 0;
  if (l->at == l->end || *l->at != quote)
    return ace_fail(err, ACE_EFORMAT, "line %d: the quotes do not end, or the text is too long", l->number);
  l->at++;
  skip_blanks(l);
  if (l->at < l->end && *l->at != '#') return ace_fail(err, ACE_EFORMAT, "line %d: text behind the quotes", l->number);
  return ACE_OK;
}

static ace_status read_value(line *l, char out[VALUE_SIZE], ace_error *err) {
  if (l->at < l->end && (*l->at == '"' || *l->at == '\'')) return read_quoted(l, out, err);
  size_t n = 0;
  for (; l->at < l->end && !(*l->at == '#' && (n == 0 || is_blank(l->at[-1]))); l->at++) {
    if (n + 1 == VALUE_SIZE) return ace_fail(err, ACE_EFORMAT, "line %d: the value is too long", l->number);
    out[n++] = *l->at;
  }
  while (n > 0 && is_blank(out[n - 1])) n--;
  out[n] = 0;
  return ACE_OK;
}

ace_status env_file_parse(const char *text, size_t length, void (*set)(void *user, const char *key, const char *value),
                          void *user, ace_error *err) {
  char key[KEY_SIZE], value[VALUE_SIZE];
  int number = 0;
  if (memchr(text, 0, length)) return ace_fail(err, ACE_EFORMAT, "this is no text");
  for (const char *at = text, *end = text + length; at < end;) {
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    line l = {at, feed ? feed : end, ++number};
    at = feed ? feed + 1 : end;
    skip_blanks(&l);
    if (l.at == l.end || *l.at == '#') continue;
    ace_status status = read_key(&l, key, err);
    if (status == ACE_OK) status = read_value(&l, value, err);
    if (status != ACE_OK) return status;
    set(user, key, value);
  }
  return ACE_OK;
}

static void set_variable(void *user, const char *key, const char *value) {
  static const char *const ours[] = {"ACESTEP_", "HF_", "MODELSCOPE_", "SERVICE_MODE_", "MAX_CUDA_VRAM", "LANGUAGE"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (string_begins(key, ours[i])) setenv(key, value, 0);
}

ace_status env_file_load(const char *path, ace_error *err) {
  static const char usual[] = ".env";
  size_t length;
  ace_error why;
  if (!path && !file_exists(usual)) return ACE_OK;
  char *text = file_read(path ? path : usual, FILE_LIMIT, &length, err);
  if (!text) return err ? err->status : ACE_EIO;
  ace_status status = env_file_parse(text, length, set_variable, NULL, &why);
  memset(text, 0, length); /* there may be keys in it */
  free(text);
  return status == ACE_OK ? ACE_OK : ace_fail(err, status, "%s: %s", path ? path : usual, why.message);
}
