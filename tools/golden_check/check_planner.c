/* The planner's texts, byte for byte: the language model's prompts, its metadata, and what is read from its answers. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "golden.h"
#include "golden_planner.h"

/* Runs the cases of one list of a file; true when all are equal. */
static bool run_list(const char *name, const json_t *list, size_t *count, bool (*matches)(const json_t *c, char *why)) {
  enum { SHOWN = 5 };
  char why[PLANNER_WHY] = "";
  size_t i, wrong = 0;
  const json_t *c;
  for (i = 0; i < json_array_size(list); i++) {
    c = json_array_get(list, i);
    if (matches(c, why)) continue;
    const char *id = planner_text(c, "id");
    if (wrong++ < SHOWN) printf("%-36s case %s: %s\n", name, id ? id : "?", why);
  }
  *count += i;
  return wrong == 0 && i > 0;
}

static json_t *open_cases(golden *g, const char *name) {
  enum { LIMIT = 64 << 20 };
  ace_error err = {.message = "out of memory"};
  char *path = file_join(g->root, name);
  json_t *file = NULL;
  if (path && !file_exists(path)) golden_skip(g, name, "not in this folder");
  else if (!path || !(file = json_parse_file(path, LIMIT, &err))) golden_fail(g, name, err.message);
  free(path);
  return file;
}

static void report(golden *g, const char *name, bool equal, size_t count) {
  char detail[64];
  snprintf(detail, sizeof detail, equal ? "all %zu cases equal" : "of %zu cases some differ", count);
  if (equal) golden_pass(g, name, detail);
  else golden_fail(g, name, detail);
}

void check_lm_prompts(golden *g) {
  static const char name[] = "text/lm_prompts.json";
  json_t *file = open_cases(g, name);
  size_t count = 0;
  if (!file) return;
  bool equal = run_list(name, json_object_get(file, "cases"), &count, planner_prompt_case);
  report(g, name, equal, count);
  json_decref(file);
}

void check_cot_yaml(golden *g) {
  static const char name[] = "text/cot_yaml.json";
  json_t *file = open_cases(g, name);
  size_t count = 0;
  if (!file) return;
  bool emit = run_list(name, json_object_get(file, "emit"), &count, planner_emit_case);
  bool target = run_list(name, json_object_get(file, "scoring_target"), &count, planner_target_case);
  bool parse = run_list(name, json_object_get(file, "parse"), &count, planner_parse_case);
  report(g, name, emit && target && parse, count);
  json_decref(file);
}
