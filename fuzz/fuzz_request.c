/* fuzz_request - any bytes as the JSON of a request: what is accepted must write itself down and read back the same,
 * and every refusal must be one line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "request/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void say(void *user, const char *line) {
  if (!*line) abort();
}

/* The bytes as one parameter's text: "name=value". */
static void set_by_name(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  if (!text || !r) abort();
  memcpy(text, data, size);
  text[size] = '\0';
  char *value = strchr(text, '=');
  ace_error err = {0};
  if (value) {
    *value++ = '\0';
    if (ace_request_set(r, text, value, &err) == ACE_OK) {
      char *got = ace_request_get(r, text);
      if (!got || ace_request_set(r, text, got, &err) != ACE_OK) abort();
      free(got);
    } else if (strchr(err.message, '\n')) {
      abort();
    }
  }
  free(text);
  ace_request_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  ace_profile profile = (ace_profile)(data[0] % ACE_PROFILE_COUNT);
  ace_request *r = ace_request_new(profile), *again = ace_request_new(profile);
  if (!r || !again) abort();
  ace_error err = {0};
  if (ace_request_set_json(r, (const char *)data, size, &err) == ACE_OK) {
    if (ace_request_validate(r, &err) == ACE_OK) req_advise(r, REQ_MODEL_TURBO, say, NULL);
    char *once = ace_request_to_json(r);
    if (!once || ace_request_set_json(again, once, strlen(once), &err) != ACE_OK) abort();
    char *twice = ace_request_to_json(again);
    if (!twice || strcmp(once, twice) != 0) abort();
    free(once);
    free(twice);
  } else if (!*err.message || strchr(err.message, '\n')) {
    abort();
  }
  ace_request_free(r);
  ace_request_free(again);
  set_by_name(data, size);
  return 0;
}
