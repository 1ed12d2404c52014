/* Dataset files and what lies beside songs. The first byte says which: whatever is accepted has every field, writes itself
 * down, and reads back the same.
 */
#include <stdlib.h>
#include <string.h>

#include "train/dataset.h"
#include "train/sidecar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char NOWHERE[] = "/nonexistent";

static void whole(const char *text, size_t size) {
  dataset d, again;
  ace_error err = {0};
  if (dataset_parse(&d, text, size, NOWHERE, "fuzz", NULL, &err) != ACE_OK) {
    if (!*err.message || strchr(err.message, '\n') || d.n) abort();
    return;
  }
  dataset_set_instrumental(&d, size % 2 == 0, NULL);
  json_t *root = dataset_json(&d);
  char *written = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
  if (!written) abort();
  if (dataset_parse(&again, written, strlen(written), NOWHERE, "fuzz", NULL, &err) != ACE_OK) abort();
  if (again.n != d.n) abort();
  for (int i = 0; i < d.n; i++)
    if (json_object_size(d.sample[i].fields) != 17 || !json_equal(d.sample[i].fields, again.sample[i].fields)) abort();
  free(written);
  json_decref(root);
  dataset_free(&d), dataset_free(&again);
}

static void beside(const char *text, size_t size) {
  json_t *fields = json_object();
  sidecar_found found = {0};
  ace_error err = {0};
  if (sidecar_take_json(text, size, "fuzz", fields, &found, &err) != ACE_OK)
    if (!*err.message || json_object_size(fields)) abort();
  dataset d;
  if (dataset_new(&d, "fuzz", &err) != ACE_OK || dataset_add(&d, fields, found.decided, "fuzz", &err) != ACE_OK)
    abort();
  dataset_free(&d);
  json_decref(fields);
}

static void table(const char *text, size_t size) {
  json_t *rows = json_object(), *row;
  ace_error err = {0};
  const char *name;
  if (sidecar_read_csv(text, size, "fuzz", rows, &err) != ACE_OK && !*err.message) abort();
  json_object_foreach(rows, name, row) if (!*name || !json_is_object(row) || json_object_size(row) > 3) abort();
  json_decref(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  char *text = malloc(size); /* exact, so that reading beyond is seen */
  if (!text) abort();
  memcpy(text, data + 1, size - 1);
  switch (data[0]) {
    case 'j': beside(text, size - 1); break;
    case 'c': table(text, size - 1); break;
    default: whole(text, size - 1);
  }
  free(text);
  return 0;
}
