#include "service/tiers.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL = 1 << LM_0_6B, MIDDLE = SMALL | 1 << LM_1_7B, EVERY = MIDDLE | 1 << LM_4B };

static const tier table[TIERS] = {
    [TIER_1] = {"tier1", "up to 4 GB", 240, 360, 1, 1, 0, LM_0_6B, false, false, true, true, true},
    [TIER_2] = {"tier2", "4-6 GB", 480, 600, 1, 1, 0, LM_0_6B, false, false, true, true, true},
    [TIER_3] = {"tier3", "6-8 GB", 480, 600, 2, 2, SMALL, LM_0_6B, false, true, true, true, true},
    [TIER_4] = {"tier4", "8-12 GB", 480, 600, 2, 4, SMALL, LM_0_6B, true, true, true, true, true},
    [TIER_5] = {"tier5", "12-16 GB", 480, 600, 4, 4, MIDDLE, LM_1_7B, true, true, true, false, true},
    [TIER_6A] = {"tier6a", "16-20 GB", 480, 600, 4, 8, MIDDLE, LM_1_7B, true, true, true, false, true},
    [TIER_6B] = {"tier6b", "20-24 GB", 480, 480, 8, 8, EVERY, LM_1_7B, true, true, false, false, false},
    [TIER_UNLIMITED] = {"unlimited", "24 GB and more", 600, 600, 8, 8, EVERY, LM_4B, true, true, false, false, false},
};

tier_id tier_of(double gib) {
  if (gib <= 4) return TIER_1;
  if (gib <= 6) return TIER_2;
  if (gib <= 8) return TIER_3;
  if (gib <= 12) return TIER_4;
  if (gib < 15.5) return TIER_5;
  if (gib < 20) return TIER_6A;
  return gib < 23.5 ? TIER_6B : TIER_UNLIMITED;
}

const tier *tier_get(tier_id id) {
  return &table[id];
}

bool tier_find(const char *key, tier_id *id) {
  for (int i = 0; i < TIERS; i++)
    if (strcmp(table[i].key, key) == 0) {
      *id = (tier_id)i;
      return true;
    }
  return false;
}

tier_machine tier_detect(uint64_t budget) {
  const char *text = getenv("MAX_CUDA_VRAM");
  char *end;
  double gib = text && *text ? strtod(text, &end) : 0;
  if (text && *text && *end == 0 && gib > 0 && gib < 1e6)
    return (tier_machine){.id = tier_of(gib), .card = true, .simulated = true, .gib = gib};
  gib = (double)budget / (double)(1 << 30);
  return (tier_machine){.id = tier_of(gib), .gib = gib};
}

json_t *tier_defaults(const tier_machine *m) {
  const double room_for_lm = 6; /* GiB: the smallest language model in INT8 beside everything else */
  const tier *t = &table[m->id];
  bool lm = m->card ? t->init_lm : m->gib >= room_for_lm;
  lm_size size = m->card ? t->recommended : LM_0_6B;
  int batch = m->card && t->batch_lm > 1 ? 2 : 1;
  return json_pack("{s:b, s:o, s:s, s:b, s:b, s:b, s:i}", "init_lm", lm, "lm_size",
                   lm ? json_string(lm_size_name(size)) : json_null(), "backend", t->vllm ? "vllm" : "pt", "offload",
                   m->card && t->offload, "offload_dit", m->card && t->offload_dit, "int8", m->card ? t->int8 : lm,
                   "batch", batch);
}
