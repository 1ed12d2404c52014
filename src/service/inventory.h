/* inventory.h - which models lie in a folder, told from their configurations without opening them.
 *
 *   inventory all;
 *   inventory_read("checkpoints", &all, &err);
 *   const inventory_model *m = inventory_find(&all, INVENTORY_DIFFUSION, "acestep-v15-turbo");
 *   inventory_free(&all);
 */
#ifndef ACE_SERVICE_INVENTORY_H
#define ACE_SERVICE_INVENTORY_H

#include "request/request.h"

typedef enum inventory_kind { INVENTORY_DIFFUSION, INVENTORY_LANGUAGE, INVENTORY_AUTOENCODER } inventory_kind;

/* The size classes of the 5 Hz language models; a name without one counts as the smallest. */
typedef enum lm_size { LM_0_6B, LM_1_7B, LM_4B, LM_SIZES } lm_size;

typedef struct inventory_model {
  char *name; /* of the folder or GGUF file */
  inventory_kind kind;
  req_model family; /* of a diffusion model */
  bool xl;          /* of a diffusion model */
  lm_size size;     /* of a language model */
  int64_t bytes;    /* of the files in the folder, or of the file */
} inventory_model;

typedef struct inventory {
  inventory_model *models; /* sorted by name */
  int n;
} inventory;

/* What has no configuration, or no weights, is left out. A missing folder is an empty inventory. */
ace_status inventory_read(const char *folder, inventory *out, ace_error *err);
void inventory_free(inventory *all);
/* Is there a diffusion model in the folder? */
bool inventory_can_sing(const char *folder);
/* NULL: there is none. */
const inventory_model *inventory_find(const inventory *all, inventory_kind kind, const char *name);
/* What a user gets who names none: the diffusion model acestep-v15-turbo, else the first; of language models the one of
 * this size: its exact name, else the longest name of that size, else the first. */
const inventory_model *inventory_usual(const inventory *all);
const inventory_model *inventory_language(const inventory *all, lm_size size);

/* "0.6B", "1.7B", "4B" */
const char *lm_size_name(lm_size size);
lm_size lm_size_of(const char *model_name);

#endif
