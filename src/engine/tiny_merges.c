/* tiny_merges.c - learns a small vocabulary of byte-pair encoding from a text (Sennrich et al. 2016, "Neural machine
 * translation of rare words with subword units"): again and again the pair of neighbours that occurs most often becomes
 * a token. Pairs never reach across the pieces that the tokenizer's pattern cuts a text into.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/tiny_parts.h"

/* ---- the alphabet ----------------------------------------------------------------------------------------------- */

static bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* GPT-2's alphabet: printable bytes of Latin-1 stand for themselves, the others for U+0100 and following. Ids follow
 * the code points. Fills `id_of` for every byte. */
static void make_alphabet(tiny_merges *m, int id_of[TINY_BYTES]) {
  int others = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int byte = 0; byte < TINY_BYTES; byte++) {
      if (is_printable(byte) != (pass == 0)) continue;
      int code = pass == 0 ? byte : 0x100 + others++;
      char *token = m->token[m->n_tokens];
      if (code < 0x80) *token = (char)code;
      else token[0] = (char)(0xc0 | code >> 6), token[1] = (char)(0x80 | (code & 0x3f));
      id_of[byte] = m->n_tokens++;
    }
}

/* ---- pieces: the tokenizer's pattern for ASCII text -------------------------------------------------------------- */

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_break(char c) {
  return c == '\n' || c == '\r';
}

static bool is_mark(char c) {
  return c != 0 && !is_letter(c) && !is_digit(c) && !is_blank(c);
}

/* 's 't 're 've 'm 'll 'd; the corpus has them in lower case only. */
static size_t contraction(const char *s) {
  char a = *s == '\'' ? s[1] : 0, b = a ? s[2] : 0;
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* A run of white space: up to its last line break, else all of it but the blank that belongs to a word behind. */
static size_t blanks(const char *s) {
  size_t n = 0, after_break = 0;
  for (; is_blank(s[n]); n++)
    if (is_break(s[n])) after_break = n + 1;
  if (after_break) return after_break;
  return s[n] && n > 1 ? n - 1 : n;
}

/* Length of the first piece of a text that is not empty. */
static size_t piece_length(const char *s) {
  size_t n = contraction(s);
  if (n) return n;
  n = !is_letter(*s) && !is_digit(*s) && !is_break(*s) && is_letter(s[1]) ? 1 : 0;
  if (is_letter(s[n])) {
    while (is_letter(s[n])) n++;
    return n;
  }
  if (is_digit(*s)) return 1;
  n = *s == ' ' && is_mark(s[1]) ? 1 : 0;
  if (is_mark(s[n])) {
    while (is_mark(s[n])) n++;
    while (is_break(s[n])) n++;
    return n;
  }
  return blanks(s);
}

/* ---- learning --------------------------------------------------------------------------------------------------- */

enum { GAP = -1 }; /* between pieces */

/* The corpus as ids with gaps between pieces; NULL when out of memory. */
static int *split_corpus(const char *const *corpus, const int id_of[TINY_BYTES], size_t *n) {
  size_t bytes = 0;
  for (int i = 0; corpus[i]; i++) bytes += strlen(corpus[i]);
  int *ids = malloc((2 * bytes + 1) * sizeof *ids);
  *n = 0;
  for (int i = 0; ids && corpus[i]; i++)
    for (const char *s = corpus[i]; *s;) {
      size_t length = piece_length(s);
      for (size_t k = 0; k < length; k++) ids[(*n)++] = id_of[(unsigned char)s[k]];
      ids[(*n)++] = GAP;
      s += length;
    }
  return ids;
}

typedef struct pair {
  int left, right, count;
} pair;

static bool is_pair(const int *ids, size_t i, size_t n) {
  return i + 1 < n && ids[i] != GAP && ids[i + 1] != GAP;
}

/* The most frequent pair; of several the one with the lowest ids. `count`, for every pair that
 * there may be, is all 0 before and after. */
static pair most_frequent(const int *ids, size_t n, int *count) {
  pair best = {.count = 0};
  for (size_t i = 0; i < n; i++)
    if (is_pair(ids, i, n)) count[ids[i] * TINY_VOCABULARY_MOST + ids[i + 1]]++;
  for (size_t i = 0; i < n; i++) {
    if (!is_pair(ids, i, n)) continue;
    int c = count[ids[i] * TINY_VOCABULARY_MOST + ids[i + 1]];
    bool lower = ids[i] < best.left || (ids[i] == best.left && ids[i + 1] < best.right);
    if (c > best.count || (c == best.count && lower)) best = (pair){ids[i], ids[i + 1], c};
  }
  for (size_t i = 0; i < n; i++)
    if (is_pair(ids, i, n)) count[ids[i] * TINY_VOCABULARY_MOST + ids[i + 1]] = 0;
  return best;
}

/* Replaces the pair by `id` from left to right; the new length. */
static size_t merge(int *ids, size_t n, pair p, int id) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    bool here = is_pair(ids, i, n) && ids[i] == p.left && ids[i + 1] == p.right;
    ids[kept++] = here ? id : ids[i];
    i += here;
  }
  return kept;
}

/* The token that the pair spells: an old one where another rule already made it. -1: too long. */
static int token_of(tiny_merges *m, pair p) {
  char spelled[2 * TINY_TOKEN_SIZE];
  size_t a = strlen(m->token[p.left]), b = strlen(m->token[p.right]);
  if (a + b >= TINY_TOKEN_SIZE) return -1;
  memcpy(spelled, m->token[p.left], a);
  memcpy(spelled + a, m->token[p.right], b + 1);
  for (int i = 0; i < m->n_tokens; i++)
    if (strcmp(m->token[i], spelled) == 0) return i;
  memcpy(m->token[m->n_tokens], spelled, a + b + 1);
  return m->n_tokens++;
}

ace_status tiny_learn(tiny_merges *m, const char *const *corpus, int vocabulary, ace_error *err) {
  int id_of[TINY_BYTES];
  size_t n = 0;
  *m = (tiny_merges){0};
  make_alphabet(m, id_of);
  int *ids = split_corpus(corpus, id_of, &n);
  int *count = calloc((size_t)TINY_VOCABULARY_MOST * TINY_VOCABULARY_MOST, sizeof *count);
  ace_status status = ids && count ? ACE_OK : ace_fail(err, ACE_ENOMEM, "tokenizer: out of memory");
  while (status == ACE_OK && m->n_tokens < vocabulary && m->n_rules < vocabulary) {
    pair p = most_frequent(ids, n, count);
    int id = p.count > 1 ? token_of(m, p) : -1;
    if (id < 0) break; /* nothing left that occurs twice */
    m->left[m->n_rules] = p.left;
    m->right[m->n_rules++] = p.right;
    n = merge(ids, n, p, id);
  }
  free(ids);
  free(count);
  return status;
}
