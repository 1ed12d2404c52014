/* engine_adapters.h - adapters of random numbers for the model of an engine, in files.
 *
 *   const char *path = write_adapter(e, &t, &(recipe){.what = "LoRA", .alpha = 6}, 1, 0, NULL);
 */
#ifndef ACE_TESTS_ENGINE_ADAPTERS_H
#define ACE_TESTS_ENGINE_ADAPTERS_H

#include "adapter_files.h"
#include "songs.h"

#include "engine/engine.h"

/* Attention of every layer, as trainers choose it. */
static inline bool chosen(const char *name) {
  return strstr(name, "attn.") != NULL;
}

/* Writes an adapter for the engine's model; the path lasts until the next temp_path. sums: NULL, or for each layer
 * where W and `scale` times the adapter go. */
static inline const char *write_adapter(ace_engine *e, temp *t, const recipe *r, uint64_t seed, double scale,
                                        float **sums) {
  static tensor_file f;
  linear *linears[ADAPTER_MOST_LAYERS];
  int n;
  adapter_layer *layer = adapter_layers_of(e->dit, &n, linears);
  assert_non_null(layer);
  f.n = 0;
  for (int i = 0; i < n; i++) {
    if (!chosen(layer[i].name)) continue;
    int64_t count = layer[i].rows * layer[i].columns;
    double *d = malloc((size_t)count * sizeof *d);
    assert_non_null(d);
    make_adapter(r, &f, layer[i].name, seed + 10 * (uint64_t)i, layer[i].rows, layer[i].columns, NULL, 0, d);
    for (int64_t j = 0; sums && j < count; j++) {
      const tens *w = &linears[i]->w;
      if (j == 0) sums[i] = malloc((size_t)count * sizeof **sums);
      assert_non_null(sums[i]);
      double x = w->dtype == TENS_F32 ? tens_f32(w)[j] : bf16_to_f32(((const uint16_t *)w->data)[j]);
      sums[i][j] = (float)(x + scale * d[j]);
    }
    free(d);
  }
  free(layer);
  const char *path = publish_adapter(t, r, &f);
  file_free(&f);
  return path;
}

#endif
