/* checkpoint_inner.h - what the files of this room that implement checkpoint.h share; nobody else includes it. */
#ifndef ACE_CHECKPOINT_INNER_H
#define ACE_CHECKPOINT_INNER_H

#include "formats/checkpoint.h"
#include "formats/gguf.h"

#define CKPT_INT8_METHOD  "acestep-int8" /* quantization_config.quant_method */
#define CKPT_SCALE_SUFFIX "_scale"       /* behind the name of an I8 tensor: the name of its scales */
enum { CKPT_MAX_NAME = 256 };

typedef struct ckpt_file {
  char *name; /* inside the folder */
  st_file *weights;
} ckpt_file;

typedef struct ckpt_entry {
  const st_tensor *tensor;
  void *wide;    /* as F32, once somebody asked */
  int8_t *small; /* as TENS_I8 with its scales, once somebody asked */
  float *small_scale;
  void *moved; /* in its own type at an aligned address, once somebody asked and the file had it misaligned */
} ckpt_entry;

typedef struct ckpt_block {
  struct ckpt_block *next;
} ckpt_block;

typedef struct ckpt_copy {
  struct ckpt_copy *next;
  tens weight;
  tens_packed packed; /* what the weight's users point to */
} ckpt_copy;

struct ckpt {
  char *folder, *config_path, *config_text; /* owned */
  size_t config_length;
  json_t *config;
  ckpt_file *files;
  int n_files;
  gguf_file *gguf;     /* instead of files; NULL */
  ckpt_entry *entries; /* sorted by name */
  int n_entries;
  int64_t weight_bytes;
  ckpt_block *blocks; /* memory handed out by ckpt_alloc */
  uint8_t *memory;    /* of ckpt_open_memory: descriptions, names and data; owned, NULL otherwise */
  size_t memory_bytes;
  ckpt_copy *copies;     /* in memory of `blocks` */
  ckpt_derived *derived; /* likewise */
  char hash[65];         /* "" until asked for */
  bool int8;             /* ckpt_use_int8, with what it was given */
  pool *threads;
  ace_callbacks notify;
};

/* NULL if absent. */
ckpt_entry *ckpt_find_entry(const ckpt *k, const char *name);
/* The tensor's data as F32: in place, or widened or moved once into memory of the checkpoint. NULL: out of memory. */
void *ckpt_data_f32(ckpt *k, ckpt_entry *e);

/* ---- TENS_I8: checkpoint_int8.c ---------------------------------------------------------------------------------- */

bool ckpt_wants_int8(const ckpt *k, const st_tensor *t);
bool ckpt_take_int8(ckpt *k, ckpt_entry *e, tens *out, ace_error *err);
/* A matrix [N, K] to q [N, K] and scale [N]. threads may be NULL. */
ace_status ckpt_encode_int8(const st_tensor *t, pool *threads, int8_t *q, float *scale, ace_error *err);

enum { CKPT_SCALE_NAME_SIZE = CKPT_MAX_NAME + sizeof CKPT_SCALE_SUFFIX };
/* What the scales of an I8 tensor of that name are called; returns `out`. */
const char *ckpt_scale_name(const char *tensor, char out[CKPT_SCALE_NAME_SIZE]);

#endif
