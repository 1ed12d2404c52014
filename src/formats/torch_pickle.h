/* torch_pickle.h - the description of one dense tensor in the pickle that torch.save writes. Inside this room only.
 *
 * Source: Python's pickletools (protocol 2) for the opcodes, torch/_utils.py for the arguments of _rebuild_tensor_v2.
 */
#ifndef ACE_TORCH_PICKLE_H
#define ACE_TORCH_PICKLE_H

#include "base/error.h"

typedef enum pickle_dtype { PICKLE_F32, PICKLE_F16, PICKLE_BF16, PICKLE_F64 } pickle_dtype;

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

ace_status pickle_read(const uint8_t *data, size_t size, const char *where, pickle_tensor *out, ace_error *err);

#endif
