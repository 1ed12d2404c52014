/* grammar_log.c - the debug log of constrained decoding: one line for each step. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "planner/grammar_table.h"

void gram_log(const plan_grammar_state *s, const char *format, ...) {
  char line[256];
  if (!s->log.line) return;
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  s->log.line(s->log.user, line);
}

const char *gram_show(const plan_grammar *g, int32_t token, char out[GRAM_SHOWN_SIZE]) {
  size_t length = 0, n = 0;
  char *text = bpe_decode(g->tokenizer, &token, 1, 0, &length);
  out[n++] = '"';
  for (size_t i = 0; text && i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    bool inside = (c & 0xC0) == 0x80; /* of a character of more than one byte */
    if (n > GRAM_SHOWN_SIZE - 12 && !inside) {
      n += (size_t)snprintf(out + n, GRAM_SHOWN_SIZE - n, "...");
      break;
    }
    if (c == '\n') n += (size_t)snprintf(out + n, GRAM_SHOWN_SIZE - n, "\\n");
    else if (c < 0x20 || c == 0x7F) n += (size_t)snprintf(out + n, GRAM_SHOWN_SIZE - n, "\\x%02x", c);
    else out[n++] = (char)c;
  }
  out[n++] = '"';
  out[n] = '\0';
  free(text);
  return out;
}

void gram_log_taken(const plan_grammar *g, const plan_grammar_state *s, const plan_allowed *a, int32_t token) {
  char shown[GRAM_SHOWN_SIZE];
  const char *where = plan_grammar_where(s);
  if (!s->log.line) return;
  gram_show(g, token, shown);
  if (a->kind == PLAN_ALLOW_ONE) gram_log(s, "%s: %s (%d) forced", where, shown, (int)token);
  else if (a->kind != PLAN_ALLOW_CODES) gram_log(s, "%s: %s (%d) of %d allowed", where, shown, (int)token, a->n);
  else if (token == a->end) gram_log(s, "codes: the end after %d", (int)s->codes);
  else if (s->target < 0) gram_log(s, "codes: %d, number %d", (int)plan_grammar_code(g, token), (int)s->codes + 1);
  else gram_log(s, "codes: %d, number %d of %d", (int)plan_grammar_code(g, token), (int)s->codes + 1, (int)s->target);
}
