/* engine.h - the inside of an engine and of a result; everyone else sees acestep.h. */
#ifndef ACE_ENGINE_H
#define ACE_ENGINE_H

#include "planner/think.h"
#include "render/song.h"

struct ace_engine {
  char *folder, *model_name, *vae_name;
  char *lm_name, *cache; /* owned like the above; may be NULL */
  pool *threads;
  uint64_t memory; /* budget in bytes; 0: what the machine has free when a job starts */
  bpe *tokenizer;
  qwen3 *text;
  acestep_dit *dit;
  plan_lm *lm;            /* NULL until it is needed */
  vae *vae;               /* its decoder; the encoder once a job needed it */
  int vae_parts;          /* VAE_DECODER | VAE_ENCODER */
  latents_cache *encoded; /* what it made of recordings */
  bool random, tiny;      /* models of random.h; of the miniature's sizes */
  uint64_t seed;          /* of random models */
};

/* Bytes of that: forty minutes of sound. */
enum { ENGINE_ENCODED = 32 << 20 };

/* The models of a job. The encoder is there after engine_need_vae only. */
song_models engine_models(const ace_engine *e);

/* Names of the folders that an engine opens beside the diffusion checkpoint. */
#define ENGINE_TEXT_ENCODER "Qwen3-Embedding-0.6B"
#define ENGINE_VAE          "vae"

req_model engine_family(const ace_engine *e);

typedef enum engine_kind { ENGINE_DIFFUSION, ENGINE_LANGUAGE, ENGINE_AUTOENCODER, ENGINE_TEXT } engine_kind;
/* How an engine's options and messages call it: "model", "lm", "vae". */
const char *engine_kind_option(engine_kind kind);
/* Fails: a model of that kind was named that does not lie in the folder. The message lists those that do. */
ace_status engine_missing(const char *folder, const char *name, engine_kind kind, ace_error *err);

/* Makes sure that the autoencoder has these parts. */
ace_status engine_need_vae(ace_engine *e, int parts, ace_error *err);
/* Makes sure that the language model is open. */
ace_status engine_need_lm(ace_engine *e, ace_error *err);
/* Makes the packed copies of a model's weights if they fit well into the budget; else its weights are read as they are.
 */
void engine_pack(ace_engine *e, ckpt *checkpoint);
/* Bytes that a job may use: the engine's budget, or most of what the system reports as available. */
uint64_t engine_budget(const ace_engine *e);

/* Hashes of the opened models as a JSON object {"diffusion": {"name", "sha256"}, ...}, a new reference; NULL on
 * failure. Each is computed once per file state and remembered in the cache folder. `p`: the job that this is a part
 * of; NULL: it is a job of its own. */
json_t *engine_hashes(ace_engine *e, progress *p, const ace_callbacks *notify, ace_error *err);
/* Work of that, in the unit of song_work. */
double engine_hash_work(const ace_engine *e);

/* Lets the language model plan the request: fills what the user left open, makes codes for each item of `song`. `song`
 * is empty when nothing was to be planned; it has no codes where a source of `source_seconds` (0: none) leads. */
ace_status engine_think(ace_engine *e, ace_request *request, double source_seconds, const uint32_t *seeds, progress *p,
                        const ace_callbacks *notify, plan_song *song, ace_error *err);
/* Work of that, in the unit of song_work. */
double engine_think_work(const ace_engine *e, const ace_request *request);

/* Where the constrained decoder writes its steps: notify->log when the request asks for them, else nowhere. */
plan_grammar_log engine_grammar_log(const ace_request *request, const ace_callbacks *notify);

/* Whether the caller wants the job to end. `notify` may be NULL: never. */
bool engine_stopped(const ace_callbacks *notify);
/* A context whose operations stop when the caller says so. NULL on failure. */
tens_ctx *engine_context(const ace_engine *e, size_t bytes, const ace_callbacks *notify, ace_error *err);

struct ace_result {
  ace_request *request; /* as run: what the language model filled in included */
  plan_song song;       /* its codes; empty when it was not asked */
  int items;
  song_latents latents[REQ_BATCH_MAX];
  audio_buffer audio[REQ_BATCH_MAX]; /* empty when no sound was made */
  uint32_t seeds[REQ_BATCH_MAX], retake_seeds[REQ_BATCH_MAX];
  json_t *about;                 /* the "result" object shared by all items */
  json_t *scores[REQ_BATCH_MAX]; /* what ace_result_score found; NULL: it was not asked */
  char *json[REQ_BATCH_MAX];
};

/* ace_generate; without `sound` the latents are all that is made. */
ace_result *engine_generate(ace_engine *engine, const ace_request *request, bool sound, const ace_callbacks *notify,
                            ace_error *err);

/* The recordings of a request, in the autoencoder's form. */
typedef struct engine_recordings {
  audio_buffer reference, source;
} engine_recordings;

/* Points the job to those that there are. engine_free_recordings also after a failure. */
ace_status engine_load_recordings(ace_engine *e, const ace_request *r, engine_recordings *in, song_job *job,
                                  ace_error *err);
void engine_free_recordings(engine_recordings *in);
/* Items first..first+n-1 of the result, which have equally many codes, as a job; the rest as in `all`. */
song_job engine_part_of(const ace_result *result, const song_job *all, int first, int n);

/* The JSON of one item with `format` (REQ_FORMAT_*) as its audio_format. free() it; NULL when out of memory. */
char *result_json(const ace_result *r, int item, int format);

#endif
