#include "cli/model_info.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "engine/engine.h"
#include "formats/adapter_file.h"
#include "models/acestep_dit.h"
#include "models/qwen3.h"
#include "models/vae.h"
#include "text/bpe.h"

const char *model_kind_name(model_kind kind) {
  static const char *const names[] = {"unknown",      "diffusion model", "autoencoder",
                                      "text encoder", "language model",  "adapter"};
  return names[kind];
}

static bool has(const char *folder, const char *file) {
  char *path = file_join(folder, file);
  bool yes = path && file_exists(path);
  free(path);
  return yes;
}

bool model_looks_like(const char *folder) {
  char *gguf = gguf_locate(folder);
  free(gguf);
  if (gguf || !file_is_directory(folder)) return gguf;
  static const char *const signs[] = {"config.json", "adapter_config.json", "tokenizer.json", "vocab.json"};
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
    if (has(folder, signs[i])) return true;
  DIR *dir = opendir(folder);
  bool weights = false;
  for (struct dirent *e; dir && !weights && (e = readdir(dir));)
    weights = string_ends(e->d_name, ".safetensors") || string_ends(e->d_name, ".safetensors.index.json");
  if (dir) closedir(dir);
  return weights;
}

/* ---- which kind -------------------------------------------------------------------------------------------------- */

static const char *family_of(const char *name, const dit_config *cfg) {
  if (cfg->turbo) return "turbo";
  return strstr(name, "-sft") ? "sft" : "base";
}

static model_kind kind_of(const char *folder, const char *name) {
  static const model_kind kinds[] = {[ENGINE_DIFFUSION] = MODEL_DIFFUSION,
                                     [ENGINE_LANGUAGE] = MODEL_LANGUAGE,
                                     [ENGINE_AUTOENCODER] = MODEL_AUTOENCODER,
                                     [ENGINE_TEXT] = MODEL_TEXT_ENCODER};
  engine_kind kind;
  if (engine_kind_of(folder, name, &kind)) return kinds[kind];
  if (has(folder, "adapter_config.json")) return MODEL_ADAPTER;
  /* No usable config.json: the published names still tell what is missing. */
  if (string_begins(name, "acestep-v15-")) return MODEL_DIFFUSION;
  if (string_begins(name, "acestep-5Hz-lm")) return MODEL_LANGUAGE;
  if (string_begins(name, "Qwen3-Embedding")) return MODEL_TEXT_ENCODER;
  return strcmp(name, "vae") == 0 ? MODEL_AUTOENCODER : MODEL_UNKNOWN;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static void count(model_info *info, const st_tensor *t) {
  info->parameters += t->count;
  info->bytes += (int64_t)t->size;
  if ((unsigned)t->dtype < MODEL_DTYPES) info->of_dtype[t->dtype] += t->count;
  info->tensors++;
}

static void count_all(model_info *info, const ckpt *k) {
  for (int i = 0; i < ckpt_tensor_count(k); i++) count(info, ckpt_at(k, i));
}

/* ---- opening -------------------------------------------------------------------------------------------------------
 * Sizes are told even of a checkpoint that turns out to be incomplete, so the plain container is opened first. */

static void inspect_diffusion(const char *folder, const ckpt *k, model_info *info) {
  dit_config c;
  if (cfg_read_dit(ckpt_config(k), ckpt_config_path(k), &c, &info->problem) != ACE_OK) return;
  info->family = family_of(info->name, &c);
  info->xl = c.xl;
  snprintf(info->sizes, sizeof info->sizes, "%d layers, width %d, %d heads (%d key/value) of %d, encoders of width %d",
           c.layers, c.decoder.hidden, c.decoder.heads, c.decoder.kv_heads, c.decoder.head_dim, c.encoder.hidden);
  acestep_dit_close(acestep_dit_open(folder, &info->problem));
}

static void inspect_autoencoder(const char *folder, const ckpt *k, model_info *info) {
  vae_config c;
  if (cfg_read_vae(ckpt_config(k), ckpt_config_path(k), &c, &info->problem) != ACE_OK) return;
  snprintf(info->sizes, sizeof info->sizes, "%d Hz, %d channels, %d latent channels, %d samples a frame",
           c.sampling_rate, c.audio_channels, c.decoder_input, c.hop);
  vae_close(vae_open(folder, VAE_DECODER | VAE_ENCODER, &info->problem));
}

static void inspect_qwen3(const char *folder, const ckpt *k, model_info *info) {
  qwen3_config c;
  if (cfg_read_qwen3(ckpt_config(k), ckpt_config_path(k), &c, &info->problem) != ACE_OK) return;
  snprintf(info->sizes, sizeof info->sizes, "%d layers, width %d, %d heads (%d key/value) of %d, %d tokens", c.layers,
           c.block.hidden, c.block.heads, c.block.kv_heads, c.block.head_dim, c.vocab);
  qwen3_close(qwen3_open(folder, &info->problem));
  if (info->problem.status == ACE_OK) bpe_close(bpe_open(folder, &info->problem));
}

static void inspect_adapter(const char *folder, model_info *info) {
  adapter_file *f = adapter_file_open(folder, &info->problem);
  if (!f) return;
  const adapter_module *m = &f->module[0];
  snprintf(info->sizes, sizeof info->sizes, "%s, rank %lld, alpha %g", m->kind == ADAPTER_LOKR ? "LoKr" : "LoRA",
           (long long)m->rank, m->alpha);
  for (int i = 0; i < st_count(f->weights); i++) count(info, st_at(f->weights, i));
  adapter_file_close(f);
}

ace_status model_inspect(const char *folder, bool hash, const ace_callbacks *notify, model_info *info, ace_error *err) {
  *info = (model_info){0};
  size_t n = strlen(folder);
  while (n > 1 && folder[n - 1] == '/') n--;
  size_t from = n;
  while (from > 0 && folder[from - 1] != '/') from--;
  snprintf(info->name, sizeof info->name, "%.*s", (int)(n - from), folder + from);
  info->kind = kind_of(folder, info->name);
  if (info->kind == MODEL_ADAPTER) {
    inspect_adapter(folder, info);
    return ACE_OK;
  }
  ckpt *k = ckpt_open(folder, &info->problem);
  if (!k) return ACE_OK;
  count_all(info, k);
  switch (info->kind) {
    case MODEL_DIFFUSION: inspect_diffusion(folder, k, info); break;
    case MODEL_AUTOENCODER: inspect_autoencoder(folder, k, info); break;
    case MODEL_TEXT_ENCODER:
    case MODEL_LANGUAGE: inspect_qwen3(folder, k, info); break;
    default:
      ace_fail(&info->problem, ACE_EUNSUPPORTED, "%s: its configuration describes no model that this program knows",
               folder);
  }
  ace_status status = hash ? ckpt_hash(k, info->hash, notify, err) : ACE_OK;
  ckpt_close(k);
  return status;
}
