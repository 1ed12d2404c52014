/* Reading: the archive names the storage, the pickle says how the tensor lies in it. Nothing in either is believed
 * before it has been compared with the bytes that are really there. */
#include "formats/torch_pt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "formats/torch_pickle.h"
#include "formats/torch_zip.h"

enum { MAX_RANK = 4, MAX_NAME = 512 };

static const size_t element_size[] = {[PICKLE_F32] = 4, [PICKLE_F16] = 2, [PICKLE_BF16] = 2, [PICKLE_F64] = 8};

/* ---- entries of the archive ------------------------------------------------------------------------------------- */

typedef struct stem_search {
  char stem[MAX_NAME]; /* of the first "<stem>/data.pkl" */
  int hits;
} stem_search;

static bool find_stem(void *arg, const zip_entry *entry) {
  static const char tail[] = "/data.pkl";
  size_t n = sizeof tail - 1;
  stem_search *s = arg;
  if (entry->name_length < n || memcmp(entry->name + entry->name_length - n, tail, n) != 0) return true;
  if (entry->name_length - n >= sizeof s->stem / 2) return true;
  if (memchr(entry->name, 0, entry->name_length)) return true;
  if (s->hits++ == 0) snprintf(s->stem, sizeof s->stem, "%.*s", (int)(entry->name_length - n), entry->name);
  return true;
}

/* "<stem>/<name>"; its data is NULL when there is none. */
static ace_status find_part(const zip_view *z, const char *stem, const char *name, size_t length, zip_entry *out,
                            ace_error *err) {
  char full[MAX_NAME];
  int n = snprintf(full, sizeof full, "%s/%.*s", stem, (int)length, name);
  if (n < 0 || (size_t)n >= sizeof full) return ace_fail(err, ACE_EFORMAT, "%s: an entry name is too long", z->where);
  return zip_find(z, full, out, err);
}

static ace_status check_byte_order(const zip_view *z, const char *stem, ace_error *err) {
  zip_entry order;
  ace_status status = find_part(z, stem, "byteorder", 9, &order, err);
  if (status != ACE_OK || !order.data) return status;
  if (order.size == 6 && memcmp(order.data, "little", 6) == 0) return ACE_OK;
  return ace_fail(err, ACE_EUNSUPPORTED, "%s: byteorder: \"%.*s\" is not supported, only \"little\"", z->where,
                  order.size < 16 ? (int)order.size : 16, (const char *)order.data);
}

static ace_status find_storage(const zip_view *z, const char *stem, const pickle_tensor *t, zip_entry *out,
                               ace_error *err) {
  char name[MAX_NAME];
  if (t->key_length < 1 || t->key_length > 64 || memchr(t->key, 0, t->key_length))
    return ace_fail(err, ACE_EFORMAT, "%s: data.pkl: storage: its key is not a name of 1..64 bytes", z->where);
  int n = snprintf(name, sizeof name, "data/%.*s", (int)t->key_length, t->key);
  ace_status status = find_part(z, stem, name, (size_t)n, out, err);
  if (status == ACE_OK && !out->data)
    status = ace_fail(err, ACE_EFORMAT, "%s: entry %s/%s is missing", z->where, stem, name);
  return status;
}

/* ---- the tensor -------------------------------------------------------------------------------------------------- */

/* Every index that size, stride and offset can form must lie inside the storage that is really there; and no more
 * elements than it has, so that memory is never asked for on the word of the pickle alone. */
