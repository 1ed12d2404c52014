/* grammar_table.c - builds what grammar.h decodes with: runs of fixed tokens and tries of closed values, all from the
 * tokenizer itself. */
#include "planner/grammar_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request/params.h"

static ace_status no_memory(ace_error *err) {
  return ace_fail(err, ACE_ENOMEM, "planner: out of memory for the grammar");
}

/* ---- values ---- */

static const char *number_value(int i, int low, int high, char buffer[GRAM_VALUE_SIZE]) {
  if (i > high - low) return NULL;
  snprintf(buffer, GRAM_VALUE_SIZE, "%d", low + i);
  return buffer;
}

static const char *key_value(int i, char buffer[GRAM_VALUE_SIZE]) {
  static const char *const accidentals[] = {"", "#", "b", "\u266f", "\u266d"};
  enum { NOTES = 7, ACCIDENTALS = sizeof accidentals / sizeof *accidentals, MODES = 2 };
  if (i >= NOTES * ACCIDENTALS * MODES) return NULL;
  snprintf(buffer, GRAM_VALUE_SIZE, "%c%s %s", "ABCDEFG"[i / (ACCIDENTALS * MODES)],
           accidentals[i / MODES % ACCIDENTALS], i % MODES ? "minor" : "major");
  return buffer;
}

const char *gram_value(plan_field field, int i, char buffer[GRAM_VALUE_SIZE]) {
  static const char *const meters[] = {"2", "3", "4", "6", NULL};
  switch (field) {
    case PLAN_BPM: return number_value(i, GRAM_BPM_LOW, GRAM_BPM_HIGH, buffer);
    case PLAN_DURATION: return number_value(i, GRAM_DURATION_LOW, GRAM_DURATION_HIGH, buffer);
    case PLAN_KEYSCALE: return key_value(i, buffer);
    case PLAN_LANGUAGE: return req_languages()[i];
    case PLAN_TIMESIGNATURE: return meters[i];
    default: return NULL;
  }
}

/* ---- tokens of texts ---- */

static ace_status encode(const plan_grammar *g, const char *text, size_t length, bpe_ids *out, ace_error *err) {
  out->n = 0;
  return bpe_encode(g->tokenizer, text, length, 0, out, err);
}

ace_status gram_value_tokens(const plan_grammar *g, plan_field field, const char *value, int32_t out[GRAM_MOST_VALUE],
                             int *n, ace_error *err) {
  enum { LONGEST = 256 };
  char text[LONGEST];
  const char *name = plan_field_name(field);
  int head = snprintf(text, sizeof text, "%s:", name);
  int all = head + snprintf(text + head, sizeof text - (size_t)head, " %s", value);
  if (all >= LONGEST) return ace_fail(err, ACE_EINVAL, "%s: longer than %d bytes", name, LONGEST - 16);
  bpe_ids alone = {0}, whole = {0};
  ace_status status = encode(g, text, (size_t)head, &alone, err);
  if (status == ACE_OK) status = encode(g, text, (size_t)all, &whole, err);
  if (status == ACE_OK && (whole.n < alone.n || memcmp(whole.id, alone.id, alone.n * sizeof *alone.id) != 0))
    status = ace_fail(err, ACE_EFORMAT, "planner: the tokenizer does not keep \"%s:\" apart from its value", name);
  size_t length = status == ACE_OK ? whole.n - alone.n : 0;
  if (length > GRAM_MOST_VALUE)
    status =
        ace_fail(err, ACE_EINVAL, "%s: a value of %zu tokens; at most %d are taken", name, length, GRAM_MOST_VALUE);
  if (status == ACE_OK) {
    memcpy(out, whole.id + alone.n, length * sizeof *out);
    *n = (int)length;
  }
  bpe_ids_free(&alone), bpe_ids_free(&whole);
  return status;
}

/* ---- runs ---- */

