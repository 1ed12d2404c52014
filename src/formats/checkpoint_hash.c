/* The identity of a checkpoint: SHA-256 over, for config.json and each weight file in the order of their names, the
 * name with its NUL, the length as 8 little-endian bytes, and the content. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/notify.h"
#include "formats/checkpoint_inner.h"

enum { SLICE = 4 << 20 }; /* bytes between two polls: a few milliseconds when cached, below 0.1 s from a slow disk */

typedef struct hash_part {
  const char *name, *path;
  const void *data; /* what has no path: the config, and weights in memory */
  size_t size;
} hash_part;

typedef struct hash_job {
  hash h;
  const ace_callbacks *notify;
  uint64_t done, total; /* bytes */
  const char *folder;
  ace_error *err;
} hash_job;

static int by_name(const void *a, const void *b) {
  return strcmp(((const hash_part *)a)->name, ((const hash_part *)b)->name);
}

/* mapped: pages leave memory once they are hashed. */
static ace_status add_slices(hash_job *j, const uint8_t *data, size_t size, bool mapped) {
  for (size_t at = 0; at < size;) {
    size_t n = size - at < SLICE ? size - at : SLICE;
    const ace_callbacks *c = j->notify;
    if (notify_stopped(c)) return ace_fail(j->err, ACE_ECANCELED, "%s: cancelled", j->folder);
    hash_add(&j->h, data + at, n);
    if (mapped) file_forget(data + at, n);
    at += n;
    j->done += n;
    if (c && c->progress) {
      ace_progress p = {.stage = "hash", .fraction = (double)j->done / (double)j->total, .seconds_left = -1};
      c->progress(c->user, &p);
    }
  }
  return ACE_OK;
}

static ace_status add_part(hash_job *j, const hash_part *part) {
  uint8_t length[8];
  file_map m = {0};
  if (part->path) {
    ace_status status = file_map_open(&m, part->path, j->err);
    if (status != ACE_OK) return status;
    if (m.size != part->size) {
      file_map_close(&m);
      return ace_fail(j->err, ACE_EIO, "%s: changed while it was in use", part->path);
    }
  }
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)part->size >> (8 * i));
  hash_add(&j->h, part->name, strlen(part->name) + 1);
  hash_add(&j->h, length, sizeof length);
  ace_status status = add_slices(j, part->path ? m.data : part->data, part->size, part->path != NULL);
  file_map_close(&m);
  return status;
}

/* Sizes come first, so that progress knows its total. */
static ace_status measure(hash_part *part, ace_error *err) {
  file_map m;
  ace_status status = file_map_open(&m, part->path, err);
  part->size = m.size;
  file_map_close(&m);
  return status;
}

bool ckpt_hash_known(const ckpt *k) {
  return k->hash[0] != 0;
}

ace_status ckpt_hash(ckpt *k, char out[65], const ace_callbacks *notify, ace_error *err) {
  ace_status status = ACE_OK;
  if (!ckpt_hash_known(k)) {
    int n = k->n_files + 1 + (k->memory != NULL || k->gguf);
    hash_part *parts = calloc((size_t)n, sizeof *parts);
    if (!parts) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", k->folder);
    hash_job j = {.notify = notify, .folder = k->folder, .err = err};
    parts[0] = (hash_part){"config.json", NULL, k->config_text, k->config_length};
    if (k->gguf) {
      parts[1] = (hash_part){.name = "model.gguf", .path = gguf_path(k->gguf)};
      status = measure(&parts[1], err);
    }
    if (k->memory) parts[1] = (hash_part){"memory", NULL, k->memory, k->memory_bytes};
    for (int i = 0; i < k->n_files && status == ACE_OK; i++) {
      parts[i + 1] = (hash_part){.name = k->files[i].name, .path = st_path(k->files[i].weights)};
      status = measure(&parts[i + 1], err);
    }
    for (int i = 0; i < n; i++) j.total += parts[i].size;
    qsort(parts, (size_t)n, sizeof *parts, by_name);
    hash_begin(&j.h);
    for (int i = 0; i < n && status == ACE_OK; i++) status = add_part(&j, &parts[i]);
    if (status == ACE_OK) hash_end(&j.h, k->hash);
    free(parts);
  }
  if (status == ACE_OK) memcpy(out, k->hash, sizeof k->hash);
  return status;
}
