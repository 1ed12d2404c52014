/* torch_pt.h - one tensor, or a dictionary of tensors and plain values, out of a PyTorch `.pt` file: a zip archive whose
 * entries are stored without compression: <stem>/data.pkl (a pickle that describes it all), <stem>/data/0 and so on (raw
 * storages).
 *
 * The pickle is interpreted by a small machine that knows only the opcodes and the callables that torch.save emits for
 * dense tensors (torch._utils._rebuild_tensor_v2, torch.*Storage, collections.OrderedDict); nothing is ever executed.
 */
#ifndef ACE_TORCH_PT_H
#define ACE_TORCH_PT_H

#include "base/json.h"

typedef struct pt_tensor {
  int rank; /* 1..4 */
  int64_t dim[4];
  float *data; /* owned, contiguous row-major, widened to F32; free() it */
} pt_tensor;

ace_status pt_read(const char *path, pt_tensor *out, ace_error *err);
ace_status pt_read_memory(const void *data, size_t size, const char *where, pt_tensor *out, ace_error *err);

/* ---- dictionaries ------------------------------------------------------------------------------------------------ */

typedef struct pt_named {
  char *name;       /* owned */
  pt_tensor tensor; /* data NULL when only shapes were asked for */
} pt_named;

typedef struct pt_dict {
  pt_named *entry; /* [n], owned */
  int n;
  json_t
      *values; /* everything else of the dictionary: numbers, text, flags, dictionaries inside it; null for the rest */
} pt_dict;

/* values: the numbers too, not only shapes. On failure `out` is empty. */
ace_status pt_read_dict(const char *path, bool values, pt_dict *out, ace_error *err);
ace_status pt_read_dict_memory(const void *data, size_t size, const char *where, bool values, pt_dict *out,
                               ace_error *err);
void pt_dict_free(pt_dict *d);
/* NULL if there is no such tensor. */
const pt_tensor *pt_dict_find(const pt_dict *d, const char *name);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Writes a float32 tensor as torch.save does, atomically, so that PyTorch and pt_read load it. */
ace_status pt_write(const char *path, const char *stem, const float *data, int rank, const int64_t *dim,
                    ace_error *err);

#endif