static ace_status add_to_run(plan_grammar *g, int run, int32_t id, ace_error *err) {
  int n = g->run_first[run + 1];
  if (n >= GRAM_MOST_RUN)
    return ace_fail(err, ACE_EFORMAT, "planner: the tokenizer needs more than %d tokens for the names of the metadata",
                    GRAM_MOST_RUN);
  g->run[n] = id;
  g->run_first[run + 1] = n + 1;
  return ACE_OK;
}

/* Again and again the longest beginning that is one token: how the reference finds the tokens of a name. */
static ace_status add_greedily(plan_grammar *g, int run, const char *text, ace_error *err) {
  ace_status status = ACE_OK;
  for (size_t at = 0, n = strlen(text); at < n && status == ACE_OK;) {
    char part[GRAM_VALUE_SIZE];
    size_t length = n - at;
    int32_t id = -1;
    for (; length > 0; length--) {
      snprintf(part, sizeof part, "%.*s", (int)length, text + at);
      if ((id = bpe_find(g->tokenizer, part)) >= 0) break;
    }
    if (id < 0) return ace_fail(err, ACE_EFORMAT, "planner: the tokenizer cannot spell \"%s\"", text);
    status = add_to_run(g, run, id, err);
    at += length;
  }
  return status;
}

static ace_status add_name(plan_grammar *g, int run, plan_field field, bool greedily, ace_error *err) {
  char text[GRAM_VALUE_SIZE];
  int length = snprintf(text, sizeof text, "%s:", plan_field_name(field));
  if (greedily) return add_greedily(g, run, text, err);
  bpe_ids ids = {0};
  ace_status status = encode(g, text, (size_t)length, &ids, err);
  for (size_t i = 0; i < ids.n && status == ACE_OK; i++) status = add_to_run(g, run, ids.id[i], err);
  bpe_ids_free(&ids);
  return status;
}

static ace_status find_special(const plan_grammar *g, const char *token, int32_t *id, ace_error *err) {
  *id = bpe_find(g->tokenizer, token);
  if (*id < 0)
    return ace_fail(err, ACE_EFORMAT, "planner: the tokenizer has no token \"%s\"; the one of a 5 Hz model is needed",
                    token);
  return ACE_OK;
}

static ace_status build_runs(plan_grammar *g, bool reference_names, ace_error *err) {
  int32_t open, close;
  ace_status status = find_special(g, "<think>", &open, err);
  if (status == ACE_OK) status = find_special(g, "</think>", &close, err);
  if (status == ACE_OK) status = find_special(g, "<|im_end|>", &g->end, err);
  if (status == ACE_OK) status = find_special(g, "<|endoftext|>", &g->end_of_text, err);
  if (status == ACE_OK) status = find_special(g, "\n", &g->line_feed, err);
  for (int run = 0; run < RUNS && status == ACE_OK; run++) {
    g->run_first[run + 1] = g->run_first[run];
    if (run == RUN_OPEN) {
      status = add_to_run(g, run, open, err);
      if (status == ACE_OK) status = add_to_run(g, run, g->line_feed, err);
    } else if (run == RUN_CLOSE) {
      status = add_to_run(g, run, close, err);
    } else if (run == RUN_END) {
      status = add_to_run(g, run, g->end, err);
    } else {
      status = add_name(g, run, (plan_field)(run - RUN_NAME), reference_names, err);
    }
  }
  return status;
}

/* ---- tries ----------------------------------------------------------------------------------------------------------
 * A value is its tokens and a line feed. The values of a field are sorted by their tokens; a node of the trie is a
 * stretch of that list with a common beginning, and its edges are the stretches that the next token divides it into.
 */

typedef struct word {
  int32_t id[GRAM_MOST_VALUE + 1];
  int n, number; /* tokens; what the value is as a number, else 0 */
} word;

typedef struct stretch {
  int first, end, depth;
} stretch;

typedef struct builder {
  plan_grammar *g;
  word *words; /* of the field at hand */
  int n_words, words_capacity;
  stretch *stretch; /* of each node */
  int nodes_capacity, edges_capacity;
} builder;

