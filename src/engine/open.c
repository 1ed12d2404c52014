/* open.c - finding and opening the models of one folder. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/random.h"
#include "tensor/cpu/isa.h"

/* The folder below `folder` that an engine takes when none is named: `first_choice`, else the first name in order that
 * begins with `prefix`. NULL when there is none. */
static char *choose_folder(const char *folder, const char *prefix, const char *first_choice, ace_error *err) {
  DIR *dir = opendir(folder);
  if (!dir) {
    ace_fail_errno(err, "%s: cannot open the models folder", folder);
    return NULL;
  }
  char *best = NULL;
  for (struct dirent *e; (e = readdir(dir));) {
    if (strncmp(e->d_name, prefix, strlen(prefix)) != 0) continue;
    bool preferred = strcmp(e->d_name, first_choice) == 0;
    if (best && !preferred && (strcmp(best, first_choice) == 0 || strcmp(e->d_name, best) > 0)) continue;
    free(best);
    best = strdup(e->d_name);
    if (!best) break;
  }
  closedir(dir);
  if (!best)
    ace_fail(err, ACE_ENOTFOUND,
             "%s: no %s model here; it needs a folder such as %s (acestep make-tiny DIR makes a small untrained set)",
             folder, strstr(prefix, "lm") ? "language" : "diffusion", first_choice);
  return best;
}

static char *choose_model(const char *folder, ace_error *err) {
  return choose_folder(folder, "acestep-v15-", "acestep-v15-turbo", err);
}

/* A model is named relative to the models folder (one path component) or by an absolute path. */
static char *model_path(const char *folder, const char *name, engine_kind kind, ace_error *err) {
  if (*name != '/' && (strchr(name, '/') || strcmp(name, "..") == 0 || strcmp(name, ".") == 0 || !*name)) {
    ace_fail(err, ACE_EINVAL, "%s: \"%.200s\" is neither the name of a folder in %.200s nor an absolute path",
             engine_kind_option(kind), name, folder);
    return NULL;
  }
  char *path = file_join(folder, name);
  if (!path) {
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  } else if (!file_is_directory(path)) {
    engine_missing(folder, name, kind, err);
    free(path);
    path = NULL;
  }
  return path;
}

static bool open_text(ace_engine *e, ace_error *err) {
  char *path = model_path(e->folder, ENGINE_TEXT_ENCODER, ENGINE_TEXT, err);
  if (!path) return false;
  e->tokenizer = bpe_open(path, err);
  if (e->tokenizer) e->text = qwen3_open(path, err);
  free(path);
  if (!e->text) return false;
  engine_pack(e, e->text->checkpoint);
  if (bpe_vocab_size(e->tokenizer) > e->text->cfg.vocab) {
    ace_fail(err, ACE_EFORMAT, "%s/%s: the tokenizer has %d tokens, the model only %d", e->folder, ENGINE_TEXT_ENCODER,
             bpe_vocab_size(e->tokenizer), e->text->cfg.vocab);
    return false;
  }
  return true;
}

static bool open_dit(ace_engine *e, ace_error *err) {
  char *path = model_path(e->folder, e->model_name, ENGINE_DIFFUSION, err);
  e->dit = path ? acestep_dit_open(path, err) : NULL;
  free(path);
  if (!e->dit) return false;
  engine_pack(e, e->dit->checkpoint);
  if (e->dit->cfg.text_hidden != e->text->cfg.block.hidden) {
    ace_fail(err, ACE_EFORMAT, "%s: expects text of width %d, the text encoder gives %d", e->model_name,
             e->dit->cfg.text_hidden, e->text->cfg.block.hidden);
    return false;
  }
  return true;
}

ace_status engine_need_vae(ace_engine *e, int parts, ace_error *err) {
  if (e->vae && (e->vae_parts & parts) == parts) return ACE_OK;
  ace_error own;
  if (!err) err = &own;
  char *path = model_path(e->folder, e->vae_name, ENGINE_AUTOENCODER, err);
  vae *opened = path ? vae_open(path, parts | e->vae_parts, err) : NULL;
  free(path);
  if (!opened) return err->status;
  if (opened->cfg.decoder_input != e->dit->cfg.latent_channels) {
    vae_close(opened);
    return ace_fail(err, ACE_EFORMAT, "%s: its latents have %d channels, those of %s %d", e->vae_name,
                    opened->cfg.decoder_input, e->model_name, e->dit->cfg.latent_channels);
  }
  vae_close(e->vae);
  engine_pack(e, opened->checkpoint);
  e->vae = opened;
  e->vae_parts |= parts;
  return ACE_OK;
}

ace_status engine_need_lm(ace_engine *e, ace_error *err) {
  if (e->lm) return ACE_OK;
  ace_error own;
  if (!err) err = &own;
  if (e->random) return engine_random_lm(e, err);
  if (!e->lm_name) e->lm_name = choose_folder(e->folder, "acestep-5Hz-lm-", "acestep-5Hz-lm-1.7B", err);
  char *path = e->lm_name ? model_path(e->folder, e->lm_name, ENGINE_LANGUAGE, err) : NULL;
  int codes = 1;
  for (int i = 0; i < e->dit->cfg.n_levels; i++) codes *= e->dit->cfg.levels[i];
  e->lm = path ? plan_lm_open(path, codes, err) : NULL;
  free(path);
  if (e->lm) engine_pack(e, e->lm->model->checkpoint);
  return e->lm ? ACE_OK : err->status;
}

