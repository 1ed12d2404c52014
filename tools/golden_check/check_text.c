/* The text side: tokenizer vectors and the prompts of the diffusion transformer, byte for byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "golden.h"
#include "render/prompt.h"
#include "text/bpe.h"

enum { JSON_LIMIT = 64 << 20 };

static json_t *open_vectors(golden *g, const char *relative, const char *label) {
  char *path = file_join(g->root, relative);
  if (!path || !file_exists(path)) {
    golden_skip(g, label, "not in this folder");
    free(path);
    return NULL;
  }
  ace_error err;
  json_t *json = json_parse_file(path, JSON_LIMIT, &err);
  if (!json) golden_fail(g, label, err.message);
  free(path);
  return json;
}

/* ---- tokenizer --------------------------------------------------------------------------------------------------- */

typedef struct token_set {
  const char *name;
  bpe *tokenizer;
} token_set;

static char *tokenizer_path(const golden *g, const json_t *set, const char *field) {
  const char *name = json_string_value(json_object_get(set, field));
  char *folder = name ? file_join(g->root, "tokenizer") : NULL;
  char *path = folder ? file_join(folder, name) : NULL;
  free(folder);
  return path;
}

/* The published tokenizer_config.json with the audio codes as added tokens, in a new temporary file. */
static bool put_audio_config(const char *published, const json_t *codes, char *path, ace_error *err) {
  json_t *config = json_parse_file(published, JSON_LIMIT, err);
  if (!config) return false;
  json_t *decoder = json_object_get(config, "added_tokens_decoder");
  json_int_t first = json_integer_value(json_object_get(codes, "first_id"));
  for (json_int_t i = 0; i < json_integer_value(json_object_get(codes, "count")); i++) {
    char id[24], name[40];
    snprintf(id, sizeof id, "%lld", (long long)(first + i));
    snprintf(name, sizeof name, "<|audio_code_%lld|>", (long long)i);
    json_object_set_new(decoder, id,
                        json_pack("{s:s, s:O}", "content", name, "special", json_object_get(codes, "special")));
  }
  int fd = mkstemp(path);
  bool ok = fd >= 0 && json_dumpfd(config, fd, JSON_COMPACT) == 0;
  if (fd >= 0) close(fd);
  if (!ok) ace_fail_errno(err, "%s: cannot write", path);
  json_decref(config);
  return ok;
}

/* A set names its files, or another set plus audio codes. */
static bpe *open_set(const golden *g, const json_t *sets, const json_t *set, ace_error *err) {
  const json_t *codes = json_object_get(set, "audio_codes");
  const json_t *base = codes ? json_object_get(sets, json_string_value(json_object_get(set, "base"))) : set;
  char *whole = tokenizer_path(g, base, "tokenizer");
  if (whole) {
    size_t length;
    char *text = file_read(whole, JSON_LIMIT, &length, err);
    bpe *t = text ? bpe_open_json(text, length, whole, err) : NULL;
    free(text);
    free(whole);
    return t;
  }
  char *vocab = tokenizer_path(g, base, "vocab"), *merges = tokenizer_path(g, base, "merges");
  char *added = tokenizer_path(g, base, "added"), *config = tokenizer_path(g, base, "config");
  const char *folder = getenv("TMPDIR");
  char temporary[256];
  snprintf(temporary, sizeof temporary, "%.200s/golden-check.XXXXXX", folder && *folder ? folder : "/tmp");
  bool with_codes = codes && config && put_audio_config(config, codes, temporary, err);
  bpe *t = NULL;
  if (vocab && merges && (!codes || with_codes))
    t = bpe_open_files(vocab, merges, added, with_codes ? temporary : config, err);
  if (with_codes) unlink(temporary);
  free(vocab), free(merges), free(added), free(config);
  return t;
}

static bool same_ids(const json_t *expected, const int32_t *id, size_t n) {
  if (json_array_size(expected) != n) return false;
  for (size_t i = 0; i < n; i++)
    if (json_integer_value(json_array_get(expected, i)) != id[i]) return false;
  return true;
}

static bool same_text(const json_t *expected, const char *text, size_t length) {
  return text && json_string_length(expected) == length && memcmp(json_string_value(expected), text, length) == 0;
}

static int32_t *read_ids(const json_t *v, size_t *n) {
  const json_t *ids = json_object_get(v, "ids");
  *n = json_array_size(ids);
  int32_t *id = malloc((*n + 1) * sizeof *id);
  for (size_t i = 0; id && i < *n; i++) id[i] = (int32_t)json_integer_value(json_array_get(ids, i));
  return id;
}

static bool encode_matches(const bpe *t, const json_t *v) {
  const json_t *text = json_object_get(v, "text"), *special = json_object_get(v, "parse_special");
  int flags = BPE_POST | (json_is_false(special) ? 0 : BPE_ADDED);
  bpe_ids ids = {0};
  bool ok = bpe_encode(t, json_string_value(text), json_string_length(text), flags, &ids, NULL) == ACE_OK &&
            same_ids(json_object_get(v, "ids"), ids.id, ids.n);
  bpe_ids_free(&ids);
  return ok;
}

static bool decode_matches(const bpe *t, const json_t *v) {
  size_t n, length = 0;
  int32_t *id = read_ids(v, &n);
  int flags = json_is_true(json_object_get(v, "skip_special")) ? BPE_SKIP_SPECIAL : 0;
  char *text = id ? bpe_decode(t, id, n, flags, &length) : NULL;
  bool ok = same_text(json_object_get(v, "text"), text, length);
  free(id);
  free(text);
  return ok;
}