static int by_tokens(const void *a, const void *b) {
  const word *x = a, *y = b;
  for (int i = 0; i < x->n && i < y->n; i++)
    if (x->id[i] != y->id[i]) return x->id[i] < y->id[i] ? -1 : 1;
  return x->n - y->n;
}

/* *block has room for n + 1 elements of a size. */
static bool room(void **block, int *capacity, int n, size_t size) {
  if (n < *capacity) return true;
  int more = *capacity ? *capacity * 2 : 256;
  void *grown = realloc(*block, (size_t)more * size);
  if (!grown) return false;
  *block = grown;
  *capacity = more;
  return true;
}

static ace_status collect_words(builder *b, plan_field field, ace_error *err) {
  char buffer[GRAM_VALUE_SIZE];
  const char *value;
  ace_status status = ACE_OK;
  b->n_words = 0;
  while (status == ACE_OK && (value = gram_value(field, b->n_words, buffer))) {
    void *words = b->words;
    if (!room(&words, &b->words_capacity, b->n_words, sizeof *b->words)) return no_memory(err);
    b->words = words;
    word *w = &b->words[b->n_words++];
    status = gram_value_tokens(b->g, field, value, w->id, &w->n, err);
    if (status == ACE_OK) w->id[w->n++] = b->g->line_feed;
    w->number = field == PLAN_BPM || field == PLAN_DURATION ? atoi(value) : 0;
  }
  qsort(b->words, (size_t)b->n_words, sizeof *b->words, by_tokens);
  return status;
}

static bool add_node(builder *b, stretch s) {
  plan_grammar *g = b->g;
  void *nodes = g->node, *stretches = b->stretch;
  int capacity = b->nodes_capacity;
  bool ok = room(&nodes, &capacity, g->n_nodes, sizeof *g->node);
  g->node = nodes;
  ok = ok && room(&stretches, &b->nodes_capacity, g->n_nodes, sizeof *b->stretch);
  b->stretch = stretches;
  if (!ok) return false;
  g->node[g->n_nodes] = (gram_node){0, 0};
  b->stretch[g->n_nodes++] = s;
  return true;
}

static bool add_edges(builder *b, int node) {
  plan_grammar *g = b->g;
  const stretch s = b->stretch[node];
  g->node[node].first = g->n_edges;
  for (int i = s.first, end; i < s.end; i = end) {
    const word *w = &b->words[i];
    int least = w->number;
    for (end = i; end < s.end && b->words[end].id[s.depth] == w->id[s.depth]; end++)
      if (b->words[end].number < least) least = b->words[end].number;
    void *edges = g->edge;
    bool ok = room(&edges, &b->edges_capacity, g->n_edges, sizeof *g->edge);
    g->edge = edges;
    bool last = s.depth + 1 == w->n;
    if (!ok || (!last && !add_node(b, (stretch){i, end, s.depth + 1}))) return false;
    g->edge[g->n_edges++] = (gram_edge){w->id[s.depth], last ? GRAM_LEAVE : g->n_nodes - 1, least};
  }
  g->node[node].n = g->n_edges - g->node[node].first;
  return true;
}

static ace_status build_trie(builder *b, plan_field field, ace_error *err) {
  plan_grammar *g = b->g;
  char buffer[GRAM_VALUE_SIZE];
  g->root[field] = GRAM_NO_TRIE;
  if (!gram_value(field, 0, buffer)) return ACE_OK;
  ace_status status = collect_words(b, field, err);
  if (status != ACE_OK) return status;
  int root = g->n_nodes;
  if (!add_node(b, (stretch){0, b->n_words, 0})) return no_memory(err);
  for (int node = root; node < g->n_nodes; node++) {
    if (!add_edges(b, node)) return no_memory(err);
    if (g->node[node].n > PLAN_MOST_FEW)
      return ace_fail(err, ACE_EFORMAT, "planner: the tokenizer continues a value of \"%s\" in more than %d ways",
                      plan_field_name(field), PLAN_MOST_FEW);
  }
  g->root[field] = root;
  return ACE_OK;
}

