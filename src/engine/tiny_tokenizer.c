/* tiny_tokenizer.c - the tokenizer files of the miniature, built like those of Qwen3: a byte-level BPE model, 26 added
 * tokens, and for the language model its audio codes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "engine/tiny_parts.h"
#include "text/bpe.h"

/* Of Qwen3's added tokens. */
enum { ADDED = 26, SPECIAL = 14, END_OF_TEXT = 0, END_OF_TURN = 2 };

/* How Qwen cuts a text into pieces before merging. */
static const char pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* Jansson's setters take over the value and report a lack of memory; `ok` gathers that. */
static void append(bool *ok, json_t *array, json_t *value) {
  if (json_array_append_new(array, value) != 0) *ok = false;
}

static void set(bool *ok, json_t *object, const char *key, json_t *value) {
  if (json_object_set_new(object, key, value) != 0) *ok = false;
}

/* The i-th token behind the vocabulary: an added one, then audio codes. */
static const char *extra_token(char name[TINY_TOKEN_SIZE], int i) {
  if (i < ADDED) return bpe_qwen3_added(i, NULL);
  snprintf(name, TINY_TOKEN_SIZE, "<|audio_code_%d|>", i - ADDED);
  return name;
}

static bool extra_special(int i) {
  return i < SPECIAL || i >= ADDED;
}

/* ---- tokenizer.json --------------------------------------------------------------------------------------------- */

static json_t *byte_level(void) {
  return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0, "use_regex",
                   0);
}

static json_t *added_list(bool *ok, int first, int n) {
  json_t *list = json_array();
  char name[TINY_TOKEN_SIZE];
  for (int i = 0; i < n; i++)
    append(ok, list,
           json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", first + i, "content", extra_token(name, i),
                     "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", (int)extra_special(i)));
  return list;
}

static json_t *splitter(void) {
  return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                   "pattern", "Regex", pattern, "behavior", "Isolated", "invert", 0, byte_level());
}

static json_t *template_text(const char *id, int type) {
  return json_pack("{s:{s:s, s:i}}", "Sequence", "id", id, "type_id", type);
}

static json_t *template_end(int type) {
  return json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", bpe_qwen3_added(END_OF_TEXT, NULL), "type_id", type);
}

/* What a text encoder's tokenizer does to finished ids: one end-of-text token behind every text. */
static json_t *appending(int end_of_text) {
  const char *end = bpe_qwen3_added(END_OF_TEXT, NULL);
  json_t *rule = json_pack("{s:s, s:[o,o], s:[o,o,o,o], s:{s:{s:s, s:[i], s:[s]}}}", "type", "TemplateProcessing",
                           "single", template_text("A", 0), template_end(0), "pair", template_text("A", 0),
                           template_end(0), template_text("B", 1), template_end(1), "special_tokens", end, "id", end,
                           "ids", end_of_text, "tokens", end);
  return json_pack("{s:s, s:[o,o]}", "type", "Sequence", "processors", byte_level(), rule);
}

static json_t *bpe_model(bool *ok, const tiny_merges *m) {
  json_t *vocabulary = json_object(), *merges = json_array();
  for (int i = 0; i < m->n_tokens; i++) set(ok, vocabulary, m->token[i], json_integer(i));
  for (int i = 0; i < m->n_rules; i++)
    append(ok, merges, json_pack("[s,s]", m->token[m->left[i]], m->token[m->right[i]]));
  return json_pack("{s:s, s:n, s:n, s:s, s:s, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                   "continuing_subword_prefix", "", "end_of_word_suffix", "", "fuse_unk", 0, "byte_fallback", 0,
                   "ignore_merges", 0, "vocab", vocabulary, "merges", merges);
}

static json_t *tokenizer_json(const tiny_merges *m, int n_extra, bool language_model) {
  bool ok = true;
  json_t *post = language_model ? byte_level() : appending(m->n_tokens + END_OF_TEXT);
  json_t *added_tokens = added_list(&ok, m->n_tokens, n_extra), *model = bpe_model(&ok, m);
  json_t *json = json_pack("{s:s, s:n, s:n, s:o, s:{s:s}, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation",
                           "padding", "added_tokens", added_tokens, "normalizer", "type", "NFC", "pre_tokenizer",
                           splitter(), "post_processor", post, "decoder", byte_level(), "model", model);
  if (ok) return json;
  json_decref(json);
  return NULL;
}

