/* bpe_decode.c - token ids to text, at once and as a stream, and questions about ids. See bpe.h. */
#include <stdlib.h>
#include <string.h>

#include "text/bpe_table.h"
#include "text/utf8.h"

/* ---- questions ---- */

int bpe_vocab_size(const bpe *t) {
  return t->n_ids;
}

int32_t bpe_find(const bpe *t, const char *token) {
  scan_text name = {token, strlen(token)};
  int32_t id = bpe_find_added(t, name.s, name.n);
  if (id >= 0 || name.n == 0 || utf8_check(name.s, name.n) < name.n) return id;
  char few[256], *bytes = name.n <= sizeof few ? few : malloc(name.n);
  if (!bytes) return -1;
  size_t n = bpe_unspell(name, bytes);
  if (n != SIZE_MAX) id = bpe_find_entry(t, bytes, n);
  if (id < 0) id = bpe_find_entry(t, name.s, name.n);
  if (bytes != few) free(bytes);
  return id;
}

bool bpe_is_special(const bpe *t, int32_t id) {
  return id >= 0 && id < t->n_ids && t->token[id].flags & TOKEN_SPECIAL;
}

bool bpe_appends_eot(const bpe *t) {
  return t->n_suffix > 0;
}

bool bpe_post_unknown(const bpe *t) {
  return t->post_unknown;
}

int bpe_audio_codes(const bpe *t, int32_t *first) {
  if (first) *first = t->n_audio_codes ? t->first_audio_code : -1;
  return t->n_audio_codes;
}

/* ---- decoding ---- */

static size_t replacement(char *out) {
  memcpy(out, "\xEF\xBF\xBD", 3); /* U+FFFD */
  return 3;
}

/* Takes n bytes into the stream; writes what became complete, at most 3 (n_held + n) bytes, and returns how many. */
static size_t feed(bpe_stream *s, const char *bytes, size_t n, char *out) {
  size_t written = 0;
  for (size_t i = 0; i < n; i++) {
    s->held[s->n_held++] = (uint8_t)bytes[i];
    int step = utf8_step(s->held, (size_t)s->n_held);
    if (step < 0 && s->n_held > 1) { /* what was held can never be completed; this byte begins anew */
      written += replacement(out + written);
      s->held[0] = (uint8_t)bytes[i];
      s->n_held = 1;
      step = utf8_step(s->held, 1);
    }
    if (step == 0) continue;
    if (step < 0) {
      written += replacement(out + written);
    } else {
      memcpy(out + written, s->held, (size_t)step);
      written += (size_t)step;
    }
    s->n_held = 0;
  }
  return written;
}

/* The bytes of an id; none for ids that do not exist or are to be left out. */
static scan_text bytes_of(const bpe *t, int32_t id, int flags) {
  if (id < 0 || id >= t->n_ids || t->token[id].at == BPE_UNUSED) return (scan_text){NULL, 0};
  if (flags & BPE_SKIP_SPECIAL && t->token[id].flags & TOKEN_SPECIAL) return (scan_text){NULL, 0};
  return (scan_text){t->bytes + t->token[id].at, t->token[id].length};
}

char *bpe_decode(const bpe *t, const int32_t *ids, size_t n, int flags, size_t *length) {
  size_t total = 0, used = 0;
  for (size_t i = 0; i < n; i++) {
    size_t more = bytes_of(t, ids[i], flags).n;
    if (more > SIZE_MAX / 4 - total) return NULL;
    total += more;
  }
  char *text = malloc(total * 3 + 1);
  if (!text) return NULL;
  bpe_stream s = {.tokenizer = t, .flags = flags};
  for (size_t i = 0; i < n; i++) {
    scan_text bytes = bytes_of(t, ids[i], flags);
    used += feed(&s, bytes.s, bytes.n, text + used);
  }
  if (s.n_held > 0) used += replacement(text + used);
  text[used] = '\0';
  if (length) *length = used;
  char *fitted = realloc(text, used + 1);
  return fitted ? fitted : text;
}

/* Room for `more` bytes and the NUL behind *out. The buffer is the caller's: its capacity is not known here. */
static bool reserve(char **out, size_t length, size_t more) {
  char *grown = realloc(*out, length + more + 1);
  if (!grown) return false;
  if (!*out) grown[0] = '\0';
  *out = grown;
  return true;
}

ace_status bpe_stream_push(bpe_stream *s, int32_t id, char **out, size_t *length) {
  scan_text bytes = bytes_of(s->tokenizer, id, s->flags);
  if (!reserve(out, *length, 3 * (bytes.n + (size_t)s->n_held))) return ACE_ENOMEM;
  *length += feed(s, bytes.s, bytes.n, *out + *length);
  (*out)[*length] = '\0';
  return ACE_OK;
}

ace_status bpe_stream_flush(bpe_stream *s, char **out, size_t *length) {
  if (!reserve(out, *length, 3)) return ACE_ENOMEM;
  if (s->n_held > 0) *length += replacement(*out + *length);
  s->n_held = 0;
  (*out)[*length] = '\0';
  return ACE_OK;
}
