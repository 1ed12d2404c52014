/* bpe_json.c - a tokenizer from one tokenizer.json.
 *
 * Only what Qwen2 and Qwen3 tokenizers consist of is accepted; anything else would give wrong ids without a word, so it
 * is an error that names the field. The large lists are scanned in place, the small parts go through a JSON tree.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "text/bpe_table.h"

static ace_status unsupported(const json_scan *s, const char *field, const char *why) {
  return ace_fail(s->err, ACE_EUNSUPPORTED, "%s: %s: %s", s->where, field, why);
}

/* Takes the next value when it is null. */
static bool take_null(json_scan *s) {
  if (scan_peek(s) != 'n' || s->end - s->at < 4 || memcmp(s->at, "null", 4) != 0) return false;
  s->at += 4;
  return true;
}

/* ---- added tokens ---- */

/* A flag that must be false: tokens with it would take blanks or word limits into account. */
static ace_status scan_refused_flag(json_scan *s, scan_text name) {
  bool value;
  ace_status status = scan_bool(s, &value);
  if (status != ACE_OK || !value) return status;
  return ace_fail(s->err, ACE_EUNSUPPORTED, "%s: added tokens: %.*s must be false", s->where, (int)name.n, name.s);
}

static ace_status scan_flag(json_scan *s, uint32_t bit, uint32_t *flags) {
  bool value;
  ace_status status = scan_bool(s, &value);
  if (status == ACE_OK && value) *flags |= bit;
  return status;
}

ace_status bpe_scan_added(json_scan *s, bpe_added_fields *fields) {
  *fields = (bpe_added_fields){.id = -1};
  bool first = true, content = false;
  int more;
  ace_status status = scan_begin(s, '{');
  while (status == ACE_OK && (more = scan_next(s, '}', &first)) != 0) {
    scan_text key;
    status = more < 0 ? ACE_EFORMAT : scan_key(s, &key);
    if (status != ACE_OK) break;
    if (scan_is(key, "content") && !content) content = true, status = scan_string(s, 1, &fields->content);
    else if (scan_is(key, "content")) status = scan_fail(s, "an added token has two contents");
    else if (scan_is(key, "id")) status = scan_int(s, &fields->id);
    else if (scan_is(key, "special")) status = scan_flag(s, TOKEN_SPECIAL, &fields->flags);
    else if (scan_is(key, "normalized")) status = scan_flag(s, TOKEN_NORMALISED, &fields->flags);
    else if (scan_is(key, "lstrip") || scan_is(key, "rstrip") || scan_is(key, "single_word"))
      status = scan_refused_flag(s, key);
    else status = scan_skip(s, NULL);
  }
  if (status == ACE_OK && !content) status = scan_fail(s, "an added token has no content");
  return status;
}

static ace_status load_added(bpe *t, json_scan *s) {
  bool first = true;
  int more;
  if (take_null(s)) return ACE_OK;
  ace_status status = scan_begin(s, '[');
  while (status == ACE_OK && (more = scan_next(s, ']', &first)) != 0) {
    bpe_added_fields fields;
    status = more < 0 ? ACE_EFORMAT : bpe_scan_added(s, &fields);
    if (status == ACE_OK) status = bpe_add_added(t, fields.content, fields.id, fields.flags, s->where, s->err);
  }
  return status;
}

/* ---- model ---- */

ace_status bpe_scan_vocab(bpe *t, json_scan *s) {
  bool first = true;
  int more;
  ace_status status = scan_begin(s, '{');
  while (status == ACE_OK && (more = scan_next(s, '}', &first)) != 0) {
    scan_text key;
    int64_t id;
    status = more < 0 ? ACE_EFORMAT : scan_key(s, &key);
    if (status == ACE_OK) status = scan_int(s, &id);
    if (status == ACE_OK) status = bpe_add_entry(t, key, id, s->where, s->err);
  }
  return status;
}