static tiny_ids ids_of(const tiny_merges *m, int codes) {
  return (tiny_ids){.vocabulary = m->n_tokens + ADDED + codes,
                    .end_of_text = m->n_tokens + END_OF_TEXT,
                    .end_of_turn = m->n_tokens + END_OF_TURN};
}

char *tiny_tokenizer_text(const tiny_merges *m, int codes, tiny_ids *ids) {
  json_t *json = tokenizer_json(m, ADDED + codes, codes > 0);
  char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  *ids = ids_of(m, codes);
  return text;
}

/* ---- the small files -------------------------------------------------------------------------------------------- */

/* The names of the special tokens but the first, which pads. */
static json_t *special_names(bool *ok) {
  json_t *list = json_array();
  for (int i = END_OF_TEXT + 1; i < SPECIAL; i++) append(ok, list, json_string(bpe_qwen3_added(i, NULL)));
  return list;
}

static json_t *config_json(int first, int n_extra) {
  bool ok = true;
  json_t *tokens = json_object(), *special = special_names(&ok);
  for (int i = 0; i < n_extra; i++) {
    char name[TINY_TOKEN_SIZE], id[16];
    snprintf(id, sizeof id, "%d", first + i);
    set(&ok, tokens, id,
        json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", extra_token(name, i), "lstrip", 0, "normalized", 0,
                  "rstrip", 0, "single_word", 0, "special", (int)extra_special(i)));
  }
  json_t *json = json_pack(
      "{s:b, s:b, s:o, s:o, s:n, s:b, s:s, s:s, s:i, s:s, s:b, s:s, s:n}", "add_bos_token", 0, "add_prefix_space", 0,
      "added_tokens_decoder", tokens, "additional_special_tokens", special, "bos_token", "clean_up_tokenization_spaces",
      0, "eos_token", bpe_qwen3_added(END_OF_TURN, NULL), "errors", "replace", "model_max_length", 131072, "pad_token",
      bpe_qwen3_added(END_OF_TEXT, NULL), "split_special_tokens", 0, "tokenizer_class", "Qwen2Tokenizer", "unk_token");
  if (ok) return json;
  json_decref(json);
  return NULL;
}

static json_t *plain_token(const char *content) {
  return json_pack("{s:s, s:b, s:b, s:b, s:b}", "content", content, "lstrip", 0, "normalized", 0, "rstrip", 0,
                   "single_word", 0);
}

static json_t *special_json(void) {
  bool ok = true;
  json_t *special = special_names(&ok);
  json_t *json = json_pack("{s:o, s:o, s:o}", "additional_special_tokens", special, "eos_token",
                           plain_token(bpe_qwen3_added(END_OF_TURN, NULL)), "pad_token",
                           plain_token(bpe_qwen3_added(END_OF_TEXT, NULL)));
  if (ok) return json;
  json_decref(json);
  return NULL;
}

/* Takes over `json`; NULL counts as out of memory. */
static ace_status write_json(const tiny_job *job, const char *part, const char *file, json_t *json, ace_error *err) {
  char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
  json_decref(json);
  ace_status status = text ? tiny_write_text(job, part, file, text, err)
                           : ace_fail(err, ACE_ENOMEM, "%s/%s/%s: out of memory", job->folder, part, file);
  free(text);
  return status;
}

ace_status tiny_write_tokenizer(const tiny_job *job, const char *part, const tiny_merges *m, int codes, tiny_ids *ids,
                                ace_error *err) {
  int n_extra = ADDED + codes;
  *ids = ids_of(m, codes);
  ace_status status = write_json(job, part, "tokenizer.json", tokenizer_json(m, n_extra, codes > 0), err);
  if (status == ACE_OK) status = write_json(job, part, "tokenizer_config.json", config_json(m->n_tokens, n_extra), err);
  if (status == ACE_OK) status = write_json(job, part, "special_tokens_map.json", special_json(), err);
  return status;
}
