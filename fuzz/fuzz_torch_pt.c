/* Files of torch.save, one tensor or a dictionary of them: whatever is accepted has whole tensors behind it, and no more
 * numbers than the file has bytes.
 */
#include "formats/torch_pt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const pt_tensor *t, size_t size) {
  size_t count = 1;
  for (int i = 0; i < t->rank; i++) count *= (size_t)t->dim[i];
  if (t->rank < 1 || t->rank > 4 || count > size) abort();
  volatile float sink = t->data[0] + t->data[count - 1];
  (void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ace_error err;
  pt_tensor t;
  pt_dict d;
  if (pt_read_dict_memory(data, size, "fuzz", true, &d, &err) == ACE_OK) {
    if (!json_is_object(d.values)) abort();
    for (int i = 0; i < d.n; i++) check(&d.entry[i].tensor, size);
    pt_dict_free(&d);
  }
  if (pt_read_memory(data, size, "fuzz", &t, &err) != ACE_OK) return 0;
  check(&t, size);
  free(t.data);
  return 0;
}