static ace_status check_tensor(const pickle_tensor *t, size_t storage_bytes, const char *where, int64_t *count,
                               ace_error *err) {
  if (t->numel < 0 || (uint64_t)t->numel != storage_bytes / element_size[t->dtype] ||
      storage_bytes % element_size[t->dtype] != 0)
    return ace_fail(err, ACE_EFORMAT, "%s: data.pkl: storage: %lld elements, but the storage has %zu bytes", where,
                    (long long)t->numel, storage_bytes);
  if (t->rank < 1 || t->rank > MAX_RANK)
    return ace_fail(err, ACE_EFORMAT, "%s: data.pkl: size: %d dimensions, accepted are 1..%d", where, t->rank,
                    MAX_RANK);
  if (t->offset < 0 || t->offset > t->numel)
    return ace_fail(err, ACE_EFORMAT, "%s: data.pkl: storage_offset: %lld is outside 0..%lld", where,
                    (long long)t->offset, (long long)t->numel);
  int64_t last = t->offset, n = 1;
  for (int i = 0; i < t->rank; i++) {
    int64_t reach;
    if (t->dim[i] < 1 || __builtin_mul_overflow(n, t->dim[i], &n) || n > t->numel)
      return ace_fail(err, ACE_EFORMAT,
                      "%s: data.pkl: size: dimension %d is %lld, more than the storage holds or below 1", where, i,
                      (long long)t->dim[i]);
    if (t->stride[i] < 0 || __builtin_mul_overflow(t->dim[i] - 1, t->stride[i], &reach) ||
        __builtin_add_overflow(last, reach, &last) || last >= t->numel)
      return ace_fail(err, ACE_EFORMAT,
                      "%s: data.pkl: stride: %lld of dimension %d leaves the storage of %lld elements", where,
                      (long long)t->stride[i], i, (long long)t->numel);
  }
  *count = n;
  return ACE_OK;
}

static float element(pickle_dtype dtype, const uint8_t *storage, int64_t index) {
  uint16_t h;
  float f;
  double d;
  switch (dtype) {
    case PICKLE_F32: memcpy(&f, storage + 4 * index, sizeof f); return f;
    case PICKLE_F64: memcpy(&d, storage + 8 * index, sizeof d); return (float)d;
    case PICKLE_F16: memcpy(&h, storage + 2 * index, sizeof h); return f16_to_f32(h);
    case PICKLE_BF16: memcpy(&h, storage + 2 * index, sizeof h); return bf16_to_f32(h);
  }
  return 0;
}

/* Copies in row-major order whatever order the storage has. */
static void gather(const pickle_tensor *t, const uint8_t *storage, float *out) {
  int64_t dim[MAX_RANK] = {1, 1, 1, 1}, stride[MAX_RANK] = {0};
  for (int i = 0; i < t->rank; i++) {
    dim[MAX_RANK - t->rank + i] = t->dim[i];
    stride[MAX_RANK - t->rank + i] = t->stride[i];
  }
  for (int64_t a = 0; a < dim[0]; a++)
    for (int64_t b = 0; b < dim[1]; b++)
      for (int64_t c = 0; c < dim[2]; c++) {
        int64_t row = t->offset + a * stride[0] + b * stride[1] + c * stride[2];
        for (int64_t d = 0; d < dim[3]; d++) *out++ = element(t->dtype, storage, row + d * stride[3]);
      }
}

ace_status pt_read_memory(const void *data, size_t size, const char *where, pt_tensor *out, ace_error *err) {
  *out = (pt_tensor){0};
  zip_view z;
  zip_entry pickle, storage;
  pickle_tensor t;
  stem_search s = {.hits = 0};
  int64_t count = 0;
  ace_status status = zip_open(&z, data, size, where, err);
  if (status == ACE_OK) status = zip_each(&z, find_stem, &s, err);
  if (status != ACE_OK) return status;
  if (s.hits != 1)
    return ace_fail(err, ACE_EFORMAT, "%s: %d entries named <stem>/data.pkl, expected one (not a torch.save file?)",
                    where, s.hits);
  if ((status = check_byte_order(&z, s.stem, err)) != ACE_OK) return status;
  if ((status = find_part(&z, s.stem, "data.pkl", 8, &pickle, err)) != ACE_OK) return status;
  if ((status = pickle_read(pickle.data, pickle.size, where, &t, err)) != ACE_OK) return status;
  if ((status = find_storage(&z, s.stem, &t, &storage, err)) != ACE_OK) return status;
  if ((status = check_tensor(&t, storage.size, where, &count, err)) != ACE_OK) return status;
  float *values = malloc((size_t)count * sizeof *values);
  if (!values) return ace_fail(err, ACE_ENOMEM, "%s: out of memory for %lld numbers", where, (long long)count);
  gather(&t, storage.data, values);
  out->rank = t.rank;
  memcpy(out->dim, t.dim, sizeof out->dim);
  out->data = values;
  return ACE_OK;
}

ace_status pt_read(const char *path, pt_tensor *out, ace_error *err) {
  file_map m;
  *out = (pt_tensor){0};
  ace_status status = file_map_open(&m, path, err);
  if (status == ACE_OK) status = pt_read_memory(m.data, m.size, path, out, err);
  file_map_close(&m);
  return status;
}
