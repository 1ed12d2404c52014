/* hashes.c - what the weights of a song were. Hashing gigabytes takes seconds, so a hash is remembered together with
 * the size and time of every file that went into it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/notify.h"
#include "engine/engine.h"

enum { CACHE_LIMIT = 1 << 20, KEY_SIZE = 4096, HASH_SIZE = 65 };
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

static json_t *read_cache(const char *path) {
  json_t *cache = path && file_exists(path) ? json_parse_file(path, CACHE_LIMIT, NULL) : NULL;
  if (json_is_object(cache)) return cache;
  json_decref(cache);
  return json_object();
}

static const char *known_hash(const json_t *cache, const char key[KEY_SIZE]) {
  const char *known = json_string_value(json_object_get(cache, key));
  return known && strlen(known) == HASH_SIZE - 1 ? known : NULL;
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

/* Arithmetic in the time that one byte takes. */
static const double OPERATIONS_A_BYTE = 60;

/* The share of one checkpoint. */
typedef struct hashing {
  progress *p;
  const ace_callbacks *notify;
  double total, done;
} hashing;

static void on_progress(void *user, const ace_progress *part) {
  hashing *h = user;
  double done = part->fraction * h->total;
  progress_advance(h->p, done - h->done);
  h->done = done;
}

static bool is_cancelled(void *user) {
  const hashing *h = user;
  return notify_stopped(h->notify);
}

static double work_of(const ckpt *k) {
  return OPERATIONS_A_BYTE * (double)ckpt_weight_bytes(k);
}

double engine_hash_work(const ace_engine *e) {
  const ckpt *const all[] = {e->dit->checkpoint, e->vae->checkpoint, e->text->checkpoint};
  char *path = e->cache ? file_join(e->cache, cache_name) : NULL, key[KEY_SIZE];
  json_t *cache = read_cache(path);
  double work = 0;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    cache_key(all[i], key);
    if (!ckpt_hash_known(all[i]) && !known_hash(cache, key)) work += work_of(all[i]);
  }
  json_decref(cache);
  free(path);
  return work;
}

/* ---- hashing ----------------------------------------------------------------------------------------------------- */

static ace_status compute(ckpt *k, char hash[HASH_SIZE], progress *p, const ace_callbacks *notify, ace_error *err) {
  hashing h = {.p = p, .notify = notify, .total = work_of(k)};
  ace_callbacks watch = {.progress = on_progress, .cancelled = is_cancelled, .user = &h};
  if (!ckpt_hash_known(k) && strcmp(p->stage, "hash") != 0) progress_stage(p, "hash", 0);
  return ckpt_hash(k, hash, &watch, err);
}

/* Adds {"name", "sha256"} of one checkpoint to `out`. */
static ace_status add_hash(json_t *out, json_t *cache, bool *changed, const char *role, const char *name, ckpt *k,
                           progress *p, const ace_callbacks *notify, ace_error *err) {
  char key[KEY_SIZE], hash[HASH_SIZE];
  cache_key(k, key);
  const char *known = known_hash(cache, key);
  if (known) {
    memcpy(hash, known, sizeof hash);
  } else {
    ace_status status = compute(k, hash, p, notify, err);
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

json_t *engine_hashes(ace_engine *e, progress *p, const ace_callbacks *notify, ace_error *err) {
  progress own;
  if (!p) {
    p = &own;
    progress_start(p, notify, engine_hash_work(e));
  }
  char *path = e->cache ? file_join(e->cache, cache_name) : NULL;
  json_t *cache = read_cache(path);
  json_t *out = json_object();
  bool changed = false;
  ace_status status = cache && out ? ACE_OK : ace_fail(err, ACE_ENOMEM, "hash: out of memory");
  if (status == ACE_OK)
    status = add_hash(out, cache, &changed, "diffusion", e->model_name, e->dit->checkpoint, p, notify, err);
  if (status == ACE_OK)
    status = add_hash(out, cache, &changed, "autoencoder", e->vae_name, e->vae->checkpoint, p, notify, err);
  if (status == ACE_OK)
    status = add_hash(out, cache, &changed, "text_encoder", ENGINE_TEXT_ENCODER, e->text->checkpoint, p, notify, err);
  if (status == ACE_OK && changed && path) store_cache(e, path, cache);
  json_decref(cache);
  free(path);
  if (status == ACE_OK) return out;
  json_decref(out);
  return NULL;
}
