/* Files of torch.save: whatever is accepted has a whole tensor behind it, and no more numbers than the file has bytes.
 */
#include "formats/torch_pt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ace_error err;
  pt_tensor t;
  if (pt_read_memory(data, size, "fuzz", &t, &err) != ACE_OK) return 0;
  size_t count = 1;
  for (int i = 0; i < t.rank; i++) count *= (size_t)t.dim[i];
  if (t.rank < 1 || t.rank > 4 || count > size) abort();
  volatile float sink = t.data[0] + t.data[count - 1];
  (void)sink;
  free(t.data);
  return 0;
}
