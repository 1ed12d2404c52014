/* checkpoint.h - a checkpoint folder: config.json and its weights, in one file or in shards.
 *
 *   ckpt *k = ckpt_open("checkpoints/acestep-v15-turbo", &err);
 *   ckpt_reader r = {.checkpoint = k, .err = &err};
 *   tens w = ckpt_matrix(&r, 2048, 1024, "layers.%d.self_attn.q_proj.weight", i);
 *   if (r.failed) ...                       // checked once; the first failure sticks and names file, tensor, shapes
 *
 * Weights stay in the memory-mapped file in their own type (BF16 or F32) wherever that type and alignment allow; F16
 * and everything that must be rearranged is converted once into memory that the checkpoint owns.
 */
#ifndef ACE_CHECKPOINT_H
#define ACE_CHECKPOINT_H

#include "base/json.h"
#include "base/pool.h"
#include "formats/safetensors.h"
#include "tensor/tensor.h"

typedef struct ckpt ckpt;

/* Opens model.safetensors, else the shards of model.safetensors.index.json (file names without any '/', inside the
 * folder), else diffusion_pytorch_model.safetensors (or its .index.json). config.json must exist. A file NAME.gguf, or a
 * folder with one and no config.json, is a conversion of acestep.cpp: F32, BF16 and Q8_0 are used where they lie. */
ckpt *ckpt_open(const char *folder, ace_error *err);
/* A checkpoint that never was a folder, over `n` tensors whose data lies in one block from mmap, which the checkpoint
 * takes over (also when it fails); memory NULL: the data is only borrowed and outlives the checkpoint. Descriptions,
 * names and `config` are copied; `name` stands for the folder in messages. */
ckpt *ckpt_open_memory(const char *name, const char *config, const st_tensor *tensors, int n, void *memory,
                       size_t bytes, ace_error *err);
void ckpt_close(ckpt *k);
/* The configuration alone, a new reference. NULL on failure. */
json_t *ckpt_read_config(const char *folder, ace_error *err);
/* Are there weights that ckpt_open would open? A tokenizer may lie alone. */
bool ckpt_has_weights(const char *path);

/* From now on large matrices are handed out as TENS_I8, encoded by `threads` (NULL: the caller's) when they are first
 * asked for, in memory of the checkpoint: half of what BF16 takes. What ckpt_open_memory took over is given up
 * matrix by matrix. To be called before a model is made of it; `threads`
 * and `notify` (NULL: nobody cancels) are used until that is done. */
void ckpt_use_int8(ckpt *k, pool *threads, const ace_callbacks *notify);
/* Its files hold int8 already, as convert_to (convert.h) writes them. */
bool ckpt_is_int8(const ckpt *k);
/* Of such files: is this the scales of a matrix, and so a part of it? */
bool ckpt_is_scale(const ckpt *k, const st_tensor *t);
/* The values of a tensor of the checkpoint in F32, of an int8 matrix as they are decoded, to out [t->count]. */
ace_status ckpt_widen(ckpt *k, const st_tensor *t, float *out, ace_error *err);
/* Whether that is for a tensor of this name and shape. */
bool ckpt_is_large(const st_tensor *t);

const char *ckpt_folder(const ckpt *k);
const json_t *ckpt_config(const ckpt *k);
const char *ckpt_config_path(const ckpt *k);
/* NULL if absent. */
const st_tensor *ckpt_find(const ckpt *k, const char *name);
int ckpt_tensor_count(const ckpt *k);
/* In the order of names, i below ckpt_tensor_count. */
const st_tensor *ckpt_at(const ckpt *k, int i);
int64_t ckpt_weight_bytes(const ckpt *k); /* in its files */
/* Of the weights as a model uses them: as int8 where they are handed out so. */
int64_t ckpt_memory_bytes(const ckpt *k);

/* ---- what of it is in main memory ---- */

