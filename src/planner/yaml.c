/* yaml.c - writing metadata as YAML 1.1 (yaml.org/spec/1.1, chapters 5 and 9 for scalars), see yaml.h. Where the
 * specification leaves a choice the choice is PyYAML's. */
#include "planner/yaml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/span.h"
#include "planner/yaml_types.h"
#include "text/utf8.h"

enum { WIDTH = 80, INDENT = 2, NEXT_LINE = 0x85, LINE_SEPARATOR = 0x2028, PARAGRAPH_SEPARATOR = 0x2029 };

typedef enum style { PLAIN, SINGLE_QUOTED, DOUBLE_QUOTED } style;

/* A text as code points; what is not UTF-8 is U+FFFD. */
typedef struct scalar {
  uint32_t *c;
  size_t n;
} scalar;

static bool decode(scalar *out, plan_span s) {
  *out = (scalar){0};
  if (s.n >= SIZE_MAX / sizeof *out->c) return false;
  out->c = malloc((s.n + 1) * sizeof *out->c);
  if (!out->c) return false;
  for (size_t i = 0; i < s.n;) {
    int step = utf8_step((const uint8_t *)s.at + i, s.n - i);
    out->c[out->n++] = step > 0 ? utf8_get(s.at + i, &step) : 0xFFFD;
    i += step > 0 ? (size_t)step : step < 0 ? (size_t)-step : s.n - i;
  }
  return true;
}

static bool is_break(uint32_t c) {
  return c == '\n' || c == NEXT_LINE || c == LINE_SEPARATOR || c == PARAGRAPH_SEPARATOR;
}

/* Control characters, the byte order mark and what is no character: only a double-quoted text can hold them. */
static bool is_special(uint32_t c) {
  if (c < 0xA0) return !((c >= 0x20 && c < 0x7F) || c == '\n' || c == NEXT_LINE);
  return c == 0xFEFF || c == 0xFFFE || c == 0xFFFF || c == 0x10FFFF;
}

/* ---- which style ------------------------------------------------------------------------------------------------- */

static bool is_in(uint32_t c, const char *ascii) {
  return c > 0 && c < 0x80 && strchr(ascii, (int)c);
}

/* Would the character at i mean something to a reader of bare text? */
static bool is_indicator(const scalar *s, size_t i) {
  uint32_t c = s->c[i];
  bool blank_follows = i + 1 == s->n || s->c[i + 1] == ' ';
  if (c == ':') return blank_follows;
  if (c == '#') return i == 0 || s->c[i - 1] == ' ';
  if (i > 0) return false;
  return is_in(c, ",[]{}&*!|>'\"%@`") || (is_in(c, "?-") && blank_follows);
}

static style choose_style(const scalar *s, plan_span bytes) {
  style found = PLAIN;
  if (plan_yaml_is_typed(bytes) || plan_starts(bytes, "---") || plan_starts(bytes, "...")) found = SINGLE_QUOTED;
  for (size_t i = 0; i < s->n; i++) {
    uint32_t c = s->c[i], before = i > 0 ? s->c[i - 1] : 0;
    if (is_special(c) || (c == ' ' && is_break(before)) || (is_break(c) && before == ' ')) return DOUBLE_QUOTED;
    bool outer = i == 0 || i + 1 == s->n;
    if (is_break(c) || (c == ' ' && outer) || is_indicator(s, i)) found = SINGLE_QUOTED;
  }
  return found;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Counts columns in code points, as the reader of the 80 columns did. */
typedef struct writer {
  req_text *out;
  size_t column;
} writer;

static void put(writer *w, uint32_t c) {
  char bytes[4];
  req_text_add_bytes(w->out, bytes, (size_t)utf8_put(c, bytes));
  w->column++;
}

static void indent(writer *w) {
  req_text_add(w->out, "  ");
  w->column = INDENT;
}

static void fold(writer *w) {
  req_text_add(w->out, "\n");
  indent(w);
}

/* Bare or in single quotes. A line longer than the width ends at its next lone blank; a line feed is written as an
 * empty line, because a reader takes a single one for a fold. */
static void write_text(writer *w, const scalar *s, bool quoted) {
  for (size_t i = 0, end; i < s->n; i = end) {
    uint32_t c = s->c[i];
    end = i + 1;
    if (c == ' ') {
      while (end < s->n && s->c[end] == ' ') end++;
      if (end == i + 1 && w->column > WIDTH && i > 0 && end < s->n) fold(w);
      else
        for (; i < end; i++) put(w, ' ');
    } else if (is_break(c)) {
      if (c == '\n') put(w, '\n');
      for (; i < s->n && is_break(s->c[i]); i++) put(w, s->c[i]);
      end = i;
      indent(w);
    } else {
      if (quoted && c == '\'') put(w, '\'');
      put(w, c);
    }
  }
}

static bool needs_escape(uint32_t c) {
  return c == '"' || c == '\\' || c > 0xFFFF || is_special(c) || is_break(c);
}

static void write_escape(writer *w, uint32_t c) {
  static const struct {
    uint32_t c;
    char letter;
  } letters[] = {{'\0', '0'},           {0x07, 'a'},
                 {0x08, 'b'},           {'\t', 't'},
                 {'\n', 'n'},           {0x0B, 'v'},
                 {0x0C, 'f'},           {'\r', 'r'},
                 {0x1B, 'e'},           {'"', '"'},
                 {'\\', '\\'},          {NEXT_LINE, 'N'},
                 {LINE_SEPARATOR, 'L'}, {PARAGRAPH_SEPARATOR, 'P'}};
  char text[16];
  for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
    if (letters[i].c != c) continue;
    put(w, '\\');
    put(w, (unsigned char)letters[i].letter);
    return;
  }
  snprintf(text, sizeof text, c <= 0xFF ? "\\x%02" PRIX32 : c <= 0xFFFF ? "\\u%04" PRIX32 : "\\U%08" PRIX32, c);
  for (const char *t = text; *t; t++) put(w, (unsigned char)*t);
}

