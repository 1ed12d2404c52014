/* bpe_table.c - the tables of a tokenizer: ids, vocabulary, merge rules, added tokens. See bpe_table.h.
 *
 * Byte alphabet (GPT-2, Radford et al. 2019): the bytes 0x21..0x7E, 0xA1..0xAC, 0xAE..0xFF are spelled as the character
 * of the same number, the other 68 in increasing order as U+0100, U+0101, ...
 */
#include "text/bpe_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

static ace_status no_memory(const char *where, ace_error *err) {
  return ace_fail(err, ACE_ENOMEM, "%s: out of memory for the tokenizer", where);
}

static bool spelled_as_itself(uint32_t c) {
  return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

/* The byte that a character of the alphabet stands for, or -1. */
static int byte_of(uint32_t c) {
  if (c < 0x100) return spelled_as_itself(c) ? (int)c : -1;
  c -= 0x100; /* 0x00..0x20, 0x7F..0xA0, 0xAD */
  if (c <= 0x20) return (int)c;
  if (c <= 0x42) return (int)(c - 0x21 + 0x7F);
  return c == 0x43 ? 0xAD : -1;
}

size_t bpe_unspell(scan_text spelled, char *out) {
  size_t n = 0;
  for (size_t i = 0; i < spelled.n;) {
    int length;
    int byte = byte_of(utf8_get(spelled.s + i, &length));
    if (byte < 0) return SIZE_MAX;
    out[n++] = (char)byte;
    i += (size_t)length;
  }
  return n;
}

/* ---- ids ---- */

bpe *bpe_new(ace_error *err) {
  bpe *t = calloc(1, sizeof *t);
  if (!t) no_memory("tokenizer", err);
  return t;
}

static void free_set(bpe_added_set *set) {
  free(set->entry);
}

void bpe_close(bpe *t) {
  if (!t) return;
  free(t->bytes);
  free(t->token);
  free(t->entry);
  free(t->rule);
  free_set(&t->raw);
  free_set(&t->normalised);
  pcre2_code_free(t->pattern);
  free(t);
}

/* Room for `more` token bytes. */
static bool reserve_bytes(bpe *t, size_t more) {
  if (t->bytes && t->bytes_capacity - t->n_bytes >= more) return true;
  size_t capacity = t->bytes_capacity ? t->bytes_capacity : 1 << 16;
  while (capacity - t->n_bytes < more) capacity *= 2;
  if (capacity >= BPE_UNUSED) return false;
  char *grown = realloc(t->bytes, capacity);
  if (!grown) return false;
  t->bytes = grown;
  t->bytes_capacity = capacity;
  return true;
}

/* Makes records for all ids up to this one; the id is in range. */
static bool reserve_id(bpe *t, int32_t id) {
  if (id >= t->ids_capacity) {
    int32_t capacity = t->ids_capacity ? t->ids_capacity : 1024;
    while (capacity <= id) capacity *= 2;
    bpe_token *grown = realloc(t->token, (size_t)capacity * sizeof *grown);
    if (!grown) return false;
    t->token = grown;
    t->ids_capacity = capacity;
  }
  for (; t->n_ids <= id; t->n_ids++) t->token[t->n_ids] = (bpe_token){.at = BPE_UNUSED};
  return true;
}

static bool id_used(const bpe *t, int64_t id) {
  return id >= 0 && id < t->n_ids && t->token[id].at != BPE_UNUSED;
}

static bool same_bytes(const bpe *t, int32_t id, const char *s, size_t n) {
  return t->token[id].length == n && memcmp(t->bytes + t->token[id].at, s, n) == 0;
}

/* For error messages: at most 40 bytes of a string that may hold anything. */
static const char *shown(scan_text text, char out[48]) {
  size_t n = 0;
  for (size_t i = 0; i < text.n && n < 40; i++) {
    unsigned char c = (unsigned char)text.s[i];
    out[n++] = (char)(c < 0x20 || c == 0x7F ? '?' : c);
  }
  while (n > 0 && utf8_check(out, n) < n) n--; /* not in the middle of a character */
  memcpy(out + n, text.n > 40 ? "..." : "", text.n > 40 ? 4 : 1);
  return out;
}

static ace_status check_id(const bpe *t, scan_text name, int64_t id, const char *where, ace_error *err) {
  char buffer[48];
  if (id < 0 || id >= BPE_MAX_IDS)
    return ace_fail(err, ACE_EFORMAT, "%s: token \"%s\": id %lld is outside 0..%d", where, shown(name, buffer),
                    (long long)id, BPE_MAX_IDS - 1);
  return ACE_OK;
}

static ace_status id_taken(scan_text name, int64_t id, const char *where, ace_error *err) {
  char buffer[48];
  return ace_fail(err, ACE_EFORMAT, "%s: token \"%s\": id %lld is already another token's", where, shown(name, buffer),
                  (long long)id);
}

ace_status bpe_add_added(bpe *t, scan_text content, int64_t id, uint32_t flags, const char *where, ace_error *err) {
  char buffer[48];
  if (content.n == 0 || content.n > BPE_MAX_ADDED)
    return ace_fail(err, ACE_EFORMAT, "%s: added token with id %lld: its content has %zu bytes, expected 1..%d", where,
                    (long long)id, content.n, BPE_MAX_ADDED);
  ace_status status = check_id(t, content, id, where, err);
  if (status != ACE_OK) return status;
  if (id_used(t, id)) return id_taken(content, id, where, err);
  if (flags & TOKEN_NORMALISED) {
    bpe_buffer scratch = {0};
    scan_text normal;
    status = bpe_nfc(content.s, content.n, &scratch, &normal, err);
    bool same = status == ACE_OK && normal.n == content.n && memcmp(normal.s, content.s, content.n) == 0;
    free(scratch.s);
    if (status != ACE_OK) return status;
    if (!same)
      return ace_fail(err, ACE_EUNSUPPORTED, "%s: added token \"%s\": normalized, but not in normalisation form C",
                      where, shown(content, buffer));
  }
  if (!reserve_id(t, (int32_t)id) || !reserve_bytes(t, content.n)) return no_memory(where, err);
  t->token[id] = (bpe_token){(uint32_t)t->n_bytes, (uint32_t)content.n, flags | TOKEN_ADDED};
  memcpy(t->bytes + t->n_bytes, content.s, content.n);
  t->n_bytes += content.n;
  return ACE_OK;
}

/* ---- vocabulary ---- */

/* FNV-1a with a last mix, so that the low bits are good. */
static uint32_t hash_bytes(const char *s, size_t n) {
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * UINT64_C(0x100000001b3);
  return (uint32_t)(h ^ h >> 32);
}

/* The slot with these bytes, or the empty slot where they belong. */
static bpe_entry *entry_slot(const bpe *t, uint32_t hash, const char *s, size_t n) {
  uint32_t i = hash & t->entry_mask;
  while (t->entry[i].id >= 0 && (t->entry[i].hash != hash || !same_bytes(t, t->entry[i].id, s, n)))
    i = (i + 1) & t->entry_mask;
  return &t->entry[i];
}

static bool grow_entries(bpe *t) {
  uint32_t old = t->entry ? t->entry_mask + 1 : 0, slots = old ? old * 2 : 1024;
  bpe_entry *grown = malloc(slots * sizeof *grown);
  if (!grown) return false;
  for (uint32_t i = 0; i < slots; i++) grown[i].id = -1;
  for (uint32_t i = 0; i < old; i++) {
    if (t->entry[i].id < 0) continue;
    uint32_t at = t->entry[i].hash & (slots - 1);
    while (grown[at].id >= 0) at = (at + 1) & (slots - 1);
    grown[at] = t->entry[i];
  }
  free(t->entry);
  t->entry = grown;
  t->entry_mask = slots - 1;
  return true;
}

int32_t bpe_find_entry(const bpe *t, const char *bytes, size_t n) {
  return t->entry ? entry_slot(t, hash_bytes(bytes, n), bytes, n)->id : -1;
}

/* An entry whose id an added token has: both must be the same string. */
static ace_status entry_of_added(bpe *t, scan_text spelled, int64_t id, const char *where, bool *plain,
                                 ace_error *err) {
  if (!(t->token[id].flags & TOKEN_ADDED) || !same_bytes(t, (int32_t)id, spelled.s, spelled.n))
    return id_taken(spelled, id, where, err);
  for (size_t i = 0; i < spelled.n; i++)
    if ((uint8_t)spelled.s[i] < 0x21 || (uint8_t)spelled.s[i] > 0x7E) *plain = false;
  return ACE_OK;
}

ace_status bpe_add_entry(bpe *t, scan_text spelled, int64_t id, const char *where, ace_error *err) {
  char buffer[48];
  ace_status status = check_id(t, spelled, id, where, err);
  if (status != ACE_OK) return status;
  bool shared = id_used(t, id), plain = true;
  if (shared) {
    status = entry_of_added(t, spelled, id, where, &plain, err);
    if (status != ACE_OK || !plain) return status; /* reached as an added token only */
  }
  if (!reserve_id(t, (int32_t)id) || !reserve_bytes(t, spelled.n)) return no_memory(where, err);
  char *bytes = t->bytes + t->n_bytes;
  size_t n = bpe_unspell(spelled, bytes);
  if (n == SIZE_MAX || n == 0)
    return ace_fail(err, ACE_EFORMAT, "%s: vocabulary entry \"%s\" is not spelled in the byte alphabet", where,
                    shown(spelled, buffer));
  if ((t->n_entries + 1) * 2 > t->entry_mask && !grow_entries(t)) return no_memory(where, err);
  uint32_t hash = hash_bytes(bytes, n);
  bpe_entry *slot = entry_slot(t, hash, bytes, n);
  if (slot->id >= 0)
    return ace_fail(err, ACE_EFORMAT, "%s: vocabulary entry \"%s\" stands there twice", where, shown(spelled, buffer));
  *slot = (bpe_entry){hash, (int32_t)id};
  t->n_entries++;
  if (!shared) {
    t->token[id] = (bpe_token){(uint32_t)t->n_bytes, (uint32_t)n, 0};
    t->n_bytes += n;
  }
  return ACE_OK;
}

/* ---- merge rules ---- */

static uint32_t hash_pair(int32_t left, int32_t right) {
  uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
  return (uint32_t)(h >> 32);
}

static bpe_rule *rule_slot(bpe_rule *rules, uint32_t mask, int32_t left, int32_t right) {
  uint32_t i = hash_pair(left, right) & mask;
  while (rules[i].rank != BPE_UNUSED && (rules[i].left != left || rules[i].right != right)) i = (i + 1) & mask;
  return &rules[i];
}

const bpe_rule *bpe_find_rule(const bpe *t, int32_t left, int32_t right) {
  const bpe_rule *slot = t->rule ? rule_slot(t->rule, t->rule_mask, left, right) : NULL;
  return slot && slot->rank != BPE_UNUSED ? slot : NULL;
}

static bool grow_rules(bpe *t) {
  uint32_t old = t->rule ? t->rule_mask + 1 : 0, slots = old ? old * 2 : 1024;
  bpe_rule *grown = malloc(slots * sizeof *grown);
  if (!grown) return false;
  for (uint32_t i = 0; i < slots; i++) grown[i].rank = BPE_UNUSED;
  for (uint32_t i = 0; i < old; i++)
    if (t->rule[i].rank != BPE_UNUSED) *rule_slot(grown, slots - 1, t->rule[i].left, t->rule[i].right) = t->rule[i];
  free(t->rule);
  t->rule = grown;
  t->rule_mask = slots - 1;
  return true;
}

/* Ids of the two halves and of the whole of a rule; false when one is not in the vocabulary. */
static bool rule_ids(bpe *t, scan_text left, scan_text right, int32_t id[3]) {
  char *bytes = t->bytes + t->n_bytes; /* room was reserved; nothing is kept */
  size_t a = bpe_unspell(left, bytes);
  if (a == SIZE_MAX) return false;
  size_t b = bpe_unspell(right, bytes + a);
  if (b == SIZE_MAX) return false;
  id[0] = bpe_find_entry(t, bytes, a);
  id[1] = bpe_find_entry(t, bytes + a, b);
  id[2] = bpe_find_entry(t, bytes, a + b);
  return id[0] >= 0 && id[1] >= 0 && id[2] >= 0;
}

ace_status bpe_add_rule(bpe *t, scan_text left, scan_text right, const char *where, ace_error *err) {
  char one[48], two[48];
  int32_t id[3];
  if (t->n_rules >= BPE_MAX_IDS) return ace_fail(err, ACE_EFORMAT, "%s: more than %d merge rules", where, BPE_MAX_IDS);
  if (!reserve_bytes(t, left.n + right.n)) return no_memory(where, err);
  if (!rule_ids(t, left, right, id))
    return ace_fail(err, ACE_EFORMAT, "%s: merge rule %u (\"%s\" \"%s\"): a part or the whole is not in the vocabulary",
                    where, (unsigned)t->n_rules + 1, shown(left, one), shown(right, two));
  if ((uint64_t)(t->n_rules + 1) * 5 > (uint64_t)t->rule_mask * 3 && !grow_rules(t)) return no_memory(where, err);
  bpe_rule *slot = rule_slot(t->rule, t->rule_mask, id[0], id[1]);
  if (slot->rank != BPE_UNUSED)
    return ace_fail(err, ACE_EFORMAT, "%s: merge rule %u (\"%s\" \"%s\") stands there twice", where,
                    (unsigned)t->n_rules + 1, shown(left, one), shown(right, two));
  *slot = (bpe_rule){id[0], id[1], t->n_rules++, id[2]};
  return ACE_OK;
}

/* ---- added tokens ---- */

static int by_bytes(const void *a, const void *b) {
  const bpe_added *x = a, *y = b;
  int order = memcmp(x->bytes, y->bytes, x->length < y->length ? x->length : y->length);
  if (order != 0) return order;
  return x->length < y->length ? -1 : x->length > y->length;
}

static ace_status fill_set(bpe *t, bpe_added_set *set, uint32_t wanted, const char *where, ace_error *err) {
  const uint32_t mask = TOKEN_ADDED | TOKEN_NORMALISED;
  for (int32_t i = 0; i < t->n_ids; i++) set->n += (t->token[i].flags & mask) == wanted;
  set->entry = malloc((set->n ? set->n : 1) * sizeof *set->entry);
  if (!set->entry) return no_memory(where, err);
  uint32_t n = 0;
  for (int32_t i = 0; i < t->n_ids; i++)
    if ((t->token[i].flags & mask) == wanted)
      set->entry[n++] = (bpe_added){t->bytes + t->token[i].at, t->token[i].length, i};
  qsort(set->entry, set->n, sizeof *set->entry, by_bytes);
  for (uint32_t i = 1; i < set->n; i++) {
    const bpe_added *e = &set->entry[i];
    char buffer[48];
    if (by_bytes(e - 1, e) == 0)
      return ace_fail(err, ACE_EFORMAT, "%s: added token \"%s\" has two ids, %d and %d", where,
                      shown((scan_text){e->bytes, e->length}, buffer), (int)e[-1].id, (int)e->id);
  }
  for (uint32_t byte = 0, i = 0; byte <= 256; byte++) {
    while (i < set->n && (uint8_t)set->entry[i].bytes[0] < byte) i++;
    set->first[byte] = i;
  }
  return ACE_OK;
}

/* First of entry[low..high) whose byte at `depth` is >= c; all of them are longer than that and sorted. */
static uint32_t lower_bound(const bpe_added_set *set, uint32_t low, uint32_t high, size_t depth, unsigned c) {
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if ((uint8_t)set->entry[middle].bytes[depth] < c) low = middle + 1;
    else high = middle;
  }
  return low;
}

