/* open.c - finding and opening the models of one folder. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/load.h"
#include "base/memory.h"
#include "engine/random.h"
#include "request/text.h"
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
    ace_fail(
        err, ACE_ENOTFOUND,
        "%s: no %s model here; it needs a folder such as %s (acestep download fetches it, acestep make-tiny DIR makes "
        "a small untrained set)",
        folder, strstr(prefix, "lm") ? "language" : "diffusion", first_choice);
  return best;
}

static char *choose_model(const char *folder, ace_error *err) {
  return choose_folder(folder, "acestep-v15-", "acestep-v15-turbo", err);
}

/* "NAME-BF16.gguf" for NAME: the first in order of such files of the folder, as sets of acestep.cpp are named. */
static char *quantised_file(const char *folder, const char *name) {
  DIR *dir = opendir(folder);
  char *best = NULL;
  size_t n = strlen(name);
  for (struct dirent *e; dir && (e = readdir(dir));) {
    const char *rest = e->d_name + n, *end = strstr(e->d_name, ".gguf");
    if (strncmp(e->d_name, name, n) != 0 || !end || end[5] || (*rest != '-' && *rest != '.')) continue;
    if (*rest == '-' && strchr(rest + 1, '-')) continue; /* of a model with a longer name */
    if (best && strcmp(e->d_name, best) > 0) continue;
    free(best);
    best = strdup(e->d_name);
  }
  if (dir) closedir(dir);
  char *path = best ? file_join(folder, best) : NULL;
  free(best);
  return path;
}

char *engine_locate(const char *folder, const char *name) {
  char *path = file_join(folder, name);
  if (!path || file_is_directory(path)) return path;
  char *file = gguf_locate(path);
  if (!file && *name != '/') file = quantised_file(folder, name);
  free(path);
  return file;
}

/* A model is named relative to the models folder (one path component) or by an absolute path. */
static char *model_path(const char *folder, const char *name, engine_kind kind, ace_error *err) {
  if (*name != '/' && (strchr(name, '/') || strcmp(name, "..") == 0 || strcmp(name, ".") == 0 || !*name)) {
    ace_fail(err, ACE_EINVAL, "%s: \"%.200s\" is neither the name of a folder in %.200s nor an absolute path",
             engine_kind_option(kind), name, folder);
    return NULL;
  }
  char *path = engine_locate(folder, name);
  if (!path) engine_missing(folder, name, kind, err);
  return path;
}

/* The checkpoint at that path; as int8 if asked for. */
static ckpt *open_checkpoint(ace_engine *e, const char *path, bool int8, const ace_callbacks *notify, ace_error *err) {
  ckpt *k = ckpt_open(path, err);
  if (k && int8) ckpt_use_int8(k, e->threads, notify);
  return k;
}

