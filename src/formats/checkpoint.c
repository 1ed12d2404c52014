/* Opening folders, finding tensors, handing weights out. The hash of a folder is in checkpoint_hash.c. */
#include "formats/checkpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "formats/checkpoint_inner.h"

/* Where weights of a folder may lie, in the order of choice. */
static const struct {
  const char *name;
  bool index;
} weight_files[] = {
    {"model.safetensors", false},
    {"model.safetensors.index.json", true},
    {"diffusion_pytorch_model.safetensors", false},
    {"diffusion_pytorch_model.safetensors.index.json", true},
};
enum { WEIGHT_FILES = sizeof weight_files / sizeof *weight_files };

enum { CONFIG_LIMIT = 4 << 20, INDEX_LIMIT = 64 << 20, MAX_SHARDS = 1000, ALIGN = 64 };

static const char expected_files[] =
    "expected config.json and model.safetensors, model.safetensors.index.json or diffusion_pytorch_model.safetensors";

/* ---- opening ------------------------------------------------------------------------------------------------- */

static ace_status parse_config(ckpt *k, ace_error *err) {
  k->config = json_parse(k->config_text, k->config_length, k->config_path, err);
  if (!k->config) return err->status;
  if (!json_is_object(k->config)) return ace_fail(err, ACE_EFORMAT, "%s: not a JSON object", k->config_path);
  return ACE_OK;
}

static ace_status open_config(ckpt *k, ace_error *err) {
  if (!file_is_directory(k->folder))
    return ace_fail(err, ACE_ENOTFOUND, "%s: no such folder; %s", k->folder, expected_files);
  k->config_path = file_existing(k->folder, "config.json");
  if (!k->config_path) return ace_fail(err, ACE_ENOTFOUND, "%s: config.json is missing; %s", k->folder, expected_files);
  k->config_text = file_read(k->config_path, CONFIG_LIMIT, &k->config_length, err);
  return k->config_text ? parse_config(k, err) : err->status;
}

static void add_entry(ckpt *k, const st_tensor *t) {
  k->entries[k->n_entries++] = (ckpt_entry){.tensor = t};
  k->weight_bytes += (int64_t)t->size;
}

static ace_status make_entries(ckpt *k, size_t n, ace_error *err) {
  k->entries = calloc(n + 1, sizeof *k->entries);
  return k->entries ? ACE_OK : ace_fail(err, ACE_ENOMEM, "%s: out of memory", k->folder);
}

/* Configuration and weights out of one file, as acestep.cpp converts them: tensors and their names as published, the text
 * of config.json under a key of the metadata. */
static ace_status open_gguf(ckpt *k, const char *path, ace_error *err) {
  k->gguf = gguf_open(path, err);
  if (!k->gguf) return err->status;
  gguf_text config = gguf_string(k->gguf, "acestep.config_json");
  if (!config.data || config.length > CONFIG_LIMIT)
    return ace_fail(err, ACE_EUNSUPPORTED,
                    "%s: has no acestep.config_json, so it is no conversion of an ACE-Step model", path);
  size_t size = strlen(path) + sizeof ": acestep.config_json";
  k->config_path = malloc(size);
  k->config_text = strndup(config.data, config.length);
  if (!k->config_path || !k->config_text) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  k->config_length = strlen(k->config_text);
  snprintf(k->config_path, size, "%s: acestep.config_json", path);
  ace_status status = parse_config(k, err);
  if (status == ACE_OK) status = make_entries(k, (size_t)gguf_count(k->gguf), err);
  for (int i = 0; i < gguf_count(k->gguf) && status == ACE_OK; i++) add_entry(k, gguf_at(k->gguf, i));
  return status;
}

static ace_status add_file(ckpt *k, const char *path, const char *name, ace_error *err) {
  if (k->n_files >= MAX_SHARDS)
    return ace_fail(err, ACE_EFORMAT, "%s: weight_map: more than %d files", k->folder, MAX_SHARDS);
  ckpt_file *grown = realloc(k->files, (size_t)(k->n_files + 1) * sizeof *grown);
  if (!grown) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", k->folder);
  k->files = grown;
  ckpt_file *f = &k->files[k->n_files];
  *f = (ckpt_file){.name = strdup(name)};
  if (!f->name) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", k->folder);
  k->n_files++;
  f->weights = st_open(path, err);
  return f->weights ? ACE_OK : err->status;
}

static ace_status open_single(ckpt *k, const char *path, const char *name, ace_error *err) {
  ace_status status = add_file(k, path, name, err);
  if (status != ACE_OK) return status;
  const st_file *f = k->files[0].weights;
  status = make_entries(k, (size_t)st_count(f), err);
  for (int i = 0; i < st_count(f) && status == ACE_OK; i++) add_entry(k, st_at(f, i));
  return status;
}

