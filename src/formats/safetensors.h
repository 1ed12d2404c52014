/* safetensors.h - the checkpoint container of Hugging Face: u64 little-endian header length, JSON header
 * {name: {dtype, shape, data_offsets: [begin, end]}, "__metadata__": {...}}, then raw little-endian data.
 *
 *   st_file *f = st_open("model.safetensors", &err);
 *   const st_tensor *t = st_find(f, "norm.weight");   // NULL if absent
 *   st_close(f);
 *
 * The file is memory-mapped and every header field is checked before use: lengths, types, shapes whose product must
 * equal the byte range, ranges inside the file, no overlap, no duplicate name. Errors name file, tensor and field.
 */
#ifndef ACE_SAFETENSORS_H
#define ACE_SAFETENSORS_H

#include "base/error.h"
#include "base/file.h"

typedef enum st_dtype {
  ST_F64,
  ST_F32,
  ST_F16,
  ST_BF16,
  ST_I64,
  ST_I32,
  ST_I16,
  ST_I8,
  ST_U8,
  ST_BOOL,
  ST_F8_E4M3,
  ST_F8_E5M2,
  /* Blocks of values with scales of their own: in GGUF files only (gguf.h). */
  ST_Q4_0,
  ST_Q4_1,
  ST_Q5_0,
  ST_Q5_1,
  ST_Q8_0,
  ST_Q2_K,
  ST_Q3_K,
  ST_Q4_K,
  ST_Q5_K,
  ST_Q6_K,
  ST_Q8_K,
  ST_DTYPES
} st_dtype;

enum { ST_MAX_RANK = 8 };

typedef struct st_tensor {
  const char *name; /* owned by the file */
  st_dtype dtype;
  int rank; /* 0..8 */
  int64_t dim[ST_MAX_RANK];
  int64_t count;    /* product of dims */
  const void *data; /* inside the map; aligned only as the file happens to be */
  size_t size;      /* bytes */
} st_tensor;

typedef struct st_file st_file;

st_file *st_open(const char *path, ace_error *err);
/* The same over memory that outlives the result; `where` names it in errors. For tests and fuzzing. */
st_file *st_open_memory(const void *data, size_t size, const char *where, ace_error *err);
void st_close(st_file *f);

int st_count(const st_file *f);
const st_tensor *st_at(const st_file *f, int i); /* in the order of the file's data */
const st_tensor *st_find(const st_file *f, const char *name);
/* A string of "__metadata__"; NULL if absent. */
const char *st_metadata(const st_file *f, const char *key);
const char *st_path(const st_file *f);

/* `count` values from the first-th on of an F32, BF16 or F16 tensor, or whole blocks, widened. */
void st_widen(const st_tensor *t, int64_t first, int64_t count, float *out);

size_t st_dtype_size(st_dtype dtype);      /* bytes of a value, or of a block */
int64_t st_dtype_block(st_dtype dtype);    /* values in a block; 1 for types without */
const char *st_dtype_name(st_dtype dtype); /* "BF16" */

/* ---- writing: tensors in the given order, atomically ------------------------------------------------------------- */

/* metadata: 2*n_metadata strings, key then value. */
ace_status st_write(const char *path, const st_tensor *tensors, int n, const char *const *metadata, int n_metadata,
                    ace_error *err);

/* The same piece by piece, for data that does not fit memory: the header goes out first, from names, types and shapes
 * alone; then the data of all tensors in order, in pieces of any size, with file_writer_add; then file_writer_commit, or
 * file_writer_abort. */
ace_status st_write_begin(file_writer *w, const char *path, const st_tensor *tensors, int n,
                          const char *const *metadata, int n_metadata, ace_error *err);

#endif
