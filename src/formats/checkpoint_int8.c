/* Matrices of a checkpoint as TENS_I8 (tensor/int8.h): those that the file holds so, and, when ckpt_use_int8 asked for
 * it, the large ones, encoded at their first use. In a file such a matrix is an I8 tensor and beside it an F32 tensor
 * NAME_scale; config.json says "quantization_config": {"quant_method": "acestep-int8"}. Trainings take their values. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/notify.h"
#include "base/strings.h"
#include "formats/checkpoint_inner.h"
#include "tensor/int8.h"

enum { CHUNK_VALUES = 1 << 17 };

/* ---- which ------------------------------------------------------------------------------------------------------- */

/* The projections of every block, and the tables of words. Not the audio tokenizer, whose rounding to codes would turn
 * small errors into other codes, nor what is small: norms, biases, embeddings of time, convolutions. */
bool ckpt_is_large(const st_tensor *t) {
  static const char *const projections[] = {"q_proj.weight",    "k_proj.weight",  "v_proj.weight",   "o_proj.weight",
                                            "gate_proj.weight", "up_proj.weight", "down_proj.weight"};
  static const char *const tables[] = {"embed_tokens.weight", "model.embed_tokens.weight", "lm_head.weight",
                                       "model.lm_head.weight"};
  if (t->rank != 2 || t->count == 0 || t->dim[1] > INT8_MAX_WIDTH) return false;
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    if (strcmp(t->name, tables[i]) == 0) return true;
  if (strncmp(t->name, "tokenizer.", 10) == 0) return false;
  for (size_t i = 0; i < sizeof projections / sizeof *projections; i++)
    if (string_ends(t->name, projections[i])) return true;
  return false;
}

void ckpt_use_int8(ckpt *k, pool *threads, const ace_callbacks *notify) {
  k->int8 = true;
  k->threads = threads;
  k->notify = notify ? *notify : (ace_callbacks){0};
}

int64_t ckpt_memory_bytes(const ckpt *k) {
  int64_t bytes = k->weight_bytes;
  for (int i = 0; i < k->n_entries; i++) {
    const st_tensor *t = k->entries[i].tensor;
    if (t->dtype != ST_I8 && ckpt_wants_int8(k, t))
      bytes += t->count + t->dim[0] * (int64_t)sizeof(float) - (int64_t)t->size;
  }
  return bytes;
}

