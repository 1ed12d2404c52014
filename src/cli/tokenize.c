/* acestep tokenize - text to token ids and back, as the text encoder reads it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/folders.h"
#include "cli/input.h"
#include "request/text.h"
#include "text/bpe.h"

enum { TEXT_LIMIT = 64 << 20 };
static const char default_tokenizer[] = "Qwen3-Embedding-0.6B";

static const cli_flag flags[] = {
    {"models", 0, "DIR", "Folder of models; its Qwen3-Embedding-0.6B is used"},
    {"decode", 0, NULL, "From ids (separated by blanks or commas) to text"},
    {"no-special", 0, NULL, "Special tokens are neither recognised nor added; with --decode: left out"},
    {"json", 0, NULL, "As one JSON object"},
    {0}};

static bool has_tokenizer(const char *folder) {
  static const char *const files[] = {"tokenizer.json", "vocab.json"};
  bool found = false;
  for (size_t i = 0; i < sizeof files / sizeof *files && !found; i++) {
    char *path = file_join(folder, files[i]);
    found = path && file_exists(path);
    free(path);
  }
  return found;
}

/* Which operand is the folder, which the text? One alone is a folder when a tokenizer lies in it. */
static void sort_operands(const args *a, const char **folder, const char **text) {
  *folder = *text = NULL;
  if (a->n_operands == 2) *folder = a->operand[0], *text = a->operand[1];
  else if (a->n_operands == 1 && has_tokenizer(a->operand[0])) *folder = a->operand[0];
  else if (a->n_operands == 1) *text = a->operand[0];
}

static bpe *open_tokenizer(const args *a, const char *folder, ace_error *err) {
  if (folder) return bpe_open(folder, err);
  char *models = folder_models(args_value(a, "models"), err);
  char *path = NULL;
  if (models) path = has_tokenizer(models) ? strdup(models) : file_join(models, default_tokenizer);
  bpe *t = path ? bpe_open(path, err) : NULL;
  free(path);
  free(models);
  return t;
}

/* ---- ids to text ------------------------------------------------------------------------------------------------- */

static ace_status parse_ids(const bpe *t, const char *text, bpe_ids *out, ace_error *err) {
  static const char between[] = " \t\r\n,[]";
  size_t room = strlen(text) / 2 + 1;
  out->id = malloc(room * sizeof *out->id);
  if (!out->id) return ace_fail(err, ACE_ENOMEM, "tokenize: out of memory");
  for (text += strspn(text, between); *text; text += strspn(text, between)) {
    char *end, excerpt[REQ_EXCERPT_SIZE];
    size_t n = strcspn(text, between);
    long long id = strtoll(text, &end, 10);
    if (end != text + n || id < 0 || id >= bpe_vocab_size(t) || !isdigit((unsigned char)*text))
      return ace_fail(err, ACE_EINVAL, "tokenize: \"%s\" is no id in 0..%d", req_excerpt(text, n, excerpt),
                      bpe_vocab_size(t) - 1);
    out->id[out->n++] = (int32_t)id;
    text += n;
  }
  return ACE_OK;
}

static ace_status decode(const args *a, const bpe *t, const char *text, ace_error *err) {
  bpe_ids ids = {0};
  size_t length = 0;
  ace_status status = parse_ids(t, text, &ids, err);
  char *words = NULL;
  if (status == ACE_OK) {
    words = bpe_decode(t, ids.id, ids.n, args_on(a, "no-special") ? BPE_SKIP_SPECIAL : 0, &length);
    if (!words) status = ace_fail(err, ACE_ENOMEM, "tokenize: out of memory");
  }
  if (words && args_on(a, "json")) {
    json_t *object = json_pack("{s:o}", "text", json_stringn(words, length));
    char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (line) puts(line);
    else status = ace_fail(err, ACE_ENOMEM, "tokenize: out of memory");
    free(line);
    json_decref(object);
  } else if (words) {
    fwrite(words, 1, length, stdout);
    putchar('\n');
  }
  free(words);
  bpe_ids_free(&ids);
  return status;
}

/* ---- text to ids ------------------------------------------------------------------------------------------------- */

/* What one token stands for, as a JSON string; bytes of a divided character show as U+FFFD. */
static json_t *piece(const bpe *t, int32_t id) {
  size_t length;
  char *text = bpe_decode(t, &id, 1, 0, &length);
  json_t *value = text ? json_stringn(text, length) : NULL;
  free(text);
  return value;
}

static ace_status print_json(const bpe *t, const bpe_ids *ids, ace_error *err) {
  json_t *numbers = json_array(), *pieces = json_array();
  for (size_t i = 0; i < ids->n; i++) {
    json_array_append_new(numbers, json_integer(ids->id[i]));
    json_array_append_new(pieces, piece(t, ids->id[i]));
  }
  json_t *object = json_pack("{s:o, s:o, s:I}", "ids", numbers, "pieces", pieces, "count", (json_int_t)ids->n);
  char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
  if (line) puts(line);
  free(line);
  json_decref(object);
  return line ? ACE_OK : ace_fail(err, ACE_ENOMEM, "tokenize: out of memory");
}

static ace_status encode(const args *a, const bpe *t, const char *text, ace_error *err) {
  bpe_ids ids = {0};
  int how = args_on(a, "no-special") ? 0 : BPE_ADDED | BPE_POST;
  ace_status status = bpe_encode(t, text, strlen(text), how, &ids, err);
  if (status == ACE_OK && args_on(a, "json")) {
    status = print_json(t, &ids, err);
  } else if (status == ACE_OK) {
    for (size_t i = 0; i < ids.n; i++) {
      json_t *value = piece(t, ids.id[i]);
      char *shown = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
      printf("%d\t%s%s\n", ids.id[i], shown ? shown : "", bpe_is_special(t, ids.id[i]) ? "\tspecial" : "");
      free(shown);
      json_decref(value);
    }
  }
  bpe_ids_free(&ids);
  return status;
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  const char *folder, *text;
  sort_operands(a, &folder, &text);
  bpe *t = open_tokenizer(a, folder, &err);
  if (!t) return report_failure(r, &err);
  char *read = NULL;
  if (!text || strcmp(text, "-") == 0) text = read = input_read("-", "tokenize", TEXT_LIMIT, NULL, &err);
  ace_status status = !text ? err.status : args_on(a, "decode") ? decode(a, t, text, &err) : encode(a, t, text, &err);
  free(read);
  bpe_close(t);
  return status == ACE_OK ? CLI_OK : report_failure(r, &err);
}

const cli_command cmd_tokenize = {
    .name = "tokenize",
    .operands = "[DIR] [TEXT | -]",
    .summary = "turn text into token ids, or ids into text",
    .flags = flags,
    .most_operands = 2,
    .notes =
        "DIR is a folder with tokenizer.json, or vocab.json and merges.txt. Without TEXT, standard input is read.\n"
        "\n"
        "  acestep tokenize --models checkpoints \"jazz trio\"\n"
        "  acestep tokenize checkpoints/acestep-5Hz-lm-0.6B --decode \"151669 151670\"",
    .run = run,
};
