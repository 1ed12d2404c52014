#include "planner/answer.h"

#include <stdlib.h>
#include <string.h>

#include "planner/span.h"
#include "request/text.h"
#include "text/codes.h"

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

/* Between <think> and </think>; when that is missing or empty everything before the first audio code, which is the
 * usual case: a generation of metadata ends before its </think>. */
static plan_span find_reasoning(plan_span text) {
  static const char *const tags[][2] = {{"<think>", "</think>"}, {"<reasoning>", "</reasoning>"}};
  for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
    size_t open = plan_find(text, tags[i][0]);
    if (open == text.n) continue;
    plan_span inner = plan_span_from(text, open + strlen(tags[i][0]));
    size_t close = plan_find(inner, tags[i][1]);
    if (close == inner.n) continue;
    inner = plan_trim((plan_span){inner.at, close});
    if (inner.n > 0) return inner;
    break;
  }
  return plan_trim((plan_span){text.at, plan_find(text, "<|audio_code_")});
}

/* The text up to the next line feed, which is taken off with it. */
static plan_span next_line(plan_span *text) {
  plan_span line = {text->at, plan_find(*text, "\n")};
  *text = plan_span_from(*text, line.n + (line.n < text->n));
  return line;
}

/* Takes the quotes off a text in single quotes; false when it is none. */
static bool unquote_single(const char *s, size_t n, req_text *out) {
  for (size_t i = 1; i + 1 < n; i++) {
    if (s[i] == '\'' && (i + 2 >= n || s[++i] != '\'')) return false;
    req_text_add_bytes(out, s + i, 1);
  }
  return true;
}

static bool unquote_double(const char *s, size_t n, req_text *out) {
  for (size_t i = 1; i + 1 < n; i++) {
    char c = s[i];
    if (c == '"') return false;
    if (c == '\\') {
      c = i + 2 < n ? s[++i] : '\0';
      if (c == 't' || c == 'n') c = ' ';
      else if (c != '"' && c != '\\' && c != ' ') return false;
    }
    req_text_add_bytes(out, &c, 1);
  }
  return true;
}

/* The model writes captions in YAML, at times quoted; a caption that only begins like a quotation stays as it is. */
static void unquote(req_text *caption) {
  const char *s = caption->data;
  size_t n = caption->size;
  if (n < 2 || s[0] != s[n - 1] || (s[0] != '\'' && s[0] != '"')) return;
  req_text plain = {0};
  bool quoted = s[0] == '\'' ? unquote_single(s, n, &plain) : unquote_double(s, n, &plain);
  if (!quoted) {
    free(plain.data);
    return;
  }
  free(caption->data);
  *caption = plain;
}

/* The lines of a caption as one. */
static ace_status store_caption(plan_metadata *m, plan_span value, ace_error *err) {
  req_text caption = {0};
  while (value.n > 0) {
    plan_span line = plan_trim(next_line(&value));
    if (line.n > 0 && caption.size > 0) req_text_add(&caption, " ");
    req_text_add_bytes(&caption, line.at, line.n);
  }
  unquote(&caption);
  ace_status status = ACE_ENOMEM;
  if (!caption.failed) status = plan_set_text(m, PLAN_CAPTION, caption.data, caption.size, err);
  free(caption.data);
  return status;
}

static ace_status store(plan_metadata *m, plan_field field, plan_span value, ace_error *err) {
  int64_t number;
  if (field == PLAN_CAPTION) return store_caption(m, value, err);
  value = plan_trim(value);
  if ((field == PLAN_BPM || field == PLAN_DURATION) && plan_whole_number(value.at, value.n, &number)) {
    plan_set_number(m, field, number);
    return ACE_OK;
  }
  return plan_set_text(m, field, value.at, value.n, err);
}

/* A field under construction. */
typedef struct entry {
  plan_field field; /* PLAN_FIELDS: none that is known */
  bool begun;       /* there is at least one piece of its value */
  req_text value;   /* pieces, one a line */
} entry;

static void add_piece(entry *e, plan_span piece) {
  if (e->field == PLAN_FIELDS) return;
  if (e->begun) req_text_add(&e->value, "\n");
  req_text_add_bytes(&e->value, piece.at, piece.n);
  e->begun = true;
}

static ace_status finish(entry *e, plan_metadata *m, ace_error *err) {
  ace_status status = e->value.failed ? ACE_ENOMEM : ACE_OK;
  if (status == ACE_OK && e->begun) status = store(m, e->field, (plan_span){e->value.data, e->value.size}, err);
  free(e->value.data);
  *e = (entry){.field = PLAN_FIELDS};
  return status;
}

