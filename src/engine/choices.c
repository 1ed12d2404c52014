/* choices.c - which models lie in a folder, for the message when the one that was named does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/engine.h"
#include "net/catalog.h"
#include "request/text.h"

enum { CONFIG_LIMIT = 4 << 20, LIST_SIZE = 300 };

/* How each kind is called in a request or an engine's options, and in words. */
static const struct {
  const char *option, *words;
} kinds[] = {[ENGINE_DIFFUSION] = {"model", "diffusion model"},
             [ENGINE_LANGUAGE] = {"lm", "language model"},
             [ENGINE_AUTOENCODER] = {"vae", "autoencoder"},
             [ENGINE_TEXT] = {"text encoder", "text encoder"}};

/* Judged by config.json alone, as a list for people needs no more. */
static bool is_kind(const char *folder, const char *name, engine_kind kind) {
  char *path = file_join(folder, "config.json");
  json_t *config = path && file_exists(path) ? json_parse_file(path, CONFIG_LIMIT, NULL) : NULL;
  free(path);
  const char *type = json_string_value(json_object_get(config, "model_type"));
  bool chat = type && strncmp(type, "qwen3", 5) == 0, yes = false;
  if (kind == ENGINE_AUTOENCODER) yes = json_object_get(config, "downsampling_ratios") != NULL;
  else if (kind == ENGINE_DIFFUSION) yes = json_object_get(config, "audio_acoustic_hidden_dim") != NULL;
  else yes = chat && (strstr(name, "mbedding") != NULL) == (kind == ENGINE_TEXT);
  json_decref(config);
  return yes;
}

/* "acestep-v15-base, acestep-v15-turbo"; what does not fit is left out. */
static void list(const char *folder, engine_kind kind, char out[LIST_SIZE]) {
  char **names = file_names(folder, NULL);
  size_t used = 0;
  out[0] = 0;
  for (char **name = names; name && *name; name++) {
    char *path = file_join(folder, *name), shown[REQ_EXCERPT_SIZE];
    req_excerpt(*name, strlen(*name), shown);
    if (path && used + strlen(shown) + 3 < LIST_SIZE && is_kind(path, *name, kind))
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
