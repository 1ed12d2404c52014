/* adapter_files.h - adapters of random numbers as files, and what each is to do to a weight, worked out here in double
 * precision from the formulas and not by the code under test.
 *
 *   recipe r = {.kind = RECIPE_LORA};
 *   make_adapter(&r, &file, "layers.0.self_attn.q_proj", seed, rows, columns, w, eps, d);   // d: what it is to change in w
 *   publish_adapter(&t, &r, &file)                                                         // a path to load
 */
#ifndef ACE_TESTS_ADAPTER_FILES_H
#define ACE_TESTS_ADAPTER_FILES_H

#include "temp.h"

#include <math.h>

#include "base/half.h"
#include "base/rng.h"
#include "formats/safetensors.h"

enum { FILE_MOST = 400, FILE_NAME = 160 };

typedef struct tensor_file {
  st_tensor tensor[FILE_MOST];
  char name[FILE_MOST][FILE_NAME];
  int n;
  bool half; /* written as BF16; its values are such */
} tensor_file;

/* A tensor of normals times `size`; its values, which stay the file's. */
static inline float *file_add(tensor_file *f, uint64_t seed, float size, int64_t rows, int64_t columns,
                              const char *layer, const char *suffix) {
  assert_true(f->n < FILE_MOST);
  float *x = malloc((size_t)(rows * columns) * sizeof *x);
  assert_non_null(x);
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, x, rows * columns);
  for (int64_t i = 0; i < rows * columns; i++) x[i] = f->half ? bf16_to_f32(f32_to_bf16(x[i] * size)) : x[i] * size;
  snprintf(f->name[f->n], FILE_NAME, "%.100s%.50s", layer, suffix);
  f->tensor[f->n] = (st_tensor){.name = f->name[f->n],
                                .dtype = ST_F32,
                                .rank = 2,
                                .dim = {rows, columns},
                                .count = rows * columns,
                                .data = x,
                                .size = (size_t)(rows * columns) * sizeof *x};
  f->n++;
  return x;
}

static inline void file_write_to(tensor_file *f, const char *path, const char *lokr_config) {
  ace_error err;
  for (int i = 0; i < f->n && f->half; i++) { /* narrowed in place */
    st_tensor *t = &f->tensor[i];
    uint16_t *to = (uint16_t *)t->data;
    for (int64_t j = 0; j < t->count; j++) to[j] = f32_to_bf16(((const float *)t->data)[j]);
    t->dtype = ST_BF16, t->size = (size_t)t->count * sizeof *to;
  }
  const char *metadata[] = {"lokr_config", lokr_config};
  if (st_write(path, f->tensor, f->n, metadata, lokr_config ? 1 : 0, &err) != ACE_OK) fail_msg("%s", err.message);
}

static inline void file_free(tensor_file *f) {
  for (int i = 0; i < f->n; i++) free((void *)f->tensor[i].data);
  f->n = 0;
}

/* ---- recipes ----------------------------------------------------------------------------------------------------- */

enum { FACTOR_P = 4, LORA_RANK = 3, LOKR_RANK = 2 };

typedef struct recipe {
  const char *what;
  bool lokr, factored; /* LoKr of two products instead of two matrices */
  bool stabilised;     /* alpha / sqrt(rank) */
  int dora;            /* 0: none, 1: rows, 2: columns */
  double alpha;        /* of the configuration */
} recipe;

/* d [rows, columns]: scale * product. */
static inline void add_lora(const recipe *r, tensor_file *f, const char *layer, uint64_t seed, int64_t rows,
                            int64_t columns, double *d) {
  const float *a = file_add(f, seed, 0.3f, LORA_RANK, columns, layer, ".lora_A.weight");
  const float *b = file_add(f, seed + 1, 0.3f, rows, LORA_RANK, layer, ".lora_B.weight");
  double scale = r->stabilised ? r->alpha / sqrt(LORA_RANK) : r->alpha / LORA_RANK;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) {
      double sum = 0;
      for (int q = 0; q < LORA_RANK; q++) sum += (double)b[i * LORA_RANK + q] * a[q * columns + j];
      d[i * columns + j] = scale * sum;
    }
}

