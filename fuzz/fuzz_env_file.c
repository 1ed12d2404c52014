/* Any bytes as a file of settings: refused, or settings whose names and values are text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/env_file.h"

static void look(void *user, const char *key, const char *value) {
  size_t *sum = user;
  if (!*key) abort();
  *sum += strlen(key) + strlen(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ace_error err;
  size_t sum = 0;
  char *text = malloc(size + 1);
  if (!text) return 0;
  memcpy(text, data, size);
  text[size] = 0;
  env_file_parse(text, size, look, &sum, &err);
  if (sum > size) abort();
  free(text);
  return 0;
}
