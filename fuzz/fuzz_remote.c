/* Answers of language model servers: completions, lists of models, failures. */
#include <stdlib.h>
#include <string.h>

#include "planner/remote_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  enum { MOST = 64 };
  char name[WIRE_NAME_SIZE], *text = malloc(size + 1);
  int positions;
  wire_answer a;
  if (!text) return 0;
  memcpy(text, data, size);
  text[size] = 0;
  if (wire_read_answer(text, size, MOST, "fuzz", &a, NULL) == ACE_OK) {
    if (a.n < 1 || a.n > MOST) abort();
    for (size_t i = 0; i < a.n; i++)
      if (a.id[i] < 0 || a.best[i] < -1) abort();
    wire_answer_free(&a);
  }
  if (wire_read_models(text, size, NULL, "fuzz", name, &positions, NULL) == ACE_OK && (!*name || positions < 0))
    abort();
  wire_read_failure(text, name);
  free(text);
  return 0;
}