/* One factor [rows, columns] as a matrix or a product; its values in `out`. */
static inline void add_factor(const recipe *r, tensor_file *f, const char *layer, const char *name, uint64_t seed,
                              int64_t rows, int64_t columns, double *out) {
  char left[32], right[32];
  snprintf(left, sizeof left, r->factored ? ".%s_a" : ".%s", name);
  snprintf(right, sizeof right, ".%s_b", name);
  int64_t inner = r->factored ? LOKR_RANK : columns;
  const float *x = file_add(f, seed, 0.5f, rows, inner, layer, left);
  const float *y = r->factored ? file_add(f, seed + 1, 0.5f, LOKR_RANK, columns, layer, right) : NULL;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) {
      double sum = y ? 0 : x[i * columns + j];
      for (int64_t q = 0; y && q < inner; q++) sum += (double)x[i * inner + q] * y[q * columns + j];
      out[i * columns + j] = sum;
    }
}

static inline void add_lokr(const recipe *r, tensor_file *f, const char *layer, uint64_t seed, int64_t rows,
                            int64_t columns, double *d) {
  int64_t c = rows / FACTOR_P, e = columns / FACTOR_P;
  double *w1 = malloc(FACTOR_P * FACTOR_P * sizeof *w1), *w2 = malloc((size_t)(c * e) * sizeof *w2);
  assert_non_null(w1);
  assert_non_null(w2);
  add_factor(r, f, layer, "lokr_w1", seed, FACTOR_P, FACTOR_P, w1);
  add_factor(r, f, layer, "lokr_w2", seed + 2, c, e, w2);
  /* Two whole matrices are their own scale, whatever alpha says. */
  double scale = r->factored ? r->alpha / LOKR_RANK : 1;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++)
      d[i * columns + j] = scale * w1[i / c * FACTOR_P + j / e] * w2[i % c * e + j % e];
  free(w1), free(w2);
}

/* From what is added to W to what DoRA makes of it: m V / norm(V) - W. */
static inline void add_dora(const recipe *r, tensor_file *f, const char *layer, uint64_t seed, int64_t rows,
                            int64_t columns, const float *w, double eps, double *d) {
  bool by_rows = r->dora == 1;
  float *m = by_rows ? file_add(f, seed, 1, rows, 1, layer, r->lokr ? ".dora_scale" : ".lora_magnitude_vector")
                     : file_add(f, seed, 1, 1, columns, layer, ".dora_scale");
  if (by_rows && !r->lokr) f->tensor[f->n - 1].rank = 1;
  for (int64_t n = 0; n < (by_rows ? rows : columns); n++) {
    int64_t count = by_rows ? columns : rows, step = by_rows ? 1 : columns, at = by_rows ? n * columns : n;
    double sum = 0;
    for (int64_t k = 0; k < count; k++) sum += pow((double)w[at + k * step] + d[at + k * step], 2);
    m[n] = (float)(sqrt(sum) * (1 + 0.3 * m[n])); /* about the norm itself, as training leaves it */
    double g = m[n] / (sqrt(sum) + (r->lokr ? eps : 0));
    for (int64_t k = 0; k < count; k++) {
      double v = (double)w[at + k * step] + d[at + k * step];
      d[at + k * step] = g * v - w[at + k * step];
    }
  }
}

/* Adds the layer to the file; d [rows, columns] receives what it is to change in w at full scale. `stem`: the layer as
 * the file names it. eps: of the numbers of the weight, which LyCORIS adds to norms. */
static inline void make_adapter(const recipe *r, tensor_file *f, const char *stem, uint64_t seed, int64_t rows,
                                int64_t columns, const float *w, double eps, double *d) {
  if (r->lokr) add_lokr(r, f, stem, seed, rows, columns, d);
  else add_lora(r, f, stem, seed, rows, columns, d);
  if (r->dora) add_dora(r, f, stem, seed + 10, rows, columns, w, eps, d);
}

/* The adapter as a user has it: a PEFT folder's two files in the temporary folder, or one LoKr file. Returns the path,
 * which lasts until the next temp_path. */
static inline const char *publish_adapter(temp *t, const recipe *r, tensor_file *f) {
  char config[256];
  if (r->lokr) {
    snprintf(config, sizeof config, "{\"linear_dim\": %d, \"linear_alpha\": %g}", LOKR_RANK, r->alpha);
    file_write_to(f, temp_path(t, "lokr_weights.safetensors"), config);
    return temp_path(t, "lokr_weights.safetensors");
  }
  int n = snprintf(config, sizeof config,
                   "{\"peft_type\": \"LORA\", \"r\": %d, \"lora_alpha\": %g, \"use_rslora\": %s, \"use_dora\": %s, "
                   "\"bias\": \"none\", \"modules_to_save\": null}",
                   LORA_RANK, r->alpha, r->stabilised ? "true" : "false", r->dora ? "true" : "false");
  temp_put(t, "adapter_config.json", config, (size_t)n);
  file_write_to(f, temp_path(t, "adapter_model.safetensors"), NULL);
  return t->folder;
}

#endif
