/* bpe_table.h - what a tokenizer consists of, and how one is put together: inside of the text room only.
 *
 * Order of building: bpe_new; all added tokens; the vocabulary; the merge rules in order of rank; bpe_finish.
 * Everything lies in a few flat blocks: token bytes one after another, a record per id, two open-addressing tables.
 */
#ifndef ACE_TEXT_BPE_TABLE_H
#define ACE_TEXT_BPE_TABLE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "text/bpe.h"
#include "text/json_scan.h"

enum {
  BPE_MAX_IDS = 4000000,  /* ids are below this */
  BPE_MAX_ADDED = 512,    /* bytes of an added token: bounds the work at each place of a text */
  BPE_MAX_TEMPLATE = 16,  /* tokens that a post-processor puts before or behind */
  BPE_MAX_TEXT = 1 << 24, /* bytes of a text: merging takes up to 44 bytes for each */
};
#define BPE_UNUSED UINT32_MAX

/* Flags of an id. */
enum { TOKEN_ADDED = 1, TOKEN_SPECIAL = 2, TOKEN_NORMALISED = 4 };

typedef struct bpe_token {
  uint32_t at, length; /* in bpe.bytes: the bytes that the token stands for; at = BPE_UNUSED: no such id */
  uint32_t flags;
} bpe_token;

/* A slot of the vocabulary: bytes -> id. Empty when id < 0. */
typedef struct bpe_entry {
  uint32_t hash;
  int32_t id;
} bpe_entry;

/* A slot of the rules: left and right id -> rank and merged id. Empty when rank is BPE_UNUSED. */
typedef struct bpe_rule {
  int32_t left, right;
  uint32_t rank;
  int32_t merged;
} bpe_rule;

typedef struct bpe_added {
  const char *bytes;
  uint32_t length;
  int32_t id;
} bpe_added;

/* Added tokens sorted by their bytes; those that begin with byte b are entry[first[b]] .. entry[first[b + 1]]. */
typedef struct bpe_added_set {
  bpe_added *entry;
  uint32_t n, first[257];
} bpe_added_set;

struct bpe {
  char *bytes;
  size_t n_bytes, bytes_capacity;
  bpe_token *token; /* [n_ids] */
  int32_t n_ids, ids_capacity;
  bpe_entry *entry; /* power of two */
  uint32_t n_entries, entry_mask;
  bpe_rule *rule; /* power of two */
  uint32_t n_rules, rule_mask;
  int32_t byte_id[256];
  bpe_added_set raw;                                          /* matched in the text as given */
  bpe_added_set normalised;                                   /* matched after normalisation */
  int32_t prefix[BPE_MAX_TEMPLATE], suffix[BPE_MAX_TEMPLATE]; /* of the post-processor */
  int n_prefix, n_suffix;
  bool post_unknown;
  bool plain; /* the normalizer is null: text is taken as it is */
  int32_t first_audio_code;
  int n_audio_codes;
  pcre2_code *pattern;
};

/* The pattern as tokenizer.json files spell it. */
extern const char bpe_qwen_pattern[];

bpe *bpe_new(ace_error *err);
/* `where` names the file. The strings are spelled as in the file. */
ace_status bpe_add_added(bpe *t, scan_text content, int64_t id, uint32_t flags, const char *where, ace_error *err);
ace_status bpe_add_entry(bpe *t, scan_text spelled, int64_t id, const char *where, ace_error *err);
ace_status bpe_add_rule(bpe *t, scan_text left, scan_text right, const char *where, ace_error *err);
/* Checks the whole, sorts the added tokens, compiles the pattern. */
ace_status bpe_finish(bpe *t, const char *where, ace_error *err);

/* Bytes behind a string of the byte alphabet: at most as many, into `out`; SIZE_MAX when a character is not in it. */
size_t bpe_unspell(scan_text spelled, char *out);
int32_t bpe_find_entry(const bpe *t, const char *bytes, size_t n);
/* NULL when the two do not merge. */
const bpe_rule *bpe_find_rule(const bpe *t, int32_t left, int32_t right);
/* The longest added token that begins at s (n >= 1), or NULL. */
const bpe_added *bpe_match_added(const bpe_added_set *set, const char *s, size_t n);
/* Id of the added token with exactly this content, or -1. */
int32_t bpe_find_added(const bpe *t, const char *s, size_t n);

/* bpe_json.c: the fields of an added token behind its opening brace, {"content": ..., "special": ..., ...}. The content
 * is borrowed until the next string is read; id is -1 when not given. */
typedef struct bpe_added_fields {
  scan_text content;
  int64_t id;
  uint32_t flags;
} bpe_added_fields;
ace_status bpe_scan_added(json_scan *s, bpe_added_fields *fields);
/* An object of "entry": id. */
ace_status bpe_scan_vocab(bpe *t, json_scan *s);

/* bpe_nfc.c: normalisation form C. *out is the text itself when it is normal already, else *buffer (grown, owned by the
 * caller). The text must be UTF-8. */
typedef struct bpe_buffer {
  char *s;
  size_t capacity;
} bpe_buffer;
ace_status bpe_nfc(const char *s, size_t n, bpe_buffer *buffer, scan_text *out, ace_error *err);

#endif
