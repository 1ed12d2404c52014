/* Adapters: a length in two bytes, so much configuration, then a weight file. What is accepted keeps the promises that
 * models rely on, and is placed on the layers of a small model. */
#include <math.h>
#include <stdlib.h>

#include "models/adapters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_module(const adapter_module *m) {
  if (!m->name || !*m->name) abort();
  if (m->convolution) return;
  if (m->rows < 1 || m->columns < 1 || !isfinite(m->scale)) abort();
  if (m->kind == ADAPTER_LORA &&
      (m->a->count != m->rank * m->columns || m->b->count != m->rank * m->rows || m->rank < 1))
    abort();
  if (m->magnitude && m->magnitude->count != m->rows && m->magnitude->count != m->columns) abort();
}

static void place(const adapter_file *f) {
  static const adapter_layer layers[] = {
      {"layers.0.self_attn.q_proj", 8, 6}, {"layers.0.mlp.up_proj", 4, 4}, {"condition_embedder", 1, 1}};
  enum { N = sizeof layers / sizeof *layers };
  adapter_fit fit;
  ace_error err;
  if (adapter_fit_make(f, layers, N, NULL, &fit, &err) != ACE_OK) return;
  for (int i = 0; i < N; i++) {
    int m = fit.module_of[i];
    if (m < -1 || m >= f->n_modules) abort();
    if (m >= 0 && (f->module[m].rows != layers[i].rows || f->module[m].columns != layers[i].columns)) abort();
  }
  adapter_fit_free(&fit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  size_t length = data[0] | (size_t)data[1] << 8;
  data += 2, size -= 2;
  if (length > size) return 0;
  ace_error err;
  json_t *config = length ? json_parse((const char *)data, length, "fuzz", &err) : NULL;
  st_file *weights = length && !config ? NULL : st_open_memory(data + length, size - length, "fuzz", &err);
  if (!weights) {
    json_decref(config);
    return 0;
  }
  adapter_file *f = adapter_file_from(weights, config, "fuzz", &err);
  if (!f) return 0;
  for (int i = 0; i < f->n_modules; i++) check_module(&f->module[i]);
  place(f);
  adapter_file_close(f);
  return 0;
}