/* One rule, "a b" or ["a", "b"]. */
static ace_status load_rule(bpe *t, json_scan *s) {
  scan_text left, right;
  ace_status status;
  if (scan_peek(s) == '[') {
    s->at++;
    status = scan_string(s, 1, &left);
    if (status == ACE_OK && scan_peek(s) != ',') status = scan_fail(s, "expected a pair of strings");
    if (status != ACE_OK) return status;
    s->at++;
    status = scan_string(s, 2, &right);
    if (status == ACE_OK && scan_peek(s) != ']') status = scan_fail(s, "expected a pair of strings");
    if (status != ACE_OK) return status;
    s->at++;
  } else {
    status = scan_string(s, 1, &left);
    if (status != ACE_OK) return status;
    const char *blank = left.n ? memchr(left.s, ' ', left.n) : NULL;
    if (!blank)
      return ace_fail(s->err, ACE_EFORMAT, "%s: model.merges: rule %u is not two parts with a space between", s->where,
                      (unsigned)t->n_rules + 1);
    right = (scan_text){blank + 1, (size_t)(left.s + left.n - blank - 1)};
    left.n = (size_t)(blank - left.s);
  }
  return bpe_add_rule(t, left, right, s->where, s->err);
}

static ace_status load_rules(bpe *t, json_scan *s) {
  bool first = true;
  int more;
  ace_status status = scan_begin(s, '[');
  while (status == ACE_OK && (more = scan_next(s, ']', &first)) != 0) status = more < 0 ? ACE_EFORMAT : load_rule(t, s);
  return status;
}

/* Runs one of the loaders over a part of the text. */
static ace_status within(bpe *t, const json_scan *whole, scan_text part, ace_status (*load)(bpe *, json_scan *)) {
  json_scan s = {.text = whole->text, .at = part.s, .end = part.s + part.n, .where = whole->where, .err = whole->err};
  ace_status status = load(t, &s);
  if (status == ACE_OK) status = scan_end(&s);
  scan_close(&s);
  return status;
}

/* A small field of the model that would change what the ids are. */
static ace_status model_field(json_scan *s, scan_text key) {
  bool text = scan_is(key, "continuing_subword_prefix") || scan_is(key, "end_of_word_suffix");
  bool flag = scan_is(key, "byte_fallback") || scan_is(key, "ignore_merges");
  ace_status status = ACE_OK;
  if (take_null(s)) return ACE_OK;
  if (scan_is(key, "type") || text) {
    scan_text value;
    status = scan_string(s, 1, &value);
    if (status == ACE_OK && text && value.n > 0)
      status = unsupported(s, "model", "affixes of sub-words are not supported, expected none");
    else if (status == ACE_OK && !text && !scan_is(value, "BPE"))
      status = unsupported(s, "model.type", "unknown, expected \"BPE\"");
  } else if (flag) {
    bool value;
    status = scan_bool(s, &value);
    if (status == ACE_OK && value)
      status = unsupported(s, scan_is(key, "byte_fallback") ? "model.byte_fallback" : "model.ignore_merges",
                           "true is not supported, expected false");
  } else if (scan_is(key, "dropout")) {
    status = unsupported(s, "model.dropout", "not supported, expected null");
  } else {
    status = scan_skip(s, NULL);
  }
  return status;
}

static ace_status load_model(bpe *t, json_scan *s) {
  scan_text vocab = {0}, merges = {0}, key;
  bool first = true;
  int more;
  ace_status status = scan_begin(s, '{');
  while (status == ACE_OK && (more = scan_next(s, '}', &first)) != 0) {
    status = more < 0 ? ACE_EFORMAT : scan_key(s, &key);
    if (status != ACE_OK) break;
    scan_text *large = scan_is(key, "vocab") ? &vocab : scan_is(key, "merges") ? &merges : NULL;
    if (large && large->s) status = scan_fail(s, "vocab or merges stand there twice");
    else if (large) status = scan_skip(s, large);
    else status = model_field(s, key);
  }
  if (status == ACE_OK && (!vocab.s || !merges.s))
    status = ace_fail(s->err, ACE_EFORMAT, "%s: model has no vocab or no merges", s->where);
  if (status == ACE_OK) status = within(t, s, vocab, bpe_scan_vocab);
  if (status == ACE_OK) status = within(t, s, merges, load_rules);
  return status;
}

/* ---- the small parts ---- */

static bool has_type(const json_t *object, const char *type) {
  const char *value = json_string_value(json_object_get(object, "type"));
  return value && strcmp(value, type) == 0;
}

