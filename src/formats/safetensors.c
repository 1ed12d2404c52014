/* Reading. The header's JSON document stays alive as long as the file: tensor names and metadata are borrowed from it.
 */
#include "formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "formats/gguf.h"

enum { MAX_HEADER = 100 * 1000 * 1000, MAX_TENSORS = 100 * 1000, MAX_NAME = 255 };

struct st_file {
  char *where;
  file_map map; /* empty when opened over memory */
  json_t *header;
  st_tensor *tensors;        /* in the order of their data */
  const st_tensor **by_name; /* sorted by name */
  int n;
};

static const struct {
  const char *name;
  size_t size; /* bytes */
  int64_t block;
} dtypes[] = {
    [ST_F64] = {"F64", 8, 1},       [ST_F32] = {"F32", 4, 1},         [ST_F16] = {"F16", 2, 1},
    [ST_BF16] = {"BF16", 2, 1},     [ST_I64] = {"I64", 8, 1},         [ST_I32] = {"I32", 4, 1},
    [ST_I16] = {"I16", 2, 1},       [ST_I8] = {"I8", 1, 1},           [ST_U8] = {"U8", 1, 1},
    [ST_BOOL] = {"BOOL", 1, 1},     [ST_F8_E4M3] = {"F8_E4M3", 1, 1}, [ST_F8_E5M2] = {"F8_E5M2", 1, 1},
    [ST_Q4_0] = {"Q4_0", 18, 32},   [ST_Q4_1] = {"Q4_1", 20, 32},     [ST_Q5_0] = {"Q5_0", 22, 32},
    [ST_Q5_1] = {"Q5_1", 24, 32},   [ST_Q8_0] = {"Q8_0", 34, 32},     [ST_Q2_K] = {"Q2_K", 84, 256},
    [ST_Q3_K] = {"Q3_K", 110, 256}, [ST_Q4_K] = {"Q4_K", 144, 256},   [ST_Q5_K] = {"Q5_K", 176, 256},
    [ST_Q6_K] = {"Q6_K", 210, 256}, [ST_Q8_K] = {"Q8_K", 292, 256},
};
_Static_assert(sizeof dtypes / sizeof *dtypes == ST_DTYPES, "a line for each type");
enum { PLAIN_DTYPES = ST_Q4_0 }; /* those that safetensors files have */

size_t st_dtype_size(st_dtype dtype) {
  return dtypes[dtype].size;
}

int64_t st_dtype_block(st_dtype dtype) {
  return dtypes[dtype].block;
}

const char *st_dtype_name(st_dtype dtype) {
  return dtypes[dtype].name;
}

static ace_status read_dtype(const json_t *entry, const char *where, st_tensor *t, ace_error *err) {
  const json_t *value = json_object_get(entry, "dtype");
  if (!json_is_string(value))
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: dtype: missing or not a string", where, t->name);
  for (int i = 0; i < PLAIN_DTYPES; i++)
    if (strcmp(json_string_value(value), dtypes[i].name) == 0) {
      t->dtype = (st_dtype)i;
      return ACE_OK;
    }
  return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: dtype: \"%.32s\" is not a known type", where, t->name,
                  json_string_value(value));
}

/* Dims and their product. The product of the dims that are not zero must fit as well, so that no later code can meet an
 * overflow whatever the order it multiplies in. */
static ace_status read_shape(const json_t *entry, const char *where, st_tensor *t, ace_error *err) {
  const json_t *shape = json_object_get(entry, "shape");
  if (!json_is_array(shape))
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: shape: missing or not a list", where, t->name);
  if (json_array_size(shape) > ST_MAX_RANK)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: shape: %zu dimensions, more than %d", where, t->name,
                    json_array_size(shape), ST_MAX_RANK);
  t->rank = (int)json_array_size(shape);
  int64_t product = 1;
  bool empty = false;
  for (int i = 0; i < t->rank; i++) {
    const json_t *dim = json_array_get(shape, (size_t)i);
    if (!json_is_integer(dim) || json_integer_value(dim) < 0)
      return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: shape: dimension %d is not a whole number from 0", where,
                      t->name, i);
    t->dim[i] = json_integer_value(dim);
    if (t->dim[i] == 0) empty = true;
    else if (__builtin_mul_overflow(product, t->dim[i], &product) || product > INT64_MAX / 8)
      return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: shape: the product of the dimensions overflows", where,
                      t->name);
  }
  t->count = empty ? 0 : product;
  t->size = (size_t)t->count * dtypes[t->dtype].size;
  return ACE_OK;
}

