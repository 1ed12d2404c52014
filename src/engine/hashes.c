/* hashes.c - what the weights of a song were. Hashing gigabytes takes seconds, so a hash is remembered together with
 * the size and time of every file that went into it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "engine/engine.h"

enum { CACHE_LIMIT = 1 << 20, KEY_SIZE = 4096 };
static const char cache_name[] = "model-hashes.json";

/* "<folder>|<bytes>|<newest change>": changes when any weight file does. */
static void cache_key(const ckpt *k, char key[KEY_SIZE]) {
  struct stat folder = {0}, config = {0};
  stat(ckpt_folder(k), &folder);
  stat(ckpt_config_path(k), &config);
  snprintf(key, KEY_SIZE, "%s|%lld|%lld.%09ld|%lld.%09ld", ckpt_folder(k), (long long)ckpt_weight_bytes(k),
           (long long)folder.st_mtim.tv_sec, folder.st_mtim.tv_nsec, (long long)config.st_mtim.tv_sec,
           config.st_mtim.tv_nsec);
}

/* Adds {"name", "sha256"} of one checkpoint to `out`. */
static ace_status add_hash(json_t *out, json_t *cache, bool *changed, const char *role, const char *name, ckpt *k,
                           const ace_callbacks *notify, ace_error *err) {
  char key[KEY_SIZE], hash[65];
  cache_key(k, key);
  const char *known = json_string_value(json_object_get(cache, key));
  if (known && strlen(known) == sizeof hash - 1) {
    memcpy(hash, known, sizeof hash);
  } else {
    ace_status status = ckpt_hash(k, hash, notify, err);
    if (status != ACE_OK) return status;
    json_object_set_new(cache, key, json_string(hash));
    *changed = true;
  }
  const char *slash = strrchr(name, '/');
  json_t *entry = json_pack("{s:s, s:s}", "name", slash ? slash + 1 : name, "sha256", hash);
  return entry && json_object_set_new(out, role, entry) == 0 ? ACE_OK
                                                             : ace_fail(err, ACE_ENOMEM, "hash: out of memory");
}

/* A cache that cannot be read or written costs time, nothing else. */
static void store_cache(const ace_engine *e, const char *path, const json_t *cache) {
  char *text = json_dumps(cache, JSON_INDENT(1));
  if (text && file_make_directory(e->cache, NULL) == ACE_OK) file_write(path, text, strlen(text), NULL);
  free(text);
}

json_t *engine_hashes(ace_engine *e, const ace_callbacks *notify, ace_error *err) {
  char *path = e->cache ? file_join(e->cache, cache_name) : NULL;
  json_t *cache = path && file_exists(path) ? json_parse_file(path, CACHE_LIMIT, NULL) : NULL;
  if (!json_is_object(cache)) {
    json_decref(cache);
    cache = json_object();
  }
  json_t *out = json_object();
  bool changed = false;
  ace_status status = cache && out ? ACE_OK : ace_fail(err, ACE_ENOMEM, "hash: out of memory");
  if (status == ACE_OK)
    status = add_hash(out, cache, &changed, "diffusion", e->model_name, e->dit->checkpoint, notify, err);
  if (status == ACE_OK)
    status = add_hash(out, cache, &changed, "autoencoder", e->vae_name, e->vae->checkpoint, notify, err);
  if (status == ACE_OK)
    status = add_hash(out, cache, &changed, "text_encoder", ENGINE_TEXT_ENCODER, e->text->checkpoint, notify, err);
  if (status == ACE_OK && changed && path) store_cache(e, path, cache);
  json_decref(cache);
  free(path);
  if (status == ACE_OK) return out;
  json_decref(out);
  return NULL;
}
