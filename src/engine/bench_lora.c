/* bench_lora.c - what a LoRA adapter costs: a step with one, and taking one up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/bench.h"
#include "engine/random.h"

/* ---- an adapter of random numbers, as a weight file in memory ------------------------------------------------------ */

/* A value of about 0.02, as trained factors have. */
static float next_value(uint64_t *state) {
  return ((float)(random_word(state) >> 40) * 0x1p-24f - 0.5f) * 0.07f;
}

static void add_tensor(json_t *header, const char *layer, const char *part, int64_t rows, int64_t columns,
                       size_t *used) {
  char name[ADAPTER_NAME_SIZE + 40];
  snprintf(name, sizeof name, "base_model.model.%s.%s.weight", layer, part);
  size_t end = *used + (size_t)(rows * columns) * sizeof(float);
  json_object_set_new(header, name,
                      json_pack("{s:s, s:[I,I], s:[I,I]}", "dtype", "F32", "shape", (json_int_t)rows,
                                (json_int_t)columns, "data_offsets", (json_int_t)*used, (json_int_t)end));
  *used = end;
}

/* Queries, keys, values and outputs of both attentions of every layer, as trainers choose by default. */
static char *make_header(acestep_dit *m, int rank, size_t *data) {
  int n;
  adapter_layer *layers = adapter_layers_of(m, &n, NULL);
  json_t *header = json_object();
  *data = 0;
  for (int i = 0; layers && i < n; i++) {
    if (!strstr(layers[i].name, "_attn.")) continue;
    add_tensor(header, layers[i].name, "lora_A", rank, layers[i].columns, data);
    add_tensor(header, layers[i].name, "lora_B", layers[i].rows, rank, data);
  }
  char *text = layers ? json_dumps(header, JSON_COMPACT) : NULL;
  json_decref(header);
  free(layers);
  return text;
}

ace_status bench_lora_open(bench_lora *l, ace_engine *e, int rank, ace_error *err) {
  size_t data;
  char *header = make_header(e->dit, rank, &data);
  size_t length = header ? (strlen(header) + 7) / 8 * 8 : 0; /* so that numbers are aligned */
  *l = (bench_lora){.size = sizeof(uint64_t) + length + data};
  l->file = header ? malloc(l->size) : NULL;
  l->set = l->file ? adapters_open(e->dit, e->threads, err) : NULL;
  if (l->set) {
    uint64_t stored = length, state = 0;
    float *x = (float *)(void *)(l->file + sizeof stored + length);
    memcpy(l->file, &stored, sizeof stored);
    memset(l->file + sizeof stored, ' ', length);
    memcpy(l->file + sizeof stored, header, strlen(header));
    for (size_t i = 0; i < data / sizeof *x; i++) x[i] = next_value(&state);
  }
  free(header);
  if (!l->set) return ace_fail(err, ACE_ENOMEM, "bench: no room for an adapter of rank %d", rank);
  return bench_lora_load(l, &(double){0}, err);
}

void bench_lora_close(bench_lora *l) {
  adapters_close(l->set);
  free(l->file);
}

/* ---- measuring ---------------------------------------------------------------------------------------------------- */

ace_status bench_lora_load(void *arg, double *seconds, ace_error *err) {
  bench_lora *l = arg;
  double start = clock_seconds();
  adapters_remove_all(l->set);
  st_file *weights = st_open_memory(l->file, l->size, "random adapter", err);
  adapter_file *f = weights ? adapter_file_from(weights, NULL, "random adapter", err) : NULL;
  if (!f || adapters_add(l->set, f, 1, err) < 0) return err->status;
  *seconds = clock_seconds() - start;
  return ACE_OK;
}
