/* model_info.h - what one checkpoint folder holds, and whether it is complete: found out by opening it as the engine
 * would. */
#ifndef ACE_CLI_MODEL_INFO_H
#define ACE_CLI_MODEL_INFO_H

#include "base/json.h"
#include "formats/safetensors.h"

typedef enum model_kind {
  MODEL_UNKNOWN,
  MODEL_DIFFUSION,
  MODEL_AUTOENCODER,
  MODEL_TEXT_ENCODER,
  MODEL_LANGUAGE,
  MODEL_ADAPTER,
} model_kind;

enum { MODEL_NAME_SIZE = 256, MODEL_SIZES_SIZE = 256, MODEL_DTYPES = ST_DTYPES };

typedef struct model_info {
  model_kind kind;
  char name[MODEL_NAME_SIZE]; /* of the folder */
  const char *family;         /* "turbo", "sft", "base"; NULL: not a diffusion model */
  bool xl;
  int64_t parameters, bytes;      /* of the weights */
  int64_t of_dtype[MODEL_DTYPES]; /* numbers of each st_dtype */
  int tensors;
  char sizes[MODEL_SIZES_SIZE]; /* "24 layers, width 2048, ..." */
  ace_error problem;            /* status ACE_OK: complete */
  char hash[65];                /* "" until asked for */
} model_info;

/* Does the folder look like a checkpoint at all? */
bool model_looks_like(const char *folder);
/* Opens everything in the folder and closes it again. Only a cancelled hash fails; all else goes to info->problem. */
ace_status model_inspect(const char *folder, bool hash, const ace_callbacks *notify, model_info *info, ace_error *err);
/* "diffusion model", "autoencoder", ... */
const char *model_kind_name(model_kind kind);

#endif