static ace_status read_offsets(const json_t *entry, const char *where, const uint8_t *data, size_t data_size,
                               st_tensor *t, ace_error *err) {
  const json_t *offsets = json_object_get(entry, "data_offsets");
  const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
  if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: data_offsets: missing or not two whole numbers", where, t->name);
  int64_t begin = json_integer_value(first), end = json_integer_value(last);
  if (begin < 0 || end < begin || (uint64_t)end > data_size)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: data_offsets: [%lld,%lld] is outside the %zu bytes of data",
                    where, t->name, (long long)begin, (long long)end, data_size);
  if ((uint64_t)(end - begin) != t->size)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: data_offsets: %lld bytes, but shape and dtype need %zu", where,
                    t->name, (long long)(end - begin), t->size);
  t->data = data + begin;
  return ACE_OK;
}

/* A name ends up in one-line messages and in file formats of others. */
static ace_status check_name(const char *name, const char *where, ace_error *err) {
  size_t length = strlen(name);
  if (length < 1 || length > MAX_NAME)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %.32s...: the name has %zu bytes, accepted are 1..%d", where, name,
                    length, MAX_NAME);
  for (const char *p = name; *p; p++)
    if ((unsigned char)*p < 0x20 || *p == 0x7f)
      return ace_fail(err, ACE_EFORMAT, "%s: tensor %.*s...: a control character in the name", where, (int)(p - name),
                      name);
  return ACE_OK;
}

static ace_status check_metadata(const json_t *metadata, const char *where, ace_error *err) {
  const char *key;
  json_t *value;
  if (!json_is_object(metadata)) return ace_fail(err, ACE_EFORMAT, "%s: __metadata__: not an object", where);
  json_object_foreach((json_t *)metadata, key, value) {
    if (!json_is_string(value)) return ace_fail(err, ACE_EFORMAT, "%s: __metadata__: %.64s: not a string", where, key);
  }
  return ACE_OK;
}

static int by_data(const void *a, const void *b) {
  const st_tensor *x = a, *y = b;
  if (x->data != y->data) return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
  if (x->size != y->size) return x->size < y->size ? -1 : 1;
  return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const st_tensor *const *)a)->name, (*(const st_tensor *const *)b)->name);
}

/* The format allows neither gaps nor overlaps: sorted by place, each tensor begins where the one before it ends. */
static ace_status check_layout(const st_file *f, const uint8_t *data, size_t data_size, ace_error *err) {
  const uint8_t *expected = data;
  for (int i = 0; i < f->n; i++) {
    const st_tensor *t = &f->tensors[i];
    const uint8_t *begin = t->data;
    if (begin != expected)
      return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: data_offsets: %s the tensor before it, at byte %zu", f->where,
                      t->name, begin < expected ? "overlaps" : "leaves a hole behind", (size_t)(begin - data));
    expected = begin + t->size;
  }
  if (expected != data + data_size)
    return ace_fail(err, ACE_EFORMAT, "%s: %zu bytes of data behind the last tensor belong to no tensor", f->where,
                    (size_t)(data + data_size - expected));
  return ACE_OK;
}

static ace_status read_tensors(st_file *f, const uint8_t *data, size_t data_size, ace_error *err) {
  size_t entries = json_object_size(f->header);
  if (entries > MAX_TENSORS + 1)
    return ace_fail(err, ACE_EFORMAT, "%s: header: %zu tensors, more than %d", f->where, entries, MAX_TENSORS);
  f->tensors = calloc(entries + 1, sizeof *f->tensors);
  f->by_name = calloc(entries + 1, sizeof *f->by_name);
  if (!f->tensors || !f->by_name) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", f->where);
  const char *key;
  json_t *entry;
  ace_status status = ACE_OK;
  json_object_foreach(f->header, key, entry) {
    if (strcmp(key, "__metadata__") == 0) {
      if ((status = check_metadata(entry, f->where, err)) != ACE_OK) return status;
      continue;
    }
    st_tensor *t = &f->tensors[f->n];
    t->name = key;
    if ((status = check_name(key, f->where, err)) != ACE_OK) return status;
    if (!json_is_object(entry)) return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: not an object", f->where, key);
    if ((status = read_dtype(entry, f->where, t, err)) != ACE_OK) return status;
    if ((status = read_shape(entry, f->where, t, err)) != ACE_OK) return status;
    if ((status = read_offsets(entry, f->where, data, data_size, t, err)) != ACE_OK) return status;
    f->n++;
  }
  qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, by_data);
  for (int i = 0; i < f->n; i++) f->by_name[i] = &f->tensors[i];
  qsort(f->by_name, (size_t)f->n, sizeof *f->by_name, by_name);
  return check_layout(f, data, data_size, err);
}

