/* Answers of model hubs, in both layouts: the first byte chooses. */
#include <stdlib.h>

#include "net/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  const hub_kind kind = data[0] & 1 ? HUB_MODELSCOPE : HUB_HUGGINGFACE;
  const catalog_model *model = catalog_find(data[0] & 2 ? "vae" : "acestep-v15-base");
  const char *text = (const char *)data + 1;
  hub_listing l = {0};
  const hub h = {.kind = kind, .endpoint = "https://hub"};
  ace_error err;
  ace_status about = hub_read_about(kind, text, size - 1, "fuzz", &l, &err);
  if (hub_read_files(kind, text, size - 1, model, NULL, "fuzz", &l, &err) == ACE_OK)
    for (size_t i = 0; i < l.n; i++) {
      if (!hub_safe_path(l.file[i].path)) abort();
      if (about == ACE_OK) free(hub_file_url(&h, model, &l, i));
    }
  hub_listing_free(&l);
  return 0;
}
