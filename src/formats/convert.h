/* convert.h - a checkpoint folder in other types of numbers: as int8, with the large matrices (ckpt_is_large) as TENS_I8,
 * half the size, which opens at once and is used from the map; or with all floats as F32, BF16 or F16.
 *
 *   DST/config.json            as it was, with quantization_config, or another dtype
 *   DST/<weight files>         of the same names and shards; for int8 NAME is I8 [N, K], NAME_scale F32 [N], the rest as it was
 *   DST/<everything else>      copied: tokenizer, silence_latent.pt, ...
 *
 * DST appears whole or not at all: it is made beside its place under a name with a dot in front.
 */
#ifndef ACE_CONVERT_H
#define ACE_CONVERT_H

#include "formats/checkpoint.h"

typedef struct convert_sizes {
  int64_t before, after; /* bytes of weights */
  int tensors;           /* that became another type */
} convert_sizes;

/* type: ST_I8, ST_F32, ST_BF16 or ST_F16. ACE_EINVAL when DST exists, when SRC is a GGUF file, is int8 already or has
 * nothing to convert (int8: an autoencoder); ACE_EUNSUPPORTED for values beyond F16; ACE_EIO when the disk has not enough
 * room. Progress has the stage "convert". `sizes` may be NULL. */
ace_status convert_to(const char *src, const char *dst, st_dtype type, pool *threads, const ace_callbacks *notify,
                      convert_sizes *sizes, ace_error *err);

#endif
