#include "service/examples.h"

#include "base/embed.h"

extern const embedded examples_files[];

/* Read anew each time, a millisecond, so that nothing is kept. */
json_t *examples_all(examples_kind kind, ace_error *err) {
  const char *name = kind == EXAMPLES_SIMPLE ? "examples/simple.json" : "examples/custom.json";
  const embedded *file = embedded_find(examples_files, name);
  json_t *set = file ? json_parse((const char *)file->data, file->size, name, err) : NULL;
  if (!file || (set && json_array_size(set) == 0)) {
    ace_fail(err, ACE_ENOTFOUND, "No example data available");
    json_decref(set);
    return NULL;
  }
  return set;
}

int examples_count(examples_kind kind) {
  json_t *set = examples_all(kind, NULL);
  int count = (int)json_array_size(set);
  json_decref(set);
  return count;
}

json_t *examples_random(examples_kind kind, uint64_t random, ace_error *err) {
  json_t *set = examples_all(kind, err);
  json_t *example = set ? json_incref(json_array_get(set, random % json_array_size(set))) : NULL;
  json_decref(set);
  return example;
}
