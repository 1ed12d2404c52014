/* bpe_gguf.c - the tokenizer inside a GGUF file of acestep.cpp: the content of vocab.json and merges.txt.
 *
 * Such a file names no added tokens: behind the vocabulary stand Qwen3's, which are published and the same for all models,
 * and, in the language model, <|audio_code_0|>.. up to the end of its table. How text is split is not said either.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "formats/gguf.h"
#include "text/bpe_table.h"
#include "text/utf8.h"

static const char *const added[] = {
    "<|endoftext|>",  "<|im_start|>",   "<|im_end|>",      "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>",  "<|box_end|>",    "<|quad_start|>",  "<|quad_end|>",         "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>",   "<|video_pad|>",        "<tool_call>",
    "</tool_call>",   "<|fim_prefix|>", "<|fim_middle|>",  "<|fim_suffix|>",       "<|fim_pad|>",
    "<|repo_name|>",  "<|file_sep|>",   "<tool_response>", "</tool_response>",     "<think>",
    "</think>",
};
enum { ADDED = sizeof added / sizeof *added, SPECIAL = 14 };

const char *bpe_qwen3_added(int i, bool *special) {
  if (special) *special = i < SPECIAL;
  return i >= 0 && i < ADDED ? added[i] : NULL;
}

static ace_status add_one(bpe *t, const char *content, int64_t id, bool special, const char *where, ace_error *err) {
  return bpe_add_added(t, (scan_text){content, strlen(content)}, id, special ? TOKEN_SPECIAL : 0, where, err);
}

/* Rows of the model's table, by its configuration; 0 when that does not say. */
static int64_t table_rows(const gguf_file *f) {
  gguf_text config = gguf_string(f, "acestep.config_json");
  json_t *json = config.data ? json_parse(config.data, config.length, gguf_path(f), NULL) : NULL;
  int64_t rows = json_integer_value(json_object_get(json, "vocab_size"));
  json_decref(json);
  return rows < BPE_MAX_IDS ? rows : 0;
}

static ace_status load_added(bpe *t, const gguf_file *f, int64_t first, ace_error *err) {
  gguf_text kind = gguf_string(f, "general.architecture");
  bool speaks = kind.length == 10 && memcmp(kind.data, "acestep-lm", 10) == 0;
  ace_status status = ACE_OK;
  for (int i = 0; i < ADDED && status == ACE_OK; i++)
    status = add_one(t, added[i], first + i, i < SPECIAL, gguf_path(f), err);
  int64_t rows = speaks ? table_rows(f) : 0;
  for (int64_t id = first + ADDED; id < rows && status == ACE_OK; id++) {
    char name[48];
    snprintf(name, sizeof name, "<|audio_code_%lld|>", (long long)(id - first - ADDED));
    status = add_one(t, name, id, true, gguf_path(f), err);
  }
  return status;
}

/* The next string of a list, which must be UTF-8. *more: false past the last. */
static ace_status next_text(const gguf_file *f, const char *key, gguf_list *l, gguf_text *out, bool *more,
                            ace_error *err) {
  *more = gguf_next(l, out);
  if (!*more || utf8_check(out->data, out->length) == out->length) return ACE_OK;
  return ace_fail(err, ACE_EFORMAT, "%s: %s: not UTF-8", gguf_path(f), key);
}

static ace_status load_entries(bpe *t, const gguf_file *f, gguf_list *tokens, ace_error *err) {
  gguf_text text;
  bool more = true;
  ace_status status = ACE_OK;
  for (int64_t id = 0; status == ACE_OK && more; id++) {
    status = next_text(f, "tokenizer.ggml.tokens", tokens, &text, &more, err);
    if (status == ACE_OK && more && text.length > 0)
      status = bpe_add_entry(t, (scan_text){text.data, text.length}, id, gguf_path(f), err);
  }
  return status;
}

static ace_status load_rules(bpe *t, const gguf_file *f, gguf_list *merges, ace_error *err) {
  gguf_text text;
  bool more = true;
  ace_status status = ACE_OK;
  for (int64_t i = 0; status == ACE_OK; i++) {
    status = next_text(f, "tokenizer.ggml.merges", merges, &text, &more, err);
    if (status != ACE_OK || !more) break;
    const char *blank = memchr(text.data, ' ', text.length);
    if (!blank)
      return ace_fail(err, ACE_EFORMAT, "%s: tokenizer.ggml.merges: rule %lld is not two parts with a space between",
                      gguf_path(f), (long long)i);
    size_t left = (size_t)(blank - text.data);
    status = bpe_add_rule(t, (scan_text){text.data, left}, (scan_text){blank + 1, text.length - left - 1}, gguf_path(f),
                          err);
  }
  return status;
}

bpe *bpe_open_gguf(const gguf_file *f, ace_error *err) {
  gguf_list tokens, merges;
  if (!gguf_strings(f, "tokenizer.ggml.tokens", &tokens) || !gguf_strings(f, "tokenizer.ggml.merges", &merges)) {
    ace_fail(err, ACE_ENOTFOUND, "%s: no tokenizer: tokenizer.ggml.tokens or tokenizer.ggml.merges is missing",
             gguf_path(f));
    return NULL;
  }
  if (tokens.n < 1 || tokens.n > BPE_MAX_IDS - ADDED) {
    ace_fail(err, ACE_EFORMAT, "%s: tokenizer.ggml.tokens: %lld tokens are outside 1..%d", gguf_path(f),
             (long long)tokens.n, BPE_MAX_IDS - ADDED);
    return NULL;
  }
  bpe *t = bpe_new(err);
  if (!t) return NULL;
  t->post_unknown = true;
  ace_status status = load_added(t, f, tokens.n, err);
  if (status == ACE_OK) status = load_entries(t, f, &tokens, err);
  if (status == ACE_OK) status = load_rules(t, f, &merges, err);
  if (status == ACE_OK) status = bpe_finish(t, gguf_path(f), err);
  if (status == ACE_OK) return t;
  bpe_close(t);
  return NULL;
}