static ace_status build_tries(plan_grammar *g, ace_error *err) {
  builder b = {.g = g};
  ace_status status = ACE_OK;
  for (int field = 0; field < PLAN_FIELDS && status == ACE_OK; field++) status = build_trie(&b, (plan_field)field, err);
  free(b.words);
  free(b.stretch);
  return status;
}

/* ---- the whole ---- */

static ace_status take_codes(plan_grammar *g, int codes, ace_error *err) {
  g->code_tokens = bpe_audio_codes(g->tokenizer, &g->first_code);
  if (codes < 0 || codes > g->code_tokens)
    return ace_fail(err, ACE_EFORMAT, "planner: the quantiser has %d codes, the tokenizer has tokens for %d", codes,
                    g->code_tokens);
  g->codes = codes;
  return ACE_OK;
}

/* Published tokenizers hold text first and everything special behind: then ids from <|endoftext|> on are no text. A
 * tokenizer in another order is judged by its tokens alone. */
static void find_first_barred(plan_grammar *g) {
  g->first_barred = g->end_of_text;
  for (int i = g->run_first[RUN_NAME]; i < g->run_first[RUN_CLOSE]; i++)
    if (g->run[i] >= g->end_of_text) g->first_barred = INT32_MAX;
  for (int i = 0; i < g->n_edges; i++)
    if (g->edge[i].id >= g->end_of_text) g->first_barred = INT32_MAX;
}

/* Every token that can be forced has a logit. */
static ace_status check_rows(const plan_grammar *g, ace_error *err) {
  int32_t most = g->end_of_text;
  if (g->codes > 0 && g->first_code + g->codes - 1 > most) most = g->first_code + g->codes - 1;
  for (int i = 0; i < g->run_first[RUNS]; i++)
    if (g->run[i] > most) most = g->run[i];
  for (int i = 0; i < g->n_edges; i++)
    if (g->edge[i].id > most) most = g->edge[i].id;
  if (most >= g->rows)
    return ace_fail(err, ACE_EFORMAT, "planner: the model has %d logits, its tokenizer needs at least %d", (int)g->rows,
                    (int)most + 1);
  return ACE_OK;
}

plan_grammar *plan_grammar_new(const bpe *tokenizer, const plan_grammar_config *config, ace_error *err) {
  enum { MOST_ROWS = 1 << 24 };
  if (!tokenizer || !config || config->rows < 0 || config->rows > MOST_ROWS) {
    ace_fail(err, ACE_EINVAL, "planner: a tokenizer and 0..%d logits are needed", MOST_ROWS);
    return NULL;
  }
  plan_grammar *g = calloc(1, sizeof *g);
  if (!g) {
    no_memory(err);
    return NULL;
  }
  g->tokenizer = tokenizer;
  g->known = bpe_vocab_size(tokenizer);
  g->rows = config->rows ? config->rows : g->known;
  ace_status status = take_codes(g, config->codes, err);
  if (status == ACE_OK) status = build_runs(g, config->reference_names, err);
  if (status == ACE_OK) status = build_tries(g, err);
  if (status == ACE_OK) find_first_barred(g);
  if (status == ACE_OK) status = check_rows(g, err);
  if (status == ACE_OK) status = gram_build_masks(g, err);
  if (status == ACE_OK) return g;
  plan_grammar_free(g);
  return NULL;
}

void plan_grammar_free(plan_grammar *g) {
  if (!g) return;
  for (int i = 0; i < MASKS; i++) free(g->mask[i]);
  free(g->trait);
  free(g->node);
  free(g->edge);
  free(g);
}

int plan_grammar_rows(const plan_grammar *g) {
  return g->rows;
}

int32_t plan_grammar_end(const plan_grammar *g) {
  return g->end;
}

int32_t plan_grammar_code(const plan_grammar *g, int32_t token) {
  return g->codes > 0 && token >= g->first_code && token - g->first_code < g->codes ? token - g->first_code : -1;
}

int32_t plan_grammar_code_token(const plan_grammar *g, int32_t code) {
  return code >= 0 && code < g->codes ? g->first_code + code : -1;
}
