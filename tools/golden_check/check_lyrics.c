/* Timed lyrics: the lists of text/codes.json that are about them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "golden.h"
#include "golden_lyrics.h"

static const char name[] = "text/codes.json (lyrics)";

/* Cases of one list that differ; each is told. */
static size_t run_list(const json_t *file, size_t which, const bpe *tokenizer, size_t *count) {
  const json_t *list = json_object_get(file, lyrics_lists[which].list), *c;
  char why[LYRICS_WHY];
  size_t i, wrong = 0;
  json_array_foreach(list, i, c) {
    *why = 0;
    if (lyrics_lists[which].matches(tokenizer, c, why)) continue;
    const char *id = json_string_value(json_object_get(c, "id"));
    printf("%-36s %s, case %s: %s\n", name, lyrics_lists[which].list, id ? id : "?", why);
    wrong++;
  }
  *count += i;
  return wrong + (i == 0);
}

static void compare(golden *g, const json_t *file, const bpe *tokenizer) {
  char detail[64];
  size_t wrong = 0, count = 0;
  for (size_t i = 0; i < LYRICS_LISTS; i++) wrong += run_list(file, i, tokenizer, &count);
  snprintf(detail, sizeof detail, wrong ? "of %zu cases some differ" : "all %zu cases equal", count);
  if (wrong) golden_fail(g, name, detail);
  else golden_pass(g, name, detail);
}

void check_codes_lists(golden *g) {
  enum { LIMIT = 64 << 20 };
  ace_error err = {.message = "out of memory"};
  char *path = file_join(g->root, "text/codes.json"), *folder = file_join(g->root, "tokenizer");
  bool both = path && folder, there = both && file_exists(path) && file_exists(folder);
  json_t *file = there ? json_parse_file(path, LIMIT, &err) : NULL;
  bpe *tokenizer = file ? bpe_open(folder, &err) : NULL;
  if (tokenizer) compare(g, file, tokenizer);
  else if (both && !there) golden_skip(g, name, "not in this folder");
  else golden_fail(g, name, err.message);
  bpe_close(tokenizer);
  json_decref(file);
  free(path), free(folder);
}
