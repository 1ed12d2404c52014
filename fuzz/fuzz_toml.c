/* Files of settings in TOML: what is read is written down, and reads back as the same. */
#include <stdlib.h>
#include <string.h>

#include "cli/toml_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ace_error err = {0};
  json_t *object = toml_parse((const char *)data, size, "fuzz", &err);
  if (!object) {
    if (!*err.message || strchr(err.message, '\n')) abort();
    return 0;
  }
  char *text = toml_write(object);
  json_t *again = toml_parse(text ? text : "", text ? strlen(text) : 0, "again", &err);
  if (!again || json_object_size(again) != json_object_size(object)) abort();
  free(text);
  json_decref(object), json_decref(again);
  return 0;
}
