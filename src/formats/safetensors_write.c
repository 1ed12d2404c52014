/* Writing safetensors. The header is padded with spaces (which JSON allows at its end) so that the data begins at a
 * multiple of 64 bytes and a mapped tensor of such a size can be used in place. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "formats/safetensors.h"

enum { DATA_ALIGN = 64 };

/* Bytes of a tensor by its shape and type; false on a bad shape or a `size` that contradicts it. */
static bool tensor_size(const st_tensor *t, size_t *size) {
  size_t n = st_dtype_size(t->dtype);
  if (t->rank < 0 || t->rank > ST_MAX_RANK) return false;
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i] < 0 || __builtin_mul_overflow(n, (size_t)t->dim[i], &n) || n > INT64_MAX) return false;
  *size = n;
  return t->size == 0 || t->size == n;
}

static json_t *tensor_entry(const st_tensor *t, size_t begin, size_t end) {
  json_t *shape = json_array();
  for (int i = 0; i < t->rank; i++)
    if (json_array_append_new(shape, json_integer(t->dim[i])) != 0) {
      json_decref(shape);
      return NULL;
    }
  return json_pack("{s:s, s:o, s:[I,I]}", "dtype", st_dtype_name(t->dtype), "shape", shape, "data_offsets",
                   (json_int_t)begin, (json_int_t)end);
}

/* The header document, or NULL with `err` set. */
static json_t *make_header(const char *path, const st_tensor *tensors, int n, const char *const *metadata,
                           int n_metadata, ace_error *err) {
  json_t *header = json_object(), *strings = n_metadata > 0 ? json_object() : NULL;
  ace_status status = ACE_OK;
  for (int i = 0; i < n_metadata && status == ACE_OK; i++)
    if (json_object_set_new(strings, metadata[2 * i], json_string(metadata[2 * i + 1])) != 0)
      status = ace_fail(err, ACE_EINVAL, "%s: __metadata__: entry %d is not valid UTF-8", path, i);
  if (strings) json_object_set_new(header, "__metadata__", strings);
  size_t at = 0;
  for (int i = 0; i < n && status == ACE_OK; i++) {
    const st_tensor *t = &tensors[i];
    size_t size, end;
    if (!tensor_size(t, &size) || __builtin_add_overflow(at, size, &end) || end > INT64_MAX)
      status =
          ace_fail(err, ACE_EINVAL, "%s: tensor %s: shape: sizes contradict each other or overflow", path, t->name);
    else if (json_object_get(header, t->name) || strcmp(t->name, "__metadata__") == 0)
      status = ace_fail(err, ACE_EINVAL, "%s: tensor %s: the name is taken already", path, t->name);
    else if (json_object_set_new(header, t->name, tensor_entry(t, at, end)) != 0)
      status = ace_fail(err, ACE_EINVAL, "%s: tensor %d: the name is not valid UTF-8", path, i);
    else at = end;
  }
  if (status == ACE_OK) return header;
  json_decref(header);
  return NULL;
}

ace_status st_write_begin(file_writer *w, const char *path, const st_tensor *tensors, int n,
                          const char *const *metadata, int n_metadata, ace_error *err) {
  ace_error local;
  if (!err) err = &local;
  json_t *header = make_header(path, tensors, n, metadata, n_metadata, err);
  if (!header) return err->status;
  char *text = json_dumps(header, JSON_COMPACT);
  json_decref(header);
  if (!text) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  uint8_t prefix[8];
  size_t length = strlen(text), padded = (8 + length + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN - 8;
  for (int i = 0; i < 8; i++) prefix[i] = (uint8_t)((uint64_t)padded >> (8 * i));
  char spaces[DATA_ALIGN];
  memset(spaces, ' ', sizeof spaces);
  ace_status status = file_writer_open(w, path, err);
  if (status == ACE_OK) {
    status = file_writer_add(w, prefix, sizeof prefix, err);
    if (status == ACE_OK) status = file_writer_add(w, text, length, err);
    if (status == ACE_OK) status = file_writer_add(w, spaces, padded - length, err);
    if (status != ACE_OK) file_writer_abort(w);
  }
  free(text);
  return status;
}

ace_status st_write(const char *path, const st_tensor *tensors, int n, const char *const *metadata, int n_metadata,
                    ace_error *err) {
  file_writer w;
  ace_status status = st_write_begin(&w, path, tensors, n, metadata, n_metadata, err);
  if (status != ACE_OK) return status;
  for (int i = 0; i < n && status == ACE_OK; i++) {
    size_t size;
    if (tensor_size(&tensors[i], &size)) status = file_writer_add(&w, tensors[i].data, size, err);
  }
  if (status == ACE_OK) return file_writer_commit(&w, err);
  file_writer_abort(&w);
  return status;
}