const bpe_added *bpe_match_added(const bpe_added_set *set, const char *s, size_t n) {
  const bpe_added *best = NULL;
  uint32_t low = set->first[(uint8_t)s[0]], high = set->first[(uint8_t)s[0] + 1];
  /* entry[low..high) are those that begin with s[0..depth) */
  for (size_t depth = 1; low < high; depth++) {
    if (set->entry[low].length == depth) best = &set->entry[low++];
    if (low == high || depth == n) break;
    unsigned c = (uint8_t)s[depth];
    if ((uint8_t)set->entry[low].bytes[depth] != c) low = lower_bound(set, low, high, depth, c);
    if (low < high && (uint8_t)set->entry[high - 1].bytes[depth] != c) high = lower_bound(set, low, high, depth, c + 1);
  }
  return best;
}

int32_t bpe_find_added(const bpe *t, const char *s, size_t n) {
  if (n == 0) return -1;
  const bpe_added *found = bpe_match_added(&t->raw, s, n);
  if (!found || found->length != n) found = bpe_match_added(&t->normalised, s, n);
  return found && found->length == n ? found->id : -1;
}

/* ---- the whole ---- */

/* An added token that is also a vocabulary entry must have the same id in both. */
static ace_status check_shared(const bpe *t, const bpe_added_set *set, const char *where, ace_error *err) {
  char bytes[BPE_MAX_ADDED], buffer[48];
  for (uint32_t i = 0; i < set->n; i++) {
    scan_text content = {set->entry[i].bytes, set->entry[i].length};
    size_t n = bpe_unspell(content, bytes);
    int32_t id = n == SIZE_MAX ? -1 : bpe_find_entry(t, bytes, n);
    if (id >= 0 && id != set->entry[i].id)
      return ace_fail(err, ACE_EFORMAT, "%s: added token \"%s\" has id %d, but %d in the vocabulary", where,
                      shown(content, buffer), (int)set->entry[i].id, (int)id);
  }
  return ACE_OK;
}

