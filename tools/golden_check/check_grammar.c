/* Constrained decoding: every recorded walk, step by step. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "golden.h"
#include "grammar_walk.h"

static void complain(const char *line) {
  printf("%-36s %s\n", "text/fsm.json", line);
}

void check_fsm(golden *g) {
  static const char name[] = "text/fsm.json";
  ace_error err = {.message = "out of memory"};
  walk_counts counts = {0};
  char detail[64];
  char *path = file_join(g->root, name), *folder = file_join(g->root, "tokenizer");
  char *vocab = folder ? file_join(folder, "vocab.json") : NULL;
  if (path && vocab && (!file_exists(path) || !file_exists(vocab))) {
    golden_skip(g, name, file_exists(path) ? "needs the public vocabulary" : "not in this folder");
  } else {
    json_t *file = path ? json_parse_file(path, 64 << 20, &err) : NULL;
    const json_t *about = json_object_get(file, "vocab");
    bpe *t = file && folder
                 ? walk_open_tokenizer(folder, (int)json_integer_value(json_object_get(about, "audio_first_id")),
                                       (int)json_integer_value(json_object_get(about, "audio_count")), &err)
                 : NULL;
    bool ran = t && walk_all(t, file, complain, &counts, &err) == ACE_OK;
    snprintf(detail, sizeof detail, "%d of %d walks equal, %d steps", counts.walks, counts.walks + counts.wrong,
             counts.steps);
    if (!ran) golden_fail(g, name, err.message);
    else if (counts.wrong || counts.walks == 0) golden_fail(g, name, detail);
    else golden_pass(g, name, detail);
    bpe_close(t);
    json_decref(file);
  }
  free(path), free(folder), free(vocab);
}
