/* sample_inner.h - a sample as its file has it, before anything was checked: what both kinds of files are brought to. */
#ifndef ACE_TRAIN_SAMPLE_INNER_H
#define ACE_TRAIN_SAMPLE_INNER_H

#include "formats/torch_pt.h"
#include "train/sample.h"

typedef enum sample_part {
  SAMPLE_TARGET,
  SAMPLE_CONDITION,
  SAMPLE_CONDITION_MASK,
  SAMPLE_CONTEXT,
  SAMPLE_FRAME_MASK,
  SAMPLE_PARTS
} sample_part;

/* "target_latents", ... */
extern const char *const sample_part_name[SAMPLE_PARTS];

typedef struct sample_parts {
  pt_tensor part[SAMPLE_PARTS]; /* data NULL: absent, or only looked at; rank 0: absent */
  json_t *about, *tags;         /* owned; NULL: none */
} sample_parts;

/* Of a file of the Python trainer. values: read the data too, else shapes alone. sample_parts_free also after a failure. */
ace_status sample_parts_pt(const char *path, bool values, sample_parts *out, ace_error *err);
void sample_parts_free(sample_parts *p);

#endif