static void count_audio_codes(bpe *t) {
  char name[40];
  int n = snprintf(name, sizeof name, "<|audio_code_0|>");
  int32_t first = bpe_find_added(t, name, (size_t)n), count = 0;
  if (first < 0) return;
  while (id_used(t, first + count) && t->token[first + count].flags & TOKEN_ADDED &&
         same_bytes(t, first + count, name, (size_t)n))
    n = snprintf(name, sizeof name, "<|audio_code_%d|>", (int)++count);
  t->first_audio_code = first;
  t->n_audio_codes = count;
}

/* PCRE2's \s takes U+180E for white space where the pattern's authors' engine does not, so the Unicode property
 * White_Space is written out. */
#define WHITE \
  "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

const char bpe_qwen_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
    "|\\s+(?!\\S)|\\s+";

static const char pattern_source[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^" WHITE "\\p{L}\\p{N}]+[\\r\\n]*|[" WHITE
    "]*[\\r\\n]+|[" WHITE "]+(?![^" WHITE "])|[" WHITE "]+";

static ace_status compile_pattern(bpe *t, ace_error *err) {
  int why;
  PCRE2_SIZE at;
  /* Anchored here, not when matching, which would switch the compiled code off. */
  t->pattern = pcre2_compile((PCRE2_SPTR)pattern_source, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED,
                             &why, &at, NULL);
  if (!t->pattern)
    return ace_fail(err, ACE_EINTERNAL, "tokenizer: the splitting pattern does not compile (PCRE2 error %d)", why);
  pcre2_jit_compile(t->pattern, PCRE2_JIT_COMPLETE); /* without it matching is slower, not different */
  return ACE_OK;
}

ace_status bpe_finish(bpe *t, const char *where, ace_error *err) {
  for (int b = 0; b < 256; b++) {
    char byte = (char)b;
    t->byte_id[b] = bpe_find_entry(t, &byte, 1);
    if (t->byte_id[b] < 0)
      return ace_fail(err, ACE_EFORMAT, "%s: the vocabulary has no entry for byte 0x%02x; all 256 are needed", where,
                      (unsigned)b);
  }
  ace_status status = fill_set(t, &t->raw, TOKEN_ADDED, where, err);
  if (status == ACE_OK) status = fill_set(t, &t->normalised, TOKEN_ADDED | TOKEN_NORMALISED, where, err);
  if (status == ACE_OK) status = check_shared(t, &t->raw, where, err);
  if (status == ACE_OK) status = check_shared(t, &t->normalised, where, err);
  if (status == ACE_OK) status = compile_pattern(t, err);
  if (status == ACE_OK) count_audio_codes(t);
  return status;
}
