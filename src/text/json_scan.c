/* json_scan.c - reads JSON piece by piece, see json_scan.h. */
#include "text/json_scan.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

enum { DEEPEST = 64 };

ace_status scan_fail(json_scan *s, const char *what) {
  return ace_fail(s->err, ACE_EFORMAT, "%s: not valid JSON: byte %zu: %s", s->where, (size_t)(s->at - s->text), what);
}

ace_status scan_open(json_scan *s, const char *text, size_t length, const char *where, ace_error *err) {
  *s = (json_scan){.text = text, .at = text, .end = text + length, .where = where, .err = err};
  size_t good = utf8_check(text, length);
  if (good < length) return ace_fail(err, ACE_EFORMAT, "%s: not UTF-8 at byte %zu", where, good);
  return ACE_OK;
}

void scan_close(json_scan *s) {
  for (int i = 0; i < 3; i++) free(s->spare[i]);
  memset(s->spare, 0, sizeof s->spare);
}

bool scan_is(scan_text t, const char *word) {
  return t.n == strlen(word) && memcmp(t.s, word, t.n) == 0;
}

char scan_peek(json_scan *s) {
  while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) s->at++;
  return s->at < s->end ? *s->at : 0;
}

ace_status scan_begin(json_scan *s, char open) {
  if (scan_peek(s) != open) return scan_fail(s, open == '{' ? "expected an object" : "expected a list");
  s->at++;
  return ACE_OK;
}

int scan_next(json_scan *s, char close, bool *first) {
  char c = scan_peek(s);
  if (c == close) {
    s->at++;
    return 0;
  }
  if (!*first) {
    if (c != ',') {
      scan_fail(s, "expected a comma or the end of the list");
      return -1;
    }
    s->at++;
    c = scan_peek(s);
  }
  *first = false;
  if (c == 0 || c == ',' || c == ']' || c == '}') {
    scan_fail(s, c ? "expected a value" : "the text ends too early");
    return -1;
  }
  return 1;
}

/* Moves to the closing quote of a string whose opening quote was just passed. */
static ace_status string_end(json_scan *s, bool *escapes) {
  *escapes = false;
  for (; s->at < s->end; s->at++) {
    unsigned char c = (unsigned char)*s->at;
    if (c == '"') return ACE_OK;
    if (c < 0x20) return scan_fail(s, "control character in a string");
    if (c == '\\') {
      *escapes = true;
      s->at++;
      if (s->at < s->end && (unsigned char)*s->at < 0x20) return scan_fail(s, "control character in a string");
    }
  }
  s->at = s->end;
  return scan_fail(s, "a string is not closed");
}

