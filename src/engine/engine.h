/* engine.h - the inside of an engine and of a result; everyone else sees acestep.h. */
#ifndef ACE_ENGINE_H
#define ACE_ENGINE_H

#include "render/song.h"

struct ace_engine {
  char *folder, *model_name, *vae_name, *cache; /* owned; cache may be NULL */
  pool *threads;
  uint64_t memory; /* budget in bytes; 0: what the machine has free when a job starts */
  bpe *tokenizer;
  qwen3 *text;
  acestep_dit *dit;
  vae *vae;      /* its decoder; the encoder once a job needed it */
  int vae_parts; /* VAE_DECODER | VAE_ENCODER */
};

/* Names of the folders that an engine opens beside the diffusion checkpoint. */
#define ENGINE_TEXT_ENCODER "Qwen3-Embedding-0.6B"
#define ENGINE_VAE          "vae"

req_model engine_family(const ace_engine *e);
/* Makes sure that the autoencoder has these parts. */
ace_status engine_need_vae(ace_engine *e, int parts, ace_error *err);
/* Bytes that a job may use: the engine's budget, or most of what the system reports as available. */
uint64_t engine_budget(const ace_engine *e);

/* Hashes of the opened models as a JSON object {"diffusion": {"name", "sha256"}, ...}, a new reference; NULL on
 * failure. Each is computed once per file state and remembered in the cache folder. */
json_t *engine_hashes(ace_engine *e, const ace_callbacks *notify, ace_error *err);

struct ace_result {
  ace_request *request; /* as run */
  int items;
  audio_buffer audio[REQ_BATCH_MAX];
  uint32_t seeds[REQ_BATCH_MAX], retake_seeds[REQ_BATCH_MAX];
  json_t *about; /* the "result" object shared by all items */
  char *json[REQ_BATCH_MAX];
};

/* The JSON of one item with `format` (REQ_FORMAT_*) as its audio_format. free() it; NULL when out of memory. */
char *result_json(const ace_result *r, int item, int format);

#endif
