/* gguf.h - the checkpoint container of ggml: "GGUF", version, counts, metadata by key, descriptions of tensors, data.
 *
 *   gguf_file *f = gguf_open("acestep-v15-turbo-Q8_0.gguf", &err);
 *   const st_tensor *t = gguf_find(f, "decoder.layers.0.self_attn.q_proj.weight");
 *   gguf_text arch = gguf_string(f, "general.architecture");
 *   gguf_close(f);
 *
 * Versions 2 and 3, little-endian. Tensors are described as safetensors.h does, dims from the slowest to the fastest;
 * types are F32, F16, BF16, F64, integers and the block types below. The file is memory-mapped and hostile: every length
 * is checked against what is left, every product for overflow, every tensor against the end of the file.
 */
#ifndef ACE_GGUF_H
#define ACE_GGUF_H

#include "formats/safetensors.h"

typedef struct gguf_file gguf_file;

gguf_file *gguf_open(const char *path, ace_error *err);
/* The same over memory that outlives the result; `where` names it in errors. For tests and fuzzing. */
gguf_file *gguf_open_memory(const void *data, size_t size, const char *where, ace_error *err);
void gguf_close(gguf_file *f);
const char *gguf_path(const gguf_file *f);

int gguf_count(const gguf_file *f);
const st_tensor *gguf_at(const gguf_file *f, int i); /* in the order of names */
const st_tensor *gguf_find(const gguf_file *f, const char *name);

/* Bytes inside the map, not NUL-terminated; data NULL: there is none. */
typedef struct gguf_text {
  const char *data;
  size_t length;
} gguf_text;
/* A string of the metadata. */
gguf_text gguf_string(const gguf_file *f, const char *key);
/* An array of strings of the metadata, in order:
 *   gguf_list l;  if (gguf_strings(f, key, &l)) for (gguf_text t; gguf_next(&l, &t);) ... */
typedef struct gguf_list {
  const uint8_t *at, *end;
  int64_t n; /* strings in all */
} gguf_list;
bool gguf_strings(const gguf_file *f, const char *key, gguf_list *out);
bool gguf_next(gguf_list *l, gguf_text *out);

/* The file that a path stands for: a file NAME.gguf itself, or the only one in a folder that has no config.json; NULL for
 * anything else. free() it. */
char *gguf_locate(const char *path);

/* ---- blocks ------------------------------------------------------------------------------------------------------- */

/* `count` values, whole blocks of one of the types ST_Q4_0.., as floats. */
void gguf_widen(float *out, st_dtype dtype, const void *blocks, int64_t count);

#endif