/* Four hexadecimal digits; -1 when they are not. */
static int32_t hex4(const char *p, const char *end) {
  if (end - p < 4) return -1;
  int32_t value = 0;
  for (int i = 0; i < 4; i++) {
    char c = p[i];
    int digit;
    if (c >= '0' && c <= '9') digit = c - '0';
    else if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
    else return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* The code point of a \u escape; *p stands behind the 'u' and is moved on. */
static int32_t unicode_escape(const char **p, const char *end) {
  int32_t high = hex4(*p, end);
  if (high < 0) return -1;
  *p += 4;
  if (high < 0xD800 || high > 0xDFFF) return high;
  if (high > 0xDBFF || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u') return -1;
  int32_t low = hex4(*p + 2, end);
  if (low < 0xDC00 || low > 0xDFFF) return -1;
  *p += 6;
  return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

/* Unescapes [from, to) into `out`, which is as large; returns the length, or SIZE_MAX. */
static size_t unescape(const char *from, const char *to, char *out) {
  static const char named[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  char *start = out;
  while (from < to) {
    if (*from != '\\') {
      *out++ = *from++;
      continue;
    }
    from++;
    const char *which = from < to && *from ? strchr(named, *from) : NULL;
    if (which) {
      *out++ = meant[which - named];
      from++;
    } else if (from < to && *from == 'u') {
      from++;
      int32_t c = unicode_escape(&from, to);
      if (c < 0) return SIZE_MAX;
      out += utf8_put((uint32_t)c, out); /* at most 4 bytes for 6 or 12 */
    } else {
      return SIZE_MAX;
    }
  }
  return (size_t)(out - start);
}

ace_status scan_string(json_scan *s, int slot, scan_text *value) {
  if (scan_peek(s) != '"') return scan_fail(s, "expected a string");
  s->at++;
  const char *from = s->at;
  bool escapes;
  if (string_end(s, &escapes) != ACE_OK) return ACE_EFORMAT;
  size_t raw = (size_t)(s->at - from);
  if (!escapes) {
    *value = (scan_text){from, raw};
  } else {
    if (s->spare_capacity[slot] < raw) {
      char *grown = realloc(s->spare[slot], raw * 2);
      if (!grown) return ace_fail(s->err, ACE_ENOMEM, "%s: out of memory", s->where);
      s->spare[slot] = grown;
      s->spare_capacity[slot] = raw * 2;
    }
    size_t n = unescape(from, s->at, s->spare[slot]);
    if (n == SIZE_MAX) return scan_fail(s, "bad escape in the string that ends here");
    *value = (scan_text){s->spare[slot], n};
  }
  s->at++;
  return ACE_OK;
}

ace_status scan_key(json_scan *s, scan_text *key) {
  ace_status status = scan_string(s, 0, key);
  if (status != ACE_OK) return status;
  if (scan_peek(s) != ':') return scan_fail(s, "expected a colon");
  s->at++;
  return ACE_OK;
}

ace_status scan_int(json_scan *s, int64_t *value) {
  char c = scan_peek(s);
  bool negative = c == '-';
  const char *p = s->at + negative, *digits = p;
  int64_t n = 0;
  for (; p < s->end && *p >= '0' && *p <= '9'; p++)
    n = n > INT64_MAX / 10 - 1 ? INT64_MAX / 10 : n * 10 + (*p - '0'); /* far outside every range in use */
  if (p == digits || (*digits == '0' && p - digits > 1)) return scan_fail(s, "expected a whole number");
  if (p < s->end && (*p == '.' || *p == 'e' || *p == 'E')) return scan_fail(s, "expected a whole number");
  s->at = p;
  *value = negative ? -n : n;
  return ACE_OK;
}

static bool take_word(json_scan *s, const char *word) {
  size_t n = strlen(word);
  if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0) return false;
  s->at += n;
  return true;
}

ace_status scan_bool(json_scan *s, bool *value) {
  scan_peek(s);
  *value = take_word(s, "true");
  if (!*value && !take_word(s, "false")) return scan_fail(s, "expected true or false");
  return ACE_OK;
}

/* A number or a word: everything up to the next delimiter. */
static ace_status skip_scalar(json_scan *s) {
  const char *from = s->at;
  while (s->at < s->end && *s->at && !strchr(",]}[{\":", *s->at) && (unsigned char)*s->at > ' ') s->at++;
  return s->at == from ? scan_fail(s, "expected a value") : ACE_OK;
}

ace_status scan_skip(json_scan *s, scan_text *raw) {
  char closes[DEEPEST];
  int depth = 0;
  bool escapes;
  scan_peek(s);
  const char *from = s->at;
  do {
    char c = scan_peek(s);
    if (c == '{' || c == '[') {
      if (depth == DEEPEST) return scan_fail(s, "nested more than 64 deep");
      closes[depth++] = c == '{' ? '}' : ']';
      s->at++;
    } else if (c == '"') {
      s->at++;
      if (string_end(s, &escapes) != ACE_OK) return ACE_EFORMAT;
      s->at++;
    } else if (depth > 0 && c == closes[depth - 1]) {
      depth--;
      s->at++;
    } else if (depth > 0 && (c == ',' || c == ':')) {
      s->at++;
    } else if (skip_scalar(s) != ACE_OK) {
      return ACE_EFORMAT;
    }
  } while (depth > 0);
  if (raw) *raw = (scan_text){from, (size_t)(s->at - from)};
  return ACE_OK;
}

ace_status scan_end(json_scan *s) {
  scan_peek(s);
  return s->at < s->end ? scan_fail(s, "something follows the value") : ACE_OK;
}
