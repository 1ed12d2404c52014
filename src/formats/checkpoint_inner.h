/* checkpoint_inner.h - what the files of this room that implement checkpoint.h share; nobody else includes it. */
#ifndef ACE_CHECKPOINT_INNER_H
#define ACE_CHECKPOINT_INNER_H

#include "formats/checkpoint.h"

typedef struct ckpt_file {
  char *name; /* inside the folder */
  st_file *weights;
} ckpt_file;

typedef struct ckpt_entry {
  const st_tensor *tensor;
  void *wide;  /* as F32, once somebody asked */
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
  ckpt_entry *entries; /* sorted by name */
  int n_entries;
  int64_t weight_bytes;
  ckpt_block *blocks; /* memory handed out by ckpt_alloc */
  size_t copied;      /* bytes of it */
  uint8_t *memory;    /* of ckpt_open_memory: descriptions, names and data; owned, NULL otherwise */
  size_t memory_bytes;
  ckpt_copy *copies; /* in memory of `blocks` */
  size_t packed_bytes;
  char hash[65]; /* "" until asked for */
};

#endif