/* In double quotes a line ends with a backslash, before a blank or beside an escape; a blank that opens the next line
 * carries a backslash of its own. */
static void write_escaped(writer *w, const scalar *s) {
  bool escaped = false; /* the character before */
  for (size_t i = 0; i < s->n; i++) {
    uint32_t c = s->c[i];
    bool inner = i > 0 && i + 1 < s->n, after_escape = escaped;
    escaped = needs_escape(c);
    if (escaped) {
      write_escape(w, c);
      if (!inner || w->column <= WIDTH + 1) continue;
      put(w, '\\');
      fold(w);
      if (s->c[i + 1] == ' ') put(w, '\\');
    } else {
      if (inner && w->column > WIDTH && (c == ' ' || after_escape)) {
        put(w, '\\');
        fold(w);
        if (c == ' ') put(w, '\\');
      }
      put(w, c);
    }
  }
}

static void write_scalar(req_text *out, size_t column, plan_span bytes) {
  scalar s;
  if (!decode(&s, bytes)) {
    out->failed = true;
    return;
  }
  writer w = {.out = out, .column = column};
  style found = choose_style(&s, bytes);
  char quote = found == SINGLE_QUOTED ? '\'' : '"';
  if (found != PLAIN) put(&w, (unsigned char)quote);
  if (found == DOUBLE_QUOTED) write_escaped(&w, &s);
  else write_text(&w, &s, found == SINGLE_QUOTED);
  if (found != PLAIN) put(&w, (unsigned char)quote);
  free(s.c);
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

static void write_key(req_text *out, plan_field field) {
  req_text_addf(out, "%s: ", plan_field_name(field));
}

static void write_value(req_text *out, plan_field field, plan_span text) {
  write_scalar(out, strlen(plan_field_name(field)) + strlen(": "), text);
}

void plan_yaml_entry(req_text *out, plan_field field, const plan_value *value) {
  write_key(out, field);
  if (value->kind == PLAN_NUMBER) req_text_addf(out, "%" PRId64, value->number);
  else write_value(out, field, (plan_span){value->text, value->length});
}

/* Text of digits alone, as the number that it spells; false for other text. */
static bool write_digits(req_text *out, plan_span s) {
  for (size_t i = 0; i < s.n; i++)
    if (s.at[i] < '0' || s.at[i] > '9') return false;
  if (s.n == 0) return false;
  while (s.n > 1 && *s.at == '0') s = plan_span_from(s, 1);
  req_text_add_bytes(out, s.at, s.n);
  return true;
}

/* A caption that says the same without what only double quotes could hold: a tab is a blank. */
static char *clean_caption(plan_span s, size_t *length) {
  scalar all;
  req_text out = {0};
  writer w = {.out = &out};
  if (!decode(&all, s)) return NULL;
  for (size_t i = 0; i < all.n; i++)
    if (all.c[i] == '\t' || !is_special(all.c[i])) put(&w, all.c[i] == '\t' ? ' ' : all.c[i]);
  free(all.c);
  *length = out.size;
  return req_text_take(&out);
}

static void write_text_entry(req_text *out, plan_field field, plan_span text) {
  char *clean = NULL;
  if (field == PLAN_CAPTION) {
    text.at = clean = clean_caption(text, &text.n);
    out->failed = out->failed || !clean;
    if (!clean) return;
  }
  bool quarters = text.n >= 2 && memcmp(text.at + text.n - 2, "/4", 2) == 0;
  if (field == PLAN_TIMESIGNATURE && quarters) text.n = plan_find(text, "/");
  write_key(out, field);
  if (!write_digits(out, text)) write_value(out, field, text);
  free(clean);
}

char *plan_yaml(const plan_metadata *m, ace_error *err) {
  req_text out = {0};
  for (int i = 0; i < PLAN_FIELDS; i++) {
    plan_field field = (plan_field)i;
    const plan_value *v = &m->field[field];
    if (v->kind == PLAN_ABSENT || field == PLAN_GENRES) continue;
    if (out.size > 0) req_text_add(&out, "\n");
    if (v->kind == PLAN_NUMBER) plan_yaml_entry(&out, field, v);
    else write_text_entry(&out, field, (plan_span){v->text, v->length});
  }
  size_t kept = plan_trim((plan_span){out.data, out.size}).n; /* Unicode's white space may end a bare text */
  char *text = req_text_take(&out);
  if (!text) {
    ace_fail(err, ACE_ENOMEM, "metadata: out of memory");
    return NULL;
  }
  text[kept] = '\0';
  return text;
}
