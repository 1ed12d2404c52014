/* choices.c - of which kind a model is; which lie in a folder, for the message when the one that was named does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/engine.h"
#include "formats/gguf.h"
#include "net/catalog.h"
#include "request/text.h"

enum { LIST_SIZE = 300 };

/* How each kind is called in a request or an engine's options, and in words. */
static const struct {
  const char *option, *words;
} kinds[] = {[ENGINE_DIFFUSION] = {"model", "diffusion model"},
             [ENGINE_LANGUAGE] = {"lm", "language model"},
             [ENGINE_AUTOENCODER] = {"vae", "autoencoder"},
             [ENGINE_TEXT] = {"text encoder", "text encoder"}};

/* ---- one model --------------------------------------------------------------------------------------------------- */

static bool kind_of_gguf(const char *path, engine_kind *kind) {
  static const char *const architectures[] = {[ENGINE_DIFFUSION] = "acestep-dit",
                                              [ENGINE_LANGUAGE] = "acestep-lm",
                                              [ENGINE_AUTOENCODER] = "acestep-vae",
                                              [ENGINE_TEXT] = "acestep-text-enc"};
  bool found = false;
  gguf_file *f = gguf_open(path, NULL);
  gguf_text text = f ? gguf_string(f, "general.architecture") : (gguf_text){0};
  for (size_t i = 0; text.data && i < sizeof architectures / sizeof *architectures; i++) {
    if (text.length != strlen(architectures[i]) || memcmp(text.data, architectures[i], text.length) != 0) continue;
    *kind = (engine_kind)i;
    found = true;
  }
  gguf_close(f);
  return found;
}

/* Both are Qwen3: the language model is the one that speaks audio codes, or is called one. */
static engine_kind kind_of_qwen3(const char *folder, const char *name) {
  if (strstr(name, "mbedding")) return ENGINE_TEXT;
  if (strstr(name, "lm") || strstr(name, "LM")) return ENGINE_LANGUAGE;
  bpe *t = bpe_open(folder, NULL);
  int32_t first;
  bool codes = t && bpe_audio_codes(t, &first) > 0;
  bpe_close(t);
  return codes ? ENGINE_LANGUAGE : ENGINE_TEXT;
}

static bool kind_of_folder(const char *folder, const char *name, engine_kind *kind) {
  char *other = file_existing(folder, "adapter_config.json");
  json_t *config = other ? NULL : ckpt_read_config(folder, NULL);
  free(other);
  const char *type = json_string_value(json_object_get(config, "model_type"));
  bool known = true;
  if (json_object_get(config, "downsampling_ratios")) *kind = ENGINE_AUTOENCODER;
  else if (json_object_get(config, "audio_acoustic_hidden_dim") || (type && strcmp(type, "acestep") == 0))
    *kind = ENGINE_DIFFUSION;
  else if (type && strncmp(type, "qwen3", 5) == 0) *kind = kind_of_qwen3(folder, name);
  else known = false;
  json_decref(config);
  return known;
}

bool engine_kind_of(const char *path, const char *name, engine_kind *kind) {
  char *file = gguf_locate(path);
  bool known = file ? kind_of_gguf(file, kind) : kind_of_folder(path, name, kind);
  free(file);
  return known;
}

/* ---- all of a folder --------------------------------------------------------------------------------------------- */

/* "acestep-v15-base, acestep-v15-turbo"; what does not fit is left out. */
static void list(const char *folder, engine_kind kind, char out[LIST_SIZE]) {
  char **names = file_names(folder, NULL);
  size_t used = 0;
  out[0] = 0;
  for (char **name = names; name && *name; name++) {
    char *path = file_join(folder, *name), shown[REQ_EXCERPT_SIZE];
    req_excerpt(*name, strlen(*name), shown);
    engine_kind found;
    if (path && used + strlen(shown) + 3 < LIST_SIZE && engine_kind_of(path, *name, &found) && found == kind)
      used += (size_t)snprintf(out + used, LIST_SIZE - used, "%s%s", used ? ", " : "", shown);
    free(path);
  }
  file_names_free(names);
}

const char *engine_kind_option(engine_kind kind) {
  return kinds[kind].option;
}

ace_status engine_missing(const char *folder, const char *name, engine_kind kind, ace_error *err) {
  char there[LIST_SIZE], shown[REQ_EXCERPT_SIZE];
  req_excerpt(name, strlen(name), shown);
  if (*name == '/') return ace_fail(err, ACE_ENOTFOUND, "%s: there is no folder %s", kinds[kind].option, shown);
  list(folder, kind, there);
  return ace_fail(err, ACE_ENOTFOUND, "%s: there is no folder %s in %.100s; it has %s%s%s%s", kinds[kind].option, shown,
                  folder, *there ? "" : "no ", *there ? there : kinds[kind].words,
                  catalog_find(name) ? "; to fetch it: acestep download " : "", catalog_find(name) ? name : "");
}