static bool stream_matches(const bpe *t, const json_t *v) {
  size_t n, length = 0, before = 0;
  int32_t *id = read_ids(v, &n);
  char *text = NULL;
  bpe_stream s = {.tokenizer = t};
  bool ok = id != NULL;
  for (size_t i = 0; ok && i < n; i++, before = length)
    ok = bpe_stream_push(&s, id[i], &text, &length) == ACE_OK &&
         same_text(json_array_get(json_object_get(v, "pieces"), i), text ? text + before : "", length - before);
  ok = ok && bpe_stream_flush(&s, &text, &length) == ACE_OK &&
       same_text(json_object_get(v, "flush"), text ? text + before : "", length - before);
  free(id);
  free(text);
  return ok;
}

static void run_list(golden *g, const json_t *root, const char *list, const token_set *sets, size_t n_sets,
                     bool (*matches)(const bpe *, const json_t *)) {
  size_t right = 0, wrong = 0, i;
  json_t *v;
  char name[64], detail[160];
  snprintf(name, sizeof name, "tokenizer/%s", list);
  json_array_foreach(json_object_get(root, list), i, v) {
    const char *set = json_string_value(json_object_get(v, "set"));
    size_t s = 0;
    while (s < n_sets && (!set || strcmp(sets[s].name, set) != 0)) s++;
    if (s < n_sets && matches(sets[s].tokenizer, v)) right++;
    else if (wrong++ < 5) printf("%-36s case %zu of set %s differs\n", name, i, set ? set : "?");
  }
  snprintf(detail, sizeof detail, "%zu of %zu cases equal", right, right + wrong);
  if (wrong == 0 && right > 0) golden_pass(g, name, detail);
  else golden_fail(g, name, detail);
}

void check_tokenizer_vectors(golden *g) {
  enum { MOST_SETS = 16 };
  json_t *root = open_vectors(g, "tokenizer/vectors.json", "tokenizer/vectors.json");
  if (!root) return;
  token_set sets[MOST_SETS];
  size_t n = 0;
  const char *key;
  json_t *set, *all = json_object_get(root, "sets");
  json_object_foreach(all, key, set) {
    ace_error err = {.message = "the set names no files"};
    if (n == MOST_SETS) break;
    bpe *t = open_set(g, all, set, &err);
    if (t) sets[n++] = (token_set){key, t};
    else golden_fail(g, key, err.message);
  }
  run_list(g, root, "encode", sets, n, encode_matches);
  run_list(g, root, "decode", sets, n, decode_matches);
  run_list(g, root, "stream", sets, n, stream_matches);
  for (size_t i = 0; i < n; i++) bpe_close(sets[i].tokenizer);
  json_decref(root);
}

/* ---- prompts ----------------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *v, const char *field) {
  return json_string_value(json_object_get(v, field));
}

static bool prompts_match(const json_t *v) {
  enum { MOST_TRACKS = 32 };
  const char *tracks[MOST_TRACKS];
  const json_t *classes = json_object_get(v, "track_classes");
  int n_tracks = 0;
  for (size_t i = 0; i < json_array_size(classes) && n_tracks < MOST_TRACKS; i++)
    tracks[n_tracks++] = json_string_value(json_array_get(classes, i));
  prompt_input in = {
      .task = text_of(v, "task"),
      .caption = text_of(v, "caption"),
      .lyrics = text_of(v, "lyrics"),
      .vocal_language = text_of(v, "vocal_language"),
      .bpm = (int)json_integer_value(json_object_get(v, "bpm")),
      .keyscale = text_of(v, "keyscale"),
      .timesignature = text_of(v, "timesignature"),
      .duration = json_number_value(json_object_get(v, "duration")),
      .source_samples = json_integer_value(json_object_get(v, "source_samples")),
      .track_name = text_of(v, "track_name"),
      .track_classes = tracks,
      .n_track_classes = n_tracks,
      .instruction = text_of(v, "instruction"),
      .audio_codes = text_of(v, "audio_codes"),
      .global_caption = text_of(v, "global_caption"),
      .is_lego_sft = json_is_true(json_object_get(v, "is_lego_sft")),
      .chunk_mask_mode = text_of(v, "chunk_mask_mode"),
  };
  prompt_texts texts;
  if (prompt_build(&texts, &in, NULL) != ACE_OK) return false;
  const json_t *out = json_object_get(v, "out");
  bool ok = same_text(json_object_get(out, "instruction"), texts.instruction, strlen(texts.instruction)) &&
            same_text(json_object_get(out, "text_prompt"), texts.text_prompt, strlen(texts.text_prompt)) &&
            same_text(json_object_get(out, "lyric_prompt"), texts.lyric_prompt, strlen(texts.lyric_prompt)) &&
            same_text(json_object_get(out, "non_cover_text_prompt"), texts.non_cover_text_prompt,
                      strlen(texts.non_cover_text_prompt));
  prompt_free(&texts);
  return ok;
}

void check_dit_prompts(golden *g) {
  json_t *root = open_vectors(g, "text/dit_prompts.json", "text/dit_prompts.json");
  size_t right = 0, wrong = 0, i;
  json_t *v;
  json_array_foreach(json_object_get(root, "cases"), i, v) {
    if (prompts_match(v)) right++;
    else if (wrong++ < 5) printf("%-36s case %s differs\n", "text/dit_prompts.json", text_of(v, "id"));
  }
  if (root) {
    char detail[64];
    snprintf(detail, sizeof detail, "%zu of %zu cases equal", right, right + wrong);
    if (wrong == 0 && right > 0) golden_pass(g, "text/dit_prompts.json", detail);
    else golden_fail(g, "text/dit_prompts.json", detail);
  }
  json_decref(root);
  golden_skip(g, "text/codes.json", "run by the tests, list by list");
}
