/* tiers.h - what a machine of some memory is offered: limits and defaults of the user guide's tiers, and the profile of
 * machines without a graphics card. */
#ifndef ACE_SERVICE_TIERS_H
#define ACE_SERVICE_TIERS_H

#include "base/json.h"
#include "service/inventory.h"

typedef enum tier_id { TIER_1, TIER_2, TIER_3, TIER_4, TIER_5, TIER_6A, TIER_6B, TIER_UNLIMITED, TIERS } tier_id;

typedef struct tier {
  const char *key, *memory; /* "tier6b", "20-24 GB" */
  int seconds_lm, seconds;  /* longest song with and without the language model */
  int batch_lm, batch;      /* most songs at once */
  unsigned sizes;           /* 1 << lm_size of the language models offered; 0: none */
  lm_size recommended;      /* when there are any */
  bool vllm;                /* the batched engine is offered; `pt` always is */
  bool init_lm, offload, offload_dit, int8;
} tier;

/* By memory in GiB; 0 or less is no card. At and above 23.5 counts as 24. */
tier_id tier_of(double gib);
const tier *tier_get(tier_id id);
/* By its key; false: there is none of that name. */
bool tier_find(const char *key, tier_id *id);

/* What this machine is. */
typedef struct tier_machine {
  tier_id id;     /* whose limits apply */
  bool card;      /* a graphics card, real or simulated */
  bool simulated; /* MAX_CUDA_VRAM */
  double gib;     /* of the card, or of main memory that a job may use */
} tier_machine;
/* The environment variable MAX_CUDA_VRAM (GiB) simulates a card of that size. Without a card limits follow from
 * `budget`, the bytes that a job may use, through the same table. */
tier_machine tier_detect(uint64_t budget);

/* What the page's controls begin with on this machine:
 *   {"init_lm", "lm_size": "0.6B" | null, "backend", "offload", "offload_dit", "int8", "batch"}
 * A machine without a card plans with the smallest language model in INT8 when the budget allows, one song at a time. */
json_t *tier_defaults(const tier_machine *m);

#endif
