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

static const size_t element_size[] = {[PICKLE_F32] = 4, [PICKLE_F16] = 2, [PICKLE_BF16] = 2, [PICKLE_F64] = 8,
                                      [PICKLE_I64] = 8, [PICKLE_U8] = 1,  [PICKLE_BOOL] = 1};

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
  int64_t n;
  switch (dtype) {
    case PICKLE_F32: memcpy(&f, storage + 4 * index, sizeof f); return f;
    case PICKLE_F64: memcpy(&d, storage + 8 * index, sizeof d); return (float)d;
    case PICKLE_I64: memcpy(&n, storage + 8 * index, sizeof n); return (float)n;
    case PICKLE_U8: return storage[index];
    case PICKLE_BOOL: return storage[index] != 0;
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

/* ---- the file ---------------------------------------------------------------------------------------------------- */

typedef struct opened {
  zip_view z;
  char stem[MAX_NAME];
  pickle pickle; /* points into the file */
} opened;

static ace_status open_pickle(opened *o, const void *data, size_t size, const char *where, ace_error *err) {
  zip_entry entry;
  stem_search s = {.hits = 0};
  ace_status status = zip_open(&o->z, data, size, where, err);
  if (status == ACE_OK) status = zip_each(&o->z, find_stem, &s, err);
  if (status != ACE_OK) return status;
  if (s.hits != 1)
    return ace_fail(err, ACE_EFORMAT, "%s: %d entries named <stem>/data.pkl, expected one (not a torch.save file?)",
                    where, s.hits);
  memcpy(o->stem, s.stem, sizeof o->stem);
  if ((status = check_byte_order(&o->z, o->stem, err)) != ACE_OK) return status;
  if ((status = find_part(&o->z, o->stem, "data.pkl", 8, &entry, err)) != ACE_OK) return status;
  return pickle_read(entry.data, entry.size, where, &o->pickle, err);
}

/* Shape and, with `values`, numbers of one tensor. */
static ace_status take_tensor(const opened *o, const pickle_tensor *t, bool values, pt_tensor *out, ace_error *err) {
  zip_entry storage;
  int64_t count = 0;
  ace_status status = find_storage(&o->z, o->stem, t, &storage, err);
  if (status == ACE_OK) status = check_tensor(t, storage.size, o->z.where, &count, err);
  if (status != ACE_OK) return status;
  out->rank = t->rank;
  memcpy(out->dim, t->dim, sizeof out->dim);
  if (!values) return ACE_OK;
  out->data = malloc((size_t)count * sizeof *out->data);
  if (!out->data) return ace_fail(err, ACE_ENOMEM, "%s: out of memory for %lld numbers", o->z.where, (long long)count);
  gather(t, storage.data, out->data);
  return ACE_OK;
}

ace_status pt_read_memory(const void *data, size_t size, const char *where, pt_tensor *out, ace_error *err) {
  opened o;
  *out = (pt_tensor){0};
  ace_status status = open_pickle(&o, data, size, where, err);
  if (status == ACE_OK && (o.pickle.root.kind != PICKLE_TENSOR || o.pickle.n_tensors != 1))
    status = ace_fail(err, ACE_EFORMAT, "%s: data.pkl: the result is not one tensor", where);
  if (status == ACE_OK) status = take_tensor(&o, &o.pickle.tensor[0], true, out, err);
  if (status != ACE_OK) *out = (pt_tensor){0};
  return status;
}

ace_status pt_read(const char *path, pt_tensor *out, ace_error *err) {
  file_map m;
  *out = (pt_tensor){0};
  ace_status status = file_map_open(&m, path, err);
  if (status == ACE_OK) status = pt_read_memory(m.data, m.size, path, out, err);
  file_map_close(&m);
  return status;
}

/* ---- dictionaries ------------------------------------------------------------------------------------------------ */

void pt_dict_free(pt_dict *d) {
  for (int i = 0; i < d->n; i++) free(d->entry[i].name), free(d->entry[i].tensor.data);
  free(d->entry);
  json_decref(d->values);
  *d = (pt_dict){0};
}

const pt_tensor *pt_dict_find(const pt_dict *d, const char *name) {
  for (int i = d->n - 1; i >= 0; i--)
    if (strcmp(d->entry[i].name, name) == 0) return &d->entry[i].tensor;
  return NULL;
}

static json_t *dict_json(const pickle *p, int64_t dict, bool seen[PICKLE_DICTS]);

/* A new reference; null for what has no place in JSON. */
static json_t *value_json(const pickle *p, const pickle_value *v, bool seen[PICKLE_DICTS]) {
  json_t *out = NULL;
  switch (v->kind) {
    case PICKLE_FLAG: out = json_boolean(v->n); break;
    case PICKLE_INTEGER: out = json_integer(v->n); break;
    case PICKLE_REAL: out = json_real(v->x); break;
    case PICKLE_TEXT: out = json_stringn(v->str, v->length); break;
    case PICKLE_DICT: out = dict_json(p, v->n, seen); break;
    default: break;
  }
  return out ? out : json_null();
}

/* A dictionary that stands in several places, or in itself, is told once. */
static json_t *dict_json(const pickle *p, int64_t dict, bool seen[PICKLE_DICTS]) {
  if (seen[dict]) return NULL;
  seen[dict] = true;
  json_t *out = json_object();
  for (int i = 0; i < p->n_entries; i++) {
    const pickle_entry *e = &p->entry[i];
    if (e->dict != dict || e->key.kind != PICKLE_TEXT || e->value.kind == PICKLE_TENSOR) continue;
    char *name = strndup(e->key.str, e->key.length);
    if (name) json_object_set_new(out, name, value_json(p, &e->value, seen));
    free(name);
  }
  return out;
}

static ace_status take_entries(const opened *o, bool values, pt_dict *out, ace_error *err) {
  const pickle *p = &o->pickle;
  bool seen[PICKLE_DICTS] = {false};
  out->values = dict_json(p, p->root.n, seen);
  out->entry = calloc(PICKLE_ENTRIES, sizeof *out->entry);
  ace_status status = out->values && out->entry ? ACE_OK : ace_fail(err, ACE_ENOMEM, "%s: out of memory", o->z.where);
  for (int i = 0; i < p->n_entries && status == ACE_OK; i++) {
    const pickle_entry *e = &p->entry[i];
    if (e->dict != p->root.n || e->key.kind != PICKLE_TEXT || e->value.kind != PICKLE_TENSOR) continue;
    pt_named *to = &out->entry[out->n++];
    to->name = strndup(e->key.str, e->key.length);
    status = to->name ? take_tensor(o, &p->tensor[e->value.n], values, &to->tensor, err)
                      : ace_fail(err, ACE_ENOMEM, "%s: out of memory", o->z.where);
  }
  return status;
}

ace_status pt_read_dict_memory(const void *data, size_t size, const char *where, bool values, pt_dict *out,
                               ace_error *err) {
  opened o;
  *out = (pt_dict){0};
  ace_status status = open_pickle(&o, data, size, where, err);
  if (status == ACE_OK && o.pickle.root.kind != PICKLE_DICT)
    status = ace_fail(err, ACE_EFORMAT, "%s: data.pkl: the result is not a dictionary", where);
  if (status == ACE_OK) status = take_entries(&o, values, out, err);
  if (status != ACE_OK) pt_dict_free(out);
  return status;
}

ace_status pt_read_dict(const char *path, bool values, pt_dict *out, ace_error *err) {
  file_map m;
  *out = (pt_dict){0};
  ace_status status = file_map_open(&m, path, err);
  if (status == ACE_OK) status = pt_read_dict_memory(m.data, m.size, path, values, out, err);
  file_map_close(&m);
  return status;
}
