#include "grammar_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* ---- the tokenizer ---- */

/* The configuration with the audio codes as added tokens, in a new temporary file. */
static bool put_config(const char *published, int first, int count, char *path, ace_error *err) {
  json_t *config = json_parse_file(published, 1 << 20, err);
  if (!config) return false;
  json_t *decoder = json_object_get(config, "added_tokens_decoder");
  for (int i = 0; i < count; i++) {
    char id[24], name[40];
    snprintf(id, sizeof id, "%d", first + i);
    snprintf(name, sizeof name, "<|audio_code_%d|>", i);
    json_object_set_new(decoder, id, json_pack("{s:s, s:b}", "content", name, "special", 1));
  }
  int fd = mkstemp(path);
  bool ok = fd >= 0 && json_dumpfd(config, fd, JSON_COMPACT) == 0;
  if (fd >= 0) close(fd);
  if (!ok) ace_fail_errno(err, "%s: cannot write", path);
  json_decref(config);
  return ok;
}

bpe *walk_open_tokenizer(const char *folder, int first, int count, ace_error *err) {
  char temporary[] = "/tmp/grammar-walk.XXXXXX";
  char *vocab = file_join(folder, "vocab.json"), *merges = file_join(folder, "merges.txt");
  char *added = file_join(folder, "added_tokens.json"), *config = file_join(folder, "tokenizer_config.json");
  bpe *t = NULL;
  if (vocab && merges && added && config && put_config(config, first, count, temporary, err)) {
    t = bpe_open_files(vocab, merges, added, temporary, err);
    unlink(temporary);
  }
  free(vocab), free(merges), free(added), free(config);
  return t;
}

/* ---- one walk ---- */

typedef struct walker {
  const plan_grammar *g;
  plan_grammar_state state;
  float *logits; /* [rows] */
  float fill;    /* every logit that a step does not give */
  char why[160];
} walker;

static int64_t whole(const json_t *object, const char *field) {
  return json_integer_value(json_object_get(object, field));
}

static bool flag(const json_t *object, const char *field) {
  return json_is_true(json_object_get(object, field));
}

static bool read_user(const json_t *user, plan_metadata *m) {
  const char *name;
  json_t *value;
  bool ok = true;
  json_object_foreach((json_t *)user, name, value) {
    plan_field field = plan_field_find(name, strlen(name));
    if (field == PLAN_FIELDS) return false;
    if (json_is_integer(value)) plan_set_number(m, field, json_integer_value(value));
    else if (json_is_string(value))
      ok = ok && plan_set_text(m, field, json_string_value(value), json_string_length(value), NULL) == ACE_OK;
  }
  return ok;
}

static bool begin(walker *w, const json_t *walk) {
  const char *phase = json_string_value(json_object_get(walk, "phase"));
  plan_settings settings = {.phase = strcmp(phase, "codes") == 0        ? PLAN_CODES
                                     : strcmp(phase, "understand") == 0 ? PLAN_UNDERSTAND
                                                                        : PLAN_COT,
                            .stop_at_reasoning = flag(walk, "stop_at_reasoning"),
                            .skip_genres = flag(walk, "skip_genres"),
                            .skip_caption = flag(walk, "skip_caption"),
                            .skip_language = flag(walk, "skip_language")};
  plan_grammar_limits limits = {.max_duration = (int)whole(walk, "max_duration"),
                                .target_duration = json_number_value(json_object_get(walk, "target_duration"))};
  ace_error err = {.message = "its values cannot be read"};
  bool ok = read_user(json_object_get(walk, "user"), &settings.user) &&
            plan_grammar_begin(w->g, &settings, &limits, &w->state, &err) == ACE_OK;
  plan_metadata_free(&settings.user);
  if (!ok) snprintf(w->why, sizeof w->why, "%.150s", err.message);
  return ok;
}

/* FNV-1a, 64 bits, of the allowed ids in ascending order, four little-endian bytes each. */
static void digest(const walker *w, const plan_allowed *a, int *count, char hex[17]) {
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  *count = 0;
  for (int32_t id = 0; id < plan_grammar_rows(w->g); id++) {
    if (!plan_allowed_has(a, id)) continue;
    (*count)++;
    for (int shift = 0; shift < 32; shift += 8) h = (h ^ ((uint32_t)id >> shift & 0xFF)) * UINT64_C(0x100000001b3);
  }
  snprintf(hex, 17, "%016llx", (unsigned long long)h);
}

static bool samples_agree(walker *w, const json_t *step, const char *list, const plan_allowed *a, bool expected) {
  size_t i;
  json_t *id;
  json_array_foreach(json_object_get(step, list), i, id) {
    if (plan_allowed_has(a, (int32_t)json_integer_value(id)) == expected) continue;
    snprintf(w->why, sizeof w->why, "id %d is %s", (int)json_integer_value(id), expected ? "not allowed" : "allowed");
    return false;
  }
  return true;
}