/* A shard's file name as the index gives it: inside the folder, nothing else. */
static bool plain_file_name(const json_t *value) {
  const char *s = json_string_value(value);
  return s && *s && strlen(s) == json_string_length(value) && strlen(s) < 256 && !strchr(s, '/') &&
         strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

/* The shard of that name, opened at its first mention. */
static const st_file *shard(ckpt *k, const char *index, const char *name, ace_error *err) {
  for (int i = k->n_files - 1; i >= 0; i--)
    if (strcmp(k->files[i].name, name) == 0) return k->files[i].weights;
  char *path = file_existing(k->folder, name);
  const st_file *f = NULL;
  if (!path) ace_fail(err, ACE_ENOTFOUND, "%s: weight_map: file %s is missing in the folder", index, name);
  else if (add_file(k, path, name, err) == ACE_OK) f = k->files[k->n_files - 1].weights;
  free(path);
  return f;
}

static ace_status open_shards(ckpt *k, const char *path, ace_error *err) {
  json_t *index = json_parse_file(path, INDEX_LIMIT, err);
  if (!index) return err->status;
  json_t *map = json_object_get(index, "weight_map"), *value;
  const char *name;
  ace_status status = ACE_OK;
  if (!json_is_object(map) || json_object_size(map) == 0)
    status = ace_fail(err, ACE_EFORMAT, "%s: weight_map: missing, empty or not an object", path);
  else status = make_entries(k, json_object_size(map), err);
  if (status == ACE_OK) {
    json_object_foreach(map, name, value) {
      if (!plain_file_name(value)) {
        status = ace_fail(err, ACE_EFORMAT, "%s: weight_map: tensor %.128s: not a plain file name inside the folder",
                          path, name);
        break;
      }
      const st_file *f = shard(k, path, json_string_value(value), err);
      const st_tensor *t = f ? st_find(f, name) : NULL;
      if (!f) status = err->status;
      else if (!t)
        status = ace_fail(err, ACE_EFORMAT, "%s: weight_map: tensor %.128s is not in %s", path, name,
                          json_string_value(value));
      else add_entry(k, t);
      if (status != ACE_OK) break;
    }
  }
  json_decref(index);
  return status;
}

static ace_status open_weights(ckpt *k, ace_error *err) {
  for (int i = 0; i < WEIGHT_FILES; i++) {
    const char *name = weight_files[i].name;
    char *path = file_existing(k->folder, name);
    if (!path) continue;
    ace_status status = weight_files[i].index ? open_shards(k, path, err) : open_single(k, path, name, err);
    free(path);
    return status;
  }
  return ace_fail(err, ACE_ENOTFOUND, "%s: no weights; %s", k->folder, expected_files);
}

bool ckpt_has_weights(const char *path) {
  char *there = gguf_locate(path);
  for (int i = 0; i < WEIGHT_FILES && !there; i++) there = file_existing(path, weight_files[i].name);
  free(there);
  return there;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const ckpt_entry *)a)->tensor->name, ((const ckpt_entry *)b)->tensor->name);
}

/* A GGUF file is opened whole, of a folder the configuration alone. */
static ckpt *open_begin(const char *folder, ace_error *err) {
  ckpt *k = calloc(1, sizeof *k);
  if (k) k->folder = strdup(folder);
  if (!k || !k->folder) {
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
    ckpt_close(k);
    return NULL;
  }
  char *file = gguf_locate(folder);
  ace_status status = file ? open_gguf(k, file, err) : open_config(k, err);
  free(file);
  if (status == ACE_OK) return k;
  ckpt_close(k);
  return NULL;
}

ckpt *ckpt_open(const char *folder, ace_error *err) {
  ace_error local;
  if (!err) err = &local;
  ckpt *k = open_begin(folder, err);
  if (!k) return NULL;
  if (!k->gguf && open_weights(k, err) != ACE_OK) {
    ckpt_close(k);
    return NULL;
  }
  qsort(k->entries, (size_t)k->n_entries, sizeof *k->entries, by_name);
  return k;
}

json_t *ckpt_read_config(const char *folder, ace_error *err) {
  ace_error local;
  ckpt *k = open_begin(folder, err ? err : &local);
  json_t *config = k ? json_incref(k->config) : NULL;
  ckpt_close(k);
  return config;
}

/* The descriptions with names of their own, in one block of the checkpoint. */
static ace_status copy_tensors(ckpt *k, const st_tensor *tensors, int n, ace_error *err) {
  size_t names = 0;
  for (int i = 0; i < n; i++) names += strlen(tensors[i].name) + 1;
  st_tensor *own = ckpt_alloc(k, (size_t)n * sizeof *own + names);
  if (!own) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", k->folder);
  char *name = (char *)(own + n);
  for (int i = 0; i < n; i++) {
    own[i] = tensors[i];
    own[i].name = strcpy(name, tensors[i].name);
    name += strlen(name) + 1;
  }
  ace_status status = make_entries(k, (size_t)n, err);
  for (int i = 0; i < n && status == ACE_OK; i++) add_entry(k, &own[i]);
  return status;
}

