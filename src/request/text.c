#include "request/text.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- growing text ---------------------------------------------------------------------------------------------- */

static bool reserve(req_text *t, size_t more) {
  if (t->failed) return false;
  if (more < t->capacity - t->size) return true; /* one byte stays for the NUL */
  size_t capacity = t->capacity ? t->capacity : 256;
  while (capacity - t->size <= more) {
    if (capacity > SIZE_MAX / 2) {
      t->failed = true;
      return false;
    }
    capacity *= 2;
  }
  char *data = realloc(t->data, capacity);
  if (!data) {
    t->failed = true;
    return false;
  }
  t->data = data;
  t->capacity = capacity;
  return true;
}

void req_text_add_bytes(req_text *t, const char *s, size_t n) {
  if (!reserve(t, n)) return;
  if (n) memcpy(t->data + t->size, s, n);
  t->size += n;
  t->data[t->size] = '\0';
}

void req_text_add(req_text *t, const char *s) {
  req_text_add_bytes(t, s, strlen(s));
}

void req_text_addf(req_text *t, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (n < 0) t->failed = true;
  if (n >= 0 && reserve(t, (size_t)n)) {
    vsnprintf(t->data + t->size, (size_t)n + 1, format, again);
    t->size += (size_t)n;
  }
  va_end(again);
}

void req_text_add_json(req_text *t, const char *s) {
  req_text_add(t, "\"");
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') req_text_addf(t, "\\%c", c);
    else if (c == '\n') req_text_add(t, "\\n");
    else if (c == '\t') req_text_add(t, "\\t");
    else if (c == '\r') req_text_add(t, "\\r");
    else if (c < 0x20 || c == 0x7f) req_text_addf(t, "\\u%04x", c);
    else req_text_add_bytes(t, s, 1);
  }
  req_text_add(t, "\"");
}

char *req_text_take(req_text *t) {
  req_text_add_bytes(t, "", 0);
  char *data = t->data;
  if (t->failed) {
    free(data);
    data = NULL;
  }
  *t = (req_text){0};
  return data;
}

/* ---- numbers ------------------------------------------------------------------------------------------------------
 * printf and strtod obey the locale of whoever embeds the library, so both run with the C locale put in place. */

typedef struct in_c_locale {
  locale_t c, before;
} in_c_locale;

static bool enter_c_locale(in_c_locale *l) {
  l->c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!l->c) return false;
  l->before = uselocale(l->c);
  return true;
}

static void leave_c_locale(in_c_locale *l) {
  uselocale(l->before);
  freelocale(l->c);
}

const char *req_number_format(double x, char out[REQ_NUMBER_SIZE]) {
  in_c_locale l;
  bool entered = enter_c_locale(&l);
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(out, REQ_NUMBER_SIZE, "%.*g", digits, x);
    if (strtod(out, NULL) == x) break;
  }
  if (entered) leave_c_locale(&l);
  return out;
}

bool req_is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t digits(const char *s, size_t at, size_t end) {
  size_t from = at;
  while (at < end && s[at] >= '0' && s[at] <= '9') at++;
  return at - from;
}

/* The grammar, checked by hand: strtod alone would also take "nan", "0x10" and "1e5 apples". */
static bool is_decimal(const char *s, size_t at, size_t end) {
  if (at < end && (s[at] == '+' || s[at] == '-')) at++;
  size_t whole = digits(s, at, end), part = 0;
  at += whole;
  if (at < end && s[at] == '.') {
    part = digits(s, at + 1, end);
    at += 1 + part;
  }
  if (whole + part == 0) return false;
  if (at < end && (s[at] == 'e' || s[at] == 'E')) {
    at++;
    if (at < end && (s[at] == '+' || s[at] == '-')) at++;
    size_t power = digits(s, at, end);
    if (power == 0) return false;
    at += power;
  }
  return at == end;
}

bool req_number_parse(const char *text, size_t length, double *out) {
  size_t from = 0;
  while (from < length && req_is_space(text[from])) from++;
  while (length > from && req_is_space(text[length - 1])) length--;
  enum { LONGEST = 400 }; /* more digits than any double needs to be written exactly in sane notation */
  if (length - from > LONGEST || !is_decimal(text, from, length)) return false;
  char copy[LONGEST + 1];
  memcpy(copy, text + from, length - from);
  copy[length - from] = '\0';
  in_c_locale l;
  if (!enter_c_locale(&l)) return false;
  *out = strtod(copy, NULL);
  leave_c_locale(&l);
  return true;
}

/* ---- characters -------------------------------------------------------------------------------------------------- */

/* Length of the well-formed sequence at s, 0 if there is none. Table 3-7 of the Unicode standard. */
static size_t utf8_sequence(const unsigned char *s, size_t left) {
  unsigned char c = s[0];
  if (c >= 1 && c <= 0x7f) return 1;
  size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
  if (n == 0 || n > left) return 0;
  unsigned char lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  if (s[1] < lo || s[1] > hi) return 0;
  for (size_t i = 2; i < n; i++)
    if (s[i] < 0x80 || s[i] > 0xbf) return 0;
  return n;
}

bool req_utf8_valid(const char *s, size_t length) {
  for (size_t i = 0; i < length;) {
    size_t n = utf8_sequence((const unsigned char *)s + i, length - i);
    if (n == 0) return false;
    i += n;
  }
  return true;
}

const char *req_excerpt(const char *s, size_t length, char out[REQ_EXCERPT_SIZE]) {
  enum { ROOM = REQ_EXCERPT_SIZE - 4 }; /* "..." and the NUL */
  size_t used = 0, i = 0;
  while (i < length) {
    size_t n = utf8_sequence((const unsigned char *)s + i, length - i);
    size_t width = n ? n : 1;
    if (used + width > ROOM) break;
    bool plain = n > 1 || (n == 1 && (unsigned char)s[i] >= 0x20 && s[i] != 0x7f);
    if (plain) memcpy(out + used, s + i, width);
    else out[used] = '?';
    used += plain ? width : 1;
    i += width;
  }
  if (i < length) {
    memcpy(out + used, "...", 3);
    used += 3;
  }
  out[used] = '\0';
  return out;
}

bool req_is_blank(const char *s) {
  while (req_is_space(*s)) s++;
  return *s == '\0';
}

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool req_same(const char *a, size_t na, const char *b) {
  for (size_t i = 0; i < na; i++)
    if (b[i] == '\0' || lower(a[i]) != lower(b[i])) return false;
  return b[na] == '\0';
}
