/* bpe.h - byte-level byte-pair encoding as Qwen2/Qwen3 use it (Sennrich et al. 2016; byte alphabet of GPT-2).
 *
 *   bpe *t = bpe_open("checkpoints/Qwen3-Embedding-0.6B", &err);      // tokenizer.json, else vocab.json + merges.txt
 *   bpe_ids ids = {0};
 *   bpe_encode(t, text, strlen(text), BPE_ADDED | BPE_POST, &ids, &err);
 *   char *back = bpe_decode(t, ids.id, ids.n, BPE_SKIP_SPECIAL, &length);
 *
 * Encoding: added tokens are cut out of the raw text (leftmost-longest), each stretch between them is NFC-normalised,
 * split by the Qwen pattern, mapped byte by byte to printable characters and merged by rank. A tokenizer is immutable
 * after opening: threads may share it.
 */
#ifndef ACE_BPE_H
#define ACE_BPE_H

#include "formats/gguf.h"

typedef struct bpe bpe;

/* Growable list of token ids; zero-initialise, bpe_ids_free. */
typedef struct bpe_ids {
  int32_t *id;
  size_t n, capacity;
} bpe_ids;

enum {
  BPE_ADDED = 1, /* encode: recognise added tokens in the text */
  BPE_POST = 2,  /* encode: apply the post-processor (appends <|endoftext|> where the checkpoint's asks for it) */
  BPE_SKIP_SPECIAL = 4, /* decode: leave out tokens marked special */
};

/* From a checkpoint folder: tokenizer.json if present, else vocab.json + merges.txt (+ added_tokens.json,
 * tokenizer_config.json). From a GGUF file, or a folder that stands for one (gguf_locate): what is in it. */
bpe *bpe_open(const char *folder, ace_error *err);
/* From one tokenizer.json held in memory, or from vocab.json and merges.txt (added, config may be NULL). For tests. */
bpe *bpe_open_json(const char *json, size_t length, const char *where, ace_error *err);
bpe *bpe_open_files(const char *vocab_path, const char *merges_path, const char *added_path, const char *config_path,
                    ace_error *err);
bpe *bpe_open_gguf(const gguf_file *f, ace_error *err);
void bpe_close(bpe *t);
/* Qwen3's added tokens in the order of their ids, and whether they are marked special; NULL past the last. */
const char *bpe_qwen3_added(int i, bool *special);

int bpe_vocab_size(const bpe *t); /* one more than the largest id */
/* Id of an added token by content, or of a vocabulary entry, named as its file spells it or by its own bytes; -1. */
int32_t bpe_find(const bpe *t, const char *token);
bool bpe_is_special(const bpe *t, int32_t id);
bool bpe_appends_eot(const bpe *t); /* the post-processor appends a token */
/* True when the tokenizer came without a post-processor description (vocab.json + merges.txt). */
bool bpe_post_unknown(const bpe *t);
/* Ids of <|audio_code_0|>.. : first id and how many follow without a gap; 0 when there are none. */
int bpe_audio_codes(const bpe *t, int32_t *first);

/* Appends to `out`. Invalid UTF-8 in the text is an error naming the byte offset. */
ace_status bpe_encode(const bpe *t, const char *text, size_t length, int flags, bpe_ids *out, ace_error *err);
/* UTF-8, NUL-terminated, free() it; *length counts bytes (text may hold NULs). Bytes that are not UTF-8 become U+FFFD,
 * one per maximal ill-formed subpart. Ids outside the vocabulary are skipped. NULL when out of memory. */
char *bpe_decode(const bpe *t, const int32_t *ids, size_t n, int flags, size_t *length);

/* Streaming decode: feed ids one by one, receive the text that became complete. */
typedef struct bpe_stream {
  const bpe *tokenizer;
  int flags;
  uint8_t held[4];
  int n_held;
} bpe_stream;
/* Appends the released text to *out (a malloc'ed, NUL-terminated, growing buffer; start with NULL/0). */
ace_status bpe_stream_push(bpe_stream *s, int32_t id, char **out, size_t *length);
ace_status bpe_stream_flush(bpe_stream *s, char **out, size_t *length);

/* Appends one id. */
ace_status bpe_ids_add(bpe_ids *ids, int32_t id, ace_error *err);
void bpe_ids_free(bpe_ids *ids);

#endif
