/* bpe_files.c - a tokenizer from a checkpoint folder: tokenizer.json, or the older set of files.
 *
 * The older set does not say how text is split or what is put behind it, only the name of a tokenizer class; the class
 * must be Qwen's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/bpe_table.h"

enum { FILE_LIMIT = 1 << 28 }; /* bytes: ten times the largest published one */

/* A file while it is being scanned. */
typedef struct source {
  char *text;
  json_scan s;
} source;

static ace_status source_open(source *f, const char *path, ace_error *err) {
  size_t length;
  *f = (source){0};
  ace_error why = {0};
  f->text = file_read(path, FILE_LIMIT, &length, &why);
  if (!f->text) return ace_fail(err, why.status, "%s", why.message);
  return scan_open(&f->s, f->text, length, path, err);
}

static void source_close(source *f) {
  scan_close(&f->s);
  free(f->text);
}

/* ---- tokenizer_config.json ---- */

typedef struct config {
  source f;
  scan_text decoder;    /* "added_tokens_decoder": {"151643": {"content": ...}} */
  scan_text special[5]; /* a string, an added token, or a list of these */
  int n_special;
} config;

static json_scan part_scan(const source *f, scan_text part) {
  return (json_scan){.text = f->s.text, .at = part.s, .end = part.s + part.n, .where = f->s.where, .err = f->s.err};
}

static ace_status config_field(config *c, scan_text key) {
  static const char *const special[] = {"additional_special_tokens", "eos_token", "pad_token", "bos_token",
                                        "unk_token"};
  json_scan *s = &c->f.s;
  if (scan_is(key, "added_tokens_decoder") && !c->decoder.s) return scan_skip(s, &c->decoder);
  if (scan_is(key, "add_prefix_space") && scan_peek(s) == 't')
    return ace_fail(s->err, ACE_EUNSUPPORTED, "%s: add_prefix_space: true is not supported, expected false", s->where);
  if (scan_is(key, "tokenizer_class")) {
    scan_text name;
    ace_status status = scan_string(s, 1, &name);
    if (status != ACE_OK || scan_is(name, "Qwen2Tokenizer") || scan_is(name, "Qwen2TokenizerFast") ||
        scan_is(name, "Qwen3Tokenizer") || scan_is(name, "Qwen3TokenizerFast"))
      return status;
    return ace_fail(s->err, ACE_EUNSUPPORTED, "%s: tokenizer_class: unknown, expected \"Qwen2Tokenizer\"", s->where);
  }
  for (int i = 0; i < 5; i++)
    if (scan_is(key, special[i]) && c->n_special < 5) return scan_skip(s, &c->special[c->n_special++]);
  return scan_skip(s, NULL);
}

static ace_status config_open(config *c, const char *path, ace_error *err) {
  *c = (config){0};
  if (!path) return ACE_OK;
  bool first = true;
  int more;
  ace_status status = source_open(&c->f, path, err);
  if (status == ACE_OK) status = scan_begin(&c->f.s, '{');
  while (status == ACE_OK && (more = scan_next(&c->f.s, '}', &first)) != 0) {
    scan_text key;
    status = more < 0 ? ACE_EFORMAT : scan_key(&c->f.s, &key);
    if (status == ACE_OK) status = config_field(c, key);
  }
  return status == ACE_OK ? scan_end(&c->f.s) : status;
}

/* The id that a key spells; -1 when it is none. */
static int64_t id_of_key(scan_text key) {
  int64_t id = 0;
  for (size_t i = 0; i < key.n; i++) {
    if (key.s[i] < '0' || key.s[i] > '9' || id >= BPE_MAX_IDS) return -1;
    id = id * 10 + (key.s[i] - '0');
  }
  return key.n ? id : -1;
}

static ace_status load_decoder(bpe *t, config *c) {
  if (!c->decoder.s) return ACE_OK;
  json_scan s = part_scan(&c->f, c->decoder);
  bool first = true;
  int more;
  ace_status status = scan_begin(&s, '{');
  while (status == ACE_OK && (more = scan_next(&s, '}', &first)) != 0) {
    scan_text key;
    bpe_added_fields fields;
    status = more < 0 ? ACE_EFORMAT : scan_key(&s, &key);
    int64_t id = status == ACE_OK ? id_of_key(key) : -1;
    if (status == ACE_OK) status = bpe_scan_added(&s, &fields);
    if (status == ACE_OK) status = bpe_add_added(t, fields.content, id, fields.flags, s.where, s.err);
  }
  scan_close(&s);
  return status;
}

/* Marks the added token of this name special. Names that are no tokens are passed over. */
static void mark_special(bpe *t, scan_text name) {
  int32_t id = bpe_find_added(t, name.s, name.n);
  if (id >= 0) t->token[id].flags |= TOKEN_SPECIAL;
}

static ace_status mark_one(bpe *t, json_scan *s) {
  scan_text name;
  bpe_added_fields fields;
  ace_status status = ACE_OK;
  char c = scan_peek(s);
  if (c == '"') {
    status = scan_string(s, 1, &name);
  } else if (c == '{') {
    status = bpe_scan_added(s, &fields);
    name = fields.content;
  } else {
    return scan_skip(s, NULL); /* null */
  }
  if (status == ACE_OK) mark_special(t, name);
  return status;
}

/* Special tokens by name, for files that have no added_tokens_decoder. */
static ace_status load_special(bpe *t, config *c) {
  ace_status status = ACE_OK;
  for (int i = 0; i < c->n_special && status == ACE_OK; i++) {
    json_scan s = part_scan(&c->f, c->special[i]);
    if (scan_peek(&s) == '[') {
      bool first = true;
      int more;
      status = scan_begin(&s, '[');
      while (status == ACE_OK && (more = scan_next(&s, ']', &first)) != 0)
        status = more < 0 ? ACE_EFORMAT : mark_one(t, &s);
    } else {
      status = mark_one(t, &s);
    }
    scan_close(&s);
  }
  return status;
}