/* The part as a tree; *json is NULL when it is missing or null. */
static ace_status small_part(const json_scan *s, scan_text part, const char *field, json_t **json) {
  *json = NULL;
  if (!part.s || scan_is(part, "null")) return ACE_OK;
  if (part.s[0] != '{') return ace_fail(s->err, ACE_EFORMAT, "%s: %s: not an object", s->where, field);
  char where[320];
  size_t n = strlen(s->where), m = strlen(field);
  if (n + m + 3 > sizeof where) n = sizeof where - m - 3;
  memcpy(where, s->where, n);
  memcpy(where + n, ": ", 2);
  memcpy(where + n + 2, field, m + 1);
  *json = json_parse(part.s, part.n, where, s->err);
  return *json ? ACE_OK : ACE_EFORMAT;
}

static ace_status check_normaliser(const json_scan *s, const json_t *json) {
  const json_t *list = json_object_get(json, "normalizers");
  const json_t *one = has_type(json, "Sequence") && json_array_size(list) == 1 ? json_array_get(list, 0) : json;
  return has_type(one, "NFC") ? ACE_OK : unsupported(s, "normalizer", "unknown, expected NFC");
}

static bool is_false(const json_t *object, const char *field) {
  return json_is_false(json_object_get(object, field));
}

/* [Split by the Qwen pattern, ByteLevel without a pattern of its own] */
static ace_status check_splitter(const json_scan *s, const json_t *json) {
  const json_t *list = json_object_get(json, "pretokenizers");
  const json_t *split = json_array_get(list, 0), *bytes = json_array_get(list, 1);
  if (!has_type(json, "Sequence") || json_array_size(list) != 2 || !has_type(split, "Split") ||
      !has_type(bytes, "ByteLevel"))
    return unsupported(s, "pre_tokenizer", "unknown, expected a Sequence of Split and ByteLevel");
  const char *pattern = json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
  const char *behaviour = json_string_value(json_object_get(split, "behavior"));
  if (!pattern || strcmp(pattern, bpe_qwen_pattern) != 0)
    return unsupported(s, "pre_tokenizer: Split: pattern", "not the pattern of Qwen2 and Qwen3");
  if (!behaviour || strcmp(behaviour, "Isolated") != 0 || json_is_true(json_object_get(split, "invert")))
    return unsupported(s, "pre_tokenizer: Split", "expected behavior Isolated, not inverted");
  if (!is_false(bytes, "add_prefix_space") || !is_false(bytes, "use_regex"))
    return unsupported(s, "pre_tokenizer: ByteLevel", "expected add_prefix_space and use_regex false");
  return ACE_OK;
}

/* Appends the ids that a template's special token stands for. */
static ace_status template_token(bpe *t, const json_scan *s, const json_t *templ, const json_t *item) {
  const char *name = json_string_value(json_object_get(item, "id"));
  const json_t *known = name ? json_object_get(json_object_get(templ, "special_tokens"), name) : NULL;
  const json_t *ids = json_object_get(known, "ids"), *id;
  size_t i;
  if (json_array_size(ids) == 0)
    return ace_fail(s->err, ACE_EFORMAT, "%s: post_processor: a token of the template has no ids", s->where);
  json_array_foreach(ids, i, id) {
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= t->n_ids ||
        t->token[json_integer_value(id)].at == BPE_UNUSED)
      return ace_fail(s->err, ACE_EFORMAT, "%s: post_processor: an id of the template is not in the vocabulary",
                      s->where);
    if (t->n_suffix == BPE_MAX_TEMPLATE) return unsupported(s, "post_processor", "more than 16 tokens around the text");
    t->suffix[t->n_suffix++] = (int32_t)json_integer_value(id);
  }
  return ACE_OK;
}

static ace_status load_template(bpe *t, const json_scan *s, const json_t *templ) {
  const json_t *single = json_object_get(templ, "single"), *item;
  size_t i;
  int texts = 0;
  json_array_foreach(single, i, item) {
    const json_t *special = json_object_get(item, "SpecialToken");
    if (special) {
      ace_status status = template_token(t, s, templ, special);
      if (status != ACE_OK) return status;
    } else if (json_object_get(item, "Sequence") && texts++ == 0) { /* so far it all came before the text */
      memcpy(t->prefix, t->suffix, sizeof t->prefix);
      t->n_prefix = t->n_suffix;
      t->n_suffix = 0;
    }
  }
  if (texts != 1) return unsupported(s, "post_processor", "expected a template with the text in it once");
  return ACE_OK;
}

