/* bpe_encode.c - text to token ids, see bpe.h.
 *
 * Merging keeps the symbols of a piece in a linked list and its mergeable pairs in a binary heap ordered by rank, then
 * place: n log n for any length of piece, and the same result as merging the lowest-ranked leftmost pair again and
 * again.
 */
#include <stdlib.h>
#include <string.h>

#include "text/bpe_table.h"
#include "text/utf8.h"

#define NO_SYMBOL UINT32_MAX

/* One symbol of a piece, at the index of its first byte. */
typedef struct symbol {
  int32_t id;
  uint32_t previous, next; /* NO_SYMBOL at the ends */
  uint32_t rank;           /* of the pair with `next`; BPE_UNUSED: does not merge, or the symbol is gone */
  int32_t merged;          /* what the pair would become */
} symbol;

typedef struct encoder {
  const bpe *t;
  int flags;
  bpe_ids *out;
  ace_error *err;
  pcre2_match_data *match; /* one per call: the pattern itself is shared */
  pcre2_match_context *limits;
  bpe_buffer normal;
  symbol *symbol;
  uint64_t *heap; /* rank << 32 | index of the left symbol */
  size_t n_heap, capacity;
} encoder;

void bpe_ids_free(bpe_ids *ids) {
  if (!ids) return;
  free(ids->id);
  *ids = (bpe_ids){0};
}

static ace_status no_memory(encoder *e) {
  return ace_fail(e->err, ACE_ENOMEM, "tokenizer: out of memory");
}

ace_status bpe_ids_add(bpe_ids *out, int32_t id, ace_error *err) {
  if (out->n == out->capacity) {
    size_t capacity = out->capacity ? out->capacity * 2 : 64;
    int32_t *grown = realloc(out->id, capacity * sizeof *grown);
    if (!grown) return ace_fail(err, ACE_ENOMEM, "tokenizer: out of memory");
    out->id = grown;
    out->capacity = capacity;
  }
  out->id[out->n++] = id;
  return ACE_OK;
}

static ace_status put(encoder *e, int32_t id) {
  return bpe_ids_add(e->out, id, e->err);
}

/* ---- merging ---- */

