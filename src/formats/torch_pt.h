/* torch_pt.h - one tensor out of a PyTorch `.pt` file: a zip archive whose entries are stored without compression:
 * <stem>/data.pkl (a pickle that describes the tensor), <stem>/data/0 (its raw storage).
 *
 * The pickle is interpreted by a small machine that knows only the opcodes and the two callables that torch.save emits
 * for one dense tensor (torch._utils._rebuild_tensor_v2 and a torch.*Storage); nothing is ever executed.
 */
#ifndef ACE_TORCH_PT_H
#define ACE_TORCH_PT_H

#include "base/error.h"

typedef struct pt_tensor {
  int rank; /* 1..4 */
  int64_t dim[4];
  float *data; /* owned, contiguous row-major, widened to F32; free() it */
} pt_tensor;

ace_status pt_read(const char *path, pt_tensor *out, ace_error *err);
ace_status pt_read_memory(const void *data, size_t size, const char *where, pt_tensor *out, ace_error *err);
/* Writes a float32 tensor as torch.save does, atomically, so that PyTorch and pt_read load it. */
ace_status pt_write(const char *path, const char *stem, const float *data, int rank, const int64_t *dim,
                    ace_error *err);

#endif
