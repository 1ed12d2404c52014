/* tiny_weights.c - the weights of the miniature as files, stored in BF16 as the published ones are. */
#include <stdlib.h>
#include <string.h>

#include "engine/tiny_parts.h"
#include "formats/safetensors.h"

ace_status tiny_write_list(const tiny_job *job, const char *part, const char *file, weight_list *l, ace_error *err) {
  int64_t total = 0, largest = 0;
  weight_list_sort(l);
  for (int i = 0; i < l->n; i++) {
    int64_t n = weight_count(&l->at[i]);
    total += n;
    if (n > largest) largest = n;
  }
  uint16_t *values = malloc((size_t)total * sizeof *values);
  float *normal = malloc((size_t)largest * sizeof *normal);
  st_tensor *tensors = calloc((size_t)l->n, sizeof *tensors);
  char *path = tiny_path(job, part, file, err);
  ace_status status = values && normal && tensors && path
                          ? ACE_OK
                          : ace_fail(err, ACE_ENOMEM, "%s/%s: out of memory", job->folder, part);
  int64_t at = 0;
  for (int i = 0; i < l->n && status == ACE_OK; i++) {
    const weight *w = &l->at[i];
    weight_fill(w, weight_seed(part, w->name), normal, values + at);
    tensors[i] = (st_tensor){.name = w->name, .dtype = ST_BF16, .rank = w->rank, .data = values + at};
    memcpy(tensors[i].dim, w->dim, sizeof w->dim);
    at += weight_count(w);
    status = tiny_progress(job, 0.9 * (double)at / (double)total, err);
  }
  static const char *const metadata[] = {"format", "pt"};
  if (status == ACE_OK) status = st_write(path, tensors, l->n, metadata, 1, err);
  free(values), free(normal), free(tensors), free(path);
  return status;
}

ace_status tiny_write_qwen3(const tiny_job *job, const char *part, const qwen3_config *cfg, bool language_model,
                            ace_error *err) {
  weight_list l;
  ace_status status = weights_of_qwen3(&l, cfg, language_model, err);
  if (status == ACE_OK) status = tiny_write_list(job, part, "model.safetensors", &l, err);
  weight_list_free(&l);
  return status;
}

ace_status tiny_write_dit(const tiny_job *job, const char *part, const dit_config *cfg, ace_error *err) {
  weight_list l;
  ace_status status = weights_of_dit(&l, cfg, err);
  if (status == ACE_OK) status = tiny_write_list(job, part, "model.safetensors", &l, err);
  weight_list_free(&l);
  return status;
}

ace_status tiny_write_vae(const tiny_job *job, const char *part, const vae_config *cfg, ace_error *err) {
  weight_list l;
  ace_status status = weights_of_vae(&l, cfg, err);
  if (status == ACE_OK) status = tiny_write_list(job, part, "diffusion_pytorch_model.safetensors", &l, err);
  weight_list_free(&l);
  return status;
}