static void heap_push(encoder *e, uint64_t key) {
  size_t i = e->n_heap++;
  while (i > 0 && e->heap[(i - 1) / 2] > key) {
    e->heap[i] = e->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  e->heap[i] = key;
}

static uint64_t heap_pop(encoder *e) {
  uint64_t least = e->heap[0], last = e->heap[--e->n_heap];
  size_t i = 0;
  for (size_t child; (child = 2 * i + 1) < e->n_heap; i = child) {
    if (child + 1 < e->n_heap && e->heap[child + 1] < e->heap[child]) child++;
    if (e->heap[child] >= last) break;
    e->heap[i] = e->heap[child];
  }
  e->heap[i] = last;
  return least;
}

/* Room for a piece of n bytes. A pair enters the heap once at the start, and two at most with each of n - 1 merges. */
static bool reserve(encoder *e, size_t n) {
  if (n <= e->capacity) return true;
  size_t capacity = n < 64 ? 64 : n + n / 2;
  free(e->symbol);
  free(e->heap);
  e->symbol = malloc(capacity * sizeof *e->symbol);
  e->heap = malloc(capacity * 3 * sizeof *e->heap);
  e->capacity = e->symbol && e->heap ? capacity : 0;
  return e->capacity > 0;
}

/* Looks up whether a symbol merges with the next one, and queues the pair if so. */
static void consider(encoder *e, uint32_t i) {
  symbol *left = &e->symbol[i];
  const bpe_rule *rule = left->next == NO_SYMBOL ? NULL : bpe_find_rule(e->t, left->id, e->symbol[left->next].id);
  left->rank = rule ? rule->rank : BPE_UNUSED;
  if (!rule) return;
  left->merged = rule->merged;
  heap_push(e, (uint64_t)rule->rank << 32 | i);
}

static void merge_all(encoder *e) {
  while (e->n_heap > 0) {
    uint64_t key = heap_pop(e);
    uint32_t i = (uint32_t)key;
    symbol *left = &e->symbol[i];
    if (left->rank != key >> 32) continue; /* one of the two has been merged with another since */
    symbol *right = &e->symbol[left->next];
    right->rank = BPE_UNUSED;
    left->id = left->merged;
    left->next = right->next;
    if (left->next != NO_SYMBOL) e->symbol[left->next].previous = i;
    consider(e, i);
    if (left->previous != NO_SYMBOL) consider(e, left->previous);
  }
}

/* One piece of the pattern, n >= 1. */
static ace_status encode_piece(encoder *e, const char *s, size_t n) {
  const int32_t *byte_id = e->t->byte_id;
  if (n == 1) return put(e, byte_id[(uint8_t)s[0]]);
  if (!reserve(e, n)) return no_memory(e);
  for (size_t i = 0; i < n; i++)
    e->symbol[i] = (symbol){.id = byte_id[(uint8_t)s[i]],
                            .previous = i > 0 ? (uint32_t)i - 1 : NO_SYMBOL,
                            .next = i + 1 < n ? (uint32_t)i + 1 : NO_SYMBOL};
  e->n_heap = 0;
  for (size_t i = 0; i < n; i++) consider(e, (uint32_t)i);
  merge_all(e);
  ace_status status = ACE_OK;
  for (uint32_t i = 0; i != NO_SYMBOL && status == ACE_OK; i = e->symbol[i].next) status = put(e, e->symbol[i].id);
  return status;
}

/* ---- splitting ---- */

/* Text without added tokens, normalised. */
static ace_status encode_plain(encoder *e, scan_text text) {
  ace_status status = ACE_OK;
  for (size_t at = 0; at < text.n && status == ACE_OK;) {
    int found = pcre2_match(e->t->pattern, (PCRE2_SPTR)text.s, text.n, at, PCRE2_NO_UTF_CHECK, e->match, e->limits);
    size_t end = found > 0 ? pcre2_get_ovector_pointer(e->match)[1] : at;
    if (end <= at || end > text.n)
      return ace_fail(e->err, found == PCRE2_ERROR_NOMEMORY ? ACE_ENOMEM : ACE_EINTERNAL,
                      "tokenizer: splitting failed at byte %zu (PCRE2 error %d)", at, found);
    status = encode_piece(e, text.s + at, end - at);
    at = end;
  }
  return status;
}

/* Cuts the tokens of a set out of a text; `between` gets what lies between them. */
static ace_status cut(encoder *e, const bpe_added_set *set, scan_text text,
                      ace_status (*between)(encoder *, scan_text)) {
  ace_status status = ACE_OK;
  size_t from = 0;
  for (size_t at = 0; at < text.n && status == ACE_OK;) {
    const bpe_added *token = bpe_match_added(set, text.s + at, text.n - at);
    if (!token) {
      at++;
      continue;
    }
    if (at > from) status = between(e, (scan_text){text.s + from, at - from});
    if (status == ACE_OK) status = put(e, token->id);
    from = at += token->length;
  }
  if (status == ACE_OK && from < text.n) status = between(e, (scan_text){text.s + from, text.n - from});
  return status;
}

/* A stretch of raw text between added tokens. */
static ace_status encode_stretch(encoder *e, scan_text raw) {
  scan_text text = raw;
  if (!e->t->plain) {
    ace_status status = bpe_nfc(raw.s, raw.n, &e->normal, &text, e->err);
    if (status != ACE_OK) return status;
  }
  return e->flags & BPE_ADDED && e->t->normalised.n ? cut(e, &e->t->normalised, text, encode_plain)
                                                    : encode_plain(e, text);
}

/* ---- the call ---- */

static ace_status encoder_open(encoder *e, size_t length) {
  e->match = pcre2_match_data_create(1, NULL);
  e->limits = pcre2_match_context_create(NULL);
  if (!e->match || !e->limits) return no_memory(e);
  /* The pattern steps back over a run of white space at most twice; more would be a defect. */
  pcre2_set_match_limit(e->limits, (uint32_t)length * 8 + 1000);
  pcre2_set_depth_limit(e->limits, 1000);
  return ACE_OK;
}

static void encoder_close(encoder *e) {
  pcre2_match_data_free(e->match);
  pcre2_match_context_free(e->limits);
  free(e->normal.s);
  free(e->symbol);
  free(e->heap);
}

ace_status bpe_encode(const bpe *t, const char *text, size_t length, int flags, bpe_ids *out, ace_error *err) {
  if (length > BPE_MAX_TEXT)
    return ace_fail(err, ACE_EINVAL, "text of %zu bytes: at most %d are accepted", length, BPE_MAX_TEXT);
  size_t good = utf8_check(text, length), before = out->n;
  if (good < length) return ace_fail(err, ACE_EINVAL, "text is not UTF-8 at byte %zu", good);
  encoder e = {.t = t, .flags = flags, .out = out, .err = err};
  scan_text whole = {text, length};
  ace_status status = encoder_open(&e, length);
  if (flags & BPE_POST)
    for (int i = 0; i < t->n_prefix && status == ACE_OK; i++) status = put(&e, t->prefix[i]);
  if (status == ACE_OK && length > 0)
    status = flags & BPE_ADDED ? cut(&e, &t->raw, whole, encode_stretch) : encode_stretch(&e, whole);
  if (flags & BPE_POST)
    for (int i = 0; i < t->n_suffix && status == ACE_OK; i++) status = put(&e, t->suffix[i]);
  encoder_close(&e);
  if (status != ACE_OK) out->n = before;
  return status;
}
