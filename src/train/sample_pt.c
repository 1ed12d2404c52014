/* sample_pt.c - samples that the Python trainer prepared: a dictionary of the same tensors, with what is known of the song
 * under "metadata". */
#include <stdlib.h>
#include <string.h>

#include "train/sample_inner.h"

ace_status sample_parts_pt(const char *path, bool values, sample_parts *out, ace_error *err) {
  pt_dict d;
  ace_status status = pt_read_dict(path, values, &d, err);
  if (status != ACE_OK) return status;
  for (int i = 0; i < SAMPLE_PARTS; i++) {
    pt_tensor *t = (pt_tensor *)pt_dict_find(&d, sample_part_name[i]);
    if (!t) continue;
    out->part[i] = *t;
    t->data = NULL; /* it is ours now */
  }
  json_t *about = json_object_get(d.values, "metadata"), *mode = json_object_get(about, "preprocess_mode");
  if (json_is_object(about)) out->about = json_incref(about);
  out->tags = json_pack("{s:s, s:s}", "format", "pt", "preprocess_mode",
                        json_string_value(mode) ? json_string_value(mode) : "");
  pt_dict_free(&d);
  return ACE_OK;
}