/* ---- added_tokens.json, vocab.json, merges.txt ---- */

/* {"content": id}; tokens that the configuration already described must agree with it. */
static ace_status load_added(bpe *t, const char *path, ace_error *err) {
  if (!path) return ACE_OK;
  source f;
  bool first = true;
  int more;
  ace_status status = source_open(&f, path, err);
  if (status == ACE_OK) status = scan_begin(&f.s, '{');
  while (status == ACE_OK && (more = scan_next(&f.s, '}', &first)) != 0) {
    scan_text content;
    int64_t id = -1;
    status = more < 0 ? ACE_EFORMAT : scan_key(&f.s, &content);
    if (status == ACE_OK) status = scan_int(&f.s, &id);
    bool known = status == ACE_OK && id >= 0 && id < t->n_ids && t->token[id].length == content.n &&
                 t->token[id].at != BPE_UNUSED && memcmp(t->bytes + t->token[id].at, content.s, content.n) == 0;
    if (status == ACE_OK && !known) status = bpe_add_added(t, content, id, 0, path, err);
  }
  if (status == ACE_OK) status = scan_end(&f.s);
  source_close(&f);
  return status;
}

static ace_status load_vocab(bpe *t, const char *path, ace_error *err) {
  source f;
  ace_status status = source_open(&f, path, err);
  if (status == ACE_OK) status = bpe_scan_vocab(t, &f.s);
  if (status == ACE_OK) status = scan_end(&f.s);
  source_close(&f);
  return status;
}

/* Lines "a b"; the first line may be a version, empty lines do not count. */
static ace_status load_merges(bpe *t, const char *path, ace_error *err) {
  source f;
  ace_status status = source_open(&f, path, err);
  const char *at = f.s.at, *end = f.s.end;
  for (size_t line = 1; status == ACE_OK && at < end; line++) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop) stop = end;
    size_t n = (size_t)(stop - at);
    if (n > 0 && at[n - 1] == '\r') n--;
    const char *blank = memchr(at, ' ', n);
    bool version = line == 1 && n >= 8 && memcmp(at, "#version", 8) == 0;
    if (n > 0 && !version && !blank)
      status = ace_fail(err, ACE_EFORMAT, "%s: line %zu is not two parts with a space between", path, line);
    else if (n > 0 && !version)
      status = bpe_add_rule(t, (scan_text){at, (size_t)(blank - at)},
                            (scan_text){blank + 1, (size_t)(at + n - blank - 1)}, path, err);
    at = stop < end ? stop + 1 : end;
  }
  source_close(&f);
  return status;
}

bpe *bpe_open_files(const char *vocab_path, const char *merges_path, const char *added_path, const char *config_path,
                    ace_error *err) {
  config c;
  bpe *t = bpe_new(err);
  if (!t) return NULL;
  t->post_unknown = true;
  ace_status status = config_open(&c, config_path, err);
  if (status == ACE_OK) status = load_decoder(t, &c);
  if (status == ACE_OK) status = load_added(t, added_path, err);
  if (status == ACE_OK) status = load_vocab(t, vocab_path, err);
  if (status == ACE_OK) status = load_merges(t, merges_path, err);
  if (status == ACE_OK) status = bpe_finish(t, vocab_path, err);
  if (status == ACE_OK && !c.decoder.s) status = load_special(t, &c);
  source_close(&c.f);
  if (status == ACE_OK) return t;
  bpe_close(t);
  return NULL;
}

/* ---- a folder ---- */

static bpe *open_whole(const char *path, ace_error *err) {
  size_t length;
  char *text = file_read(path, FILE_LIMIT, &length, err);
  if (!text) return NULL;
  bpe *t = bpe_open_json(text, length, path, err);
  free(text);
  return t;
}

static bpe *open_gguf(const char *path, ace_error *err) {
  gguf_file *f = gguf_open(path, err);
  bpe *t = f ? bpe_open_gguf(f, err) : NULL;
  gguf_close(f);
  return t;
}

static bpe *open_folder(const char *folder, ace_error *err) {
  static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json",
                                      "tokenizer_config.json"};
  enum { WHOLE, VOCAB, MERGES, ADDED, CONFIG, COUNT };
  char *path[COUNT] = {0};
  bpe *t = NULL;
  bool memory = true;
  for (int i = 0; i < COUNT; i++) memory = (path[i] = file_join(folder, names[i])) && memory;
  if (!memory) ace_fail(err, ACE_ENOMEM, "%s: out of memory for the tokenizer", folder);
  else if (file_exists(path[WHOLE])) t = open_whole(path[WHOLE], err);
  else if (file_exists(path[VOCAB]) && file_exists(path[MERGES]))
    t = bpe_open_files(path[VOCAB], path[MERGES], file_exists(path[ADDED]) ? path[ADDED] : NULL,
                       file_exists(path[CONFIG]) ? path[CONFIG] : NULL, err);
  else ace_fail(err, ACE_ENOTFOUND, "%s: no tokenizer: neither tokenizer.json nor vocab.json with merges.txt", folder);
  for (int i = 0; i < COUNT; i++) free(path[i]);
  return t;
}

bpe *bpe_open(const char *folder, ace_error *err) {
  char *file = gguf_locate(folder);
  bpe *t = file ? open_gguf(file, err) : open_folder(folder, err);
  free(file);
  return t;
}
