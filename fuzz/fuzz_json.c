/* JSON from outside: parse, then ask every member for every type. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ace_error err;
  json_t *json = json_parse((const char *)data, size, "fuzz", &err), *value;
  const char *key;
  if (!json) return 0;
  json_object_foreach(json, key, value) {
    int64_t n;
    double x;
    bool b;
    const char *s;
    if (json_int_field(json, key, 1, -5, 1000000, "fuzz", &n, &err) == ACE_OK && (n < -5 || n > 1000000)) abort();
    if (json_number_field(json, key, 1, -5, 1e6, "fuzz", &x, &err) == ACE_OK && !(x >= -5 && x <= 1e6)) abort();
    json_bool_field(json, key, false, "fuzz", &b, &err);
    if (json_string_field(json, key, "", "fuzz", &s, &err) == ACE_OK && strlen(s) > size) abort();
  }
  json_decref(json);
  return 0;
}
