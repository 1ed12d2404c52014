/* convert.h - a checkpoint folder as int8: the same files with the large matrices (ckpt_is_large) as TENS_I8, half the
 * size, which opens at once and is used from the map.
 *
 *   DST/config.json            as it was, with quantization_config
 *   DST/<weight files>         of the same names and shards; NAME is I8 [N, K], NAME_scale F32 [N], the rest as it was
 *   DST/<everything else>      copied: tokenizer, silence_latent.pt, ...
 *
 * DST appears whole or not at all: it is made beside its place under a name with a dot in front.
 */
#ifndef ACE_CONVERT_H
#define ACE_CONVERT_H

#include "formats/checkpoint.h"

typedef struct convert_sizes {
  int64_t before, after; /* bytes of weights */
  int matrices;          /* that became int8 */
} convert_sizes;

/* ACE_EINVAL when DST exists, when SRC is a GGUF file, is int8 already or holds nothing large (an autoencoder); ACE_EIO
 * when the disk has not enough room. Progress has the stage "convert". `sizes` may be NULL. */
ace_status convert_int8(const char *src, const char *dst, pool *threads, const ace_callbacks *notify,
                        convert_sizes *sizes, ace_error *err);

#endif