static ace_status load_post(bpe *t, const json_scan *s, const json_t *json) {
  const json_t *list = has_type(json, "Sequence") ? json_object_get(json, "processors") : NULL;
  size_t n = list ? json_array_size(list) : 1;
  bool found = false;
  if (has_type(json, "Sequence") && !json_is_array(list))
    return ace_fail(s->err, ACE_EFORMAT, "%s: post_processor: processors is not a list", s->where);
  for (size_t i = 0; i < n; i++) {
    const json_t *one = list ? json_array_get(list, i) : json;
    if (has_type(one, "ByteLevel")) continue; /* changes offsets only */
    if (!has_type(one, "TemplateProcessing") || found)
      return unsupported(s, "post_processor", "expected ByteLevel and at most one TemplateProcessing");
    found = true;
    ace_status status = load_template(t, s, one);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

typedef struct parts {
  scan_text added, normaliser, splitter, post, decoder, model;
} parts;

/* All the small parts; the ids are known by now. */
static ace_status load_small(bpe *t, const json_scan *s, const parts *p) {
  json_t *json;
  ace_status status = small_part(s, p->normaliser, "normalizer", &json);
  if (status == ACE_OK && json) status = check_normaliser(s, json);
  else if (status == ACE_OK) t->plain = true;
  json_decref(json);
  if (status != ACE_OK) return status;
  status = small_part(s, p->splitter, "pre_tokenizer", &json);
  if (status == ACE_OK) status = check_splitter(s, json);
  json_decref(json);
  if (status != ACE_OK) return status;
  status = small_part(s, p->decoder, "decoder", &json);
  if (status == ACE_OK && !has_type(json, "ByteLevel")) status = unsupported(s, "decoder", "expected ByteLevel");
  json_decref(json);
  if (status != ACE_OK) return status;
  status = small_part(s, p->post, "post_processor", &json);
  if (status == ACE_OK && json) status = load_post(t, s, json);
  json_decref(json);
  return status;
}

/* Finds the parts; they may stand in any order. */
static ace_status find_parts(json_scan *s, parts *p) {
  const struct {
    const char *name;
    scan_text *part;
  } known[] = {{"added_tokens", &p->added},  {"normalizer", &p->normaliser}, {"pre_tokenizer", &p->splitter},
               {"post_processor", &p->post}, {"decoder", &p->decoder},       {"model", &p->model}};
  bool first = true;
  int more;
  scan_text key;
  ace_status status = scan_begin(s, '{');
  while (status == ACE_OK && (more = scan_next(s, '}', &first)) != 0) {
    status = more < 0 ? ACE_EFORMAT : scan_key(s, &key);
    if (status != ACE_OK) break;
    scan_text *part = NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
      if (scan_is(key, known[i].name)) part = known[i].part;
    status = part && part->s ? scan_fail(s, "a field stands there twice") : scan_skip(s, part);
  }
  if (status == ACE_OK) status = scan_end(s);
  if (status == ACE_OK && !p->model.s)
    status = ace_fail(s->err, ACE_EFORMAT, "%s: no model: not a tokenizer.json", s->where);
  return status;
}

bpe *bpe_open_json(const char *json, size_t length, const char *where, ace_error *err) {
  parts p = {0};
  json_scan s;
  bpe *t = bpe_new(err);
  if (!t) return NULL;
  ace_status status = scan_open(&s, json, length, where, err);
  if (status == ACE_OK) status = find_parts(&s, &p);
  if (status == ACE_OK && p.added.s) status = within(t, &s, p.added, load_added);
  if (status == ACE_OK) status = within(t, &s, p.model, load_model);
  if (status == ACE_OK) status = load_small(t, &s, &p);
  if (status == ACE_OK) status = bpe_finish(t, where, err);
  scan_close(&s);
  if (status == ACE_OK) return t;
  bpe_close(t);
  return NULL;
}