static ace_status read_file(st_file *f, const uint8_t *bytes, size_t size, ace_error *err) {
  if (size < 8)
    return ace_fail(err, ACE_EFORMAT, "%s: header length: the file has %zu bytes, a safetensors file at least 8",
                    f->where, size);
  uint64_t length = 0;
  for (int i = 0; i < 8; i++) length |= (uint64_t)bytes[i] << (8 * i);
  if (length > MAX_HEADER)
    return ace_fail(err, ACE_EFORMAT, "%s: header length: %llu bytes, accepted are 2..%d", f->where,
                    (unsigned long long)length, MAX_HEADER);
  if (length > size - 8)
    return ace_fail(err, ACE_EFORMAT, "%s: header length: %llu bytes, but the file ends after %zu (truncated?)",
                    f->where, (unsigned long long)length, size - 8);
  if (length < 2 || bytes[8] != '{')
    return ace_fail(err, ACE_EFORMAT, "%s: header: does not begin with '{' (not a safetensors file?)", f->where);
  f->header = json_parse((const char *)bytes + 8, (size_t)length, f->where, err);
  if (!f->header) return ACE_EFORMAT;
  return read_tensors(f, bytes + 8 + length, size - 8 - (size_t)length, err);
}

static st_file *file_new(const char *where, ace_error *err) {
  st_file *f = calloc(1, sizeof *f);
  if (f) f->where = strdup(where);
  if (!f || !f->where) {
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
    free(f);
    return NULL;
  }
  return f;
}

st_file *st_open(const char *path, ace_error *err) {
  st_file *f = file_new(path, err);
  if (!f) return NULL;
  if (file_map_open(&f->map, path, err) != ACE_OK || read_file(f, f->map.data, f->map.size, err) != ACE_OK) {
    st_close(f);
    return NULL;
  }
  return f;
}

st_file *st_open_memory(const void *data, size_t size, const char *where, ace_error *err) {
  st_file *f = file_new(where, err);
  if (f && read_file(f, data, size, err) != ACE_OK) {
    st_close(f);
    return NULL;
  }
  return f;
}

void st_close(st_file *f) {
  if (!f) return;
  file_map_close(&f->map);
  json_decref(f->header);
  free(f->tensors);
  free(f->by_name);
  free(f->where);
  free(f);
}

int st_count(const st_file *f) {
  return f->n;
}

const st_tensor *st_at(const st_file *f, int i) {
  return i >= 0 && i < f->n ? &f->tensors[i] : NULL;
}

const st_tensor *st_find(const st_file *f, const char *name) {
  const st_tensor key = {.name = name}, *p = &key;
  const st_tensor **hit = f->n ? bsearch(&p, f->by_name, (size_t)f->n, sizeof *f->by_name, by_name) : NULL;
  return hit ? *hit : NULL;
}

const char *st_metadata(const st_file *f, const char *key) {
  return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}

const char *st_path(const st_file *f) {
  return f->where;
}

/* Elements begin anywhere in the file, so they are read bytewise. */
void st_widen(const st_tensor *t, int64_t first, int64_t count, float *out) {
  if (count < 1) return;
  const uint8_t *bytes =
      (const uint8_t *)t->data + (size_t)(first / st_dtype_block(t->dtype)) * st_dtype_size(t->dtype);
  if (st_dtype_block(t->dtype) > 1) {
    gguf_widen(out, t->dtype, bytes, count);
    return;
  }
  if (t->dtype == ST_F32) {
    memcpy(out, bytes, (size_t)count * sizeof *out);
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    uint16_t h;
    memcpy(&h, bytes + 2 * i, sizeof h);
    out[i] = t->dtype == ST_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
  }
}