ckpt *ckpt_open_memory(const char *name, const char *config, const st_tensor *tensors, int n, void *memory,
                       size_t bytes, ace_error *err) {
  ace_error local;
  if (!err) err = &local;
  ckpt *k = calloc(1, sizeof *k);
  if (!k) {
    if (memory) munmap(memory, bytes);
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", name);
    return NULL;
  }
  *k = (ckpt){.folder = strdup(name), .config_path = file_join(name, "config.json"), .config_text = strdup(config)};
  k->config_length = strlen(config);
  k->memory = memory;
  k->memory_bytes = bytes;
  ace_status status = k->folder && k->config_path && k->config_text
                          ? parse_config(k, err)
                          : ace_fail(err, ACE_ENOMEM, "%s: out of memory", name);
  if (status == ACE_OK) status = copy_tensors(k, tensors, n, err);
  if (status != ACE_OK) {
    ckpt_close(k);
    return NULL;
  }
  qsort(k->entries, (size_t)k->n_entries, sizeof *k->entries, by_name);
  return k;
}

void ckpt_close(ckpt *k) {
  if (!k) return;
  if (k->memory) munmap(k->memory, k->memory_bytes);
  for (int i = 0; i < k->n_files; i++) {
    st_close(k->files[i].weights);
    free(k->files[i].name);
  }
  while (k->blocks) {
    ckpt_block *next = k->blocks->next;
    free(k->blocks);
    k->blocks = next;
  }
  gguf_close(k->gguf);
  json_decref(k->config);
  free(k->files);
  free(k->entries);
  free(k->config_text);
  free(k->config_path);
  free(k->folder);
  free(k);
}

/* ---- looking ------------------------------------------------------------------------------------------------- */

const char *ckpt_folder(const ckpt *k) {
  return k->folder;
}

const json_t *ckpt_config(const ckpt *k) {
  return k->config;
}

const char *ckpt_config_path(const ckpt *k) {
  return k->config_path;
}

int ckpt_tensor_count(const ckpt *k) {
  return k->n_entries;
}

const st_tensor *ckpt_at(const ckpt *k, int i) {
  return k->entries[i].tensor;
}

int64_t ckpt_weight_bytes(const ckpt *k) {
  return k->weight_bytes;
}

ckpt_entry *ckpt_find_entry(const ckpt *k, const char *name) {
  const st_tensor t = {.name = name};
  const ckpt_entry key = {.tensor = &t};
  return k->n_entries ? bsearch(&key, k->entries, (size_t)k->n_entries, sizeof key, by_name) : NULL;
}

const st_tensor *ckpt_find(const ckpt *k, const char *name) {
  const ckpt_entry *e = ckpt_find_entry(k, name);
  return e ? e->tensor : NULL;
}

/* ---- weights --------------------------------------------------------------------------------------------------- */

/* A block is its header, padded to ALIGN bytes, and the memory behind it. */
void *ckpt_alloc(ckpt *k, size_t bytes) {
  if (bytes > SIZE_MAX - 2 * ALIGN) return NULL;
  ckpt_block *b = aligned_alloc(ALIGN, ALIGN + (bytes + ALIGN - 1) / ALIGN * ALIGN);
  if (!b) return NULL;
  b->next = k->blocks;
  k->blocks = b;
  return (char *)b + ALIGN;
}

static const char *shape_text(char *text, size_t size, int rank, const int64_t *dim) {
  size_t used = (size_t)snprintf(text, size, "[");
  for (int i = 0; i < rank && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? "," : "", (long long)dim[i]);
  if (used < size) snprintf(text + used, size - used, "]");
  return text;
}

static tens failure(ckpt_reader *r, bool failed) {
  r->failed = r->failed || failed;
  return (tens){0};
}

/* Writers of GGUF files may leave out leading dims of 1. */
static bool has_shape(const ckpt *k, const st_tensor *t, int rank, const int64_t *dim) {
  while (k->gguf && rank > t->rank && dim[0] == 1) rank--, dim++;
  return t->rank == rank && memcmp(t->dim, dim, (size_t)rank * sizeof *dim) == 0;
}

/* The entry of exactly that name and shape in a type that can be used; NULL after recording why not. */
static ckpt_entry *checked_entry(ckpt_reader *r, int rank, const int64_t *dim, const char *name, va_list args)
    ACE_PRINTF(4, 0);