/* Bytes of the tensors whose names begin with `prefix` ("": all) that are mapped from a file and read there: they come
 * into memory when they are read, and can leave it again. 0 for a checkpoint that never was a folder. */
size_t ckpt_mapped_bytes(const ckpt *k, const char *prefix);
/* Lets those mapped tensors leave main memory; whoever reads them again waits for the file. */
void ckpt_release(const ckpt *k, const char *prefix);

/* Memory that lives as long as the checkpoint, 64-byte aligned, for rearranged weights. NULL when out of memory. */
void *ckpt_alloc(ckpt *k, size_t bytes);
/* SHA-256 of the weight files and config.json (names and contents, in sorted order) as 64 hex digits plus NUL. Cached
 * inside the object after the first call. */
ace_status ckpt_hash(ckpt *k, char out[65], const ace_callbacks *notify, ace_error *err);
bool ckpt_hash_known(const ckpt *k);

typedef struct ckpt_reader {
  ckpt *checkpoint;
  const char *prefix; /* put in front of every name; NULL: none */
  ace_error *err;
  bool failed;
} ckpt_reader;

/* A weight of exactly this shape in its own type (F16 widened to F32; matrices also TENS_I8, see ckpt_use_int8). On failure: a zeroed tens and r->failed. */
tens ckpt_tensor(ckpt_reader *r, int rank, const int64_t *dim, const char *name, ...) ACE_PRINTF(4, 5);
/* Same, always F32 (vectors, tables, norms and biases). */
tens ckpt_tensor_f32(ckpt_reader *r, int rank, const int64_t *dim, const char *name, ...) ACE_PRINTF(4, 5);
#define ckpt_table(r, rows, columns, ...) ckpt_tensor(r, 2, (int64_t[]){rows, columns}, __VA_ARGS__)
/* A weight that is multiplied with, not only looked up. */
#define ckpt_matrix(r, rows, columns, ...) ckpt_packable(r, ckpt_table(r, rows, columns, __VA_ARGS__), 0)
#define ckpt_vector(r, length, ...)        ckpt_tensor_f32(r, 1, (int64_t[]){length}, __VA_ARGS__)

/* ---- weights made of others -------------------------------------------------------------------------------------- */

enum { CKPT_DERIVED_FROM = 2 };

/* A weight in another form than the checkpoint's (rearrange.h): y, made of the values of `from` when it was loaded. A
 * training, which changes values, makes it again and leads gradients of y back. */
typedef struct ckpt_derived {
  struct ckpt_derived *next;
  tens y;                       /* F32 */
  int n;                        /* 1..CKPT_DERIVED_FROM */
  tens from[CKPT_DERIVED_FROM]; /* F32 or BF16, of the checkpoint */
  void (*make)(const struct ckpt_derived *d);
  /* grad[i] += what dy, like y, gives from[i]; NULL: it is not wanted. */
  void (*back)(const struct ckpt_derived *d, const float *dy, float *const *grad);
} ckpt_derived;

/* Makes d.y, whose data lies in memory of the checkpoint, and remembers how. */
tens ckpt_derive(ckpt_reader *r, ckpt_derived d);
/* The list of all, NULL at its end. */
const ckpt_derived *ckpt_derived_of(const ckpt *k);

/* ---- packed copies (tens_packed in tensor.h) --------------------------------------------------------------------- */

/* w, a weight that lives as long as the checkpoint, with room for a packed copy; used with that stride (tens_packed). A
 * failed w comes back as it is. */
tens ckpt_packable(ckpt_reader *r, tens w, int stride);
/* Bytes of all copies that this device wants and that do not exist yet. */
size_t ckpt_packing(const ckpt *k, const tens_device *device);
/* Makes them, on all threads of the pool (NULL: this one). No operation may be using the weights. When memory is
 * short nothing happens: the weights are read as they are, slower. */
void ckpt_pack(ckpt *k, const tens_device *device, pool *threads);

#endif