static bool copy_text(char **out, const char *text, ace_error *err) {
  *out = strdup(text);
  if (!*out) ace_fail(err, ACE_ENOMEM, "engine: out of memory");
  return *out != NULL;
}

ace_engine *ace_engine_open(const char *models_dir, const ace_engine_options *options, ace_error *err) {
  static const ace_engine_options defaults;
  if (!options) options = &defaults;
  ace_error own;
  if (!err) err = &own;
  ace_engine *e = calloc(1, sizeof *e);
  if (!e) {
    ace_fail(err, ACE_ENOMEM, "engine: out of memory");
    return NULL;
  }
  e->memory = options->memory;
  bool ok = copy_text(&e->folder, models_dir, err) &&
            copy_text(&e->vae_name, options->vae ? options->vae : ENGINE_VAE, err) &&
            (!options->cache || copy_text(&e->cache, options->cache, err));
  if (ok) e->model_name = options->model ? strdup(options->model) : choose_model(models_dir, err);
  if (ok && options->lm) ok = copy_text(&e->lm_name, options->lm, err);
  if (ok && !(e->encoded = latents_cache_new(ENGINE_ENCODED)))
    ok = ace_fail(err, ACE_ENOMEM, "engine: out of memory") == ACE_OK;
  if (ok && e->model_name) e->threads = pool_new(options->threads, err);
  progress p;
  progress_start(&p, &options->notify, 1);
  progress_stage(&p, "load", 0);
  ok = ok && e->threads && open_text(e, err) && open_dit(e, err) && engine_need_vae(e, VAE_DECODER, err) == ACE_OK;
  if (ok) return e;
  ace_engine_close(e);
  return NULL;
}

void ace_engine_close(ace_engine *e) {
  if (!e) return;
  plan_lm_close(e->lm);
  latents_cache_free(e->encoded);
  vae_close(e->vae);
  acestep_dit_close(e->dit);
  qwen3_close(e->text);
  bpe_close(e->tokenizer);
  pool_free(e->threads);
  free(e->folder), free(e->model_name), free(e->vae_name), free(e->lm_name), free(e->cache);
  free(e);
}

song_models engine_models(const ace_engine *e) {
  return (song_models){.tokenizer = e->tokenizer, .text = e->text, .dit = e->dit, .vae = e->vae, .encoded = e->encoded};
}

/* The last part of a path, or the name itself. */
static const char *last_part(const char *name) {
  const char *slash = strrchr(name, '/');
  return slash && slash[1] ? slash + 1 : name;
}

/* The configuration says turbo or not; SFT and base differ by name only. */
req_model engine_family(const ace_engine *e) {
  if (e->dit->cfg.turbo) return REQ_MODEL_TURBO;
  for (const char *p = last_part(e->model_name); p; p = strchr(p, '-')) {
    p += *p == '-';
    if (strncmp(p, "sft", 3) == 0 && (p[3] == '-' || p[3] == 0)) return REQ_MODEL_SFT;
  }
  return REQ_MODEL_BASE;
}

char *ace_engine_describe(const ace_engine *e) {
  static const char *const families[] = {
      [REQ_MODEL_TURBO] = "turbo", [REQ_MODEL_SFT] = "sft", [REQ_MODEL_BASE] = "base"};
  json_t *about = json_pack(
      "{s:s, s:{s:s, s:s, s:b, s:I}, s:{s:s, s:I, s:i}, s:{s:s, s:I}, s:s, s:i}", "models", e->folder, "diffusion",
      "name", last_part(e->model_name), "family", families[engine_family(e)], "xl", e->dit->cfg.xl, "bytes",
      (json_int_t)ckpt_weight_bytes(e->dit->checkpoint), "autoencoder", "name", last_part(e->vae_name), "bytes",
      (json_int_t)ckpt_weight_bytes(e->vae->checkpoint), "sample_rate", e->vae->cfg.sampling_rate, "text_encoder",
      "name", ENGINE_TEXT_ENCODER, "bytes", (json_int_t)ckpt_weight_bytes(e->text->checkpoint), "isa", tens_isa_name(),
      "threads", pool_threads(e->threads));
  char *text = about ? json_dumps(about, JSON_INDENT(2)) : NULL;
  json_decref(about);
  return text;
}

void engine_pack(ace_engine *e, ckpt *checkpoint) {
  const tens_device *device = tens_cpu();
  if (ckpt_packing(checkpoint, device) <= engine_budget(e) / 2) ckpt_pack(checkpoint, device, e->threads);
}

static uint64_t packed_bytes(const ace_engine *e) {
  uint64_t bytes = 0;
  if (e->text) bytes += ckpt_packed_bytes(e->text->checkpoint);
  if (e->dit) bytes += ckpt_packed_bytes(e->dit->checkpoint);
  if (e->vae) bytes += ckpt_packed_bytes(e->vae->checkpoint);
  if (e->lm) bytes += ckpt_packed_bytes(e->lm->model->checkpoint);
  return bytes;
}

uint64_t engine_budget(const ace_engine *e) {
  if (e->memory) return e->memory > packed_bytes(e) ? e->memory - packed_bytes(e) : 0;
  /* Most of what the kernel thinks it can give without swapping. */
  const double share = 0.8;
  const uint64_t unknown = (uint64_t)2 << 30;
  FILE *f = fopen("/proc/meminfo", "r");
  if (!f) return unknown;
  char line[128];
  unsigned long long kib = 0;
  while (kib == 0 && fgets(line, sizeof line, f)) sscanf(line, "MemAvailable: %llu kB", &kib);
  fclose(f);
  return kib ? (uint64_t)((double)kib * 1024 * share) : unknown;
}
