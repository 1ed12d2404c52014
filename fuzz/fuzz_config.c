/* Model configs, each document read as all three kinds: whatever is accepted keeps the promises that models rely on. */
#include "formats/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_block(const block_config *b) {
  if (b->hidden < 1 || b->intermediate < 1 || b->kv_heads < 1 || b->heads % b->kv_heads != 0 || b->head_dim < 2 ||
      b->head_dim % 2 != 0 || !(b->rope_theta >= 1) || !(b->eps > 0))
    abort();
}

static void check_dit(const dit_config *c) {
  check_block(&c->decoder);
  check_block(&c->encoder);
  if (c->layers < 1 || c->layers > CFG_MAX_LAYERS || c->in_channels != 3 * c->latent_channels || c->patch < 1) abort();
  int codes = 1;
  for (int i = 0; i < c->n_levels; i++)
    if (__builtin_mul_overflow(codes, c->levels[i], &codes)) abort();
}

static void check_vae(const vae_config *c) {
  int hop = 1;
  for (int i = 0; i < c->stages; i++)
    if (__builtin_mul_overflow(hop, c->strides[i], &hop)) abort();
  if (c->stages < 1 || c->stages > CFG_MAX_STAGES || hop != c->hop || hop < 1) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ace_error err;
  json_t *json = json_parse((const char *)data, size, "fuzz", &err);
  if (!json) return 0;
  qwen3_config qwen3;
  dit_config dit;
  vae_config vae;
  if (cfg_read_qwen3(json, "fuzz", &qwen3, &err) == ACE_OK) check_block(&qwen3.block);
  if (cfg_read_dit(json, "fuzz", &dit, &err) == ACE_OK) check_dit(&dit);
  if (cfg_read_vae(json, "fuzz", &vae, &err) == ACE_OK) check_vae(&vae);
  json_decref(json);
  return 0;
}