bool ckpt_is_int8(const ckpt *k) {
  const char *method =
      json_string_value(json_object_get(json_object_get(k->config, "quantization_config"), "quant_method"));
  return method && strcmp(method, CKPT_INT8_METHOD) == 0;
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

typedef struct encoding {
  const tens_device *device;
  const st_tensor *from;
  int8_t *q;
  float *scale, *lines; /* a row for each worker */
  int64_t rows, columns, rows_a_chunk;
  atomic_bool bad;
} encoding;

static void encode_chunk(void *arg, int chunk, int worker) {
  encoding *e = arg;
  float *line = e->lines + worker * e->columns;
  int64_t first = chunk * e->rows_a_chunk, last = first + e->rows_a_chunk;
  for (int64_t r = first; r < last && r < e->rows; r++) {
    st_widen(e->from, r * e->columns, e->columns, line);
    if (!tens_int8_encode(e->device, e->q + r * e->columns, &e->scale[r], line, e->columns))
      atomic_store(&e->bad, true);
  }
}

ace_status ckpt_encode_int8(const st_tensor *t, pool *threads, int8_t *q, float *scale, ace_error *err) {
  encoding e = {.device = tens_cpu(), .from = t, .q = q, .scale = scale, .rows = t->dim[0], .columns = t->dim[1]};
  int workers = pool_threads(threads);
  e.rows_a_chunk = CHUNK_VALUES / e.columns + 1;
  e.lines = malloc((size_t)workers * (size_t)e.columns * sizeof *e.lines);
  if (!e.lines) return ace_fail(err, ACE_ENOMEM, "tensor %s: out of memory", t->name);
  int chunks = (int)((e.rows + e.rows_a_chunk - 1) / e.rows_a_chunk);
  pool_run(threads, chunks, encode_chunk, &e);
  free(e.lines);
  if (atomic_load(&e.bad)) return ace_fail(err, ACE_EFORMAT, "tensor %s: a value is not finite", t->name);
  return ACE_OK;
}

/* ---- handing out ------------------------------------------------------------------------------------------------- */

bool ckpt_wants_int8(const ckpt *k, const st_tensor *t) {
  /* Smaller blocks than Q8_0 have no kernels of their own: as int8 their matrices stay small, the error of which is below
   * their own, and run at the speed of int8. */
  bool packed = st_dtype_block(t->dtype) > 1 && t->dtype != ST_Q8_0 && t->dim[1] <= INT8_MAX_WIDTH;
  return t->rank == 2 && (t->dtype == ST_I8 || (k->int8 && ckpt_is_large(t)) || packed);
}

const char *ckpt_scale_name(const char *tensor, char out[CKPT_SCALE_NAME_SIZE]) {
  snprintf(out, CKPT_SCALE_NAME_SIZE, "%s" CKPT_SCALE_SUFFIX, tensor);
  return out;
}

/* The scales that lie beside an I8 tensor of the file, aligned. */
static const float *stored_scale(ckpt *k, const st_tensor *t, ace_error *err) {
  char name[CKPT_SCALE_NAME_SIZE];
  ckpt_entry *e = ckpt_find_entry(k, ckpt_scale_name(t->name, name));
  if (!ckpt_is_int8(k)) {
    ace_fail(err, ACE_EFORMAT, "%s: tensor %s is I8, but config.json does not say quantization_config %s", k->folder,
             t->name, CKPT_INT8_METHOD);
    return NULL;
  }
  if (!e || e->tensor->dtype != ST_F32 || e->tensor->rank != 1 || e->tensor->dim[0] != t->dim[0]) {
    ace_fail(err, ACE_EFORMAT, "%s: tensor %s is I8 and needs %s as F32 [%lld]", k->folder, t->name, name,
             (long long)t->dim[0]);
    return NULL;
  }
  const float *scale = ckpt_data_f32(k, e);
  if (!scale) ace_fail(err, ACE_ENOMEM, "%s: tensor %s: out of memory", k->folder, name);
  return scale;
}

bool ckpt_take_int8(ckpt *k, ckpt_entry *e, tens *out, ace_error *err) {
  const st_tensor *t = e->tensor;
  *out = (tens){.dtype = TENS_I8, .rank = 2, .dim = {t->dim[0], t->dim[1]}};
  if (t->dtype == ST_I8) {
    out->data = (void *)t->data;
    out->scale = stored_scale(k, t, err);
    return out->scale != NULL;
  }
  if (!e->small) {
    if (notify_stopped(&k->notify)) return ace_fail(err, ACE_ECANCELED, "%s: cancelled", k->folder), false;
    float *scale = ckpt_alloc(k, (size_t)t->dim[0] * sizeof *scale);
    int8_t *q = scale ? ckpt_alloc(k, (size_t)t->count) : NULL;
    if (!q) return ace_fail(err, ACE_ENOMEM, "%s: tensor %s: out of memory", k->folder, t->name), false;
    if (ckpt_encode_int8(t, k->threads, q, scale, err) != ACE_OK) return false;
    e->small = q;
    e->small_scale = scale;
    file_forget(t->data, t->size);
  }
  out->data = e->small;
  out->scale = e->small_scale;
  return true;
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

bool ckpt_is_scale(const ckpt *k, const st_tensor *t) {
  char name[CKPT_MAX_NAME];
  size_t n = strlen(t->name), suffix = strlen(CKPT_SCALE_SUFFIX);
  if (!string_ends(t->name, CKPT_SCALE_SUFFIX) || n - suffix >= sizeof name) return false;
  snprintf(name, sizeof name, "%.*s", (int)(n - suffix), t->name);
  const st_tensor *matrix = ckpt_find(k, name);
  return matrix && matrix->dtype == ST_I8;
}

ace_status ckpt_widen(ckpt *k, const st_tensor *t, float *out, ace_error *err) {
  if (t->dtype != ST_I8) {
    st_widen(t, 0, t->count, out);
    return ACE_OK;
  }
  if (t->rank != 2 || t->dim[1] > INT8_MAX_WIDTH)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s is I8, but no matrix of at most %d columns", k->folder, t->name,
                    INT8_MAX_WIDTH);
  const float *scale = stored_scale(k, t, err);
  if (!scale) return err->status;
  for (int64_t i = 0; i < t->dim[0]; i++)
    int8_decode(out + i * t->dim[1], (const int8_t *)t->data + i * t->dim[1], scale[i], t->dim[1]);
  return ACE_OK;
}
