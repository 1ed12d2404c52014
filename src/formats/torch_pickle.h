/* torch_pickle.h - the pickle that torch.save writes for one dense tensor, or for a dictionary of tensors and plain values.
 * Inside this room only.
 *
 * Source: Python's pickletools (protocol 2) for the opcodes, torch/_utils.py for the arguments of _rebuild_tensor_v2.
 */
#ifndef ACE_TORCH_PICKLE_H
#define ACE_TORCH_PICKLE_H

#include "base/error.h"

typedef enum pickle_dtype {
  PICKLE_F32,
  PICKLE_F16,
  PICKLE_BF16,
  PICKLE_F64,
  PICKLE_I64,
  PICKLE_U8,
  PICKLE_BOOL
} pickle_dtype;

/* An unchecked claim: sizes and strides are whatever the file says. */
typedef struct pickle_tensor {
  pickle_dtype dtype;
  const char *key; /* name of the storage entry below data/; not NUL-terminated, inside the pickle */
  size_t key_length;
  int64_t numel;  /* elements of the storage */
  int64_t offset; /* elements */
  int rank;       /* 0..8 */
  int64_t dim[8], stride[8];
} pickle_tensor;

typedef enum pickle_kind {
  PICKLE_NONE,
  PICKLE_FLAG,
  PICKLE_INTEGER,
  PICKLE_REAL,
  PICKLE_TEXT,
  PICKLE_TENSOR,
  PICKLE_DICT,
  PICKLE_OTHER /* a tuple, a list, a function: of no use here */
} pickle_kind;

typedef struct pickle_value {
  pickle_kind kind;
  int64_t n;       /* flag, integer; number of the tensor or of the dictionary */
  double x;        /* real */
  const char *str; /* text, inside the pickle, not NUL-terminated */
  size_t length;
} pickle_value;

typedef struct pickle_entry {
  int dict; /* number of the dictionary that it stands in */
  pickle_value key, value;
} pickle_entry;

enum { PICKLE_TENSORS = 16, PICKLE_ENTRIES = 128, PICKLE_DICTS = 32 };

typedef struct pickle {
  pickle_value root;
  pickle_tensor tensor[PICKLE_TENSORS];
  pickle_entry entry[PICKLE_ENTRIES]; /* in the order of the file; a dictionary may stand in itself */
  int n_tensors, n_entries;
} pickle;

ace_status pickle_read(const uint8_t *data, size_t size, const char *where, pickle *out, ace_error *err);

#endif