/* "name: value", indented lines that continue the value, and other things in between, which are passed over. */
static ace_status parse_metadata(plan_metadata *m, plan_span text, ace_error *err) {
  entry e = {.field = PLAN_FIELDS};
  ace_status status = ACE_OK;
  while (text.n > 0 && status == ACE_OK) {
    plan_span line = next_line(&text);
    size_t colon = plan_find(line, ":");
    if (plan_starts(plan_trim_start(line), "<")) continue; /* a tag or a token */
    if (plan_space(line) == 0 && colon < line.n) {
      status = finish(&e, m, err);
      plan_span name = plan_trim((plan_span){line.at, colon}), value = plan_span_from(line, colon + 1);
      e.field = plan_field_find(name.at, name.n);
      if (!plan_is_blank(value)) add_piece(&e, value);
    } else if (plan_starts(line, " ") || plan_starts(line, "\t")) {
      add_piece(&e, line);
    }
  }
  ace_status last = finish(&e, m, err);
  return status != ACE_OK ? status : last;
}

/* ---- lyrics ------------------------------------------------------------------------------------------------------ */

/* Bytes of the heading "# Lyric" with its line end, in the spellings that models produce ("#lyrics", "# Lyri"), at the
 * start of s; 0 when there is none. */
static size_t lyric_heading(plan_span s) {
  static const char *const endings[] = {"cs", "c", "s", "|"};
  if (!plan_starts(s, "#")) return 0;
  plan_span rest = plan_trim_start(plan_span_from(s, 1));
  if (!plan_starts_any_case(rest, "Lyri")) return 0;
  rest = plan_span_from(rest, strlen("Lyri"));
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    if (!plan_starts_any_case(rest, endings[i])) continue;
    rest = plan_span_from(rest, strlen(endings[i]));
    break;
  }
  plan_span behind = plan_trim_start(rest);
  plan_span blank = {rest.at, rest.n - behind.n};
  bool alone = behind.n == 0 || plan_find(blank, "\n") < blank.n;
  return alone ? s.n - behind.n : 0;
}

/* Without what comes before and with a heading that starts within the first bytes: some answers have "# Languages"
 * there. */
static plan_span skip_heading(plan_span s) {
  enum { NEAR = 64 };
  for (plan_span rest = s; rest.n > 0 && s.n - rest.n < NEAR; next_line(&rest)) {
    size_t heading = lyric_heading(rest);
    if (heading > 0) return plan_span_from(rest, heading);
  }
  return s;
}

static plan_span find_lyrics(plan_span text) {
  static const char end_of_reasoning[] = "</think>", end_mark[] = "<|im_end|>";
  enum { END_MARK = sizeof end_mark - 1 };
  size_t end = plan_find(text, end_of_reasoning);
  if (end == text.n) return (plan_span){text.at, 0};
  plan_span s = plan_trim(skip_heading(plan_trim(plan_span_from(text, end + strlen(end_of_reasoning)))));
  if (s.n >= END_MARK && memcmp(s.at + s.n - END_MARK, end_mark, END_MARK) == 0) s.n -= END_MARK;
  return plan_trim(s);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static char *find_codes(plan_span text) {
  req_text codes = {0};
  codes_match match;
  for (size_t cursor = 0; codes_next(text.at, text.n, &cursor, &match);)
    req_text_add_bytes(&codes, text.at + match.at, match.length);
  return req_text_take(&codes);
}

static char *copy(plan_span s) {
  req_text t = {0};
  req_text_add_bytes(&t, s.at, s.n);
  return req_text_take(&t);
}

static char *without_nuls(const char *text, size_t length, size_t *kept) {
  char *s = length < SIZE_MAX ? malloc(length + 1) : NULL;
  if (!s) return NULL;
  *kept = 0;
  for (size_t i = 0; i < length; i++)
    if (text[i] != '\0') s[(*kept)++] = text[i];
  s[*kept] = '\0';
  return s;
}

ace_status plan_answer_parse(plan_answer *out, const char *text, size_t length, ace_error *err) {
  *out = (plan_answer){0};
  plan_span all = {0};
  char *clean = without_nuls(text, length, &all.n);
  ace_status status = clean ? ACE_OK : ACE_ENOMEM;
  if (status == ACE_OK) {
    all.at = clean;
    status = parse_metadata(&out->metadata, find_reasoning(all), err);
    out->codes = find_codes(all);
    out->lyrics = copy(find_lyrics(all));
  }
  free(clean);
  if (status == ACE_OK && out->codes && out->lyrics) return ACE_OK;
  plan_answer_free(out);
  return ace_fail(err, ACE_ENOMEM, "the language model's answer: out of memory");
}

void plan_answer_free(plan_answer *a) {
  if (!a) return;
  plan_metadata_free(&a->metadata);
  free(a->codes);
  free(a->lyrics);
  *a = (plan_answer){0};
}