static bool set_agrees(walker *w, const json_t *step, const plan_allowed *a) {
  const json_t *forced = json_object_get(step, "forced"), *sum = json_object_get(step, "fnv1a64");
  if (forced) {
    bool ok = a->kind == PLAN_ALLOW_ONE && a->id[0] == json_integer_value(forced);
    if (!ok) snprintf(w->why, sizeof w->why, "%d allowed, expected id %d alone", a->n, (int)json_integer_value(forced));
    return ok;
  }
  if (!samples_agree(w, step, "sample_allowed", a, true) || !samples_agree(w, step, "sample_banned", a, false) ||
      !samples_agree(w, step, "ids", a, true))
    return false;
  if (!sum) return flag(step, "wide") && a->kind == PLAN_ALLOW_WIDE;
  int count;
  char hex[17];
  digest(w, a, &count, hex);
  bool ok = count == a->n && count == whole(step, "count") && strcmp(hex, json_string_value(sum)) == 0;
  if (!ok) snprintf(w->why, sizeof w->why, "%d allowed, expected %d", count, (int)whole(step, "count"));
  return ok;
}

/* A masked logit is minus infinity exactly where the set has no id. */
static bool mask_agrees(walker *w, const plan_allowed *a) {
  int32_t id = 0, rows = plan_grammar_rows(w->g);
  plan_grammar_mask(w->g, &w->state, w->logits);
  while (id < rows && (w->logits[id] > -1e30F) == plan_allowed_has(a, id)) id++;
  if (id < rows) snprintf(w->why, sizeof w->why, "the mask and the set differ at id %d", (int)id);
  return id == rows;
}

static bool run_step(walker *w, const json_t *step, bool masked) {
  const json_t *given = json_object_get(step, "logits"), *token = json_object_get(step, "token");
  size_t i;
  json_t *pair;
  if (given || masked)
    for (int32_t id = 0; id < plan_grammar_rows(w->g); id++) w->logits[id] = w->fill;
  json_array_foreach(given, i, pair) {
    w->logits[json_integer_value(json_array_get(pair, 0))] = (float)json_number_value(json_array_get(pair, 1));
  }
  plan_allowed a;
  plan_grammar_allowed(w->g, &w->state, given ? w->logits : NULL, &a);
  if (!set_agrees(w, step, &a) || (masked && !mask_agrees(w, &a))) return false;
  ace_error err;
  if (token && plan_grammar_accept(w->g, &w->state, (int32_t)json_integer_value(token), &err) != ACE_OK) {
    snprintf(w->why, sizeof w->why, "%.150s", err.message);
    return false;
  }
  return true;
}

static bool run_walk(walker *w, const json_t *walk, int *steps) {
  size_t i;
  json_t *step;
  if (!begin(w, walk)) return false;
  json_array_foreach(json_object_get(walk, "steps"), i, step) {
    int times = json_object_get(step, "repeat") ? (int)whole(step, "repeat") : 1;
    for (int k = 0; k < times; k++, ++*steps) {
      char why[sizeof w->why];
      if (run_step(w, step, k == 0)) continue;
      memcpy(why, w->why, sizeof why);
      snprintf(w->why, sizeof w->why, "step %zu (%s): %.110s", i, plan_grammar_where(&w->state), why);
      return false;
    }
  }
  return true;
}

ace_status walk_all(const bpe *tokenizer, const json_t *file, void (*complain)(const char *line), walk_counts *counts,
                    ace_error *err) {
  const json_t *vocab = json_object_get(file, "vocab");
  plan_grammar_config config = {.codes = (int)whole(vocab, "audio_count"), .rows = (int)whole(vocab, "size")};
  plan_grammar *g = plan_grammar_new(tokenizer, &config, err);
  if (!g) return err ? err->status : ACE_EINVAL;
  walker w = {.g = g, .fill = (float)json_number_value(json_object_get(file, "logit_default"))};
  w.logits = malloc((size_t)plan_grammar_rows(g) * sizeof *w.logits);
  size_t i;
  json_t *walk;
  *counts = (walk_counts){0};
  json_array_foreach(json_object_get(file, "walks"), i, walk) {
    char line[256];
    if (w.logits && run_walk(&w, walk, &counts->steps)) {
      counts->walks++;
      continue;
    }
    counts->wrong++;
    snprintf(line, sizeof line, "walk %s, %s", json_string_value(json_object_get(walk, "id")), w.why);
    complain(line);
  }
  free(w.logits);
  plan_grammar_free(g);
  return ACE_OK;
}