static bool open_text(ace_engine *e, const ace_callbacks *notify, ace_error *err) {
  char *path = model_path(e->folder, ENGINE_TEXT_ENCODER, ENGINE_TEXT, err);
  if (!path) return false;
  e->tokenizer = bpe_open(path, err);
  if (e->tokenizer) e->text = qwen3_from(open_checkpoint(e, path, e->int8, notify, err), err);
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

static bool open_dit(ace_engine *e, const ace_callbacks *notify, ace_error *err) {
  char *path = model_path(e->folder, e->model_name, ENGINE_DIFFUSION, err);
  ckpt *k = path ? open_checkpoint(e, path, e->int8, notify, err) : NULL;
  e->dit = acestep_dit_from(k, (tens){0}, err);
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
  bool words = path && e->server.url && !ckpt_has_weights(path); /* a server needs none here */
  if (words) e->lm = plan_lm_open_words(path, codes, err);
  bpe *tokenizer = path && !words ? bpe_open(path, err) : NULL;
  if (tokenizer)
    e->lm = plan_lm_from(tokenizer, qwen3_from(open_checkpoint(e, path, e->lm_int8, NULL, err), err), codes, err);
  free(path);
  if (e->lm && e->lm->model) engine_pack(e, e->lm->model->checkpoint);
  return e->lm ? ACE_OK : err->status;
}

/* Both backends of the language model are this library's own engine; the names are those that users know. */
static bool choose_backend(ace_engine *e, const ace_engine_options *options, ace_error *err) {
  const char *name = options->lm_backend;
  if (!name || strcmp(name, "vllm") == 0) return true;
  e->frugal = strcmp(name, "pt") == 0 || strcmp(name, "mlx") == 0;
  char shown[REQ_EXCERPT_SIZE];
  if (!e->frugal)
    ace_fail(err, ACE_EINVAL, "lm backend: \"%s\" is none of vllm, pt, mlx", req_excerpt(name, strlen(name), shown));
  else if (strcmp(name, "mlx") == 0 && options->notify.log)
    options->notify.log(options->notify.user, "language model: mlx is not available on this machine; using pt");
  return e->frugal;
}

ace_engine *engine_new(const char *folder, const char *vae_name, const ace_engine_options *options, ace_error *err) {
  ace_engine *e = calloc(1, sizeof *e);
  if (e) {
    e->memory = options->memory;
    e->int8 = options->int8;
    e->lm_int8 = options->lm_int8;
    e->folder = strdup(folder);
    e->vae_name = strdup(vae_name);
    e->lm_name = options->lm ? strdup(options->lm) : NULL;
    e->encoded = latents_cache_new(ENGINE_ENCODED);
  }
  if (e && e->folder && e->vae_name && (e->lm_name || !options->lm) && e->encoded) return e;
  ace_engine_close(e);
  ace_fail(err, ACE_ENOMEM, "engine: out of memory");
  return NULL;
}

ace_engine *ace_engine_open(const char *models_dir, const ace_engine_options *options, ace_error *err) {
  static const ace_engine_options defaults;
  if (!options) options = &defaults;
  ace_error own;
  if (!err) err = &own;
  ace_engine *e = engine_new(models_dir, options->vae ? options->vae : ENGINE_VAE, options, err);
  if (!e) return NULL;
  bool ok = choose_backend(e, options, err);
  if (ok && options->cache && !(e->cache = strdup(options->cache)))
    ok = ace_fail(err, ACE_ENOMEM, "engine: out of memory") == ACE_OK;
  if (ok) e->model_name = options->model ? strdup(options->model) : choose_model(models_dir, err);
  if (ok) ok = engine_server_set(e, options, err) == ACE_OK;
  if (ok && e->model_name) e->threads = pool_new(options->threads, err);
  progress p;
  progress_start(&p, &options->notify, 1);
  progress_stage(&p, "load", 0);
  ok = ok && e->threads && open_text(e, &options->notify, err) && open_dit(e, &options->notify, err) &&
       engine_need_vae(e, VAE_DECODER, err) == ACE_OK;
  if (ok) return e;
  ace_engine_close(e);
  return NULL;
}

void ace_engine_close(ace_engine *e) {
  if (!e) return;
  plan_lm_close(e->lm);
  engine_server_close(&e->server);
  latents_cache_free(e->encoded);
  vae_close(e->vae);
  engine_free_adapters(e); /* they sit on the diffusion model */
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

req_model engine_family_of(const char *name, bool turbo) {
  if (turbo) return REQ_MODEL_TURBO;
  for (const char *p = last_part(name); p; p = strchr(p, '-')) {
    p += *p == '-';
    if (strncmp(p, "sft", 3) == 0 && (p[3] == '-' || p[3] == 0)) return REQ_MODEL_SFT;
  }
  return REQ_MODEL_BASE;
}

req_model engine_family(const ace_engine *e) {
  return engine_family_of(e->model_name, e->dit->cfg.turbo);
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

void engine_pack(const ace_engine *e, ckpt *checkpoint) {
  const tens_device *device = tens_cpu();
  size_t bytes = ckpt_packing(checkpoint, device);
  if (bytes && bytes <= engine_room(e, 0) / 2) ckpt_pack(checkpoint, device, e->threads);
}

size_t engine_lm_mapped(const ace_engine *e) {
  return e->lm->model ? ckpt_mapped_bytes(e->lm->model->checkpoint, "") : 0;
}

/* Most of what the kernel thinks it can give without swapping. */
static size_t available(void) {
  const double share = 0.8;
  const size_t unknown = (size_t)2 << 30;
  uint64_t bytes = memory_available();
  return bytes ? (size_t)((double)bytes * share) : unknown;
}

song_budget engine_budget(const ace_engine *e) {
  song_budget b = {.process = load_own_memory(), .threads = pool_threads(e->threads), .soft = e->memory == 0};
  if (e->lm && b.soft) b.process += engine_lm_mapped(e); /* else engine_think releases it */
  b.bytes = b.soft ? b.process + available() : (size_t)e->memory;
  return b;
}

size_t engine_room(const ace_engine *e, size_t weights) {
  if (!e->memory) return available();
  size_t taken = load_own_memory() + weights;
  return e->memory > taken ? (size_t)e->memory - taken : 0;
}