static ckpt_entry *checked_entry(ckpt_reader *r, int rank, const int64_t *dim, const char *name, va_list args) {
  if (r->failed) return NULL;
  const ckpt *k = r->checkpoint;
  char full[CKPT_MAX_NAME], got[256], want[256];
  int used = snprintf(full, sizeof full, "%s", r->prefix ? r->prefix : "");
  if (used >= 0 && (size_t)used < sizeof full) used += vsnprintf(full + used, sizeof full - (size_t)used, name, args);
  ckpt_entry *e = ckpt_find_entry(k, full);
  const st_tensor *t = e ? e->tensor : NULL;
  if (used < 0 || (size_t)used >= sizeof full || rank < 1 || rank > TENS_MAX_RANK)
    ace_fail(r->err, ACE_EINTERNAL, "%s: tensor %s...: a name or rank that no tensor can have", k->folder, full);
  else if (!t) ace_fail(r->err, ACE_ENOTFOUND, "%s: tensor %s is missing", k->folder, full);
  else if (!has_shape(k, t, rank, dim))
    ace_fail(r->err, ACE_EFORMAT, "%s: tensor %s: shape %s, expected %s", k->folder, full,
             shape_text(got, sizeof got, t->rank, t->dim), shape_text(want, sizeof want, rank, dim));
  else if (t->dtype != ST_F32 && t->dtype != ST_BF16 && t->dtype != ST_F16 && st_dtype_block(t->dtype) == 1 &&
           !(t->dtype == ST_I8 && rank == 2))
    ace_fail(r->err, ACE_EFORMAT, "%s: tensor %s: dtype %s, expected BF16, F16 or F32", k->folder, full,
             st_dtype_name(t->dtype));
  else return e;
  r->failed = true;
  return NULL;
}

static bool aligned_to(const void *p, size_t n) {
  return (uintptr_t)p % n == 0;
}

void *ckpt_data_f32(ckpt *k, ckpt_entry *e) {
  const st_tensor *t = e->tensor;
  if (t->dtype == ST_F32 && aligned_to(t->data, sizeof(float))) return (void *)t->data;
  if (!e->wide && (uint64_t)t->count <= SIZE_MAX / sizeof(float)) {
    e->wide = ckpt_alloc(k, (size_t)t->count * sizeof(float));
    if (e->wide) st_widen(t, 0, t->count, e->wide);
  }
  return e->wide;
}

static void *data_bf16(ckpt *k, ckpt_entry *e) {
  const st_tensor *t = e->tensor;
  if (aligned_to(t->data, sizeof(uint16_t))) return (void *)t->data;
  if (!e->moved) {
    e->moved = ckpt_alloc(k, t->size);
    if (e->moved && t->size > 0) memcpy(e->moved, t->data, t->size);
  }
  return e->moved;
}

static tens take(ckpt_reader *r, ckpt_entry *e, int rank, const int64_t *dim, bool wide) {
  if (!e) return failure(r, false);
  const st_tensor *t = e->tensor;
  wide = wide || rank != t->rank;
  if (!wide && ckpt_wants_int8(r->checkpoint, t)) {
    tens small;
    return ckpt_take_int8(r->checkpoint, e, &small, r->err) ? small : failure(r, true);
  }
  if (!wide && t->dtype == ST_Q8_0 && t->rank == 2)
    return (tens){.dtype = TENS_Q8_0, .rank = 2, .dim = {t->dim[0], t->dim[1]}, .data = (void *)t->data};
  if (t->dtype == ST_I8) {
    ace_fail(r->err, ACE_EFORMAT, "%s: tensor %s: dtype I8, expected BF16, F16 or F32", r->checkpoint->folder, t->name);
    return failure(r, true);
  }
  wide = wide || t->dtype != ST_BF16;
  tens x = {.dtype = wide ? TENS_F32 : TENS_BF16, .rank = rank};
  memcpy(x.dim, dim, (size_t)rank * sizeof *x.dim);
  x.data = wide ? ckpt_data_f32(r->checkpoint, e) : data_bf16(r->checkpoint, e);
  if (x.data) return x;
  ace_fail(r->err, ACE_ENOMEM, "%s: tensor %s: out of memory for %lld numbers", r->checkpoint->folder, t->name,
           (long long)t->count);
  return failure(r, true);
}

tens ckpt_tensor(ckpt_reader *r, int rank, const int64_t *dim, const char *name, ...) {
  va_list args;
  va_start(args, name);
  ckpt_entry *e = checked_entry(r, rank, dim, name, args);
  va_end(args);
  return take(r, e, rank, dim, false);
}

tens ckpt_tensor_f32(ckpt_reader *r, int rank, const int64_t *dim, const char *name, ...) {
  va_list args;
  va_start(args, name);
  ckpt_entry *e = checked_entry(r, rank, dim, name, args);
  va_end(args);
  return take(r, e, rank, dim, true);
}
